"""OFF, the Object File Format, with the colours, normals and texture places that its letters announce.

Own code: trimesh fails on concave polygons, and open3d over colours of faces.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.formats.polygons import triangulate
from inr_plugins.geometry.io.formats.text_lines import blocks_of_lines, table, whole
from inr_plugins.geometry.io.mesh_file import MeshFile, Tell
from inr_plugins.geometry.io.read_checks import counted

_FIRST_WORDS = 80
_HEADER = re.compile(rb"\s*(?P<letters>(?:ST)?C?N?4?n?)OFF\b[ \t]*(?P<binary>BINARY)?", re.IGNORECASE)


def load_off(path: Path, *, tell: Tell) -> MeshFile:
    """The file's polygons as triangles, with the colours of vertices (COFF) or faces.

    Normals and places in a texture are left out. Takes 170 bytes of memory a triangle beside the arrays.

    Raises:
        InputError: not as many vertices and faces as the header announces, or a kind of OFF that is not read.
        ValueError: a word that is no number.
    """
    with path.open("rb") as file:
        _header(file.read(_FIRST_WORDS), path)  # a binary file is to be called that, before its bytes are no text
    letters, values, in_lines = _rows(path)
    if len(values) < 2:
        raise InputError(f"{path} has no faces, or is cut short; write it again.")
    num_vertices, num_faces = (int(count) for count in whole(values[:2]))
    # "OFF 8 6 12" and "OFF\n8 6\n": the counts fill the first line, of two numbers or three.
    first = min(int(in_lines[0]), 3)
    rows = in_lines[1:] if in_lines[0] <= 3 else in_lines[:0]
    if len(rows) < num_vertices + num_faces:
        raise InputError(
            f"{path} has {max(len(rows) - num_vertices, 0)} faces, not {num_faces}, or is cut short; write it again."
        )
    if len(rows) > num_vertices + num_faces:
        extra = counted(len(rows) - num_vertices - num_faces, "line")
        tell(f"{extra} behind the {num_faces:,} faces that it counts left out")
    vertices, colours = _vertices(values[first:], rows[:num_vertices], letters)
    start = first + int(rows[:num_vertices].sum())
    corners, counts, face_colours = _faces(values[start:], rows[num_vertices : num_vertices + num_faces], path)
    if len(corners) and not 0 <= corners.min() <= corners.max() < num_vertices:
        from_one = " (OFF counts from 0)" if corners.min() == 1 and corners.max() == num_vertices else ""
        raise InputError(
            f"{path} has faces with corners numbered {corners.min()} to {corners.max()}, but only {num_vertices} "
            f"vertices{from_one}; write it again."
        )
    if (counts < 3).any():
        tell(f"{counted(int((counts < 3).sum()), 'face')} of fewer than three corners left out")
    triangles, owner = triangulate(vertices, corners, counts)
    if face_colours is not None:
        face_colours = face_colours[owner]
    return MeshFile(vertices, corners[triangles], colours, face_colours)


def _rows(path: Path) -> tuple[str, np.ndarray, np.ndarray]:
    """The letters before OFF, all numbers after it, and how many of them stand in each line that has any."""
    letters, tables = None, []
    for text in blocks_of_lines(path):
        text = re.sub(rb"#[^\n]*", b"", text) if b"#" in text else text
        if letters is None:
            letters, start = _header(text, path)
            text = text[start:]
        tables.append(table(text))
    values = np.concatenate([np.zeros(0), *(found for found, _ in tables)])
    return letters or "", values, np.concatenate([np.zeros(0, dtype=np.int64), *(counts for _, counts in tables)])


def _header(text: bytes, path: Path) -> tuple[str, int]:
    """The letters before OFF, and where what follows it begins."""
    header = _HEADER.match(text)
    if header is None:
        return "", 0
    letters = header["letters"].decode()
    if header["binary"]:
        raise InputError(f"{path} is a binary OFF file, which is not read; write it as text, or as PLY.")
    if "4" in letters or "n" in letters:
        raise InputError(f"{path} is an OFF file of {letters}OFF kind, whose points are not in space; give a surface.")
    return letters, header.end()


def _vertices(values: np.ndarray, rows: np.ndarray, letters: str) -> tuple[np.ndarray, np.ndarray | None]:
    start = np.cumsum(rows) - rows
    if len(rows) and rows.min() < 3:
        raise ValueError(f"a vertex of {rows.min()} numbers")
    vertices = values[start[:, None] + np.arange(3)]
    at = 6 if "N" in letters.upper().replace("OFF", "") else 3
    if "C" not in letters.upper() or not len(rows) or rows.min() < at + 3:
        return vertices, None
    return vertices, _scaled(values[start[:, None] + at + np.arange(3)])


def _faces(values: np.ndarray, rows: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Corners, their numbers, and colours of faces where all have one."""
    start = np.cumsum(rows) - rows
    counts = whole(values[start])
    short = (counts < 0) | (rows < counts + 1)
    if short.any():
        raise InputError(f"Face {int(np.argmax(short)) + 1} of {path} has fewer corners than it says; write it again.")
    begin = np.repeat(start + 1, counts)
    within = np.arange(len(begin)) - np.repeat(np.cumsum(counts) - counts, counts)
    corners = whole(values[begin + within])
    coloured = rows >= counts + 4
    if not len(rows) or not coloured.all():
        return corners, counts, None
    return corners, counts, _scaled(values[(start + 1 + counts)[:, None] + np.arange(3)])


def _scaled(colours: np.ndarray) -> np.ndarray:
    """Colours as parts of 1: OFF has whole numbers up to 255, or parts of 1."""
    whole = colours.max(initial=0) > 1
    return np.clip(colours / 255.0 if whole else colours, 0, 1)
