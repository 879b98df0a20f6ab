"""Power laws: how a cost grows with a size, and over which sizes that is so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ALLOWED = 1.15
"""Factor by which a figure may miss a power law that is said to hold for it."""
FLAT = 1.3
"""Largest over smallest figure of what is called flat."""


@dataclass(frozen=True)
class Power:
    """cost = factor * size^exponent, from size `low` to size `high`; no figure misses it by more than the factor
    `worst`."""

    exponent: float
    factor: float
    worst: float
    low: float
    high: float

    def __call__(self, size: float) -> float:
        """The cost that it says."""
        return self.factor * size**self.exponent


def fitted(sizes: Sequence[float], costs: Sequence[float]) -> Power:
    """The power law with the least squares of the logarithms.

    Raises:
        ValueError: there are fewer than two different sizes, or something is not above 0.
    """
    x, y = np.asarray(sizes, dtype=float), np.asarray(costs, dtype=float)
    if len(np.unique(x)) < 2 or not ((x > 0).all() and (y > 0).all()):
        raise ValueError("a power law wants two different sizes, and numbers above 0")
    exponent, offset = np.polyfit(np.log(x), np.log(y), 1)
    worst = float(np.exp(np.abs(np.log(y) - offset - exponent * np.log(x)).max()))
    return Power(float(exponent), float(np.exp(offset)), worst, float(x.min()), float(x.max()))


def longest_fit(sizes: Sequence[float], costs: Sequence[float], *, allowed: float = ALLOWED) -> Power:
    """The power law of as many neighbouring sizes as it holds for, but of three at the least where there are as many.

    Of equally many sizes those of the largest ones count: what is added to a cost once, whatever the size, matters less
    there. Where none of three holds within `allowed`, it is that of the largest three, and `worst` says so.

    Args:
        sizes: ascending.
        costs: of each.
        allowed: factor by which a figure may miss it.

    Raises:
        ValueError: as `fitted` says.
    """
    least = min(3, len(sizes))
    for count in range(len(sizes), least - 1, -1):
        for start in range(len(sizes) - count, -1, -1):
            power = fitted(sizes[start : start + count], costs[start : start + count])
            if power.worst <= allowed:
                return power
    return fitted(sizes[-least:], costs[-least:])


def spread(costs: Sequence[float]) -> float:
    """The largest over the smallest; infinity where that is 0."""
    return max(costs) / min(costs) if min(costs) > 0 else float("inf")


def in_words(sizes: Sequence[float], costs: Sequence[float]) -> str:
    """How costs grow, in a cell of a table; "" where there are too few of them.

    Two sizes have no exponent that could be wrong: their ratio is said.
    """
    if len(costs) < 2 or min(costs) <= 0:
        return ""
    if spread(costs) <= FLAT:
        return f"flat, ×{spread(costs):.2f}"
    if len(costs) == 2:
        return f"×{costs[-1] / costs[0]:.2f}"
    power = longest_fit(sizes, costs)
    if power.worst > ALLOWED:
        return f"no power law, ×{costs[-1] / costs[0]:.2f}"
    where = "" if power.low == sizes[0] and power.high == sizes[-1] else f" from {power.low:,.0f} to {power.high:,.0f}"
    return f"n^{power.exponent:.2f}{where}, within {100 * (power.worst - 1):.0f} %"
