"""A made cell in water: what is known of every voxel's refractive index, to be measured by a microscope."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

MEDIUM = 1.33
"""Index of water."""
PITCH_UM, SLICE_UM = 0.1625, 0.3
"""Of voxels: those of a camera of 6.5 µm behind 40x, and slices that light of an aperture of 0.65 can tell apart."""
_BODY, _NUCLEUS, _GRANULES = 1.36, 1.375, 1.40
_COUNT = 24


@dataclass(frozen=True)
class Cell:
    """An ellipsoid with a nucleus and granules in it, each of one index, whose edges are a voxel wide.

    Attributes:
        size: voxels of a side of a slice; there are 5 slices for 12 of them, which are thicker than wide.
        seed: of where things are in it.
    """

    size: int
    seed: int = 0

    @property
    def slices(self) -> int:
        """How many."""
        return max(2, round(self.size * 5 / 12))

    def index(self) -> Float32[np.ndarray, "slices rows columns"]:
        """Refractive index of every voxel."""
        draw = np.random.default_rng((self.seed, 4))
        middles = [
            (np.arange(count) + 0.5 - count / 2) * step
            for count, step in ((self.slices, SLICE_UM), (self.size, PITCH_UM), (self.size, PITCH_UM))
        ]
        place = np.stack(np.meshgrid(*middles, indexing="ij"), -1)
        half = np.array([self.slices * SLICE_UM, self.size * PITCH_UM, self.size * PITCH_UM]) / 2
        radii = half * [0.7, 0.62, 0.7]
        found = np.full(place.shape[:-1], MEDIUM)
        _put(found, place, np.zeros(3), radii, _BODY)
        _put(found, place, radii * draw.uniform(-0.25, 0.25, 3), radii * 0.45, _NUCLEUS)
        for _ in range(_COUNT):
            way = draw.normal(size=3)
            middle = radii * 0.75 * draw.uniform(0.3, 1) ** (1 / 3) * way / np.linalg.norm(way)
            _put(found, place, middle, np.full(3, radii.min() * draw.uniform(0.06, 0.12)), _GRANULES)
        return found.astype(np.float32)


def _put(
    volume: Float[np.ndarray, "slices rows columns"],
    place: Float[np.ndarray, "slices rows columns 3"],
    middle: Float[np.ndarray, " 3"],
    radii: Float[np.ndarray, " 3"],
    index: float,
) -> None:
    """Fill an ellipsoid; lengths in µm, (z, y, x)."""
    inside = (1 - np.linalg.norm((place - middle) / radii, axis=-1)) * radii.min()
    share = np.clip(inside / PITCH_UM + 0.5, 0, 1)
    volume += share * (index - volume)
