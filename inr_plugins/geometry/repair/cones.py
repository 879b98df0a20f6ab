"""What closes an open mesh: each connected rim of its open edges joined to a point."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from inr_plugins.geometry.mesh import Mesh

# The tip of a cone stands beside the middle of its rim, along no special direction: a flat rim's cone lies in no plane
# with faces, where a ray could not tell them apart.
_BESIDE = 0.05 * np.array([0.4937, 0.6319, 0.5975])


@dataclass(frozen=True)
class Cones:
    """Triangles that close a mesh: each connected rim of its open edges is joined to a point of its own.

    Attributes:
        corners: of the triangles, in the order that continues the mesh's own orientation.
        weight: how often each triangle counts; other than 1 only at edges of three or more faces.
        rim: number of the rim that each triangle closes.
        face: a face of the mesh at each triangle's rim.
        tip: the point that each rim is joined to.
        radius: largest distance of a rim from its tip.
        area: of each rim's triangles, those of weight w counted w times.
        middle: of each rim; with its triangles' tips here the cones of flat rims are flat.
    """

    corners: Float[np.ndarray, "t 3 3"]
    weight: Float[np.ndarray, " t"]
    rim: Int[np.ndarray, " t"]
    face: Int[np.ndarray, " t"]
    tip: Float[np.ndarray, "rims 3"]
    radius: Float[np.ndarray, " rims"]
    area: Float[np.ndarray, " rims"]
    middle: Float[np.ndarray, "rims 3"]

    @property
    def flat(self) -> Float[np.ndarray, "t 3 3"]:
        """Corners of the triangles with the tips in the middles of the rims."""
        return np.concatenate([self.corners[:, :2], self.middle[self.rim][:, None]], axis=1)

    def moved(self, shift: Float[np.ndarray, " 3"]) -> Cones:
        """The cones of the mesh moved by `shift`."""
        return replace(self, corners=self.corners + shift, tip=self.tip + shift, middle=self.middle + shift)


def closing_cones(mesh: Mesh) -> Cones:
    """What closes a mesh.

    An edge is open where the faces that run along it one way are not as many as those that run the other way. Those
    edges, counted as often as they are left over, form closed curves, for a surface's rim has no ends; each is joined
    to a tip near its middle. Mesh and cones together have no open edge.
    """
    start, end = mesh.faces.reshape(-1), np.roll(mesh.faces, -1, axis=1).reshape(-1)
    low, high = np.minimum(start, end), np.maximum(start, end)
    keys, user, edge = np.unique(low * len(mesh.vertices) + high, return_index=True, return_inverse=True)
    left_over = np.bincount(edge.reshape(-1), weights=np.where(start < end, 1.0, -1.0))
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
    areas = np.linalg.norm(np.cross(b - a, tip[labels] - a), axis=1) / 2
    return Cones(
        corners=np.stack([a, b, tip[labels]], axis=1),
        weight=weight,
        rim=labels,
        face=user[rim] // 3,
        tip=tip,
        radius=_largest(np.linalg.norm(a - tip[labels], axis=1), labels, count),
        # Without open edges there is nothing to sum, and numpy counts in whole numbers.
        area=np.bincount(labels, weights=areas * weight, minlength=count).astype(np.float64),
        middle=middle,
    )


def _rims(first: Int[np.ndarray, " e"], second: Int[np.ndarray, " e"]) -> tuple[Int[np.ndarray, " e"], int]:
    """Number of the connected curve that each open edge belongs to, and how many there are."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if len(first) == 0:
        return np.zeros(0, dtype=np.int64), 0
    used, ends = np.unique(np.stack([first, second]), return_inverse=True)
    ends = ends.reshape(2, -1)
    graph = coo_matrix((np.ones(len(first), dtype=bool), (ends[0], ends[1])), shape=(len(used), len(used)))
    count, labels = connected_components(graph, directed=False)
    return labels[ends[0]].astype(np.int64), int(count)


def _largest(values: Float[np.ndarray, " e"], labels: Int[np.ndarray, " e"], count: int) -> Float[np.ndarray, " n"]:
    """Largest of the values with each label."""
    largest = np.zeros(count)
    np.maximum.at(largest, labels, values)
    return largest
