"""A made picture of a planet, of any size: the same function of the place, with detail down to the pixel."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt

from inr_plugins.files import replacing

TILE = 256
_LATTICE = 256
_RADIUS = 0.9
_LIGHT = (-0.48, -0.36, 0.8)
_COLOURS = np.array(
    [[38, 26, 22], [96, 62, 44], [158, 116, 82], [206, 178, 146], [236, 226, 208], [250, 250, 248]], dtype=np.float32
)
"""From the lowest ground to the highest."""
_STARS = 0.9985


def planet(
    x: Float[np.ndarray, "rows columns"], y: Float[np.ndarray, "rows columns"], *, octaves: int, seed: int = 0
) -> UInt[np.ndarray, "rows columns 3"]:
    """Colours, sRGB.

    Args:
        x: to the right; the picture is [-1, 1].
        y: down.
        octaves: of detail, each half as large and half as strong as the one before; the first has eight cells.
        seed: of the ground.
    """
    lattice = np.random.default_rng(seed).random((_LATTICE, _LATTICE), dtype=np.float32)
    distance = np.hypot(x, y) / _RADIUS
    depth = np.sqrt(np.clip(1 - distance**2, 0, None))
    # The ground is drawn out towards the edge, as on a ball.
    stretch = 1 / (0.35 + 0.65 * depth)
    ground = np.zeros_like(x)
    for octave in range(octaves):
        ground += _noise(lattice, x * stretch, y * stretch, 4.0 * 2**octave, octave) * 0.5 ** (octave + 1)
    ground = np.clip((ground - 0.5) * 2.6 + 0.5, 0, 1) * (len(_COLOURS) - 1)
    low = np.minimum(ground.astype(np.int32), len(_COLOURS) - 2)
    part = (ground - low)[..., None]
    colours = _COLOURS[low] * (1 - part) + _COLOURS[low + 1] * part
    normal = (x / _RADIUS, y / _RADIUS, depth)
    light = np.clip(sum(a * b for a, b in zip(normal, _LIGHT, strict=True)), 0.03, 1)
    colours *= light[..., None]
    sky = _noise(lattice, x, y, 512.0, 0)
    stars = np.where(sky > _STARS, 255.0, 4.0)[..., None]
    return np.where(distance[..., None] < 1, colours, stars).astype(np.uint8)


def octaves_of(size: int) -> int:
    """Octaves of detail down to the pixel, of a picture of so many pixels a side."""
    return max(3, round(math.log2(max(size, 2))) - 3)


def _noise(lattice: np.ndarray, x: np.ndarray, y: np.ndarray, frequency: float, octave: int) -> np.ndarray:
    """Random numbers on a lattice, with smooth steps between them; in [0, 1]."""
    # Away from the middle, which all octaves would share.
    u, v = x * frequency + (31.7 * octave + 100), y * frequency + (17.3 * octave + 100)
    column, row = np.floor(u), np.floor(v)
    a, b = u - column, v - row
    a, b = a * a * (3 - 2 * a), b * b * (3 - 2 * b)
    column, row = column.astype(np.int32) % _LATTICE, row.astype(np.int32) % _LATTICE
    right, down = (column + 1) % _LATTICE, (row + 1) % _LATTICE
    above = lattice[row, column] * (1 - a) + lattice[row, right] * a
    below = lattice[down, column] * (1 - a) + lattice[down, right] * a
    return above * (1 - b) + below * b


def write_planet(
    path: Path, size: int, *, seed: int = 0, on_tile: Callable[[int, int], None] = lambda done, total: None
) -> None:
    """Write a square picture as a tiled TIFF, of which never more than a tile is in memory; whole or not at all.

    Args:
        path: where.
        size: pixels of a side.
        seed: of the ground.
        on_tile: told the tiles that are done, and all.

    Raises:
        OSError: it cannot be written.
    """
    import tifffile

    octaves = octaves_of(size)
    across = -(-size // TILE)

    def tiles() -> Iterator[np.ndarray]:
        for number in range(across * across):
            rows, columns = (np.arange(TILE) + TILE * each for each in divmod(number, across))
            x, y = np.meshgrid((2 * columns + 1 - size) / size, (2 * rows + 1 - size) / size)
            yield planet(x.astype(np.float32), y.astype(np.float32), octaves=octaves, seed=seed)
            on_tile(number + 1, across * across)

    with replacing(path) as partial, partial.open("wb") as file:
        tifffile.imwrite(
            file,
            tiles(),
            shape=(size, size, 3),
            dtype=np.uint8,
            tile=(TILE, TILE),
            photometric="rgb",
            compression="zlib",
            metadata=None,
        )
