"""PLY files: text and both orders of bytes, every type of list, strips, and properties that nobody asked for."""

import struct

import numpy as np
import pytest
from mesh_file_texts import CORNERS, FACES, SIDES, U_POINTS, U_POLYGONS
from PIL import Image

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.mesh_read import read_mesh, read_mesh_file
from inr_plugins.geometry.io.surface_read import read_surface
from inr_plugins.geometry.mesh import Mesh, is_watertight, signed_volume, surface_area

LETTERS = {"char": "b", "uchar": "B", "short": "h", "ushort": "H", "int": "i", "uint": "I", "float": "f", "double": "d"}
FORMATS = ["ascii", "binary_little_endian", "binary_big_endian"]


def ply(form: str, elements: dict, *, comments=()) -> bytes:
    """`elements`: name -> (properties such as "float x" or "list uchar int corners", rows of numbers and lists)."""
    head = [f"ply\nformat {form} 1.0", *(f"comment {comment}" for comment in comments)]
    order = ">" if "big" in form else "<"
    body = b""
    for name, (properties, rows) in elements.items():
        head += [f"element {name} {len(rows)}", *(f"property {each}" for each in properties)]
        for row in rows:
            words = []
            for each, value in zip(properties, row, strict=True):
                kinds = each.split()
                kinds = kinds[1:3] if kinds[0] == "list" else kinds[:1]
                values = [value] if len(kinds) == 1 else [len(value), *value]
                letters = LETTERS[kinds[0]] if len(kinds) == 1 else LETTERS[kinds[0]] + LETTERS[kinds[1]] * len(value)
                values = [v if letter in "fd" else int(v) for v, letter in zip(values, letters, strict=True)]
                words += [struct.pack(order + letters, *values)] if form != "ascii" else list(map(str, values))
            body += b"".join(words) if form != "ascii" else (" ".join(words) + "\n").encode()
    return ("\n".join(head) + "\nend_header\n").encode() + body


XYZ = ["double x", "double y", "double z"]
LIST = "list uchar int vertex_indices"


def faces(each):
    return [[face] for face in each]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("corners", ["list uchar int vertex_indices", "list ushort uint vertex_index"])
@pytest.mark.parametrize("mixed", [False, True])
def test_a_box_in_every_way(tmp_path, form, corners, mixed):
    polygons = [*SIDES[:3].tolist(), *FACES[3:6].tolist(), *FACES[9:].tolist()] if mixed else FACES.tolist()
    generator = np.random.default_rng(0)
    vertex = [
        [7, *point, 0.5, generator.random(k % 3).tolist(), 255, 0, 51] for k, point in enumerate(CORNERS.tolist())
    ]
    face = [[-3, face, 1.5, [0.0] * (k % 2)] for k, face in enumerate(polygons)]
    properties = ["ushort id", *XYZ, "float confidence", "list uchar float weights"]
    content = {
        "range_info": (["int a"], [[1], [2]]),
        "vertex": ([*properties, "uchar red", "uchar green", "uchar blue"], vertex),
        "face": (["char flags", corners, "double quality", "list uchar float extra"], face),
        "edge": (["int vertex1", "int vertex2"], [[0, 1]]),
    }
    (tmp_path / "m.ply").write_bytes(ply(form, content))
    told = []
    mesh = read_mesh(tmp_path / "m.ply", tell=told.append)
    assert signed_volume(mesh) == pytest.approx(6)
    assert is_watertight(mesh)
    assert np.allclose(mesh.colours, [1, 0, 0.2])
    assert told == ['2 elements "range_info" left out', '1 element "edge" left out']


@pytest.mark.parametrize("form", FORMATS)
def test_strips_are_a_mesh(tmp_path, form):
    # An octahedron in one strip of six triangles and two of one each, ended by -1 and by the ends of lists.
    points = [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]]
    belt = [0, 4, 2, 1, 5, 3, 0, 4]
    content = {
        "vertex": (XYZ, points),
        "tristrips": (["list int int vertex_indices"], [[[*belt, -1, 1, 4, 3]], [[0, 2, 5]]]),
    }
    (tmp_path / "m.ply").write_bytes(ply(form, content))
    mesh = read_surface(tmp_path / "m.ply")
    assert isinstance(mesh, Mesh)
    assert len(mesh.faces) == 8
    assert is_watertight(mesh)
    assert abs(signed_volume(mesh)) == pytest.approx(4 / 3)


def test_a_concave_polygon_leaves_its_gap_open(tmp_path):
    content = {"vertex": (XYZ, U_POINTS.tolist()), "face": ([LIST], faces(U_POLYGONS))}
    (tmp_path / "m.ply").write_bytes(ply("binary_little_endian", content))
    mesh = read_mesh(tmp_path / "m.ply")
    assert (signed_volume(mesh), surface_area(mesh)) == (pytest.approx(5), pytest.approx(22))


def test_far_from_the_origin_no_digit_is_lost(tmp_path):
    away = CORNERS * 1e-3 + [500_000.123, 4_000_000.456, 0]
    for form in FORMATS:
        content = {"vertex": (XYZ, away.tolist()), "face": ([LIST], faces(FACES.tolist()))}
        (tmp_path / "m.ply").write_bytes(ply(form, content))
        assert np.array_equal(read_mesh(tmp_path / "m.ply").vertices, away)


BOX = {"vertex": (XYZ, CORNERS.tolist()), "face": ([LIST], faces(FACES.tolist()))}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("polygons", [FACES.tolist(), [*SIDES[:3].tolist(), *FACES[3:6].tolist(), *FACES[9:].tolist()]])
def test_a_file_cut_anywhere_is_refused(tmp_path, form, polygons):
    content = ply(form, {"vertex": (XYZ, CORNERS.tolist()), "face": ([LIST], faces(polygons))})
    header = content.index(b"end_header")
    for cut in (*range(header, len(content) - 3, 11), len(content) - 2):
        (tmp_path / "m.ply").write_bytes(content[:cut])
        with pytest.raises(InputError, match=r"cut short|does not begin|cannot be read"):
            read_mesh(tmp_path / "m.ply")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (ply("ascii", BOX) + b"3 0 1 2\n", "4 numbers more than its header"),
        (ply("ascii", BOX).replace(b"3 0 1 3", b"3 0 1 x"), "Line 18 of .* has 'x' where a number"),
        (ply("ascii", BOX).replace(b"3 0 1 3", b"3 0 1 8"), "0 to 8, but only 8"),
        (ply("ascii", BOX).replace(b"3 0 1 3", b"3 0 1.5 3"), "1.5 where a whole number"),
        (ply("ascii", BOX).replace(b"3 0 1 3", b"-3 0 1 3"), "cannot be read"),
        (ply("ascii", BOX).replace(b"vertex_indices", b"corners"), "without a list vertex_indices"),
        (ply("ascii", BOX).replace(b"property double z", b"property double w"), "no vertices with x, y and z"),
        (ply("ascii", BOX).replace(b"double x", b"real x"), "property real x"),
        (ply("ascii", BOX).replace(b"ascii", b"text"), 'format "text"'),
    ],
)
def test_what_cannot_be_right_is_refused(tmp_path, content, sentence):
    (tmp_path / "m.ply").write_bytes(content)
    with pytest.raises(InputError, match=sentence) as caught:
        read_mesh(tmp_path / "m.ply")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", FORMATS)
def test_no_room_is_made_for_rows_that_the_file_cannot_hold(tmp_path, form):
    (tmp_path / "m.ply").write_bytes(ply(form, BOX).replace(b"element face 12", b"element face 9000000000000"))
    with pytest.raises(InputError, match="is cut short: its header announces more"):
        read_mesh(tmp_path / "m.ply")


@pytest.mark.parametrize("count", ["-5", "1_2", "12.5", "twelve", ""])
def test_a_count_that_is_no_count_is_refused_and_not_taken_for_a_cloud(tmp_path, count):
    (tmp_path / "m.ply").write_bytes(ply("ascii", BOX).replace(b"face 12", f"face {count}".encode()))
    with pytest.raises(InputError, match="means nothing"):
        read_surface(tmp_path / "m.ply")


def test_bytes_behind_the_last_element_are_named(tmp_path):
    (tmp_path / "m.ply").write_bytes(ply("binary_big_endian", BOX) + b"....")
    told = []
    assert len(read_mesh(tmp_path / "m.ply", tell=told.append).faces) == 12
    assert told == ["4 bytes behind what its header announces left out"]


def test_pictures_and_places_in_them(tmp_path):
    for name, colour in (("one.png", (255, 0, 0)), ("two.png", (0, 0, 255))):
        Image.new("RGB", (2, 2), colour).save(tmp_path / name)
    uv = np.random.default_rng(0).random((6, 8)).round(3)
    rows = [[side, places.tolist(), k % 2] for k, (side, places) in enumerate(zip(SIDES.tolist(), uv, strict=True))]
    content = {"vertex": (XYZ, CORNERS.tolist()), "face": ([LIST, "list uchar float texcoord", "int texnumber"], rows)}
    named = ["TextureFile one.png", "TextureFile two.png", "TextureFile three.png"]
    (tmp_path / "m.ply").write_bytes(ply("binary_little_endian", content, comments=named))
    told = []
    found = read_mesh_file(tmp_path / "m.ply", looks=True, tell=told.append)
    assert told == ["picture three.png is missing, drawn without it"]
    assert found.part.tolist() == [k % 2 for k in range(6) for _ in range(2)]
    assert [paint.picture[0, 0].tolist() for paint in found.paints[:2]] == [[255, 0, 0], [0, 0, 255]]
    corners = uv.reshape(6, 4, 2)
    assert np.allclose(found.uv, np.stack([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]], axis=1).reshape(12, 3, 2))
