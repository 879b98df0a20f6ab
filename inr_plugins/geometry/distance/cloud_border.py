"""Whether a cloud ends somewhere, as a scan from one side does, or goes all around what it was taken from."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

# Enough to see a large border by; small holes are none of the matter.
_MOST_POINTS = 20_000
_NEIGHBOURS = 20
# A gap of so many radians among a point's neighbours has a chance of one in ten thousand inside a surface.
_GAP = np.deg2rad(170)
# At a sharp edge, too, all neighbours lie on one side, but a good part of them far below the plane of the point.
_STEEP, _MOST_STEEP = 0.35, 0.15
# The border of half a ball has about 0.9 times the square root of the number of points.
_LEAST_BORDER = 0.25


def is_open_scan(points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"]) -> bool:
    """Whether the surface has a border a third as long as that of half a ball, or longer.

    At the border all neighbours of a point, seen along its normal, lie on one side. So they do around a sheet that is
    thinner than the distance between points, which cannot be told from an open one.

    Args:
        points: of the surface; of very many some are looked at, drawn at random but always the same.
        normals: unit normals, of either sign.
    """
    from scipy.spatial import cKDTree

    if len(points) <= _NEIGHBOURS:
        return False
    if len(points) > _MOST_POINTS:
        kept = np.random.default_rng(0).choice(len(points), _MOST_POINTS, replace=False)
        points, normals = points[kept], normals[kept]
    near = cKDTree(points).query(points, k=_NEIGHBOURS + 1, workers=-1)[1][:, 1:]
    between = points[near] - points[:, None]
    first, second = _across(normals)
    angle = np.arctan2(np.einsum("nki,ni->nk", between, second), np.einsum("nki,ni->nk", between, first))
    angle = np.sort(angle, axis=1)
    gaps = np.diff(angle, axis=1, append=angle[:, :1] + 2 * np.pi)
    steep = np.abs(np.einsum("nki,ni->nk", between, normals)) > _STEEP * np.linalg.norm(between, axis=2)
    border = (gaps.max(axis=1) > _GAP) & (steep.mean(axis=1) < _MOST_STEEP)
    return bool(border.sum() > _LEAST_BORDER * np.sqrt(len(points)))


def _across(normals: Float[np.ndarray, "n 3"]) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """Two unit vectors across each unit normal and across each other."""
    axis = np.eye(3)[np.abs(normals).argmin(axis=1)]
    first = np.cross(axis, normals)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return first, np.cross(normals, first)
