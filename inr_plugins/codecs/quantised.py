"""What networks of whole weights have in common: their numbers, the steps that these count, and places in parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from inr_plugins.codecs.exact_functions import product

_ROWS = 1 << 13
"""Places that are evaluated at once."""
_QUARTERS = (1.0, 1.189207115002721, 1.4142135623730951, 1.681792830507429)
"""2^(k / 4), as float64 has them."""


@runtime_checkable
class Shape(Protocol):
    """What a network is but for its numbers."""

    @property
    def outputs(self) -> int:
        """Channels."""


S = TypeVar("S", bound=Shape)


@dataclass(frozen=True, eq=False)
class Quantised(ABC, Generic[S]):
    """Whole numbers and the steps that they count.

    Attributes:
        shape: what they are the numbers of.
        numbers: each tensor, whole.
        exponents: of each tensor, that its step is 2^(exponent / 4).
    """

    shape: S
    numbers: Mapping[str, Int[np.ndarray, " *n"]]
    exponents: Mapping[str, int]

    def __call__(self, places: Float[np.ndarray, "n inputs"]) -> Float[np.ndarray, "n outputs"]:
        """What the network has at places, each for itself."""
        parts = [self._values(part) for part in places_in_parts(places)]
        return np.concatenate(parts) if parts else np.empty((0, self.shape.outputs))

    @abstractmethod
    def _values(self, places: Float[np.ndarray, "n inputs"]) -> Float[np.ndarray, "n outputs"]:
        """The same at a few places."""

    def _vector(self, name: str) -> Float[np.ndarray, " n"]:
        return self.numbers[name].astype(np.float64) * step_of(self.exponents[name])

    def _product(self, name: str, x: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n m"]:
        """x W^T of a matrix W of the numbers."""
        found = product(x, self.numbers[name].astype(np.float64))
        found *= step_of(self.exponents[name])
        return found


def places_in_parts(places: Float[np.ndarray, "n inputs"]) -> list[Float[np.ndarray, "m inputs"]]:
    """As many as are evaluated at once."""
    return [places[first : first + _ROWS] for first in range(0, len(places), _ROWS)]


def step_of(exponent: int) -> float:
    """2^(exponent / 4), the same number everywhere."""
    return float(np.ldexp(_QUARTERS[exponent % 4], exponent // 4))
