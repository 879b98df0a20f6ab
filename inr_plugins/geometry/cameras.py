"""Where the cameras stand. Camera-to-world matrices, OpenGL axes (x right, y up, looking along -z), world z up."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float

Coverage = Literal["sphere", "hemisphere"]
_GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))
_LOWEST = 0.04
"""Hemisphere cameras keep this share of the radius above the horizon: a view from exactly level shows no ground."""


def look_at(eye: Float[np.ndarray, "n 3"], target: Float[np.ndarray, " 3"] | None = None) -> Float[np.ndarray, "n 4 4"]:
    """Poses at `eye` that look at `target` (the origin), with the world's z up in the picture.

    A camera straight above or below has no upright; it takes the world's y instead.
    """
    back = eye - (np.zeros(3) if target is None else target)
    back = back / np.linalg.norm(back, axis=1, keepdims=True)
    up = np.where(np.abs(back[:, 2:]) > 1 - 1e-9, [0.0, 1.0, 0.0], [0.0, 0.0, 1.0])
    right = np.cross(up, back)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    poses = np.tile(np.eye(4), (len(eye), 1, 1))
    poses[:, :3, 0], poses[:, :3, 1], poses[:, :3, 2], poses[:, :3, 3] = right, np.cross(back, right), back, eye
    return poses


def spread(
    count: int, *, radius: float, coverage: Coverage, generator: np.random.Generator, jitter: float = 0.35
) -> Float[np.ndarray, "n 4 4"]:
    """`count` cameras spread evenly on the sphere or its upper half.

    A spherical Fibonacci lattice (equal areas, golden-angle turns) under a random rotation about z. `jitter` moves each
    point by up to that share of its cell, so that no two splits and no two seeds share views.
    """
    index = np.arange(count)
    low, high = (-1.0, 1.0) if coverage == "sphere" else (_LOWEST, 1.0)
    cell = (high - low) / max(count, 1)
    height = high - cell * (index + 0.5 + jitter * generator.uniform(-1, 1, count))
    azimuth = _GOLDEN_ANGLE * index + generator.uniform(0, 2 * np.pi)
    ring = np.sqrt(np.maximum(1 - height**2, 0))
    # A cell is about 2 pi cell / sqrt(cell) wide; the same share of it sideways.
    azimuth = azimuth + jitter * generator.uniform(-1, 1, count) * np.sqrt(cell) / np.maximum(ring, np.sqrt(cell))
    eye = np.stack([ring * np.cos(azimuth), ring * np.sin(azimuth), height], axis=-1)
    return look_at(radius * eye)


def orbit(count: int, *, radius: float, coverage: Coverage) -> Float[np.ndarray, "n 4 4"]:
    """`count` cameras on one smooth closed loop around the z axis, made to be watched as a turntable.

    The elevation swings by 30 +- 15 degrees twice a turn over the hemisphere, by +- 40 degrees once over the sphere.
    """
    azimuth = 2 * np.pi * np.arange(count) / max(count, 1)
    middle, swing, times = (0.0, 40.0, 1) if coverage == "sphere" else (30.0, 15.0, 2)
    elevation = np.radians(middle + swing * np.sin(times * azimuth))
    flat = np.cos(elevation)
    eye = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], axis=-1)
    return look_at(radius * eye)


def ray_directions(
    pose: Float[np.ndarray, "4 4"],
    pixels: Float[np.ndarray, "n 2"],
    *,
    width: int,
    height: int,
    focal: float,
) -> Float[np.ndarray, "n 3"]:
    """World directions through points of the image, not normalised: their length along the optical axis is 1.

    So the ray parameter *is* the z-depth. `pixels` holds (column, row), the centre of the top left pixel being
    (0.5, 0.5) as in nerfstudio; `focal` is in pixels.
    """
    x = (pixels[:, 0] - width / 2) / focal
    y = -(pixels[:, 1] - height / 2) / focal
    camera = np.stack([x, y, np.full_like(x, -1.0)], axis=-1)
    return camera @ pose[:3, :3].T
