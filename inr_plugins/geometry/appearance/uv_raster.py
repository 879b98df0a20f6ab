"""Which triangle, and which point of it, each texel of a texture shows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

# Bilinear filtering inside a triangle reads texels whose centres are less than a texel away along each axis.
_REACH = 1.5
_PAIRS_AT_ONCE = 1 << 19


def rasterise(
    uv: Float[np.ndarray, "v 2"], faces: Int[np.ndarray, "f 3"], *, width: int, height: int
) -> tuple[Int[np.ndarray, "h w"], Float[np.ndarray, "h w 3"]]:
    """The triangle nearest to the centre of each texel, and the barycentric weights of its point nearest to it.

    That point is the centre itself inside the triangle. Texels that lie outside, but within 1.5 texels, get the nearest
    point of the border: whatever a bilinear lookup inside the triangle reads belongs to the surface, also where a
    triangle is so small that it holds no centre.

    Args:
        uv: in texels from the image's top left corner, u right, v down; texel (row j, column i) has its centre at
            (i + 0.5, j + 0.5).
        faces: corners of the triangles.
        width: of the image.
        height: of the image.

    Returns:
        Numbers of the faces, -1 where none is near, and the weights of their corners, 0 there.
    """
    corners = uv[faces].astype(np.float64)
    face = np.full(width * height, -1, dtype=np.int32)
    weights = np.zeros((width * height, 3), dtype=np.float32)
    for of, row, column in _near_pairs(corners, width=width, height=height, reach=0.0):
        barycentric, inside = _weights(np.stack([column, row], axis=1) + 0.5, corners[of])
        texel = row * width + column
        # Backwards, so that of several triangles the first stays.
        fresh = np.flatnonzero(inside & (face[texel] < 0))[::-1]
        face[texel[fresh]], weights[texel[fresh]] = of[fresh], barycentric[fresh]
    squared = np.where(face < 0, _REACH**2, 0.0)
    for of, row, column in _near_pairs(corners, width=width, height=height, reach=_REACH):
        texel = row * width + column
        (open_,) = np.nonzero(squared[texel] > 0)
        of, row, column, texel = of[open_], row[open_], column[open_], texel[open_]
        barycentric, distance = nearest_in_triangle(np.stack([column, row], axis=1) + 0.5, corners[of])
        (near,) = np.nonzero(distance < squared[texel])
        # Of the pairs of one texel the nearest triangle stays, and of equally near ones the first.
        near = near[np.lexsort((of[near], distance[near], texel[near]))]
        first = np.ones(len(near), dtype=bool)
        first[1:] = np.diff(texel[near]) != 0
        best = near[first]
        face[texel[best]], squared[texel[best]], weights[texel[best]] = of[best], distance[best], barycentric[best]
    return face.reshape(height, width), weights.reshape(height, width, 3)


def nearest_in_triangle(
    points: Float[np.ndarray, "n 2"], corners: Float[np.ndarray, "n 3 2"]
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, " n"]]:
    """Barycentric weights of the point of each triangle nearest to each point, and the squared distance to it."""
    weights = np.zeros((len(points), 3))
    squared = np.full(len(points), np.inf)
    for start, end in ((0, 1), (1, 2), (2, 0)):
        along, offset = corners[:, end] - corners[:, start], points - corners[:, start]
        length = np.maximum(np.einsum("ij,ij->i", along, along), 1e-30)  # a triangle may be a point
        share = np.clip(np.einsum("ij,ij->i", offset, along) / length, 0.0, 1.0)
        away = offset - share[:, None] * along
        distance = np.einsum("ij,ij->i", away, away)
        closer = distance < squared
        weights[closer] = 0.0
        weights[closer, start], weights[closer, end] = 1 - share[closer], share[closer]
        squared[closer] = distance[closer]
    areal, inside = _weights(points, corners)
    weights[inside], squared[inside] = areal[inside], 0.0
    return weights, squared


def _weights(
    points: Float[np.ndarray, "n 2"], corners: Float[np.ndarray, "n 3 2"]
) -> tuple[Float[np.ndarray, "n 3"], Bool[np.ndarray, " n"]]:
    """Barycentric weights of points, and whether they are inside or on the border; a triangle without area has none."""
    a, b, c = (corners[:, k] - points for k in range(3))
    areas = np.stack([_cross(b, c), _cross(c, a), _cross(a, b)], axis=1)
    total = areas.sum(axis=1)
    weights = areas / np.where(total == 0, 1.0, total)[:, None]
    return weights, (total != 0) & (weights >= 0).all(axis=1)


def _cross(a: Float[np.ndarray, "n 2"], b: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _near_pairs(
    corners: Float[np.ndarray, "f 3 2"], *, width: int, height: int, reach: float
) -> Iterator[tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"], Int[np.ndarray, " p"]]]:
    """Triangles with the rows and columns of all texel centres in reach of their bounding boxes, a batch at a time."""
    size = np.array([width, height])
    first = np.clip(np.ceil(corners.min(axis=1) - 0.5 - reach), 0, size).astype(np.int64)
    last = np.clip(np.floor(corners.max(axis=1) - 0.5 + reach), -1, size - 1).astype(np.int64)
    count = np.maximum(last - first + 1, 0)
    of, row = _runs(first[:, 1], count[:, 1])
    batch = np.cumsum(count[of, 0]) // _PAIRS_AT_ONCE
    for rows in np.split(np.arange(len(of)), np.nonzero(np.diff(batch))[0] + 1):
        which, column = _runs(first[of[rows], 0], count[of[rows], 0])
        yield of[rows][which], row[rows][which], column


def _runs(first: Int[np.ndarray, " k"], count: Int[np.ndarray, " k"]) -> tuple[np.ndarray, np.ndarray]:
    """The runs first, first + 1, ... of `count` numbers each, one after the other, and the run each comes from."""
    owner = np.repeat(np.arange(len(count)), count)
    return owner, np.arange(len(owner)) + np.repeat(first - (np.cumsum(count) - count), count)
