"""Removing floating pieces, degenerate and duplicate faces from a mesh, and thinning it out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int

from inr_plugins.errors import InputError, setting
from inr_plugins.geometry.mesh import Mesh, from_open3d, select_faces, surface_area, to_open3d


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
            f"{setting('min_component', min_faces)} would remove all {len(faces)} pieces of the mesh, the largest "
            "of which has "
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


def drop_degenerate_faces(mesh: Mesh) -> tuple[Mesh, int]:
    """The mesh without faces that have two corners in the same place, and how many went.

    Where the field equals the level at a lattice point, marching cubes puts several vertices there, one for each edge.
    Leaving out the faces between them would open cracks: their neighbours would end at different vertices. So edges
    without length are collapsed, to the vertex of the lowest number, which makes those faces vanish and their
    neighbours meet: every closed surface stays closed. Vertices that only happen to coincide, such as where two sheets
    touch, are not merged. Nothing moves. A face of three different points in a line has no area either, but stays:
    its middle point would be left in the middle of the neighbour's edge.

    Raises:
        InputError: every face is degenerate.
    """
    import trimesh

    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    short = edges[(mesh.vertices[edges[:, 0]] == mesh.vertices[edges[:, 1]]).all(axis=1)]
    if len(short) == 0:
        return mesh, 0
    labels = trimesh.graph.connected_component_labels(short, node_count=len(mesh.vertices))
    _, first, group = np.unique(labels, return_index=True, return_inverse=True)
    faces = first[group.reshape(-1)][mesh.faces]
    a, b, c = faces.T
    keep = (a != b) & (b != c) & (c != a)
    if not keep.any():
        raise InputError(f"All {len(keep)} faces of the mesh are degenerate: each has two corners in the same place.")
    return select_faces(replace(mesh, faces=faces), keep), int((~keep).sum())


def drop_duplicate_faces(mesh: Mesh) -> tuple[Mesh, int]:
    """The mesh with one face, the first, of those that join the same three vertices in any order; how many went.

    Two faces back to back whose edges belong to no other face enclose nothing, and both go: one of them left alone
    would be an open scrap where the mesh was closed.

    Raises:
        InputError: nothing but such pairs.
    """
    keep = single_faces(mesh)
    if keep.all():
        return mesh, 0
    if not keep.any():
        raise InputError(f"All {len(keep)} faces of the mesh lie back to back in pairs, which enclose nothing.")
    return select_faces(mesh, keep), int((~keep).sum())


def single_faces(mesh: Mesh) -> Bool[np.ndarray, " f"]:
    """Which faces `drop_duplicate_faces` keeps."""
    group = same_corners(mesh)
    _, first = np.unique(group, return_index=True)
    if len(first) == len(group):
        return np.ones(len(group), dtype=bool)
    keep = np.zeros(len(group), dtype=bool)
    keep[first] = True
    return keep & ~_closed_pairs(mesh, group)


def same_corners(mesh: Mesh) -> Int[np.ndarray, " f"]:
    """Number of the group of faces with the same three vertices, in any order, that each face belongs to."""
    corners = np.sort(mesh.faces, axis=1)
    order = np.lexsort(corners.T)
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(corners[order], axis=0) != 0).any(axis=1)
    group = np.empty(len(order), dtype=np.int64)
    group[order] = np.cumsum(new) - 1
    return group


def _closed_pairs(mesh: Mesh, group: Int[np.ndarray, " f"]) -> Bool[np.ndarray, " f"]:
    """The faces of groups that are two opposite faces, with edges that no other face has.

    Args:
        mesh: the mesh.
        group: number of the group of faces with the same three vertices that each face belongs to.
    """
    edges = np.sort(mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    _, edge, users = np.unique(edges @ [len(mesh.vertices), 1], return_inverse=True, return_counts=True)
    alone = (users[edge.reshape(-1, 3)] == 2).all(axis=1)
    a, b, c = mesh.faces.T
    parity = np.sign(b - a) * np.sign(c - b) * np.sign(c - a)
    opposite = np.bincount(group, weights=parity)[group] == 0
    return alone & opposite & (np.bincount(group)[group] == 2)


def decimate(mesh: Mesh, *, max_faces: int) -> Mesh:
    """At most `max_faces` faces by quadric edge collapse (Garland and Heckbert 1997, open3d's); normals are dropped.

    Raises:
        InputError: `max_faces` below 4, or open3d cannot be imported.
    """
    if max_faces < 4:
        raise InputError(f"{setting('max_faces')} is {max_faces}; a closed mesh has at least 4 faces.")
    if len(mesh.faces) <= max_faces:
        return mesh
    simplified = to_open3d(mesh).simplify_quadric_decimation(max_faces)
    simplified.remove_degenerate_triangles()
    simplified.remove_unreferenced_vertices()
    result = from_open3d(simplified)
    return Mesh(vertices=result.vertices, faces=result.faces, colours=result.colours)


def thin_out_quickly(mesh: Mesh, *, max_faces: int) -> Mesh:
    """At most `max_faces` faces by clustering vertices in cells (Rossignac and Borrel 1993, open3d's), for pictures.

    Takes a twentieth of the time of `decimate`; open3d lets no other thread of Python run meanwhile. The result is near
    the surface but may be folded in places, and no longer closed; normals are dropped.
    """
    if len(mesh.faces) <= max_faces:
        return mesh
    # A smooth surface has 2.15 faces in a square of the cells' side, one with folds more.
    side, full = math.sqrt(2.5 * surface_area(mesh) / max_faces), to_open3d(mesh)
    while True:
        thinned = full.simplify_vertex_clustering(side)
        thinned.remove_degenerate_triangles()
        thinned.remove_duplicated_triangles()
        if len(thinned.triangles) <= max_faces:
            break
        side *= 1.02 * math.sqrt(len(thinned.triangles) / max_faces)
    thinned.remove_unreferenced_vertices()
    result = from_open3d(thinned)
    return Mesh(vertices=result.vertices, faces=result.faces, colours=result.colours)
