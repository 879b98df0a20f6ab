"""A coordinate network of whole weights, in numpy, whose values are the same to the bit on every machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from inr_plugins.codecs.exact_functions import exponential, row_moments, sine
from inr_plugins.codecs.quantised import Quantised

_EPS = 1e-5

RowNormalization = Literal["none", "layer", "cross"]
_MOST_LOW_BITS = 11
_OF_ROWS = ("gain", "shift", "mean", "spread")
ACTIVATIONS = ("relu", "sine", "gauss", "finer-sine", "finer-gauss")


@dataclass(frozen=True)
class NetworkShape:
    """What a network is but for its numbers; JSON in the file.

    Attributes:
        outputs: channels.
        width: of the hidden layers.
        hidden: their number.
        activation: one of ACTIVATIONS.
        normalization: of rows, before activations; others are part of the weights, as they are the same for all rows.
        octaves: of the positional encoding of x and y, as `networks.encodings.Positional` has it; None: x and y alone.
        skips: hidden layers that see the encoded place again, behind the layer before.
        constants: omega and scale, where the activation has them.
        rows: N of cross normalization's running statistics.
        inputs: coordinates.
    """

    outputs: int
    width: int
    hidden: int
    activation: str
    normalization: str = "none"
    octaves: int | None = None
    skips: tuple[int, ...] = ()
    constants: Mapping[str, float] = field(default_factory=dict)
    rows: float = 0.0
    inputs: int = 2

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the tensors by name, in the order in which they stand in the file: kind by kind."""
        encoded = self.inputs if self.octaves is None else self.inputs * (2 * self.octaves + 1)
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(self.hidden + 1):
            fan_in = encoded if layer == 0 else self.width + encoded * (layer in self.skips and layer < self.hidden)
            fan_out = self.width if layer < self.hidden else self.outputs
            shapes[f"{layer}.weight"], shapes[f"{layer}.bias"] = (fan_out, fan_in), (fan_out,)
            if layer < self.hidden and self.normalization != "none":
                names = _OF_ROWS[: 2 if self.normalization == "layer" else 4]
                shapes |= {f"{layer}.{name}": (fan_out,) for name in names}
        kinds = ("weight", "bias", *_OF_ROWS)
        return dict(sorted(shapes.items(), key=lambda each: kinds.index(each[0].split(".")[1])))

    def network(self, numbers: Mapping[str, Int[np.ndarray, " *n"]], exponents: Mapping[str, int]) -> QuantisedNetwork:
        """The network of such numbers."""
        return QuantisedNetwork(self, numbers, exponents)

    def as_json(self) -> dict[str, Any]:
        """For the header; what has its default is left out."""
        plain = {**asdict(self), "skips": list(self.skips), "constants": dict(self.constants)}
        defaults: dict[str, Any] = {"normalization": "none", "octaves": None, "skips": [], "constants": {}}
        defaults |= {"rows": 0.0, "inputs": 2}
        return {name: value for name, value in plain.items() if name not in defaults or value != defaults[name]}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> NetworkShape:
        """The reverse; ValueError or TypeError where that is no such network."""
        shape = cls(**{**plain, "skips": tuple(plain.get("skips", ()))})
        whole = (shape.outputs, shape.width, shape.hidden, shape.inputs, shape.octaves or 0, *shape.skips)
        if not all(isinstance(each, int) and 0 <= each <= 1024 for each in whole) or shape.hidden < 1:
            raise ValueError("sizes out of range")
        if shape.activation not in ACTIVATIONS or shape.normalization not in ("none", "layer", "cross"):
            raise ValueError("unknown activation or normalization")
        return shape


@dataclass(frozen=True, eq=False)
class QuantisedNetwork(Quantised[NetworkShape]):
    """A coordinate network of whole weights."""

    def _linear(self, layer: int, x: np.ndarray) -> Float[np.ndarray, "n outputs"]:
        found = self._product(f"{layer}.weight", x)
        found += self._vector(f"{layer}.bias")
        return found

    def _values(self, places: np.ndarray) -> Float[np.ndarray, "n outputs"]:
        encoded = _encoded(places, self.shape.octaves)
        hidden = encoded
        for layer in range(self.shape.hidden):
            if layer in self.shape.skips:
                hidden = np.concatenate([hidden, encoded], axis=1)
            z = self._normalized(layer, self._linear(layer, hidden))
            hidden = activated(z, self.shape.activation, self.shape.constants)
        return self._linear(self.shape.hidden, hidden)

    def _normalized(self, layer: int, x: np.ndarray) -> np.ndarray:
        kind = self.shape.normalization
        if kind == "none":
            return x
        channels = x.shape[1]
        gain, shift = self._vector(f"{layer}.gain"), self._vector(f"{layer}.shift")
        mean, squares = row_moments(x)
        if kind == "layer":
            return (x - mean) / np.sqrt(squares / channels + _EPS) * gain + shift
        # networks.normalization.cross has the terms.
        share = 1 / (self.shape.rows + (channels + 1))
        column = self._vector(f"{layer}.mean") * (1 - (channels + 1) * share)
        spread = self._vector(f"{layer}.spread")
        gain = gain * (1 + 1 / (self.shape.rows + channels))
        variance = spread * spread + _EPS + squares / max(channels - 1, 1)
        return (x - column - mean * (channels * share)) / np.sqrt(variance) * gain + shift


def activated(x: np.ndarray, name: str, constants: Mapping[str, float]) -> np.ndarray:
    """What an activation (one of ACTIVATIONS) makes of x."""
    if name == "relu":
        return np.maximum(x, 0.0)
    if name.startswith("finer-"):
        x = sine((np.abs(x) + 1.0) * x * constants["omega"])
    if name == "sine":
        return sine(x * constants["omega"])
    if name.endswith("gauss"):
        x = x * constants["scale"]
        return exponential(-(x * x))
    return x


def _encoded(places: np.ndarray, octaves: int | None) -> np.ndarray:
    """See `networks.encodings.Positional`."""
    if octaves is None:
        return places
    phases = np.concatenate([places * 2.0**octave for octave in range(octaves)], axis=1)
    return np.concatenate([places, sine(phases), sine(phases + np.pi / 2)], axis=1)


def as_symbols(network: QuantisedNetwork, high_bits: int = 7) -> list[tuple[str, bytes]]:
    """The network's numbers as parts of bytes; see `symbols_of`."""
    return symbols_of(list(network.shape.tensors()), network.numbers, network.exponents, high_bits)


def from_symbols(shape: NetworkShape, data: bytes) -> QuantisedNetwork:
    """The reverse of `as_symbols`; ValueError where the bytes are too many or too few."""
    return QuantisedNetwork(shape, *numbers_from(shape.tensors(), data))


def symbols_of(
    names: Sequence[str],
    numbers: Mapping[str, Int[np.ndarray, " *n"]],
    exponents: Mapping[str, int],
    high_bits: int = 7,
) -> list[tuple[str, bytes]]:
    """Tensors of whole numbers as parts of bytes, some of which are frequent.

    A number is 2^shift high + low, of which high is a byte of at most so many bits and a sign. The low bits, of which
    all values are about as frequent, stand behind, packed; each tensor has its own shift, in most 0.
    """
    steps = np.array([exponents[name] for name in names], dtype=np.int8)
    largest = [int(np.abs(numbers[name]).max(initial=0)) for name in names]
    shifts = [max(0, each.bit_length() - high_bits) for each in largest]
    found = [("0.steps", steps.tobytes()), ("0.shifts", bytes(shifts))]
    low = []
    for name, shift in zip(names, shifts, strict=True):
        flat = numbers[name].ravel()
        found.append((name, (flat >> shift).astype(np.int8).tobytes()))
        low.append(((flat[:, None] >> np.arange(shift)) & 1).ravel())
    return [*found, ("0.low", np.packbits(np.concatenate(low).astype(np.uint8)).tobytes())]


def most_bytes(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """As many as symbols of such tensors can have: two for each, and three for each number."""
    return sum(2 + 3 * int(np.prod(each)) for each in shapes.values())


def numbers_from(
    shapes: Mapping[str, tuple[int, ...]], data: bytes
) -> tuple[dict[str, Int[np.ndarray, " *n"]], dict[str, int]]:
    """Numbers and exponents of tensors, the reverse of `symbols_of`; ValueError where there are too many or too few."""
    sizes = [int(np.prod(each)) for each in shapes.values()]
    shifts = list(data[len(shapes) : 2 * len(shapes)])
    behind = 2 * len(shapes) + sum(sizes)
    bits = [size * shift for size, shift in zip(sizes, shifts, strict=False)]
    if len(shifts) != len(shapes) or max(shifts) > _MOST_LOW_BITS or len(data) != behind - (-sum(bits) // 8):
        raise ValueError("another number of weights")
    exponents = dict(zip(shapes, np.frombuffer(data[: len(shapes)], dtype=np.int8).tolist(), strict=True))
    high = np.split(
        np.frombuffer(data[2 * len(shapes) : behind], dtype=np.int8).astype(np.int64), np.cumsum(sizes)[:-1]
    )
    low = np.split(np.unpackbits(np.frombuffer(data[behind:], dtype=np.uint8)), np.cumsum(bits))[: len(bits)]
    tensors = {}
    for name, top, rest, shift in zip(shapes, high, low, shifts, strict=True):
        under = rest.reshape(len(top), shift).astype(np.int64) @ (1 << np.arange(shift))
        tensors[name] = ((top << shift) + under).reshape(shapes[name])
    return tensors, exponents
