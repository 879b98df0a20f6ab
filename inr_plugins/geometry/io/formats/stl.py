"""STL, binary and text: a soup of triangles.

Own code: trimesh and open3d read a file whose count is wrong as no triangles, and open3d no capital letters.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from inr_plugins.errors import InputError
from inr_plugins.geometry.distinct_rows import distinct_rows
from inr_plugins.geometry.io.formats.text_lines import UTF8_MARK, Block, blocks_of_lines, table
from inr_plugins.geometry.io.mesh_file import MeshFile, Tell
from inr_plugins.geometry.io.read_checks import check_encoding, counted
from inr_plugins.geometry.io.weld import join_rounded
from inr_plugins.geometry.mesh import Mesh

_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_HEADER = 84
# What writers leave in the place of the count that cannot go back to it.
_UNCOUNTED = (0, 0xFFFFFFFF)


def load_stl(path: Path, *, tell: Tell) -> MeshFile:
    """The file's triangles, with one vertex for all corners at one place.

    Corners are at one place where they are equal, or, on open edges, where only rounding parts them (see
    `weld.rounding_tolerance`). A file is binary if its length is what its count asks for, or if it does not begin with
    "solid". Takes 150 bytes of memory a triangle beside the arrays, and 600 where
    nearly every corner of the soup differs by rounding.

    Raises:
        InputError: fewer triangles than the file announces.
        ValueError: a word that is no number.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEADER)
    announced = int.from_bytes(head[80:84], "little")
    if size != _HEADER + announced * _RECORD.itemsize:
        check_encoding(path)
    if size == _HEADER + announced * _RECORD.itemsize or not _is_text(head):
        return _joined(_binary(path, size, announced, tell), tell)
    return _joined(_text(path), tell)


def _is_text(head: bytes) -> bool:
    return head.removeprefix(UTF8_MARK).lstrip().lower().startswith(b"solid")


def _joined(corners: np.ndarray, tell: Tell) -> MeshFile:
    """The triangles of a soup, three rows of corners for each, with one vertex a place."""
    first, kind = distinct_rows(corners)
    mesh = Mesh(corners[first].astype(np.float64), kind.reshape(-1, 3))
    del corners, first
    if not len(mesh.faces) or not np.isfinite(mesh.vertices).all():  # which the caller will refuse
        return MeshFile(mesh.vertices, mesh.faces)
    joined, distance = join_rounded(mesh)
    if distance:
        lost = len(mesh.faces) - len(joined.faces)
        slivers = f", {counted(lost, 'sliver')} among them gone" if lost else ""
        places = len(np.unique(joined.faces))
        tell(
            f"{len(mesh.vertices):,} corners that differ by rounding, up to {distance:.2g}, joined to {places:,} "
            f"places{slivers}"
        )
    return MeshFile(joined.vertices, joined.faces)


def _binary(path: Path, size: int, announced: int, tell: Tell) -> np.ndarray:
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
        tell(f"{counted(extra, 'byte')} behind the {announced:,} triangles that its header counts left out")
    with path.open("rb") as file:
        file.seek(_HEADER, os.SEEK_SET)
        records = np.fromfile(file, dtype=_RECORD, count=announced)
    if marked := int((records["attribute"] != 0).sum()):
        tell(f"attributes of {counted(marked, 'triangle')}, which are colours to some programs, left out")
    return records["corners"].reshape(-1, 3)


def _text(path: Path) -> np.ndarray:
    corners, facets, ended, seen = [np.zeros((0, 3))], 0, 0, 0
    for text in blocks_of_lines(path):
        block = Block(text)
        values, counts = table(block.take(block.begins(b"vertex"), without=6))
        if (counts != 3).any():
            raise ValueError(f"a vertex of {counts[counts != 3][0]} numbers")
        corners.append(values.reshape(-1, 3))
        begins, vertex = block.begins(b"facet"), block.begins(b"vertex")
        # Three in the mean are not enough: two of one facet and four of the next make other triangles.
        if ((np.cumsum(vertex)[begins] + seen) % 3).any():
            raise InputError(f"{path} has a facet with other than three vertices; write it again.")
        seen += int(vertex.sum())
        facets += int(begins.sum())
        ended += int((block.begins(b"endfacet") | block.is_word(b"endfacet")).sum())
    found = sum(map(len, corners))
    if found != 3 * facets or ended != facets:
        raise InputError(
            f"{path} has {facets} facets, {ended} of them whole, and {found} vertices instead of three for each; it "
            "may be cut short. Write it again."
        )
    return np.concatenate(corners)
