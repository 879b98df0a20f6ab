"""OBJ files in the many ways that programs write them, each of a solid whose volume is known."""

import numpy as np
import pytest
from mesh_file_texts import CORNERS, FACES, SIDES, U_POINTS, U_POLYGONS, obj_faces, obj_vertices

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.formats import text_lines
from inr_plugins.geometry.io.mesh_read import read_mesh, read_mesh_file
from inr_plugins.geometry.mesh import is_watertight, signed_volume, surface_area

BOX = obj_vertices() + obj_faces()
UV, NORMALS = "vt 0.5 0.5\n" * 8, "vn 0 0 1\n" * 8
HALF = 6
WAYS = {
    "plain": BOX,
    "quadrilaterals": obj_vertices() + obj_faces(faces=SIDES),
    "v/vt": obj_vertices() + UV + obj_faces("{0}/{0}"),
    "v/vt/vn": obj_vertices() + UV + NORMALS + obj_faces("{0}/{0}/{0}"),
    "v//vn": obj_vertices() + NORMALS + obj_faces("{0}//{0}"),
    "v/ and v//": obj_vertices() + obj_faces("{0}/", FACES[:HALF]) + obj_faces("{0}//", FACES[HALF:]),
    "mixed": obj_vertices() + UV + obj_faces("{0}/1", FACES[:HALF]) + obj_faces("{0}", FACES[HALF:]),
    "CRLF": BOX.replace("\n", "\r\n"),
    "CR": BOX.replace("\n", "\r"),
    "no newline at the end": BOX.rstrip(),
    "indented, tabs": "\t" + BOX.replace("\n", "\n  ").replace(" ", " \t "),
    "continued": BOX.replace(" ", " \\\n "),
    "continued CRLF": BOX.replace(" ", " \\\r\n "),
    "comments": "# box\n" + BOX.replace("\n", " # 1 2 3\n"),
    "byte-order mark": "\ufeff" + BOX,
    "groups": "o a\ng x\n" + BOX.replace("f 1 2 4\n", "usemtl m#1\ns off\ng y z\nf 1 2 4\n"),
    "weights": obj_vertices().replace("\n", " 1.0\n") + obj_faces(),
    "faces first": obj_faces() + obj_vertices(),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("block", [1 << 23, 64])
def test_a_box_in_every_way(tmp_path, monkeypatch, way, block):
    monkeypatch.setattr(text_lines, "_BLOCK", block)  # so that lines, too, are cut anywhere
    (tmp_path / "box.obj").write_bytes(WAYS[way].encode())
    told = []
    mesh = read_mesh(tmp_path / "box.obj", tell=told.append)
    assert signed_volume(mesh) == pytest.approx(6)
    assert is_watertight(mesh)
    assert mesh.bounds.tolist() == [[0, 0, 0], [1, 2, 3]]
    assert not told


def interleaved(sizes: tuple[int, ...]) -> str:
    """Pyramids over polygons of so many corners, side by side, each block with indices counted back from its end."""
    text = ""
    for k, sides in enumerate(sizes):
        around = 2 * np.pi * np.arange(sides) / sides
        ring = np.column_stack([np.cos(around) + 3 * k, np.sin(around), np.zeros(sides)])
        text += obj_vertices([*ring, [3 * k, 0, 1]])
        text += "f " + " ".join(str(-2 - j) for j in range(sides)) + "\n"
        text += "".join(f"f {j - sides - 1} {(j + 1) % sides - sides - 1} -1\n" for j in range(sides))
    return text


@pytest.mark.parametrize("block", [1 << 23, 200])
def test_negative_indices_count_back_from_where_they_stand(tmp_path, monkeypatch, block):
    monkeypatch.setattr(text_lines, "_BLOCK", block)
    sizes = (3, 7, 4, 12)
    (tmp_path / "m.obj").write_text(interleaved(sizes))
    mesh = read_mesh(tmp_path / "m.obj")
    # A regular polygon of n corners on the unit circle has the area n sin(2 pi / n) / 2.
    assert signed_volume(mesh) == pytest.approx(sum(n * np.sin(2 * np.pi / n) / 6 for n in sizes))
    assert np.ptp(mesh.bounds[:, 0]) > 3 * (len(sizes) - 1)


def test_a_concave_polygon_leaves_its_gap_open(tmp_path):
    (tmp_path / "u.obj").write_text(obj_vertices(U_POINTS) + obj_faces(faces=U_POLYGONS))
    mesh = read_mesh(tmp_path / "u.obj")
    assert (signed_volume(mesh), surface_area(mesh)) == (pytest.approx(5), pytest.approx(22))
    assert is_watertight(mesh)


def test_far_from_the_origin_no_digit_is_lost(tmp_path):
    away = CORNERS * 1e-3 + [500_000.123, 4_000_000.456, 0]
    (tmp_path / "m.obj").write_text(obj_vertices(away) + obj_faces())
    assert np.array_equal(read_mesh(tmp_path / "m.obj").vertices, away)


def test_lines_points_and_curves_are_named(tmp_path):
    extra = "p 1\nl 1 2 3\nl 1 2\ncstype bspline\ndeg 3\ncurv 0 1 1 2 3 4\nend\nf 1 2\n"
    (tmp_path / "m.obj").write_text(obj_vertices() + extra + obj_faces())
    told = []
    assert signed_volume(read_mesh(tmp_path / "m.obj", tell=told.append)) == pytest.approx(6)
    assert told == [
        "1 point left out",
        "2 lines left out",
        "4 statements of curves and surfaces left out",
        "1 face of fewer than three corners left out",
    ]


@pytest.mark.parametrize("scale", [1, 255])
def test_colours_behind_the_positions(tmp_path, scale):
    colours = np.random.default_rng(0).integers(0, 256, (8, 3)) / 255
    colours[0] = 1
    rows = [" ".join(map(str, [*point, *(colour * scale)])) for point, colour in zip(CORNERS, colours, strict=True)]
    (tmp_path / "m.obj").write_text("".join(f"v {row}\n" for row in rows) + obj_faces())
    assert np.allclose(read_mesh(tmp_path / "m.obj").colours, colours)
    # One vertex without: not all have a colour, and that is said.
    (tmp_path / "m.obj").write_text("v 0 0 0\n" + "".join(f"v {row}\n" for row in rows[1:]) + obj_faces())
    told = []
    assert read_mesh(tmp_path / "m.obj", tell=told.append).colours is None
    assert told == ["1 vertex without the colour that others have"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (BOX.replace("f 1 2 4", "f 1 2 9"), "corners numbered up to 9, but only 8"),
        (BOX.replace("f 1 2 4", "f 1 2 -9"), "before the first vertex"),
        (BOX.replace("f 1 2 4", "f 1 2 0"), "numbered 0"),
        (
            BOX.replace("v 1 0 0", "v 1,5 0 0"),
            "Line 5 of .*'v 1,5 0 0'.* has '1,5' .*not with commas",
        ),
        (BOX.replace("f 1 2 4", "f 1 2.5 4"), "2.5 where a whole number"),
        (BOX.replace("v 1 0 0", "v 1 0"), "a vertex of 2 numbers"),
        (BOX.replace("v 1 0 0", "v 1 inf 0"), "1 of 8 vertices that are NaN or infinite"),
        ("", "empty"),
        (obj_vertices(), "no faces"),
    ],
)
def test_what_cannot_be_right_is_refused(tmp_path, text, sentence):
    (tmp_path / "m.obj").write_text(text)
    with pytest.raises(InputError, match=sentence) as caught:
        read_mesh(tmp_path / "m.obj")
    assert "\n" not in str(caught.value)


def test_places_in_a_texture_follow_their_corners(tmp_path):
    uv = np.random.default_rng(1).random((8, 2)).round(4)
    text = obj_vertices() + "".join(f"vt {u} {v}\n" for u, v in uv) + "usemtl a\n" + obj_faces("{0}/{0}", SIDES[:3])
    text += "usemtl b\n" + obj_faces("{0}", SIDES[3:5]) + obj_faces("{0}/9", SIDES[5:])
    (tmp_path / "m.obj").write_text(text)
    told = []
    found = read_mesh_file(tmp_path / "m.obj", looks=True, tell=told.append)
    assert found.part.tolist() == [1] * 6 + [2] * 6
    assert np.allclose(found.uv[:6], uv[found.faces[:6]])
    assert np.isnan(found.uv[6:]).all()
    assert told == ["4 corners without the place in the texture that they name"]
