"""How often a cloud of points with normals goes around a point: what is inside, seen from afar."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Float32

# The sum goes over all pairs: so many points stand for the cloud, and so many pairs are made at a time.
_MOST_POINTS = 4096
_PAIRS_AT_ONCE = 1 << 22
_NEIGHBOURS = 4
# Normals of a closed surface cancel; those of a sheet add up to its area, and of half a ball to half of that.
_LARGEST_SUM = 0.2
# Nearer than this many times the distance between points, the sum tells them apart.
_SPACINGS = 3.0


class CloudWinding:
    """The winding number of a cloud, as a sum over its points: 1 inside, 0 outside, between them near the surface.

        w(q) = sum_i a_i n_i . (p_i - q) / (4 pi |p_i - q|^3)

    with the area a_i of each point's share of the surface (Barill et al. 2018, "Fast winding numbers for soups and
    clouds", eq. 5, without their tree). It knows nothing of which point is nearest, and so nothing goes wrong where
    that one lies beyond an edge.

    Args:
        points: of the surface, at least 5; of many some thousand are used, drawn at random but always the same.
        normals: outward unit normals.

    Attributes:
        closed: whether the normals cancel, as they do around a solid. Those of a sheet do not, and w says nothing then.
        reliable_from: distance from the surface beyond which w is near 0 or 1.
    """

    def __init__(self, points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"]) -> None:
        from scipy.spatial import cKDTree

        if len(points) > _MOST_POINTS:
            kept = np.random.default_rng(0).choice(len(points), _MOST_POINTS, replace=False)
            points, normals = points[kept], normals[kept]
        near, _ = cKDTree(points).query(points, k=[_NEIGHBOURS + 1], workers=-1)
        # As many points as neighbours lie in a disc of that radius. Around a hole the disc reaches across it.
        reach = np.minimum(near[:, 0], 3 * np.median(near))
        weighted = normals * (np.pi / _NEIGHBOURS * reach**2)[:, None]
        area = np.linalg.norm(weighted, axis=1).sum()
        self.closed = bool(np.linalg.norm(weighted.sum(axis=0)) < _LARGEST_SUM * area)
        self.reliable_from = _SPACINGS * float(np.median(reach))
        self._middle = points.mean(axis=0)
        self._points = (points - self._middle).astype(np.float32)
        # The two parts of n . (p - q): a number for each point, and a vector that meets q.
        heights = np.einsum("ij,ij->i", weighted, points - self._middle)
        self._terms = (np.column_stack([heights, weighted]) / (4 * np.pi)).astype(np.float32)

    def __call__(self, points: Float[np.ndarray, "q 3"]) -> Float32[np.ndarray, " q"]:
        """Winding numbers of points in the cloud's frame, `reliable_from` or more from its surface."""
        found = np.empty(len(points), dtype=np.float32)
        squares = (self._points**2).sum(axis=1)
        for part in self._parts(len(points)):
            chunk = (points[part] - self._middle).astype(np.float32)
            apart = (chunk**2).sum(axis=1)[:, None] + squares - 2 * (chunk @ self._points.T)
            np.maximum(apart, np.float32(1e-12), out=apart)
            sums = apart**-1.5 @ self._terms
            found[part] = sums[:, 0] - np.einsum("qi,qi->q", chunk, sums[:, 1:])
        return found

    def _parts(self, count: int) -> Iterator[slice]:
        step = max(1, _PAIRS_AT_ONCE // len(self._points))
        return (slice(start, min(start + step, count)) for start in range(0, count, step))
