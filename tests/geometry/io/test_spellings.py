"""The same box and cloud as programs of other systems spell them: marks, line ends, exponents, capitals, commas."""

from pathlib import Path

import numpy as np
import pytest
from mesh_file_texts import CORNERS, FACES, obj_faces, obj_vertices

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.surface_read import read_surface
from inr_plugins.geometry.mesh import Mesh, signed_volume

POINTS = np.random.default_rng(5).normal(size=(30, 3)).round(4)


def rows(separator: str = " ", points: np.ndarray = POINTS, form: str = "{:.4f}") -> str:
    return "".join(separator.join(form.format(value) for value in point) + "\n" for point in points)


def ply_header(count: int, names: str, faces: int = 0, kind: str = "float") -> str:
    text = f"ply\nformat ascii 1.0\nelement vertex {count}\n" + "".join(f"property {kind} {n}\n" for n in names.split())
    return text + (f"element face {faces}\nproperty list uchar int vertex_indices\n" if faces else "") + "end_header\n"


def ply_box(names: str = "x y z") -> str:
    return ply_header(8, names, 12) + rows(points=CORNERS) + "".join(f"3 {a} {b} {c}\n" for a, b, c in FACES)


def off_box(first: int = 0) -> str:
    return "OFF\n8 12 0\n" + rows(points=CORNERS) + "".join(f"3 {a} {b} {c}\n" for a, b, c in FACES + first)


def stl_box() -> str:
    facet = "facet normal 0 0 0\nouter loop\n{}endloop\nendfacet\n"
    corners = ("".join("vertex {:.4f} {:.4f} {:.4f}\n".format(*corner) for corner in CORNERS[face]) for face in FACES)
    return "solid\n" + "".join(facet.format(each) for each in corners) + "endsolid\n"


PCD = (
    "VERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 30\nHEIGHT 1\nPOINTS 30\nDATA ascii\n"
    + rows()
)
BOXES = {"m.obj": obj_vertices() + obj_faces(), "m.ply": ply_box(), "m.off": off_box(), "m.stl": stl_box()}
CLOUDS = {
    "c.xyz": rows(),
    "c.csv": "x,y,z\n" + rows(","),
    "c.pts": "30\n" + rows(),
    "c.ply": ply_header(30, "x y z") + rows(),
    "c.pcd": PCD,
}


def check(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    surface = read_surface(path)
    if isinstance(surface, Mesh):
        assert (len(surface.vertices), len(surface.faces)) == (8, 12)
        assert signed_volume(surface) == pytest.approx(6)
    else:
        assert np.abs(surface.points - POINTS).max() < 1e-6
        assert all(note.startswith("ignored") for note in surface.notes)


def refused(path: Path, data: bytes, *words: str) -> None:
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_surface(path)
    assert all(word in str(caught.value) for word in (path.name, *words)), str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [*BOXES, *CLOUDS])
def test_byte_order_marks_and_line_ends(tmp_path, name):
    text = {**BOXES, **CLOUDS}[name]
    for end in ("\n", "\r\n", "\r"):
        check(tmp_path / name, text.replace("\n", end).encode())
        if name != "c.pcd":  # whose header is no text to a mark
            check(tmp_path / name, text.replace("\n", end).encode("utf-8-sig"))


@pytest.mark.parametrize("name", [*BOXES, *CLOUDS])
def test_text_of_sixteen_bits_is_called_that(tmp_path, name):
    text = {**BOXES, **CLOUDS}[name]
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        refused(tmp_path / name, text.encode(encoding), "UTF-16", "save it as UTF-8")


@pytest.mark.parametrize("name", ["m.obj", "m.ply", "m.off", "m.stl", "c.ply", "c.xyz", "c.pcd"])
def test_decimal_commas_are_refused_with_their_line(tmp_path, name):
    text = {**BOXES, "m.obj": obj_vertices(CORNERS + 0.5) + obj_faces(), **CLOUDS}[name]
    head, mark, body = text.partition("end_header\n" if name.endswith("ply") else "DATA ascii\n")
    text = head + mark + body.replace(".", ",") if mark else text.replace(".", ",")
    line = next(k for k, each in enumerate(text.split("\n"), start=1) if "," in each)
    refused(tmp_path / name, text.encode(), f"Line {line} of", "comma")


def test_commas_that_separate_and_stand_for_points_are_refused(tmp_path):
    refused(tmp_path / "c.csv", rows(",").replace(".", ",").encode(), "Line 1 of", "decimal commas")
    whole = "".join(f"{3 * k},{2 * k},{-k},255,10,0\n" for k in range(1, 20))
    (tmp_path / "c.csv").write_text(whole)
    assert read_surface(tmp_path / "c.csv").points[2].tolist() == [9, 6, -3]


@pytest.mark.parametrize(
    "thousands", ["1,234.5 2,345.6 3,456.7\n", '"1,234.5","2,345.6","3,456.7"\n', "1\u00a0234.5 2\u00a0345.6 3.5\n"]
)
def test_thousands_set_apart_are_refused(tmp_path, thousands):
    refused(tmp_path / "c.csv", (thousands * 12).encode(), "thousands")
    refused(tmp_path / "m.obj", BOXES["m.obj"].replace("v 1 ", "v 1_000 ").encode(), "'1_000'")


def test_exponents_of_fortran(tmp_path):
    for letter in "Dd":
        check(tmp_path / "c.xyz", rows(form="{:.4f}" + letter + "+00").encode())
        check(tmp_path / "c.csv", rows(",", form="{:.4f}" + letter + "0").encode())
        check(tmp_path / "c.ply", (ply_header(30, "x y z") + rows(form="{:.4f}" + letter + "+00")).encode())
        check(tmp_path / "m.stl", stl_box().replace("0000", "0000" + letter + "+00").encode())
        check(tmp_path / "m.off", off_box().replace("0000", "0000" + letter + "+00").encode())


@pytest.mark.parametrize("names", ["X Y Z", "pos_x pos_y pos_z", "Easting Northing Elevation"])
def test_other_names_of_positions_in_a_ply(tmp_path, names):
    check(tmp_path / "m.ply", ply_box(names).encode())
    check(tmp_path / "c.ply", (ply_header(30, names) + rows()).encode())
    check(tmp_path / "c.ply", (ply_header(30, names, kind="double").replace("vertex", "Vertex") + rows()).encode())


def test_names_that_say_nothing_or_two_things_are_refused(tmp_path):
    refused(tmp_path / "c.ply", (ply_header(30, "a b c") + rows()).encode(), "no single column x", "a, b, c")
    refused(tmp_path / "c.ply", (ply_header(30, "x x z") + rows()).encode(), 'two properties of "vertex" called "x"')
    twice = ply_header(8, "x y z").replace("end_header", "element vertex 2\nproperty float x\nend_header")
    refused(tmp_path / "m.ply", twice.encode(), 'two elements called "vertex"')
    refused(tmp_path / "c.ply", (ply_header(30, "x y") + rows()).encode(), "announces 2 numbers")


def test_tables_of_spreadsheets_and_of_pandas(tmp_path):
    numbered = "".join(f"{k},{line}\n" for k, line in enumerate(rows(",").split()))
    check(tmp_path / "c.csv", (",x,y,z\n" + numbered).encode())
    check(tmp_path / "c.csv", ("X;Y;Z;\n" + rows(";").replace("\n", ";\n")).encode())
    check(tmp_path / "c.csv", ('"x","y","z"\n' + rows(",", form='"{:.4f}"')).encode())


def test_arrays_with_a_column_for_each_point(tmp_path):
    for array in (POINTS.T, np.vstack([POINTS.T, POINTS.T])):
        np.save(tmp_path / "c.npy", array)
        refused(tmp_path / "c.npy", (tmp_path / "c.npy").read_bytes(), "turn it over")
    np.save(tmp_path / "c.npy", POINTS[:1])
    assert np.array_equal(read_surface(tmp_path / "c.npy").points, POINTS[:1])
    np.save(tmp_path / "c.npy", POINTS[:3])
    cloud = read_surface(tmp_path / "c.npy")
    assert np.array_equal(cloud.points, POINTS[:3])
    assert cloud.notes == ("3 rows of 3 numbers, each row taken for a point",)


def test_corners_counted_from_the_other_number(tmp_path):
    refused(tmp_path / "m.off", off_box(1).encode(), "numbered 1 to 8", "counts from 0")
    refused(tmp_path / "m.obj", (obj_vertices() + obj_faces(faces=FACES - 1)).encode(), "counts from 1")


@pytest.mark.parametrize(
    ("name", "word"), [("a.las", "pdal"), ("a.E57", "CloudCompare"), ("a.fbx", "Blender"), ("a.step", "STL")]
)
def test_formats_that_are_not_read_name_a_way(tmp_path, name, word):
    refused(tmp_path / name, b"LASF", word)


def test_an_obj_of_points_says_what_to_do(tmp_path):
    refused(tmp_path / "c.obj", obj_vertices(POINTS).encode(), "30 vertices and no faces", "cut short", "PLY")
