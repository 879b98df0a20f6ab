"""Digits that positions far from the origin lose in float32, in files and on their way into one."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

COARSE = 1e-4
"""Steps of this part of the longest side show: a surface becomes stairs, a cloud a lattice."""

_FEWEST = 100
_LOOKED_AT = 1 << 16


def float32_step(points: Float[np.ndarray, "n 3"]) -> float:
    """The largest distance between neighbouring numbers of float32 at the points' coordinates."""
    return float(np.spacing(np.float32(np.abs(points).max(initial=0.0))))


def is_coarse(points: Float[np.ndarray, "n 3"]) -> bool:
    """Whether float32 is too coarse for the points: its steps are more than `COARSE` of their longest side."""
    return bool(len(points)) and float32_step(points) > COARSE * float(np.ptp(points, axis=0).max())


def rounding_note(points: Float[np.ndarray, "n 3"]) -> str | None:
    """A few words where positions in a file were rounded to float32, or to fewer digits, too far from the origin.

    Georeferenced coordinates, 5e6 metres from the origin, come in steps of half a metre then. Told by the numbers and
    not by the format: a file of doubles, or of text, may hold numbers that were rounded before.

    Args:
        points: as the file has them; those that are not finite do not count.
    """
    some = points[:: len(points) // _LOOKED_AT + 1].astype(np.float64)
    some = some[np.isfinite(some).all(axis=1)]
    if len(some) < _FEWEST or not is_coarse(some):
        return None
    axis = int(np.abs(some).max(axis=0).argmax())
    if (some[:, axis].astype(np.float32) != some[:, axis]).any():
        return None
    return (
        f"positions were rounded to steps of {float32_step(some):.2g} or more along {'xyz'[axis]}, far from the "
        f"origin, where the longest side is {np.ptp(some, axis=0).max():.3g}; write the file with doubles, or from an "
        "origin nearby"
    )


def near_origin(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " 3"]:
    """What to take from positions so that float32 keeps their digits; 0 unless `is_coarse`. Exact in float32 itself."""
    if not is_coarse(points):
        return np.zeros(3)
    return points.mean(axis=0).astype(np.float32).astype(np.float64)
