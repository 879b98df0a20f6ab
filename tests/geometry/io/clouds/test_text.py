"""Clouds in text, as the tools write it: separators, headers, counts, and columns told by their values."""

from pathlib import Path

import numpy as np
import pytest

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.surface_read import read_surface

RNG = np.random.default_rng(3)
POINTS = RNG.normal(size=(40, 3)).round(6)
NORMALS = POINTS / np.linalg.norm(POINTS, axis=1, keepdims=True)
COLOURS = RNG.integers(0, 256, (40, 3)).astype(float)
INTENSITY = RNG.integers(-2048, 2048, (40, 1)).astype(float)


def write(path: Path, *columns, before="", separator=" ", end="\n") -> Path:
    rows = np.hstack(columns)
    text = end.join(separator.join(f"{value:.9g}" for value in row) for row in rows)
    path.write_bytes((before + text + end).encode("utf-8"))
    return path


def refused(path: Path, match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        read_surface(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("separator", [" ", "  ", "\t", ",", ", ", ";"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "before", ["", "\ufeff", "# made by hand\n\n", "//X Y Z\n40\n", "40\n", "X Y Z\n", '"x","y","z"\n']
)
def test_positions_are_read_whatever_stands_before_and_between_them(tmp_path, separator, end, before):
    path = write(tmp_path / "c.asc", POINTS, before=before.replace("\n", end), separator=separator, end=end)
    cloud = read_surface(path)
    assert np.array_equal(cloud.points, POINTS)
    assert cloud.normals is None
    assert cloud.notes == ()


@pytest.mark.parametrize(
    ("columns", "note", "normals"),
    [
        ((INTENSITY,), "column 4 ignored", False),
        ((COLOURS,), "columns 4 to 6 taken for colours and ignored", False),
        ((COLOURS * 257,), "columns 4 to 6 taken for colours and ignored", False),
        ((COLOURS / 255,), "columns 4 to 6 taken for colours and ignored", False),
        ((NORMALS,), "columns 4 to 6 taken for normals", True),
        ((INTENSITY, NORMALS), "columns 5 to 7 taken for normals, column 4 ignored", True),
        ((COLOURS[:, :1] / 255, NORMALS), "columns 5 to 7 taken for normals, column 4 ignored", True),
        ((COLOURS, NORMALS), "columns 4 to 6 taken for colours and ignored, columns 7 to 9 taken for normals", True),
        ((NORMALS, COLOURS), "columns 4 to 6 taken for normals, columns 7 to 9 taken for colours and ignored", True),
        ((INTENSITY, COLOURS), "columns 5 to 7 taken for colours and ignored, column 4 ignored", False),
    ],
)
def test_columns_without_names_are_told_by_their_values(tmp_path, columns, note, normals):
    cloud = read_surface(write(tmp_path / "c.xyz", POINTS, *columns))
    assert np.array_equal(cloud.points, POINTS)
    assert cloud.notes == (note,)
    assert (cloud.normals is not None) == normals
    if normals:
        assert np.abs(cloud.normals - NORMALS).max() < 1e-8


@pytest.mark.parametrize(
    "before", ["//X Y Z R G B Nx Ny Nz\n40\n", "x,y,z,red,green,blue,normal_x,normal_y,normal_z\n"]
)
def test_names_tell_the_columns(tmp_path, before):
    separator = "," if "," in before else " "
    cloud = read_surface(write(tmp_path / "c.txt", POINTS, COLOURS, 3 * NORMALS, before=before, separator=separator))
    assert np.array_equal(cloud.points, POINTS)
    assert np.abs(cloud.normals - NORMALS).max() < 1e-8
    assert cloud.notes[0].startswith("ignored ")
    moved = write(tmp_path / "m.csv", INTENSITY, POINTS[:, ::-1], before="Intensity;Z [m];Y [m];X [m]\n", separator=";")
    assert np.array_equal(read_surface(moved).points, POINTS)


def test_other_ways_to_write_what_is_no_number_count_as_points_without_a_place(tmp_path):
    path = write(tmp_path / "c.xyz", POINTS)
    path.write_text(path.read_text() + "-nan(ind) 0 0\n# a remark\n1.#QNAN 1 2\n1 -1.#INF 2\n")
    cloud = read_surface(path)
    assert np.array_equal(cloud.points, POINTS)
    assert cloud.notes == ("3 of 43 points dropped that are NaN or infinite",)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("1 2 3\n4 5 6\n7 8\n", r"Line 3 of .* \('7 8'\) has 2 values and not 3"),
        ("# c\n1 2 3\n4 five 6\n", r"Line 3 of .*'five' where a number must stand"),
        ("1,2,3\n4,,6\n", r"Line 2 of .*'' where a number"),
        ("0,51 -0,58 -0,15\n1,5 2,5 3,5\n", r"Line 1 of .* decimal commas"),
        ("0,51;-0,58;-0,15\n1,5;2,5;3,5\n", r"Line 1 of .* decimal commas"),
        ("ncols 481\nnrows 3\n1 2 3\n", r"Line 1 of .*'ncols 481'.* neither numbers nor names"),
        ("x y z r g b\n1 2 3\n", "names 6 columns in line 1 .* but its rows have 3"),
        ("x y z x\n1 2 3 4\n", "no single column x in line 1"),
        ("5\n1 2 3\n4 5 6\n", "announces 5 points and has 2: it is cut short"),
        ("1\n1 2 3\n4 5 6\n", "announces 1 points and has 2"),
        ("2\n1 2 3\n4 5 6\n1\n7 8 9\n", r"Line 4 of .* has 1 values and not 3"),
        ("1 1 2 3\n2 4 5 6\n3 7 8 9\n", "Column 1 of .* counts the points"),
        ("1 2 3 1 -2 0.5\n4 5 6 -7 8 -0.5\n", "Columns 4 to 6 of .* may be normals"),
        ("# nothing\n", "no points"),
        ("1 2\n3 4\n", "2 columns"),
    ],
)
def test_what_cannot_be_told_is_refused_by_line_or_column(tmp_path, text, match):
    path = tmp_path / "c.xyz"
    path.write_text(text)
    refused(path, match)


def test_text_of_sixteen_bits_is_refused(tmp_path):
    (tmp_path / "c.txt").write_text("1 2 3\n", encoding="utf-16")
    refused(tmp_path / "c.txt", "is text in UTF-16; save it as UTF-8")
