"""Which way the faces of a mesh look: made consistent from neighbour to neighbour, and outward as a whole."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from inr_plugins.errors import InputError
from inr_plugins.geometry.cleaning import drop_duplicate_faces
from inr_plugins.geometry.mesh import Mesh, face_normals, select_faces, signed_volume, surface_area

# The tip of a cone stands beside the middle of its rim, along no special direction: a flat rim's cone lies in no plane
# with faces, where a ray could not tell them apart.
_BESIDE = 0.05 * np.array([0.4937, 0.6319, 0.5975])
# Volume over area^1.5 that a flat sheet may seem to have; a ball has 0.09, a plate of a hundredth of its side 0.004.
_ROUNDING = 1e-8


@dataclass(frozen=True)
class Cones:
    """Triangles that close a mesh: each connected rim of its open edges is joined to a point of its own.

    Attributes:
        corners: of the triangles, in the order that continues the mesh's own orientation.
        weight: how often each triangle counts; other than 1 only at edges of three or more faces.
        tip: the point that each rim is joined to.
        radius: largest distance of a rim from its tip.
        area: of each rim's triangles, those of weight w counted w times.
        volume: what they add to the volume of the mesh, with tips in the middles of the rims instead: the cones of flat
            rims are flat then. Measured from the middle of the mesh's box.
    """

    corners: Float[np.ndarray, "t 3 3"]
    weight: Float[np.ndarray, " t"]
    tip: Float[np.ndarray, "rims 3"]
    radius: Float[np.ndarray, " rims"]
    area: Float[np.ndarray, " rims"]
    volume: float


@dataclass(frozen=True)
class Oriented:
    """A mesh whose faces look outward.

    Attributes:
        mesh: the mesh, with one vertex for each position.
        cones: what closes it.
        turned: number of faces that were turned over to agree with their neighbours.
        inside_out: the mesh as a whole enclosed a negative volume, so that all its faces were turned over.
    """

    mesh: Mesh
    cones: Cones
    turned: int
    inside_out: bool


def oriented_outward(mesh: Mesh) -> Oriented:
    """The mesh as a surface: equal positions are one vertex, doubled faces single, and all faces look outward.

    Faces are turned over where a piece that hangs together by edges of two faces disagrees with the larger part of its
    area. Then everything is turned if the volume that the mesh encloses, its holes closed, is negative. Pieces are not
    judged one by one: one that looks inward within others that look outward is the wall of a cavity.

    Raises:
        InputError: no face has three corners in different places, or all of them lie back to back in pairs.
    """
    mesh, turned = _consistent(_single(mesh))
    cones = closing_cones(mesh)
    inside_out = _looks_inward(mesh, cones)
    if inside_out:
        mesh = _turned(mesh, np.ones(len(mesh.faces), dtype=bool))
        cones = replace(cones, corners=cones.corners[:, ::-1], volume=-cones.volume)
    return Oriented(mesh, cones, turned, inside_out)


def closing_cones(mesh: Mesh) -> Cones:
    """What closes a mesh.

    An edge is open where the faces that run along it one way are not as many as those that run the other way. Those
    edges, counted as often as they are left over, form closed curves, for a surface's rim has no ends; each is joined
    to a tip near its middle. Mesh and cones together have no open edge.
    """
    start, end = mesh.faces.reshape(-1), np.roll(mesh.faces, -1, axis=1).reshape(-1)
    low, high = np.minimum(start, end), np.maximum(start, end)
    keys, edge = np.unique(low * len(mesh.vertices) + high, return_inverse=True)
    left_over = np.bincount(edge, weights=np.where(start < end, 1.0, -1.0))
    (rim,) = np.nonzero(left_over)
    low, high = np.divmod(keys[rim], len(mesh.vertices))
    # A triangle runs along its edge against the faces that are left over there.
    first, second = np.where(left_over[rim] > 0, (high, low), (low, high))
    weight = np.abs(left_over[rim])
    labels, count = _rims(first, second)
    a, b = mesh.vertices[first], mesh.vertices[second]
    size = np.maximum(np.bincount(labels, minlength=count), 1)
    middle = np.stack([np.bincount(labels, weights=a[:, k], minlength=count) / size for k in range(3)], axis=1)
    reach = _largest(np.linalg.norm(a - middle[labels], axis=1), labels, count)
    tip = middle + reach[:, None] * _BESIDE
    corners = np.stack([a, b, tip[labels]], axis=1)
    areas = np.linalg.norm(np.cross(b - a, tip[labels] - a), axis=1) / 2
    flat = np.stack([a, b, middle[labels]], axis=1) - mesh.bounds.mean(axis=0)
    return Cones(
        corners=corners,
        weight=weight,
        tip=tip,
        radius=_largest(np.linalg.norm(a - tip[labels], axis=1), labels, count),
        # Without open edges there is nothing to sum, and numpy counts in whole numbers.
        area=np.bincount(labels, weights=areas * weight, minlength=count).astype(np.float64),
        volume=float(np.einsum("t,ti,ti->", weight, flat[:, 0], np.cross(flat[:, 1], flat[:, 2])) / 6),
    )


def _single(mesh: Mesh) -> Mesh:
    """The mesh with one vertex for each position and one face for each three of them."""
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
    return drop_duplicate_faces(select_faces(replace(mesh, faces=faces), distinct))[0]


def _consistent(mesh: Mesh) -> tuple[Mesh, int]:
    """The mesh with neighbours that look the same way, and how many faces were turned for it.

    Neighbours share an edge that no third face has; they look the same way if they run along it in opposite directions.
    Every face stands in a graph twice, as it is and turned over, and is linked with the two states of a neighbour that
    agree with its own: a piece that can be oriented is then two connected parts, which are its two orientations. A
    piece that cannot, such as a Moebius strip, is one, whose two labels are the same, and stays as it is.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    one, other, disagree = _neighbours(mesh)
    if not disagree.any():
        return mesh, 0
    count = len(mesh.faces)
    across = np.where(disagree, count, 0)
    rows = np.concatenate([one, one + count])
    columns = np.concatenate([other + across, other + count - across])
    graph = coo_matrix((np.ones(len(rows), dtype=bool), (rows, columns)), shape=(2 * count, 2 * count))
    parts, labels = connected_components(graph, directed=False)
    as_is, turned_over = labels[:count], labels[count:]
    turn, piece = as_is > turned_over, np.minimum(as_is, turned_over)
    area = np.linalg.norm(face_normals(mesh), axis=1)
    more_turned = np.bincount(piece, weights=area * np.where(turn, 1.0, -1.0), minlength=parts) > 0
    turn ^= more_turned[piece]
    return _turned(mesh, turn), int(turn.sum())


def _neighbours(mesh: Mesh) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Pairs of faces with an edge of their own, and whether they run along it in the same direction."""
    start, end = mesh.faces.reshape(-1), np.roll(mesh.faces, -1, axis=1).reshape(-1)
    key = np.minimum(start, end) * len(mesh.vertices) + np.maximum(start, end)
    order = np.argsort(key, kind="stable")
    _, first, users = np.unique(key[order], return_index=True, return_counts=True)
    one, other = order[first[users == 2]], order[first[users == 2] + 1]
    return one // 3, other // 3, start[one] == start[other]


def _turned(mesh: Mesh, which: Bool[np.ndarray, " f"]) -> Mesh:
    """The mesh with some faces turned over. Normals of vertices, which may no longer fit, are left out."""
    if not which.any():
        return mesh
    return replace(mesh, faces=np.where(which[:, None], mesh.faces[:, ::-1], mesh.faces), normals=None)


def _looks_inward(mesh: Mesh, cones: Cones) -> bool:
    """Whether the mesh and its lids enclose a negative volume that is more than rounding."""
    return signed_volume(mesh) + cones.volume < -_ROUNDING * surface_area(mesh) ** 1.5


def _rims(first: Int[np.ndarray, " e"], second: Int[np.ndarray, " e"]) -> tuple[Int[np.ndarray, " e"], int]:
    """Number of the connected curve that each open edge belongs to, and how many there are."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    used, ends = np.unique(np.stack([first, second]), return_inverse=True)
    ends = ends.reshape(2, -1)
    graph = coo_matrix((np.ones(len(first), dtype=bool), (ends[0], ends[1])), shape=(len(used), len(used)))
    count, labels = connected_components(graph, directed=False)
    return labels[ends[0]], int(count)


def _largest(values: Float[np.ndarray, " e"], labels: Int[np.ndarray, " e"], count: int) -> Float[np.ndarray, " n"]:
    """Largest of the values with each label."""
    largest = np.zeros(count)
    np.maximum.at(largest, labels, values)
    return largest
