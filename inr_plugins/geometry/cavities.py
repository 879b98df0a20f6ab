"""Closed cavities: what a density leaves empty inside an object because no picture showed it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from inr_plugins.geometry.cleaning import face_components
from inr_plugins.geometry.mesh import Mesh, select_faces
from inr_plugins.geometry.open3d_import import import_open3d


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
    low, high = _piece_boxes(mesh, labels, count)
    for wall in walls:
        others = np.flatnonzero(~gone & (low > low[wall]).all(axis=1) & (high < high[wall]).all(axis=1))
        if len(others):
            gone[others] = _first_corners_inside(mesh, labels, others, wall=int(wall))
    return select_faces(mesh, ~gone[labels]), len(walls)


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


def _piece_boxes(
    mesh: Mesh, labels: Int[np.ndarray, " f"], count: int
) -> tuple[Float[np.ndarray, "pieces 3"], Float[np.ndarray, "pieces 3"]]:
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    for corner in mesh.faces.T:
        np.minimum.at(low, labels, mesh.vertices[corner])
        np.maximum.at(high, labels, mesh.vertices[corner])
    return low, high


def _first_corners_inside(
    mesh: Mesh, labels: Int[np.ndarray, " f"], pieces: Int[np.ndarray, " n"], *, wall: int
) -> Bool[np.ndarray, " n"]:
    """Whether pieces lie in what a wall encloses, judged by one corner each: surfaces do not cross."""
    o3d = import_open3d()
    scene = o3d.t.geometry.RaycastingScene(nthreads=1)
    enclosure = select_faces(mesh, labels == wall)
    scene.add_triangles(
        o3d.core.Tensor(enclosure.vertices.astype(np.float32)), o3d.core.Tensor(enclosure.faces.astype(np.uint32))
    )
    _, first = np.unique(labels, return_index=True)
    points = mesh.vertices[mesh.faces[first[pieces], 0]].astype(np.float32)
    # By the parity of crossings, of three rays since one may meet an edge.
    return scene.compute_occupancy(o3d.core.Tensor(points), nsamples=3).numpy() > 0.5
