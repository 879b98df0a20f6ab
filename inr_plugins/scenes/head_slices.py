"""Made slices through heads, each another: Shepp and Logan's ellipses, all of their numbers changed at random."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_ELLIPSES = np.array(
    [
        [1.0, 0.69, 0.92, 0.0, 0.0, 0.0],
        [-0.8, 0.6624, 0.874, 0.0, -0.0184, 0.0],
        [-0.2, 0.11, 0.31, 0.22, 0.0, -18.0],
        [-0.2, 0.16, 0.41, -0.22, 0.0, 18.0],
        [0.1, 0.21, 0.25, 0.0, 0.35, 0.0],
        [0.1, 0.046, 0.046, 0.0, 0.1, 0.0],
        [0.1, 0.046, 0.046, 0.0, -0.1, 0.0],
        [0.1, 0.046, 0.023, -0.08, -0.605, 0.0],
        [0.1, 0.023, 0.023, 0.0, -0.606, 0.0],
        [0.1, 0.023, 0.046, 0.06, -0.605, 0.0],
    ]
)
"""Shepp and Logan's (1974) with Toft's contrasts, in the half-side of the picture: what is added inside, half axes
along x and y, middle, and turn in degrees."""
_CHANGE = 0.05
_FINER = 4
"""Places along a pixel, of which it is the mean."""


@dataclass(frozen=True)
class HeadSlices:
    """Slices of attenuations from 0 to 1; y goes up.

    As learnt-initialisation papers have them, to each of an ellipse's numbers (a turn's in radians) a normal one of
    standard deviation `change` is added, and what comes out is clipped to [0, 1].

    Attributes:
        size: pixels of a side.
        count: how many.
        seed: of all of them; more of one seed begin with the same.
        change: 0: each is the phantom itself.
    """

    size: int
    count: int
    seed: int = 0
    change: float = _CHANGE

    def ellipses(self, number: int) -> Float[np.ndarray, "ten 6"]:
        """The ellipses of a slice: see `_ELLIPSES`."""
        draw = np.random.default_rng((self.seed, number)).normal(0.0, 1.0, _ELLIPSES.shape) * self.change
        draw[:, 5] = np.rad2deg(draw[:, 5])
        found = _ELLIPSES + draw
        found[:, 1:3] = np.abs(found[:, 1:3])
        return found

    def slice(self, number: int) -> Float[np.ndarray, "size size"]:
        """One of them, a pixel the mean of sixteen places in it, rows from the top."""
        fine = self.size * _FINER
        along = (2 * np.arange(fine, dtype=np.float64) + 1 - fine) / fine
        found = np.zeros((fine, fine))
        for value, half_x, half_y, middle_x, middle_y, turn in self.ellipses(number):
            cos, sin = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
            # Only what is near it is looked at.
            columns = _around(along, middle_x, np.hypot(half_x * cos, half_y * sin))
            rows = _around(along, -middle_y, np.hypot(half_x * sin, half_y * cos))
            x, y = along[None, columns] - middle_x, -along[rows, None] - middle_y
            u, v = (x * cos + y * sin) * half_y, (y * cos - x * sin) * half_x
            found[rows, columns] += value * (u * u + v * v <= (half_x * half_y) ** 2)
        return found.clip(0, 1).reshape(self.size, _FINER, self.size, _FINER).mean((1, 3))

    def all(self) -> Iterator[Float[np.ndarray, "size size"]]:
        """One after another."""
        for number in range(self.count):
            yield self.slice(number)


def _around(along: np.ndarray, middle: float, reach: float) -> slice:
    """Which of places that rise are at most so far from another, and perhaps some more."""
    low, high = np.searchsorted(along, [middle - reach - 1e-9, middle + reach + 1e-9])
    return slice(int(low), int(high))
