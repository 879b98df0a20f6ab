"""Vertices at one place become one, in formats that repeat them; and how far apart rounding may have put them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int

from inr_plugins.geometry.distinct_rows import distinct_rows, joined_places
from inr_plugins.geometry.mesh import Mesh

_ROUNDING_STEPS = 8
# A weld by rounding reaches no farther than this part of the edges that only one in a hundred is shorter than.
_EDGE_PART = 0.1
_EDGE_QUANTILE = 0.01
_EDGES_LOOKED_AT = 1 << 20


def welded(mesh: Mesh) -> Mesh:
    """The mesh with one vertex, the first, for all at exactly equal positions; vertices without faces stay.

    Takes 80 bytes a vertex beside the mesh, and the new faces.
    """
    first, kind = distinct_rows(mesh.vertices)
    return replace(mesh, faces=first[kind[mesh.faces]])


def rounding_tolerance(mesh: Mesh) -> float:
    """The distance within which corners of a triangle soup are one place, in the units of the mesh.

    Writers that compute a shared corner once for each triangle, and round it to float32 or seven digits, put its copies
    some units in the last place apart. So: eight such units (2^-23 each) of the largest coordinate; but at most a tenth
    of the edge that only one edge in a hundred is shorter than, so that no detail that the triangles show is merged.
    """
    stride = len(mesh.faces) * 3 // _EDGES_LOOKED_AT + 1
    corners = mesh.vertices[mesh.faces[::stride]]
    lengths = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)
    lengths = lengths[lengths > 0]
    if not len(lengths):
        return 0.0
    detail = float(np.quantile(lengths, _EDGE_QUANTILE))
    return min(_ROUNDING_STEPS * 2.0**-23 * float(np.abs(mesh.vertices).max()), _EDGE_PART * detail)


def join_rounded(mesh: Mesh) -> tuple[Mesh, float]:
    """The mesh with vertices on open edges that differ by rounding alone made one, and the distance they were within.

    Vertices whose edges all meet another face stay as they are: nothing is to be fixed there. Triangles that lose a
    corner so are left out. Distance 0 says that nothing was joined.

    Args:
        mesh: finite, welded where positions are equal.
    """
    tolerance = rounding_tolerance(mesh)
    loose = np.flatnonzero(_on_open_edges(mesh.faces, len(mesh.vertices))) if tolerance > 0 else np.zeros(0, int)
    if len(loose) < 2:
        return mesh, 0.0
    lowest = joined_places(mesh.vertices[loose], tolerance)
    if (lowest == np.arange(len(loose))).all():
        return mesh, 0.0
    target = np.arange(len(mesh.vertices))
    target[loose] = loose[lowest]
    faces = target[mesh.faces]
    a, b, c = faces.T
    return replace(mesh, faces=faces[(a != b) & (b != c) & (c != a)]), tolerance


def _on_open_edges(faces: Int[np.ndarray, "f 3"], count: int) -> Bool[np.ndarray, " v"]:
    """Which vertices have an edge that the faces do not run along equally often in both directions."""
    start, end = faces.reshape(-1), np.roll(faces, -1, axis=1).reshape(-1)
    key = np.minimum(start, end) * count + np.maximum(start, end)
    order = np.argsort(key)
    key = key[order]
    begins = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    balance = np.add.reduceat(np.where(start < end, 1, -1)[order], begins)
    edges = key[begins[balance != 0]]
    open_vertices = np.zeros(count, dtype=bool)
    open_vertices[edges // count] = True
    open_vertices[edges % count] = True
    return open_vertices
