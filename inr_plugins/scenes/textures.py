"""Procedural colours of a solid: functions of a point in the object's own frame, so that no unwrapping is needed.

A `Texture` maps `SurfacePoints` to linear RGB reflectance in [0, 1]. Textures made from the position alone are
written here; the ones that need the face (vertex colours, images) are in `scene_surface`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, Shaped

from inr_plugins.geometry.srgb import linear_from_srgb

Colours = Float[np.ndarray, "n 3"]
_NOISE_SIZE = 64


@dataclass(frozen=True)
class SurfacePoints:
    """Points on a mesh, in the frame that the object was modelled in.

    `position` (n, 3); `face` (n,) index of the triangle; `barycentric` (n, 3) weights of its three corners.
    """

    position: Float[np.ndarray, "n 3"]
    face: Int[np.ndarray, " n"]
    barycentric: Float[np.ndarray, "n 3"]


Texture = Callable[[SurfacePoints], Colours]


def rgb(code: str) -> tuple[float, float, float]:
    """Linear RGB of a display colour written as six hexadecimal digits."""
    r, g, b = linear_from_srgb(np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)], np.float32) / np.float32(255))
    return float(r), float(g), float(b)


def mix(a: tuple[float, ...], b: tuple[float, ...], weight: Shaped[np.ndarray, " n"]) -> Colours:
    """a where `weight` is 0 or False, b where it is 1 or True, and in between linearly."""
    first, second = np.asarray(a, np.float32), np.asarray(b, np.float32)
    return first + weight[:, None].astype(np.float32) * (second - first)


@lru_cache(maxsize=1)
def _noise_lattice() -> Float[np.ndarray, "s s s"]:
    """Periodic fractal value noise, four octaves, spread evenly over [0, 1]; always the same."""
    generator = np.random.default_rng(7)
    total = np.zeros((_NOISE_SIZE,) * 3, dtype=np.float32)
    for octave in range(4):
        cells = 4 << octave
        values = generator.random((cells,) * 3, dtype=np.float32)
        for axis in range(3):
            at = np.arange(_NOISE_SIZE) * cells / _NOISE_SIZE
            low = at.astype(int)
            fraction = (at - low).astype(np.float32)
            weight = (fraction * fraction * (3 - 2 * fraction)).reshape([-1 if i == axis else 1 for i in range(3)])
            values = (1 - weight) * values.take(low, axis) + weight * values.take((low + 1) % cells, axis)
        total += values * 0.5**octave
    ranks = np.empty(total.size, dtype=np.float32)
    ranks[total.ravel().argsort(kind="stable")] = np.linspace(0, 1, total.size, dtype=np.float32)
    return ranks.reshape(total.shape)


def noise(position: Float[np.ndarray, "n 3"], period: float) -> Float[np.ndarray, " n"]:
    """Fractal noise in [0, 1], uniform in distribution, repeating every `period` along each axis."""
    from scipy.ndimage import map_coordinates

    at = np.ascontiguousarray(position.T) * (_NOISE_SIZE / period)
    return map_coordinates(_noise_lattice(), at, order=1, mode="grid-wrap", output=np.float32)


@dataclass(frozen=True)
class Plain:
    """One colour, optionally mottled: `mottle` is the largest relative change, `period` the noise's repeat."""

    colour: tuple[float, float, float]
    mottle: float = 0.0
    period: float = 1.0

    def __call__(self, surface: SurfacePoints) -> Colours:
        out = np.broadcast_to(np.asarray(self.colour, np.float32), surface.position.shape)
        if self.mottle == 0:
            return out
        change = 1 + self.mottle * (2 * noise(surface.position, self.period) - 1)
        return np.clip(out * change[:, None], 0, 1)


@dataclass(frozen=True)
class Checker:
    """Cubes of edge `size`, of two colours in turn. `offset` keeps cell borders off the flat faces of a part."""

    first: tuple[float, float, float]
    second: tuple[float, float, float]
    size: float
    offset: tuple[float, float, float] = (0.0, 0.0, 0.137)

    def __call__(self, surface: SurfacePoints) -> Colours:
        cell = np.floor((surface.position - np.asarray(self.offset, np.float32)) / self.size).astype(np.int64)
        return mix(self.first, self.second, cell.sum(1) % 2)


@dataclass(frozen=True)
class Stripes:
    """Stripes of two colours.

    `along="z"`: rings of height `size`, the first colour over the share `duty` of each period. `along="angle"`:
    sectors about the z axis, `count` of them, twisted by `twist` turns per unit of height.
    """

    first: tuple[float, float, float]
    second: tuple[float, float, float]
    along: Literal["z", "angle"] = "z"
    size: float = 0.1
    count: int = 12
    twist: float = 0.0
    duty: float = 0.5
    start: float = 0.0

    def __call__(self, surface: SurfacePoints) -> Colours:
        x, y, z = surface.position.T
        phase = (z - self.start) / self.size
        if self.along == "angle":
            phase = (np.arctan2(y, x) / (2 * np.pi) + self.twist * z) * self.count
        return mix(self.first, self.second, (phase % 1.0) >= self.duty)


@dataclass(frozen=True)
class Bricks:
    """Courses of bricks with mortar around the z axis; each brick has its own shade.

    `course` is the height of one course, `around` the number of bricks in one, `mortar` the joint's width.
    """

    brick: tuple[float, float, float]
    mortar_colour: tuple[float, float, float]
    course: float
    around: int
    mortar: float
    variation: float = 0.35

    def __call__(self, surface: SurfacePoints) -> Colours:
        x, y, z = surface.position.T
        row = np.floor(z / self.course)
        turn = (np.arctan2(y, x) / (2 * np.pi) + 0.5) * self.around + 0.5 * (row % 2)
        column = np.floor(turn)
        height = z - row * self.course
        width = (turn - column) * (2 * np.pi / self.around) * np.hypot(x, y)
        joint = (height < self.mortar) | (width < self.mortar)
        # A cheap hash of the brick's place, so that neighbours differ and every view agrees.
        shade = np.sin(row * 12.9898 + (column % self.around) * 78.233) * 43758.547
        shade = 1 + self.variation * (2 * (shade - np.floor(shade)) - 1)
        grain = 0.85 + 0.3 * noise(surface.position, 0.5)
        face = np.asarray(self.brick, np.float32) * (shade * grain)[:, None].astype(np.float32)
        return np.clip(np.where(joint[:, None], np.asarray(self.mortar_colour, np.float32), face), 0, 1)


@dataclass(frozen=True)
class Marble:
    """Veins: sheets across `direction` every `spacing`, bent by noise of strength `bend`."""

    base: tuple[float, float, float]
    vein: tuple[float, float, float]
    spacing: float = 0.35
    bend: float = 0.3
    sharpness: float = 6.0
    direction: tuple[float, float, float] = (0.6, 0.3, 0.74)

    def __call__(self, surface: SurfacePoints) -> Colours:
        along = surface.position @ np.asarray(self.direction, np.float32)
        wave = np.sin(np.pi * (along + self.bend * noise(surface.position, 1.7)) / self.spacing)
        return mix(self.base, self.vein, (1 - np.abs(wave)) ** self.sharpness)


@dataclass(frozen=True)
class Wood:
    """Growth rings about an axis through `centre`, every `spacing`, roughened by noise; grain runs along `axis`."""

    light: tuple[float, float, float]
    dark: tuple[float, float, float]
    spacing: float = 0.08
    axis: Literal[0, 1, 2] = 0
    centre: tuple[float, float, float] = (0.0, 0.31, -0.4)

    def __call__(self, surface: SurfacePoints) -> Colours:
        offset: np.ndarray = surface.position - np.asarray(self.centre, np.float32)
        stretched: np.ndarray = offset.copy()
        stretched[:, self.axis] *= 0.15
        across = np.delete(offset, self.axis, axis=1)
        radius = np.linalg.norm(across, axis=1) + 0.09 * noise(stretched, 1.3)
        ring = radius / self.spacing % 1.0
        fine = noise(stretched * np.float32(7), 1.3)
        return mix(self.light, self.dark, np.clip(0.75 * ring**2 + 0.35 * fine, 0, 1))
