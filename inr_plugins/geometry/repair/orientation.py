"""Which way the faces of a mesh look: made consistent from neighbour to neighbour, and outward part by part."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool

from inr_plugins.errors import InputError
from inr_plugins.geometry.mesh import Mesh, face_normals, select_faces
from inr_plugins.geometry.repair.cleaning import drop_duplicate_faces, same_corners, single_faces
from inr_plugins.geometry.repair.cones import Cones, closing_cones
from inr_plugins.geometry.repair.nesting import judged_parts
from inr_plugins.geometry.repair.parts import (
    Neighbours,
    Parts,
    closed_labels,
    face_labels,
    mesh_parts,
    neighbours,
)


@dataclass(frozen=True)
class Oriented:
    """A mesh whose faces look outward.

    Attributes:
        mesh: the mesh, with one vertex for each position.
        cones: what closes it.
        parts: its connected parts, after all turning.
        pairs: faces that continue each other.
        turned: number of faces that were turned over to agree with their neighbours.
        inside_out: number of parts that were turned over as a whole.
        nested: number of closed parts that lie inside another and look outward like it: solid within solid.
    """

    mesh: Mesh
    cones: Cones
    parts: Parts
    pairs: Neighbours
    turned: int
    inside_out: int
    nested: int


def oriented_outward(mesh: Mesh) -> Oriented:
    """The mesh as a surface: equal positions are one vertex, doubled faces single, and all faces look outward.

    Faces are turned over where a piece that hangs together by edges of two faces disagrees with the larger part of its
    area. Then each part is judged by the volume that it encloses (an open one with its holes closed): one that looks
    inward is turned, unless it lies within a solid and so is the wall of a cavity. See `nesting.judged_parts`.

    Raises:
        InputError: no face has three corners in different places, or all of them lie back to back in pairs; or open3d
            is needed, for parts within parts, and cannot be imported.
    """
    mesh, turned = _consistent(_single(mesh))
    pairs = neighbours(mesh)
    cones = closing_cones(mesh)
    parts = mesh_parts(mesh, pairs, cones)
    turn, nested = judged_parts(mesh, parts)
    if turn.any():
        mesh = _turned(mesh, turn[parts.label])
        parts = replace(parts, volume=np.where(turn, -parts.volume, parts.volume))
        cones = closing_cones(mesh) if len(cones.corners) else cones
    return Oriented(mesh, cones, parts, pairs, turned, int(turn.sum()), nested)


def _single(mesh: Mesh) -> Mesh:
    """The mesh with one vertex for each position and one face for each three of them.

    Faces of different closed parts may lie on each other, where solids touch: they stay.
    """
    positions = mesh.vertices + 0.0  # -0.0 and 0.0 are one place
    order = np.lexsort(positions.T)
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(positions[order], axis=0) != 0).any(axis=1)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = order[new][np.cumsum(new) - 1]
    faces = place[mesh.faces]
    a, b, c = faces.T
    distinct = (a != b) & (b != c) & (c != a)
    if not distinct.any():
        raise InputError(f"None of the {len(faces)} faces of the mesh has an area; give a mesh with a surface.")
    mesh = select_faces(replace(mesh, faces=faces), distinct)
    return _without_twins(mesh)


def _without_twins(mesh: Mesh) -> Mesh:
    """The mesh without faces on the same three vertices as another, but for those of closed parts."""
    single = single_faces(mesh)
    if single.all():
        return mesh
    pairs = neighbours(mesh)
    label = face_labels(len(mesh.faces), pairs)
    # Two faces back to back are closed, but no solid.
    held = (closed_labels(pairs, label) & (np.bincount(label) > 2))[label]
    group = same_corners(mesh)
    covered = (np.bincount(group, weights=held) > 0)[group]
    (loose,) = np.nonzero(~covered)
    keep = held
    keep[loose] = single_faces(replace(mesh, faces=mesh.faces[loose]))
    return select_faces(mesh, keep) if keep.any() else drop_duplicate_faces(mesh)[0]


def _consistent(mesh: Mesh) -> tuple[Mesh, int]:
    """The mesh with neighbours that look the same way, and how many faces were turned for it.

    Every face stands in a graph twice, as it is and turned over, and is linked with the two states of a neighbour that
    agree with its own: a piece that can be oriented is then two connected parts, which are its two orientations. A
    piece that cannot, such as a Moebius strip, is one, whose two labels are the same, and stays as it is.
    """
    pairs = neighbours(mesh)
    if not pairs.disagree.any():
        return mesh, 0
    turn = _turns(mesh, pairs)
    return _turned(mesh, turn), int(turn.sum())


def _turns(mesh: Mesh, pairs: Neighbours) -> Bool[np.ndarray, " f"]:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    count = len(mesh.faces)
    across = np.where(pairs.disagree, count, 0)
    rows = np.concatenate([pairs.one, pairs.one + count])
    columns = np.concatenate([pairs.other + across, pairs.other + count - across])
    graph = coo_matrix((np.ones(len(rows), dtype=bool), (rows, columns)), shape=(2 * count, 2 * count))
    parts, labels = connected_components(graph, directed=False)
    as_is, turned_over = labels[:count], labels[count:]
    turn, piece = as_is > turned_over, np.minimum(as_is, turned_over)
    area = np.linalg.norm(face_normals(mesh), axis=1)
    more_turned = np.bincount(piece, weights=area * np.where(turn, 1.0, -1.0), minlength=parts) > 0
    return turn ^ more_turned[piece]


def _turned(mesh: Mesh, which: Bool[np.ndarray, " f"]) -> Mesh:
    """The mesh with some faces turned over. Normals of vertices, which may no longer fit, are left out."""
    if not which.any():
        return mesh
    return replace(mesh, faces=np.where(which[:, None], mesh.faces[:, ::-1], mesh.faces), normals=None)
