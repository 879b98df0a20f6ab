"""A network in stages, of whole weights, in numpy: each stage's values are the same to the bit on every machine.

See `networks.stream_network` for what it computes. A stage has numbers of its own and needs those of the stages before,
in the same order of operations whatever comes after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from inr_plugins.codecs.exact_functions import MOST_TERMS
from inr_plugins.codecs.network import activated
from inr_plugins.codecs.quantised import Quantised, places_in_parts

STREAMED = ("sine", "gauss", "finer-sine", "finer-gauss")
_MOST_STAGES = 256


@dataclass(frozen=True)
class StreamShape:
    """What a network in stages is but for its numbers; JSON in the file.

    Attributes:
        outputs: channels.
        widths: of the hidden layers after each stage.
        hidden: their number.
        activation: one of STREAMED.
        constants: omega and scale, where the activation has them.
        inputs: coordinates.
    """

    outputs: int
    widths: tuple[int, ...]
    hidden: int
    activation: str
    constants: Mapping[str, float] = field(default_factory=dict)
    inputs: int = 2

    def of_stage(self, stage: int) -> dict[str, tuple[int, ...]]:
        """Shapes of what a stage, from 1, adds, by name; weights before biases, as they stand in its block."""
        width = self.widths[stage - 1]
        new = width - (self.widths[stage - 2] if stage > 1 else 0)
        weights, biases = {}, {}
        for layer in range(self.hidden):
            weights[f"{stage}.{layer}.weight"] = (new, self.inputs if layer == 0 else width)
            biases[f"{stage}.{layer}.bias"] = (new,)
        weights[f"{stage}.{self.hidden}.weight"] = (self.outputs, new)
        if stage == 1:
            biases[f"{stage}.{self.hidden}.bias"] = (self.outputs,)
        return {**weights, **biases}

    def until(self, stage: int) -> StreamShape:
        """That of the first stages."""
        return replace(self, widths=self.widths[:stage])

    def network(self, numbers: Mapping[str, Int[np.ndarray, " *n"]], exponents: Mapping[str, int]) -> QuantisedStream:
        """The network of such numbers."""
        return QuantisedStream(self, numbers, exponents)

    def as_json(self) -> dict[str, Any]:
        """For the header."""
        return {**asdict(self), "widths": list(self.widths), "constants": dict(self.constants)}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> StreamShape:
        """The reverse; ValueError or TypeError where that is no such network."""
        shape = cls(**{**plain, "widths": tuple(plain["widths"])})
        whole = (shape.outputs, shape.hidden, shape.inputs, *shape.widths)
        if not all(isinstance(each, int) and 1 <= each <= MOST_TERMS for each in whole):
            raise ValueError("sizes out of range")
        ordered = all(before < after for before, after in zip(shape.widths, shape.widths[1:], strict=False))
        if not 1 <= len(shape.widths) <= _MOST_STAGES or not ordered or shape.hidden > _MOST_STAGES:
            raise ValueError("stages out of range")
        needed = {"sine": {"omega"}, "finer-sine": {"omega"}, "gauss": {"scale"}, "finer-gauss": {"omega", "scale"}}
        if shape.activation not in STREAMED or set(shape.constants) != needed[shape.activation]:
            raise ValueError("unknown activation or constants")
        if not all(isinstance(each, int | float) for each in shape.constants.values()):
            raise ValueError("constants that are no numbers")
        return shape


@dataclass(frozen=True, eq=False)
class QuantisedStream(Quantised[StreamShape]):
    """A network in stages, of whole weights; its values are those of the last stage."""

    def stages(self, places: Float[np.ndarray, "n inputs"]) -> list[Float[np.ndarray, "n outputs"]]:
        """What each stage has at places."""
        parts = [self._stages(part) for part in places_in_parts(places)]
        return [np.concatenate(each) for each in zip(*parts, strict=True)]

    def until(self, stage: int) -> QuantisedStream:
        """The network of the first stages."""
        shape = self.shape.until(stage)
        names = [name for number in range(1, stage + 1) for name in shape.of_stage(number)]
        return QuantisedStream(
            shape, {name: self.numbers[name] for name in names}, {name: self.exponents[name] for name in names}
        )

    def _values(self, places: Float[np.ndarray, "n inputs"]) -> Float[np.ndarray, "n outputs"]:
        return self._stages(places)[-1]

    def _stages(self, places: np.ndarray) -> list[np.ndarray]:
        shape = self.shape
        hidden: list[list[np.ndarray]] = [[] for _ in range(shape.hidden)]
        found: list[np.ndarray] = []
        for stage in range(1, len(shape.widths) + 1):
            for layer in range(shape.hidden):
                seen = places if layer == 0 else np.concatenate(hidden[layer - 1], axis=1)
                z = self._product(f"{stage}.{layer}.weight", seen) + self._vector(f"{stage}.{layer}.bias")
                hidden[layer].append(activated(z, shape.activation, shape.constants))
            own = self._product(f"{stage}.{shape.hidden}.weight", hidden[-1][-1])
            found.append(found[-1] + own if found else own + self._vector(f"1.{shape.hidden}.bias"))
        return found
