"""Building blocks of the built-in objects: closed solids as `manifold3d.Manifold`, z up, in the object's units.

manifold3d comes with nerfstudio (through viser and trimesh); its unions stay closed and remember which solid each
triangle came from, which is what lets one watertight ground-truth mesh carry several materials.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from manifold3d import Manifold

Vector = tuple[float, float, float]
_LINE_UP = 1e-9


def union(solids: Iterable[Manifold]) -> Manifold:
    """The union of any number of solids."""
    import manifold3d

    return manifold3d.Manifold.batch_boolean(list(solids), manifold3d.OpType.Add)


def box(size: Vector, centre: Vector, bevel: float = 0.0) -> Manifold:
    """An axis-aligned box; `bevel` cuts its edges and corners at 45 degrees by that much."""
    import manifold3d

    signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T
    half = np.asarray(size) / 2
    # Each corner becomes three points, pulled in by the bevel along all axes but one.
    corners = [signs * (half - bevel * (np.arange(3) != axis)) for axis in range(3)]
    return manifold3d.Manifold.hull_points(np.concatenate(corners) + np.asarray(centre))


def lathe(profile: Iterable[tuple[float, float]], segments: int = 96) -> Manifold:
    """The solid that a closed (radius, z) outline sweeps about the z axis."""
    import manifold3d

    outline = np.asarray(list(profile), dtype=np.float64)
    section = manifold3d.CrossSection([outline], manifold3d.FillRule.NonZero)
    return manifold3d.Manifold.revolve(section, segments)


def prism(outline: Iterable[tuple[float, float]], bottom: float, top: float, top_scale: float = 1.0) -> Manifold:
    """A polygon in the xy plane raised from z = `bottom` to `top`, its top scaled about the z axis."""
    import manifold3d

    section = manifold3d.CrossSection([np.asarray(list(outline), dtype=np.float64)], manifold3d.FillRule.NonZero)
    solid = manifold3d.Manifold.extrude(section, top - bottom, 0, 0.0, (top_scale, top_scale))
    return solid.translate((0, 0, bottom))


def regular(sides: int, radius: float, turn: float = 0.0) -> list[tuple[float, float]]:
    """Corners of a regular polygon of circumradius `radius`; `turn` in degrees."""
    angles = np.radians(turn) + 2 * np.pi * np.arange(sides) / sides
    return [(float(radius * np.cos(a)), float(radius * np.sin(a))) for a in angles]


def ball(radius: float, centre: Vector, segments: int = 48) -> Manifold:
    """A sphere."""
    import manifold3d

    return manifold3d.Manifold.sphere(radius, segments).translate(centre)


def rod(start: Vector, end: Vector, radius: float, sides: int = 16) -> Manifold:
    """A straight round bar with flat ends."""
    return tube(np.array([start, end], dtype=np.float64), radius, sides=sides)


def hoop(radius: float, thickness: float, height: float, segments: int = 96) -> Manifold:
    """A ring of round wire about the z axis at z = `height`; `thickness` is the wire's radius."""
    angles = 2 * np.pi * np.arange(16) / 16
    return lathe(zip(radius + thickness * np.cos(angles), height + thickness * np.sin(angles), strict=True), segments)


def around(solid: Manifold, count: int, first: float = 0.0) -> list[Manifold]:
    """`count` copies turned evenly about the z axis, the first by `first` degrees."""
    return [solid.rotate((0, 0, first + 360.0 * i / count)) for i in range(count)]


def tube(path: Float[np.ndarray, "k 3"], radius: float, *, sides: int = 16, closed: bool = False) -> Manifold:
    """A round wire along a polyline, with frames carried along it without twist; ends are flat unless `closed`."""
    import manifold3d

    path = np.asarray(path, dtype=np.float64)
    tangents = _tangents(path, closed)
    across = _carried_frames(tangents, closed)
    angles = 2 * np.pi * np.arange(sides) / sides
    binormals = np.cross(tangents, across)
    circle = np.cos(angles)[None, :, None] * across[:, None] + np.sin(angles)[None, :, None] * binormals[:, None]
    points = (path[:, None] + radius * circle).reshape(-1, 3)

    rings = len(path)
    i, j = np.meshgrid(np.arange(rings if closed else rings - 1), np.arange(sides), indexing="ij")
    here, there, right = i * sides, (i + 1) % rings * sides, (j + 1) % sides
    faces = np.concatenate(
        [
            np.stack([here + j, here + right, there + right], -1).reshape(-1, 3),
            np.stack([here + j, there + right, there + j], -1).reshape(-1, 3),
        ]
    )
    if not closed:
        fan = np.arange(1, sides - 1)
        start = np.stack([np.zeros_like(fan), fan + 1, fan], -1)
        end = (rings - 1) * sides + np.stack([np.zeros_like(fan), fan, fan + 1], -1)
        faces = np.concatenate([faces, start, end])
    return manifold3d.Manifold(manifold3d.Mesh(points.astype(np.float32), faces.astype(np.uint32)))


def _tangents(path: Float[np.ndarray, "k 3"], closed: bool) -> Float[np.ndarray, "k 3"]:
    ahead, behind = np.roll(path, -1, axis=0), np.roll(path, 1, axis=0)
    if not closed:
        ahead[-1], behind[0] = path[-1], path[0]
    tangents = ahead - behind
    return tangents / np.linalg.norm(tangents, axis=1, keepdims=True)


def _carried_frames(tangents: Float[np.ndarray, "k 3"], closed: bool) -> Float[np.ndarray, "k 3"]:
    """One unit vector across each tangent, turned from one to the next as little as possible."""
    seed = np.eye(3)[np.argmin(np.abs(tangents[0]))]
    frames = [_unit(np.cross(tangents[0], seed))]
    for tangent in tangents[1:]:
        frames.append(_unit(frames[-1] - tangent * (frames[-1] @ tangent)))
    across = np.array(frames)
    if closed:
        # Going once round leaves an angle; spread it, so that the last ring meets the first.
        back = _unit(across[-1] - tangents[0] * (across[-1] @ tangents[0]))
        angle = np.arctan2(np.cross(back, across[0]) @ tangents[0], back @ across[0])
        turn = angle * np.arange(len(across)) / len(across)
        across = np.cos(turn)[:, None] * across + np.sin(turn)[:, None] * np.cross(tangents, across)
    return across


def _unit(vector: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
    return vector / max(float(np.linalg.norm(vector)), _LINE_UP)
