"""Signed distances to a surface of which only points with normals are known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from inr_plugins.geometry.distance.cloud_winding import CloudWinding

_POINTS_AT_ONCE = 1 << 15
# The disc of a point reaches as far as this many of its neighbours: about exp(-4) of a randomly sampled surface is
# farther than that from its nearest point.
_DISC_NEIGHBOURS = 4
# Around a hole, and at a stray point, that neighbour is far away; then a few times the median is the limit.
_LARGEST_DISC = 3.0
_PLANE_NEIGHBOURS = 3


class CloudDistance:
    """The distance to a cloud whose points are small discs, negative inside, in the units and the frame of the cloud.

    It is that to the disc of the nearest point. A disc lies across its point's normal and reaches to the fourth nearest
    neighbour. Near the surface the distance is thus that to a plane, and does not rise and fall from point to point as
    the distance to bare points does; further away the two are the same. Beyond a sharp edge discs overhang by as much
    as they reach.

    The sign is that of the height over the nearest points' discs, averaged with weights that fall with the squared
    distance to the points: positive on the side the normals look to. Beyond an edge that can be the wrong one, so far
    from a closed surface the winding number tells (`CloudWinding`).

    Args:
        points: of the surface, at least 5.
        normals: outward unit normals.
        neighbours: how many of the nearest points tell the sign.

    Raises:
        ValueError: fewer than 5 points, not as many normals as points, or less than 1 neighbour.
    """

    def __init__(
        self, points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "m 3"], neighbours: int = 8
    ) -> None:
        self._points, self._normals, self._tree = _checked(points, normals)
        if neighbours < 1:
            raise ValueError(f"neighbours is {neighbours}; it must be at least 1.")
        self._neighbours = min(neighbours, len(points))
        near, _ = self._tree.query(self._points, k=[_DISC_NEIGHBOURS + 1], workers=-1)
        self.reach: Float[np.ndarray, " n"] = np.minimum(near[:, 0], _LARGEST_DISC * np.median(near))
        """Radius of the points' discs."""
        self._winding = CloudWinding(self._points, self._normals)

    def __call__(self, points: Float[np.ndarray, "q 3"]) -> Float32[np.ndarray, " q"]:
        """Signed distances of points in the cloud's frame."""
        distance = np.empty(len(points), dtype=np.float32)
        for part in _parts(len(points)):
            chunk = points[part].astype(np.float64)
            apart, near = self._tree.query(chunk, k=list(range(1, self._neighbours + 1)), workers=-1)
            height = np.einsum("qki,qki->qk", chunk[:, None] - self._points[near], self._normals[near])
            beside = np.sqrt(np.maximum(apart[:, 0] ** 2 - height[:, 0] ** 2, 0))
            length = np.hypot(height[:, 0], np.maximum(beside - self.reach[near[:, 0]], 0))
            outside = np.einsum("qk,qk->q", 1 / np.maximum(apart, 1e-12) ** 2, height) >= 0
            if self._winding.closed:
                far = length > self._winding.reliable_from
                outside[far] = self._winding(chunk[far]) < 0.5
            distance[part] = np.where(outside, length, -length)
        return distance


class PlaneDistance:
    """The height over the plane at the nearest point of a cloud: what FINER's authors, and BACON's, fit.

    (p - q) . n with q the point nearest to p, and n the mean, not scaled to length 1, of the normals of the three
    nearest. It agrees with the signed distance near a flat part of the surface only: away from it, where the nearest
    point is at an edge, it is too small, and of either sign.

    Args:
        points: of the surface, at least 5.
        normals: outward unit normals.

    Raises:
        ValueError: fewer than 5 points, or not as many normals as points.
    """

    def __init__(self, points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "m 3"]) -> None:
        self._points, self._normals, self._tree = _checked(points, normals)

    def __call__(self, points: Float[np.ndarray, "q 3"]) -> Float32[np.ndarray, " q"]:
        """Heights of points in the cloud's frame, positive on the side the normals look to."""
        height = np.empty(len(points), dtype=np.float32)
        for part in _parts(len(points)):
            chunk = points[part].astype(np.float64)
            _, near = self._tree.query(chunk, k=_PLANE_NEIGHBOURS, workers=-1)
            normal = self._normals[near].mean(axis=1)
            height[part] = np.einsum("qi,qi->q", chunk - self._points[near[:, 0]], normal)
        return height


def _checked(points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "m 3"]) -> tuple[np.ndarray, np.ndarray, Any]:
    """The arrays in float64 and the search tree over the points."""
    from scipy.spatial import cKDTree

    if len(points) <= _DISC_NEIGHBOURS:
        raise ValueError(f"A cloud of {len(points)} points is no surface; give at least {_DISC_NEIGHBOURS + 1}.")
    if len(points) != len(normals):
        raise ValueError(f"There are {len(normals)} normals for {len(points)} points; give one for each.")
    return points.astype(np.float64), normals.astype(np.float64), cKDTree(points)


def _parts(count: int) -> Iterator[slice]:
    for start in range(0, count, _POINTS_AT_ONCE):
        yield slice(start, min(start + _POINTS_AT_ONCE, count))
