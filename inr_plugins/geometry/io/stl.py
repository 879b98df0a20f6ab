"""STL, binary and text: a soup of triangles.

Own code: trimesh and open3d read a file whose count is wrong as no triangles, and open3d no capital letters.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.mesh_file import MeshFile, Tell
from inr_plugins.geometry.io.text_lines import Block, blocks_of_lines, table

_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_HEADER = 84
# What writers leave in the place of the count that cannot go back to it.
_UNCOUNTED = (0, 0xFFFFFFFF)


def load_stl(path: Path, *, tell: Tell) -> MeshFile:
    """The file's triangles, each with three vertices of its own.

    A file is binary if its length is what its count asks for, or if it does not begin with "solid". Takes 72 bytes of
    memory a triangle beside the arrays (96).

    Raises:
        InputError: fewer triangles than the file announces.
        ValueError: a word that is no number.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEADER)
    announced = int.from_bytes(head[80:84], "little")
    if size == _HEADER + announced * _RECORD.itemsize or not head.lstrip().lower().startswith(b"solid"):
        return _binary(path, size, announced, tell)
    return _text(path)


def _soup(corners: np.ndarray) -> MeshFile:
    return MeshFile(corners, np.arange(len(corners), dtype=np.int64).reshape(-1, 3))


def _binary(path: Path, size: int, announced: int, tell: Tell) -> MeshFile:
    held = max(size - _HEADER, 0) // _RECORD.itemsize
    if announced in _UNCOUNTED and held:
        tell(f"its header counts {announced:,} triangles, all {held:,} that it holds are read")
        announced = held
    if held < announced or size < _HEADER:
        raise InputError(
            f"{path} cannot be read: it holds {held} faces, not the {announced} that its header counts; it may be cut "
            "short. Write it again."
        )
    if extra := size - _HEADER - announced * _RECORD.itemsize:
        tell(f"{extra:,} bytes behind the {announced:,} triangles that its header counts left out")
    with path.open("rb") as file:
        file.seek(_HEADER, os.SEEK_SET)
        records = np.fromfile(file, dtype=_RECORD, count=announced)
    return _soup(records["corners"].reshape(-1, 3).astype(np.float64))


def _text(path: Path) -> MeshFile:
    corners, facets, ended = [np.zeros((0, 3))], 0, 0
    for text in blocks_of_lines(path):
        block = Block(text)
        values, counts = table(block.take(block.begins(b"vertex"), without=6))
        if (counts != 3).any():
            raise ValueError(f"a vertex of {counts[counts != 3][0]} numbers")
        corners.append(values.reshape(-1, 3))
        facets += int(block.begins(b"facet").sum())
        ended += int((block.begins(b"endfacet") | block.is_word(b"endfacet")).sum())
    found = sum(map(len, corners))
    if found != 3 * facets or ended != facets:
        raise InputError(
            f"{path} has {facets} facets, {ended} of them whole, and {found} vertices instead of three for each; it "
            "may be cut short. Write it again."
        )
    return _soup(np.concatenate(corners))
