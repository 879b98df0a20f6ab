"""Closed cavities: what a density leaves empty inside an object because no picture showed it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from inr_plugins.geometry.mesh import Mesh, select_faces
from inr_plugins.geometry.repair.box_pairs import box_pairs
from inr_plugins.geometry.repair.cleaning import face_components
from inr_plugins.geometry.repair.parts import boxes
from inr_plugins.geometry.triangle_scene import TriangleScene


def fill_cavities(mesh: Mesh) -> tuple[Mesh, int]:
    """The mesh without the inner walls of closed cavities and without what floats in them, and how many went.

    A field learnt from pictures is right about surfaces that were seen; behind them it holds nothing, so that its
    level set has a second, inner wall. That wall is a closed piece of the mesh whose faces look into what it encloses:
    its signed volume is negative. What lies within it is solid once it is filled, so pieces in there go too.

    Args:
        mesh: a level set with outward faces; open pieces (cut by the box) are left alone.

    Returns:
        The mesh (itself when there is no cavity), and the number of cavities.
    """
    labels = face_components(mesh)
    count = int(labels.max()) + 1 if len(labels) else 0
    closed = _closed_pieces(mesh, labels, count)
    walls = np.flatnonzero(closed & (_signed_volumes(mesh, labels, count) < 0))
    if len(walls) == 0:
        return mesh, 0
    gone = np.zeros(count, dtype=bool)
    gone[walls] = True
    wall, other = _boxes_within(mesh, labels, walls, count)
    # The faces of each piece follow one another, so that none is looked for among all.
    by_piece = np.argsort(labels, kind="stable")
    start = np.searchsorted(labels[by_piece], np.arange(count + 1))
    corner = mesh.vertices[mesh.faces[by_piece[start[:-1]], 0]]
    holders, first, size = np.unique(wall, return_index=True, return_counts=True)
    for here, begin, more in zip(holders, first, size, strict=True):
        pieces = other[begin : begin + more]
        pieces = pieces[~gone[pieces]]
        if len(pieces):
            faces = mesh.faces[by_piece[start[here] : start[here + 1]]]
            gone[pieces] = _enclosed(mesh.vertices[faces], corner[pieces])
    return select_faces(mesh, ~gone[labels]), len(walls)


def _boxes_within(
    mesh: Mesh, labels: Int[np.ndarray, " f"], walls: Int[np.ndarray, " w"], count: int
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Walls, in the order of their numbers, and other pieces whose boxes lie within theirs."""
    low, high = boxes(mesh.vertices[mesh.faces], labels, count)
    is_wall = np.zeros(count, dtype=np.int64)
    is_wall[walls] = 1
    one, other = box_pairs(low, high, is_wall)
    one, other = np.where(is_wall[one] == 1, (one, other), (other, one))
    within = (low[other] > low[one]).all(axis=1) & (high[other] < high[one]).all(axis=1)
    order = np.lexsort((other[within], one[within]))
    return one[within][order], other[within][order]


def _closed_pieces(mesh: Mesh, labels: Int[np.ndarray, " f"], count: int) -> Bool[np.ndarray, " pieces"]:
    """Whether each piece has no boundary: every directed edge of it is matched by one the other way."""
    start, end = mesh.faces.reshape(-1), np.roll(mesh.faces, -1, axis=1).reshape(-1)
    low, high = np.minimum(start, end), np.maximum(start, end)
    _, edge = np.unique(low * len(mesh.vertices) + high, return_inverse=True)
    balance = np.bincount(edge, weights=np.where(start < end, 1.0, -1.0))
    broken = np.zeros(count, dtype=bool)
    broken[np.repeat(labels, 3)[balance[edge] != 0]] = True
    return ~broken


def _signed_volumes(mesh: Mesh, labels: Int[np.ndarray, " f"], count: int) -> Float[np.ndarray, " pieces"]:
    """Signed volume of each piece, positive where its faces look out of it; see `mesh.signed_volume`."""
    # Measured from a corner of the piece itself: from afar the terms of a small piece cancel.
    origin = np.zeros((count, 3))
    origin[labels] = mesh.vertices[mesh.faces[:, 0]]
    a, b, c = (mesh.vertices[mesh.faces[:, k]] - origin[labels] for k in range(3))
    return np.bincount(labels, weights=np.einsum("ij,ij->i", a, np.cross(b, c)) / 6, minlength=count)


def _enclosed(wall: Float[np.ndarray, "f 3 3"], points: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
    """Whether points of other pieces lie in what a wall encloses; one is enough of each: surfaces do not cross."""
    corners = wall.reshape(-1, 3)
    scene = TriangleScene((corners.min(axis=0) + corners.max(axis=0)) / 2, threads=1)
    scene.add(corners, np.arange(len(corners)).reshape(-1, 3))
    # Three rays, since one may meet an edge.
    return scene.inside_by_parity(points, votes=3)
