"""With which step each tensor of a network is made whole, so that few bytes cost little.

A step D of a tensor of n numbers costs about -n log2(D) bits and adds s D² to the mean squared error, of which s is
measured. Of all steps with the same error those with D² = c n / s, the same c for all tensors, take the fewest bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from inr_plugins.codecs.exact_functions import LARGEST_FACTOR
from inr_plugins.codecs.quantised import step_of

_PROBE = 1 / 24
"""Of a tensor's largest number: the step with which its s is measured."""
_RANGE = 512
"""Between a knob with which all steps are the finest and one with which all are the coarsest."""


@runtime_checkable
class Evaluated(Protocol):
    """A network of whole numbers."""

    def __call__(self, places: Float[np.ndarray, "n inputs"], /) -> Float[np.ndarray, "n outputs"]:
        """What it has at places."""


Network = TypeVar("Network", bound=Evaluated)
Made = TypeVar("Made", bound=Evaluated, covariant=True)


@runtime_checkable
class Shape(Protocol[Made]):
    """What makes a network of whole numbers."""

    def network(self, numbers: Mapping[str, Int[np.ndarray, " *n"]], exponents: Mapping[str, int]) -> Made:
        """That of numbers whose steps are 2^(exponent / 4)."""


def quantised(
    shape: Shape[Network], values: Mapping[str, Float[np.ndarray, " *n"]], exponents: Mapping[str, int]
) -> Network:
    """The nearest network of whole numbers with given steps."""
    numbers = {name: np.rint(values[name] / step_of(exponents[name])).astype(np.int64) for name in values}
    return shape.network(numbers, exponents)


class Steps(Generic[Network]):
    """The steps of all tensors of a network, by one number."""

    def __init__(
        self,
        shape: Shape[Network],
        values: Mapping[str, Float[np.ndarray, " *n"]],
        places: Float[np.ndarray, "n inputs"],
    ) -> None:
        """Measure what each tensor's step costs.

        Args:
            shape: of the network.
            values: its numbers.
            places: where the error counts; some thousands do.
        """
        self.shape, self.values = shape, values
        largest = {name: float(np.abs(each).max(initial=0)) for name, each in values.items()}
        self._finest = {name: _exponent(each / LARGEST_FACTOR, math.ceil) for name, each in largest.items()}
        exact = self.finest()(places)
        self._best: dict[str, float] = {}
        for name, each in values.items():
            probe = _exponent(largest[name] * _PROBE, round)
            found = quantised(shape, values, {**self._finest, name: probe})(places)
            slope = float(np.mean((found - exact) ** 2)) / 2.0 ** (probe / 2)
            # What does not matter at all is left out by a step that is larger than it.
            self._best[name] = 2 * math.log2(each.size / slope) if slope > 0 else math.inf
        self._coarsest = {name: _exponent(4 * each, math.ceil) for name, each in largest.items()}

    def finest(self) -> Network:
        """With the smallest steps that a file has."""
        return quantised(self.shape, self.values, self._finest)

    def network(self, knob: int) -> Network:
        """With steps of 2^(knob / 4), up to a factor of each tensor's own."""
        exponents = {}
        for name, best in self._best.items():
            wanted = self._coarsest[name] if best == math.inf else round(best + knob)
            exponents[name] = min(max(wanted, self._finest[name]), self._coarsest[name])
        return quantised(self.shape, self.values, exponents)

    def coarsest_that(self, is_good: Callable[[Network], bool]) -> Network | None:
        """The network with the largest steps that is good, where smaller ones are better; None where none is."""
        return self._last_good(is_good, self._below_all(), self._below_all() + _RANGE)

    def finest_that(self, is_good: Callable[[Network], bool]) -> Network | None:
        """The network with the smallest steps that is good, where larger ones are better; None where none is."""
        return self._last_good(is_good, self._below_all() + _RANGE, self._below_all())

    def _below_all(self) -> int:
        """A knob with which all steps are the finest."""
        finite = [each for each in self._best.values() if each < math.inf]
        return math.floor(min(self._finest.values()) - max(finite, default=0.0)) - 1

    def _last_good(self, is_good: Callable[[Network], bool], good: int, bad: int) -> Network | None:
        """The last good network on the way from one knob, which has to be good, to another."""
        found = self.network(good)
        if not is_good(found):
            return None
        while abs(bad - good) > 1:
            middle = (good + bad) // 2
            network = self.network(middle)
            if is_good(network):
                good, found = middle, network
            else:
                bad = middle
        return found


def _exponent(step: float, to_whole: Callable[[float], int]) -> int:
    """4 log2 of a step, whole and in the range of a byte."""
    return max(-128, min(127, to_whole(4 * math.log2(step)))) if step > 0 else 0
