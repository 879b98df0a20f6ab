"""Functions of float64 arrays with the same bits on every machine.

Libraries of mathematics differ in the last bits of sine and exp, and sums of many numbers depend on their order. Here
everything is made of operations that IEEE 754 fixes to the bit, element by element (sum, difference, product, quotient,
square root, rounding), and of sums of whole numbers below 2^53, which are exact in any order.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

UNIT = 2.0**20
"""Parts of 1 that numbers are rounded to before they are summed up."""
LARGEST = 2.0**12
"""Where they are held: |x| <= LARGEST."""
MOST_TERMS = 1 << 10
LARGEST_FACTOR = (1 << 11) - 1
"""Whole factors are at most so large: LARGEST * UNIT * LARGEST_FACTOR * MOST_TERMS < 2^53."""

_TURN = 2 * math.pi
_SINE = tuple((-1) ** (k // 2) * _TURN**k / math.factorial(k) for k in range(1, 16, 2))
_EXPONENTIAL = tuple(1 / math.factorial(k) for k in range(12))
_LOWEST = -500.0
# Of a row's deviations from its mean: finer than that is lost, more than that is held.
_DEVIATION_UNIT, _LARGEST_DEVIATION = 2.0**13, 2.0**8


def whole(x: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """x in parts of 1 / UNIT, whole numbers in float64; held within LARGEST."""
    return np.rint(np.clip(x, -LARGEST, LARGEST) * UNIT)


def product(x: Float[np.ndarray, "n inputs"], weights: Float[np.ndarray, "outputs inputs"]) -> np.ndarray:
    """x weights^T of whole weights, of x as `whole` rounds it: exact, and so in any order.

    Raises:
        ValueError: more terms, or larger weights, than that holds for.
    """
    if weights.shape[1] > MOST_TERMS or (weights.size and np.abs(weights).max() > LARGEST_FACTOR):
        raise ValueError(f"at most {MOST_TERMS} whole weights of up to {LARGEST_FACTOR} can be summed up exactly")
    return (whole(x) @ weights.T) * (1 / UNIT)


def sine(x: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """sin x within 1e-9 for |x| up to some thousands: Taylor's polynomial on a quarter of a turn."""
    turns = x * (1 / _TURN)
    turns -= np.rint(turns)
    turns = np.where(np.abs(turns) > 0.25, np.copysign(0.5, turns) - turns, turns)
    square = turns * turns
    found = np.full_like(turns, _SINE[-1])
    for factor in _SINE[-2::-1]:
        found *= square
        found += factor
    found *= turns
    return found


def exponential(x: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """exp x for x <= 0, within 1e-12; below -500 as there."""
    x = np.maximum(x, _LOWEST)
    powers = np.rint(x * (1 / math.log(2)))
    rest = x - powers * math.log(2)
    found = np.full_like(x, _EXPONENTIAL[-1])
    for factor in _EXPONENTIAL[-2::-1]:
        found *= rest
        found += factor
    return np.ldexp(found, powers.astype(np.int32))


def row_moments(x: Float[np.ndarray, "n channels"]) -> tuple[Float[np.ndarray, "n 1"], Float[np.ndarray, "n 1"]]:
    """Mean of each row, and the sum of the squares of its deviations from that.

    Deviations count in parts of 2^-13, and up to 256.
    """
    mean = whole(x).sum(axis=1, keepdims=True) / (x.shape[1] * UNIT)
    deviation = np.rint(np.clip(x - mean, -_LARGEST_DEVIATION, _LARGEST_DEVIATION) * _DEVIATION_UNIT)
    squares = (deviation * deviation).sum(axis=1, keepdims=True)
    return mean, squares * (1 / (_DEVIATION_UNIT * _DEVIATION_UNIT))
