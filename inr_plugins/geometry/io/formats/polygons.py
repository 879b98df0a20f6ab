"""Polygons and strips, as files hold them, cut into triangles that cover the polygon and nothing beside it.

Own code: trimesh and open3d fan every polygon out from its first corner, which lays sheets across the gaps of concave
ones; mapbox_earcut leaves out corners on straight edges, so that neighbouring faces no longer share their edges.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

# Sines below this are taken for straight: far above float64's rounding, far below what a modeller means.
_STRAIGHT = 1e-10
_POLYGONS_AT_ONCE = 1 << 18


def triangulate(
    vertices: Float[np.ndarray, "v 3"], corners: Int[np.ndarray, " c"], counts: Int[np.ndarray, " p"]
) -> tuple[Int[np.ndarray, "t 3"], Int[np.ndarray, " t"]]:
    """Triangles of polygons, which may be concave, or not quite plane.

    A polygon becomes a fan around its first corner whose fan covers it once (a convex one: its first), else ears are
    cut from it. Every corner is used, also on straight edges, so that neighbours still share their edges. One with
    fewer than three corners becomes nothing.

    Args:
        vertices: positions.
        corners: indices of vertices, polygon after polygon.
        counts: number of corners of each polygon.

    Returns:
        Positions in `corners` of each triangle's corners, and the number of its polygon, in the order of the polygons.
    """
    starts = np.cumsum(counts) - counts
    if len(counts) and (counts == 3).all():
        return np.arange(len(corners), dtype=np.int64).reshape(-1, 3), np.arange(len(counts), dtype=np.int64)
    triangles: list[np.ndarray] = [np.zeros((0, 3), dtype=np.int64)]
    owners: list[np.ndarray] = [np.zeros(0, dtype=np.int64)]
    for count in np.unique(counts[counts >= 3]):
        alike = np.flatnonzero(counts == count)
        for some in np.array_split(alike, len(alike) * int(count) // _POLYGONS_AT_ONCE + 1):
            local = _cut_alike(vertices[corners[starts[some][:, None] + np.arange(count)]])
            triangles.append((starts[some][:, None, None] + local).reshape(-1, 3))
            owners.append(np.repeat(some, count - 2))
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    return np.concatenate(triangles)[order], owner[order]


def strip_triangles(strip: Int[np.ndarray, " n"]) -> Int[np.ndarray, "t 3"]:
    """Triangles of a strip of corners; a negative number begins a new strip, and triangles that repeat a corner go.

    Every second triangle of a strip runs the other way round.
    """
    cuts = np.flatnonzero(strip < 0)
    begins = np.concatenate([[0], cuts + 1])
    place = np.arange(max(len(strip) - 2, 0))
    triangles = np.stack([strip[place], strip[place + 1], strip[place + 2]], axis=1)
    odd = (place - begins[np.searchsorted(begins, place, side="right") - 1]) % 2 == 1
    triangles[odd] = triangles[odd][:, [1, 0, 2]]
    a, b, c = triangles.T
    return triangles[(triangles >= 0).all(axis=1) & (a != b) & (b != c) & (c != a)]


def _cut_alike(points: Float[np.ndarray, "p n 3"]) -> Int[np.ndarray, "p t 3"]:
    """Triangles of polygons with the same number of corners."""
    count = points.shape[1]
    around = np.arange(1, count - 1)
    fan = np.stack([np.zeros_like(around), around, around + 1], axis=1)
    result = np.tile(fan, (len(points), 1, 1))
    if count == 3:
        return result
    points = points - points[:, :1]
    normals = np.cross(points[:, 1:-1], points[:, 2:]).sum(axis=1)  # Newell: twice the area of the fan
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    left = np.arange(len(points))
    for apex in range(count if count <= 8 else 1):
        turned = (fan + apex) % count
        good = _covers_once(points[left][:, turned], normals[left])
        result[left[good]] = turned
        left = left[~good]
        if not len(left):
            return result
    for each in left:
        result[each] = _cut_ears(_flattened(points[each], normals[each]))
    return result


def _covers_once(triangles: Float[np.ndarray, "p t 3 3"], normals: Float[np.ndarray, "p 3"]) -> np.ndarray:
    """Whether no triangle of a fan looks against the polygon's normal."""
    first, second = triangles[:, :, 1] - triangles[:, :, 0], triangles[:, :, 2] - triangles[:, :, 0]
    area = np.einsum("ptk,pk->pt", np.cross(first, second), normals)
    size = np.linalg.norm(first, axis=2) * np.linalg.norm(second, axis=2)
    return (area >= -_STRAIGHT * size).all(axis=1)


def _flattened(points: Float[np.ndarray, "n 3"], normal: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "n 2"]:
    """The polygon anticlockwise in the plane: two of its coordinates, which are then exactly those of the file."""
    axis = int(np.argmax(np.abs(normal)))
    flat = points[:, [(axis + 1) % 3, (axis + 2) % 3]]
    return flat if normal[axis] >= 0 else flat[:, ::-1]


def _cross(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Twice the signed area of a, b, c, where it is more than rounding; else 0."""
    first, second = b - a, c - a
    area = first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]
    size = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    return np.where(np.abs(area) > _STRAIGHT * size, area, 0.0)


def _cut_ears(flat: Float[np.ndarray, "n 2"]) -> Int[np.ndarray, "t 3"]:
    """Triangles of one simple polygon by cutting ears (Meisters 1975): quadratic in the corners, as files have them.

    Where a polygon crosses itself there may be no ear; the corner that turns left the most is cut then.
    """
    ring = list(range(len(flat)))
    triangles = []
    at = 0
    while len(ring) > 3:
        for step in range(len(ring)):
            k = (at + step) % len(ring)
            if _is_ear(flat[ring], k):
                break
        else:
            points = flat[ring]
            k = int(np.argmax(_cross(np.roll(points, 1, 0), points, np.roll(points, -1, 0))))
        triangles.append((ring[k - 1], ring[k], ring[(k + 1) % len(ring)]))
        # The next ear is looked for two corners on, which makes for fewer slivers than around one corner.
        del ring[k]
        at = (k + 1) % len(ring)
    return np.array([*triangles, tuple(ring)], dtype=np.int64)


def _is_ear(points: Float[np.ndarray, "n 2"], k: int) -> bool:
    """Whether corner k can be cut off: it turns left, and no other corner lies in the triangle or on its border."""
    count = len(points)
    a, b, c = points[k - 1], points[k], points[(k + 1) % count]
    if _cross(a, b, c) <= 0:
        return False
    rest = points[np.arange(k + 2, k + count - 1) % count]
    # Corners at the same place as one of the ear's belong to bridges between an outline and its holes.
    apart = ~((rest == a).all(axis=1) | (rest == b).all(axis=1) | (rest == c).all(axis=1))
    inside = (_cross(a, b, rest) >= 0) & (_cross(b, c, rest) >= 0) & (_cross(c, a, rest) >= 0)
    return not (inside & apart).any()
