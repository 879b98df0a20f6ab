"""OFF files with the colours, normals, comments and line breaks that programs write."""

import numpy as np
import pytest
from mesh_file_texts import CORNERS, FACES, SIDES, U_POINTS, U_POLYGONS

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.mesh_read import read_mesh, read_mesh_file
from inr_plugins.geometry.mesh import is_watertight, signed_volume, surface_area


def off(head="OFF\n{v} {f} 0\n", points=CORNERS, faces=FACES, after_point="", after_face="") -> str:
    text = head.format(v=len(points), f=len(faces))
    text += "".join("{} {} {}".format(*point) + f"{after_point}\n" for point in points)
    return text + "".join(f"{len(face)} {' '.join(map(str, face))}{after_face}\n" for face in faces)


WAYS = {
    "plain": off(),
    "quadrilaterals": off(faces=SIDES),
    "counts beside the word": off("OFF {v} {f} 12\n"),
    "two counts": off("OFF\n{v} {f}\n"),
    "no word": off("{v} {f} 0\n"),
    "small letters, comments": off(
        "# first\noff # kind\n# counts\n{v} {f} 0 # all\n", after_point=" # p", after_face=" #f"
    ),
    "CRLF and empty lines": off("OFF\n\n{v} {f} 0\n\n").replace("\n", "\r\n"),
    "colours of vertices": off("COFF\n{v} {f} 0\n", after_point=" 255 0 0 255"),
    "normals": off("NOFF\n{v} {f} 0\n", after_point=" 0 0 1"),
    "texture, colours and normals": off("STCNOFF\n{v} {f} 0\n", after_point=" 0 0 1 0.5 0.5 0.5 1 0.25 0.75"),
    "colours of faces": off(after_face=" 0 128 255"),
    "colours of a map": off(after_face="  7"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_box_in_every_way(tmp_path, way):
    (tmp_path / "m.off").write_text(WAYS[way])
    mesh = read_mesh(tmp_path / "m.off")
    assert signed_volume(mesh) == pytest.approx(6)
    assert is_watertight(mesh)


def test_colours(tmp_path):
    (tmp_path / "m.off").write_text(WAYS["colours of vertices"])
    assert (read_mesh(tmp_path / "m.off").colours == [1, 0, 0]).all()
    (tmp_path / "m.off").write_text(WAYS["texture, colours and normals"])
    assert (read_mesh(tmp_path / "m.off").colours == 0.5).all()
    (tmp_path / "m.off").write_text(WAYS["colours of faces"])
    assert np.allclose(read_mesh_file(tmp_path / "m.off").face_colours, [0, 128 / 255, 1])


def test_a_concave_polygon_leaves_its_gap_open(tmp_path):
    (tmp_path / "m.off").write_text(off(points=U_POINTS.astype(int), faces=U_POLYGONS))
    mesh = read_mesh(tmp_path / "m.off")
    assert (signed_volume(mesh), surface_area(mesh)) == (pytest.approx(5), pytest.approx(22))
    assert is_watertight(mesh)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (off("OFF\n{v} 13 0\n"), "12 faces, not 13"),
        (off().replace("3 0 1 3", "4 0 1 3"), "Face 1 of .* fewer corners"),
        (off().replace("3 0 1 3", "3 0 1 8"), "0 to 8, but only 8"),
        (off().replace("3 0 1 3", "3 0 -1 3"), "-1 to 7, but only 8"),
        (off().replace("3 0 1 3", "3 0 1.5 3"), "1.5 where a whole number"),
        (off("4OFF\n{v} {f} 0\n", after_point=" 1"), "4OFF"),
        (off("OFF BINARY\n{v} {f} 0\n"), "binary OFF"),
        ("OFF BINARY\n\0\0\0\0", "binary OFF"),
        (off().replace("1.0 2.0 3.0", "1.0 2.0 x"), "Line 10 of .* has 'x' where a number must stand"),
    ],
)
def test_what_cannot_be_right_is_refused(tmp_path, text, sentence):
    (tmp_path / "m.off").write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_mesh(tmp_path / "m.off")


def test_lines_behind_the_faces_are_named(tmp_path):
    (tmp_path / "m.off").write_text(off() + "3 0 1 2\n")
    told = []
    assert len(read_mesh(tmp_path / "m.off", tell=told.append).faces) == 12
    assert told == ["1 line behind the 12 faces that it counts left out"]


def test_counts_that_are_no_whole_numbers_are_refused(tmp_path):
    (tmp_path / "a.off").write_text("OFF\n3 1.5 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    with pytest.raises(InputError, match="whole number"):
        read_mesh(tmp_path / "a.off")
