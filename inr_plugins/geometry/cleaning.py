"""Removing floating pieces from a mesh, and thinning it out."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Int

from inr_plugins.errors import InputError
from inr_plugins.geometry.mesh import Mesh, from_open3d, select_faces, to_open3d


def face_components(mesh: Mesh) -> Int[np.ndarray, " f"]:
    """Number of the connected piece each face belongs to, 0 .. k - 1; faces that share a vertex are connected."""
    import trimesh

    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]]])
    vertex_labels = trimesh.graph.connected_component_labels(edges, node_count=len(mesh.vertices))
    _, labels = np.unique(vertex_labels[mesh.faces[:, 0]], return_inverse=True)
    return labels.reshape(-1)


def floater_size(mesh: Mesh, *, share: float = 1e-3) -> int:
    """Fewest faces that a connected piece must have to be no floater: `share` of the largest piece's, rounded up."""
    return math.ceil(share * np.bincount(face_components(mesh)).max())


def drop_small_components(mesh: Mesh, *, min_faces: int) -> tuple[Mesh, int]:
    """The mesh without its connected pieces of fewer than `min_faces` faces, and how many pieces went.

    Raises:
        InputError: every piece is that small.
    """
    labels = face_components(mesh)
    faces = np.bincount(labels)
    if faces.max() < min_faces:
        raise InputError(
            f"--min-component {min_faces} would remove all {len(faces)} pieces of the mesh, the largest of which has "
            f"{faces.max()} faces; lower it."
        )
    small = faces < min_faces
    if not small.any():
        return mesh, 0
    return select_faces(mesh, ~small[labels]), int(small.sum())


def keep_largest_component(mesh: Mesh) -> tuple[Mesh, int]:
    """The connected piece with the most faces, and how many pieces went."""
    labels = face_components(mesh)
    faces = np.bincount(labels)
    if len(faces) == 1:
        return mesh, 0
    return select_faces(mesh, labels == faces.argmax()), len(faces) - 1


def decimate(mesh: Mesh, *, max_faces: int) -> Mesh:
    """At most `max_faces` faces by quadric edge collapse (Garland and Heckbert 1997, open3d's); normals are dropped.

    Raises:
        InputError: `max_faces` below 4, or open3d cannot be imported.
    """
    if max_faces < 4:
        raise InputError(f"--max-faces is {max_faces}; a closed mesh has at least 4 faces.")
    if len(mesh.faces) <= max_faces:
        return mesh
    simplified = to_open3d(mesh).simplify_quadric_decimation(max_faces)
    simplified.remove_degenerate_triangles()
    simplified.remove_unreferenced_vertices()
    result = from_open3d(simplified)
    return Mesh(vertices=result.vertices, faces=result.faces, colours=result.colours)
