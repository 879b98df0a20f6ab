"""The parts of a mesh: what hangs together by its edges, which of them are closed, and what they enclose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.repair.cones import Cones


@dataclass(frozen=True)
class Neighbours:
    """Faces that continue each other across an edge.

    Attributes:
        one: a face of each pair.
        other: the other face.
        disagree: they run along the edge in the same direction, so that one looks in where the other looks out.
        alone: faces with an edge that no other has.
        crowd: faces at edges of three or more, one edge after the other.
        edge: number of the edge of each of the crowd.
        forward: whether each of the crowd runs along its edge in the direction of the vertices' numbers.
    """

    one: Int[np.ndarray, " n"]
    other: Int[np.ndarray, " n"]
    disagree: Bool[np.ndarray, " n"]
    alone: Int[np.ndarray, " a"]
    crowd: Int[np.ndarray, " m"]
    edge: Int[np.ndarray, " m"]
    forward: Bool[np.ndarray, " m"]


def neighbours(mesh: Mesh) -> Neighbours:
    """Which faces continue each other.

    Two faces do that share an edge which no third has. Where more faces meet, as where the solids of a file touch, they
    are taken two by two in the order of the file, if each two run along the edge in opposite directions: files list one
    solid after the other. Other edges join nothing.
    """
    start, end = mesh.faces.reshape(-1), np.roll(mesh.faces, -1, axis=1).reshape(-1)
    key = np.minimum(start, end) * len(mesh.vertices) + np.maximum(start, end)
    order = np.argsort(key, kind="stable")
    new = np.ones(len(order), dtype=bool)
    new[1:] = np.diff(key[order]) != 0
    (first,) = np.nonzero(new)
    users = np.diff(np.append(first, len(order)))
    one, other = order[first[users == 2]], order[first[users == 2] + 1]
    crowd = order[np.repeat(users > 2, users)]
    edge = np.repeat(np.arange((users > 2).sum()), users[users > 2])
    forward = start[crowd] < end[crowd]
    second = _seconds(edge, users[users > 2], forward)
    return Neighbours(
        one=np.concatenate([one, crowd[second - 1]]) // 3,
        other=np.concatenate([other, crowd[second]]) // 3,
        disagree=np.concatenate([start[one] == start[other], np.zeros(len(second), dtype=bool)]),
        alone=order[first[users == 1]] // 3,
        crowd=crowd // 3,
        edge=edge,
        forward=forward,
    )


def _seconds(
    edge: Int[np.ndarray, " m"], users: Int[np.ndarray, " edges"], forward: Bool[np.ndarray, " m"]
) -> Int[np.ndarray, " k"]:
    """Places of the second face of each two in a crowd, at edges where all go by twos that run against each other."""
    place = np.arange(len(edge)) - np.repeat(np.cumsum(users) - users, users)
    against = np.zeros(len(edge), dtype=bool)
    against[1:] = forward[1:] != forward[:-1]
    second = place % 2 == 1
    broken = np.bincount(edge, weights=second & ~against, minlength=len(users)) > 0
    fits = (users % 2 == 0) & ~broken
    return np.nonzero(second & fits[edge])[0]


@dataclass(frozen=True)
class Parts:
    """The connected parts of a mesh.

    Attributes:
        label: number of the part of each face.
        closed: whether each part has no rim: as many of its faces run along each of its edges one way as the other.
        volume: signed volume that each encloses, its rims closed by flat cones; positive if its faces look out of it.
        area: of the faces of each.
        lids: area of the cones that close each.
        low: lowest corner of the box of each.
        high: highest corner of it.
    """

    label: Int[np.ndarray, " f"]
    closed: Bool[np.ndarray, " parts"]
    volume: Float[np.ndarray, " parts"]
    area: Float[np.ndarray, " parts"]
    lids: Float[np.ndarray, " parts"]
    low: Float[np.ndarray, "parts 3"]
    high: Float[np.ndarray, "parts 3"]

    @property
    def count(self) -> int:
        """Number of parts."""
        return len(self.closed)


def face_labels(count: int, pairs: Neighbours) -> Int[np.ndarray, " f"]:
    """Number of the part that each of `count` faces belongs to: those that neighbours join, counted from 0."""
    return joined(count, pairs.one, pairs.other)


def closed_labels(pairs: Neighbours, label: Int[np.ndarray, " f"]) -> Bool[np.ndarray, " parts"]:
    """Which of the parts with these labels are closed; see `Parts`."""
    broken = np.zeros(int(label.max()) + 1, dtype=bool)
    broken[label[pairs.alone]] = True
    broken[label[pairs.one[pairs.disagree]]] = True
    if len(pairs.crowd):
        of_crowd = label[pairs.crowd]
        _, group = np.unique(pairs.edge * len(broken) + of_crowd, return_inverse=True)
        balance = np.bincount(group.reshape(-1), weights=np.where(pairs.forward, 1.0, -1.0))
        broken[of_crowd[balance[group.reshape(-1)] != 0]] = True
    return ~broken


def mesh_parts(mesh: Mesh, pairs: Neighbours, cones: Cones) -> Parts:
    """The parts of a mesh whose neighbours agree. Open parts whose rims meet count as one."""
    label = face_labels(len(mesh.faces), pairs)
    if len(cones.corners):
        # A rim has faces of the parts that it joins.
        rims = int(cones.rim.max()) + 1
        count = int(label.max()) + 1
        label = joined(count + rims, label[cones.face], count + cones.rim)[label]
        _, label = np.unique(label, return_inverse=True)
        label = label.reshape(-1).astype(np.int64)
    count = int(label.max()) + 1
    corners = mesh.vertices[mesh.faces]
    low, high = boxes(corners, label, count)
    # Measured from the middle of each part: from afar the terms of a small one cancel.
    origin = (low + high) / 2
    volume = np.bincount(label, weights=_six_volumes(corners - origin[label][:, None]), minlength=count)
    area_of_lids = np.zeros(count)
    if len(cones.corners):
        of_cone = label[cones.face]
        of_rim = np.zeros(len(cones.area), dtype=np.int64)
        of_rim[cones.rim] = of_cone
        area_of_lids += np.bincount(of_rim, weights=cones.area, minlength=count)
        lids = cones.weight * _six_volumes(cones.flat - origin[of_cone][:, None])
        volume += np.bincount(of_cone, weights=lids, minlength=count)
    doubled = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return Parts(
        label=label,
        closed=closed_labels(pairs, label),
        volume=volume / 6,
        area=np.bincount(label, weights=doubled / 2, minlength=count),
        lids=area_of_lids,
        low=low,
        high=high,
    )


def boxes(
    corners: Float[np.ndarray, "f 3 3"], label: Int[np.ndarray, " f"], count: int
) -> tuple[Float[np.ndarray, "count 3"], Float[np.ndarray, "count 3"]]:
    """Lowest and highest corners of the boxes of the triangles with each label 0 .. count - 1, each used."""
    order = np.argsort(label, kind="stable")
    first = np.searchsorted(label[order], np.arange(count))
    low = np.minimum.reduceat(corners.min(axis=1)[order], first, axis=0)
    return low, np.maximum.reduceat(corners.max(axis=1)[order], first, axis=0)


def _six_volumes(corners: Float[np.ndarray, "t 3 3"]) -> Float[np.ndarray, " t"]:
    """Six times the signed volume between the origin and each triangle."""
    return np.einsum("ti,ti->t", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))


def joined(count: int, one: Int[np.ndarray, " n"], other: Int[np.ndarray, " n"]) -> Int[np.ndarray, " count"]:
    """Number of the connected group of each of `count` things, some of them joined in pairs."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(len(one), dtype=bool), (one, other)), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)
