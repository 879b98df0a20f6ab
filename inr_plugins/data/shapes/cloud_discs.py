"""A point cloud as small discs, so that rays can hit it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from inr_plugins.geometry.io.clouds.read import Cloud
from inr_plugins.geometry.mesh import Mesh

# A picture of a few hundred pixels shows no more of them.
_MOST_DISCS = 100_000
# Discs as wide as the way to the sixth neighbour leave a share of about exp(-6) of an evenly sampled surface uncovered.
_NEIGHBOURS = 6
# Around a hole, and at a stray point, the sixth neighbour is far away.
_LARGEST = 3.0
_CORNERS = 6


def cloud_discs(cloud: Cloud) -> Mesh:
    """Regular hexagons around the points, across their normals, wide enough to cover the surface between them.

    Their sides mean nothing: a normal may point inwards as well as outwards. Of very many points some are left out,
    evenly spread over the file, and the hexagons of the others are the wider.

    Args:
        cloud: with normals, in any frame.

    Returns:
        Triangles in the frame of the cloud, four for each hexagon.

    Raises:
        ValueError: the cloud has no normals.
    """
    if cloud.normals is None:
        raise ValueError("The cloud has no normals, so there is no telling how its discs lie: estimate them first.")
    kept = np.unique(
        np.linspace(0, len(cloud.points) - 1, min(len(cloud.points), _MOST_DISCS)).round().astype(np.int64)
    )
    points, normals = cloud.points[kept], cloud.normals[kept]
    across, along = _across(normals)
    angle = 2 * np.pi * np.arange(_CORNERS) / _CORNERS
    rim = np.cos(angle)[:, None] * across[:, None] + np.sin(angle)[:, None] * along[:, None]
    vertices = points[:, None] + _radii(points)[:, None, None] * rim
    fan = np.array([[0, k, k + 1] for k in range(1, _CORNERS - 1)])
    faces = (_CORNERS * np.arange(len(points)))[:, None, None] + fan
    return Mesh(vertices=vertices.reshape(-1, 3), faces=faces.reshape(-1, 3))


def _radii(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
    """The way to each point's sixth neighbour, or the last where there are fewer, at most a few times the median."""
    from scipy.spatial import cKDTree

    away = cKDTree(points).query(points, k=min(_NEIGHBOURS + 1, len(points)))[0].reshape(len(points), -1)[:, -1]
    return np.minimum(away, _LARGEST * np.median(away))


def _across(normals: Float[np.ndarray, "n 3"]) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """Two unit vectors across each unit normal that make a right-handed frame with it, in the order (1, 2, normal)."""
    # Whichever axis is farthest from the normal gives a cross product of sound length.
    axis = np.eye(3)[np.abs(normals).argmin(axis=1)]
    first = np.cross(axis, normals)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    return first, np.cross(normals, first)
