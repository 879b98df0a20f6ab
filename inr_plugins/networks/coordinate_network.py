"""The one network behind every field: encoding x activation x normalization x (width, depth, skips)."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inr_plugins.networks import tcnn_network
from inr_plugins.networks.activations.settings import Activation, ActivationSettings, ReLU, make_activation
from inr_plugins.networks.encodings import Encoding, EncodingName, Identity, make_encoding
from inr_plugins.networks.exact_products import linear_of_positions
from inr_plugins.networks.normalization.registry import (
    NoNormalization,
    Normalization,
    NormalizationName,
    make_normalization,
)
from inr_plugins.networks.tcnn_network import TcnnNetwork

Implementation = Literal["torch", "tcnn"]
Initialization = Literal["own", "glorot"]
HeadMaker = Callable[[nn.Linear], nn.Module]
"""Makes the last module of a network of the linear layer that would be it."""


@dataclass
class CoordinateNetworkConfig(ActivationSettings):
    """Shape of a coordinate network; the field that owns it says how wide its input and output are.

    Raises:
        ValueError: a setting out of range, or settings that cannot go together; it names them.
    """

    normalization: NormalizationName = "none"
    """Normalization of the hidden layers, before their activation."""
    encoding: EncodingName = "identity"
    """What is made of a position before the first layer."""
    width: int = 128
    """Width of the hidden layers; networks of complex numbers have as many real numbers."""
    hidden_layers: int = 1
    """Number of hidden layers."""
    skips: tuple[int, ...] = ()
    """Hidden layers, counted from 0, that get the encoded position again beside the layer before."""
    detach_scale: bool = False
    """Hold |z| + 1 constant in the backward pass of the finer- forms, as their authors' code does."""
    octaves: int | None = None
    """Octaves of the positional and the integrated encoding."""
    fourier_features: int | None = None
    """Frequencies that the random Fourier encoding draws."""
    fourier_std: float | None = None
    """Standard deviation of those frequencies, in cycles per unit."""
    initialization: Initialization = "own"
    """How linear layers start: own is the activation's rule, glorot is uniform in ±sqrt(6 / (inputs + outputs)) without
    biases, as in NeRF's and mip-NeRF's code; for relu."""
    cross_variance: bool = False
    """Cross normalization by the variance over the cross itself, as in the paper, and not as in the authors' code."""
    implementation: Implementation = "torch"
    """tcnn runs plain ReLU networks on CUDA through tinycudann."""

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Raise ValueError for the first setting that cannot be used."""
        for name in ("width", "hidden_layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} of a coordinate network must be at least 1, got {getattr(self, name)}")
        for skip in self.skips:
            if not 1 <= skip < self.hidden_layers:
                raise ValueError(
                    f"skips name hidden layers from 1 to hidden_layers - 1 = {self.hidden_layers - 1}, got {skip}"
                )
        for name, kind in (
            ("normalization", NormalizationName),
            ("encoding", EncodingName),
            ("initialization", Initialization),
            ("implementation", Implementation),
        ):
            if getattr(self, name) not in get_args(kind):
                raise ValueError(f"unknown {name} {getattr(self, name)!r}: choose one of {', '.join(get_args(kind))}")
        activation = make_activation(self, detach_scale=self.detach_scale)
        if activation.is_complex and self.normalization != "none":
            raise ValueError(
                f"normalization {self.normalization!r} does not know complex numbers: with activation "
                f"{self.activation!r} set normalization to 'none', or take a real activation"
            )
        if self.initialization == "glorot" and self.activation != "relu":
            raise ValueError(
                f"initialization 'glorot' is for the activation 'relu', and {self.activation!r} has a rule of its own: "
                "set initialization to 'own'"
            )
        make_normalization(self.normalization, 2, **self._normalization_settings())
        self._encoding(3)
        if self.implementation == "tcnn":
            self._check_tcnn()

    def _check_tcnn(self) -> None:
        plain = {"activation": "relu", "normalization": "none", "skips": (), "initialization": "own"}
        for name, value in plain.items():
            if getattr(self, name) != value:
                raise ValueError(
                    f"implementation 'tcnn' cannot do {name} {getattr(self, name)!r}: set it to {value!r}, or "
                    "implementation to 'torch'"
                )

    def _normalization_settings(self) -> dict[str, bool]:
        if self.normalization != "cross":
            if self.cross_variance:
                raise ValueError("cross_variance belongs to normalization 'cross': leave it off")
            return {}
        return {"cross_variance": self.cross_variance}

    def _encoding(self, in_dim: int) -> Encoding:
        """The encoding, given the settings of its own that are set.

        Raises:
            ValueError: a setting of another encoding is set.
        """
        own = {
            "positional": {"octaves": "octaves"},
            "integrated": {"octaves": "octaves"},
            "fourier": {"features": "fourier_features", "std": "fourier_std"},
        }.get(self.encoding, {})
        for name in ("octaves", "fourier_features", "fourier_std"):
            if getattr(self, name) is not None and name not in own.values():
                raise ValueError(f"encoding {self.encoding!r} has no {name}: leave it at None")
        given = {key: getattr(self, name) for key, name in own.items() if getattr(self, name) is not None}
        return make_encoding(self.encoding, in_dim, **given)

    def build(
        self,
        in_dim: int,
        out_dim: int,
        *,
        spatial_gradient: bool = False,
        has_covariance: bool = False,
        sampling_levels: int = 1,
        positions: int | None = None,
        make_head: HeadMaker | None = None,
    ) -> CoordinateNetwork:
        """The network for inputs of width in_dim and outputs of width out_dim.

        Args:
            in_dim: width of the input, before any encoding.
            out_dim: width of the output.
            spatial_gradient: the field will take gradients with respect to the input.
            has_covariance: the field will pass a covariance with every position.
            sampling_levels: sets of running statistics, for samplers whose passes see different distributions
                (`use_sampling_level`).
            positions: how many of the first layer's inputs, the first ones, are coordinates of a point, which count
                exactly; None: what the encoding says.
            make_head: makes the network's last module of its last linear layer, which is started as the activation
                wants it; None: that layer.

        Raises:
            ValueError: settings that cannot be used, or not by such a field.
        """
        self.check_use(
            in_dim, spatial_gradient=spatial_gradient, has_covariance=has_covariance, own_head=make_head is not None
        )
        network = CoordinateNetwork(in_dim, out_dim, config=self, sampling_levels=sampling_levels, make_head=make_head)
        if positions is not None:
            network.positions = positions
        return network

    def check_use(
        self, in_dim: int, *, spatial_gradient: bool = False, has_covariance: bool = False, own_head: bool = False
    ) -> None:
        """Raise ValueError for the first setting that `build` would refuse, without building anything."""
        self.check()
        if spatial_gradient and self.detach_scale:
            raise ValueError(
                "detach_scale makes the gradient with respect to the position a wrong one, and this field uses it: "
                "turn detach_scale off"
            )
        if spatial_gradient and self.implementation == "tcnn":
            raise ValueError(
                "implementation 'tcnn' has no second derivatives, which this field needs: set it to 'torch'"
            )
        if self._encoding(in_dim).needs_covariance and not has_covariance:
            raise ValueError(
                f"encoding {self.encoding!r} needs the covariance of each position, which this field does not have: "
                "set encoding to 'positional'"
            )
        if own_head and self.implementation == "tcnn":
            raise ValueError("implementation 'tcnn' cannot have this field's own last layer: set it to 'torch'")
        if self.implementation == "tcnn":
            tcnn_network.import_tcnn()


def _natural_std(settings: ActivationSettings, activation: Activation, fan_in: int, *, is_first: bool) -> float:
    """Standard deviation of what goes into an activation at the start, without normalization and without bias.

    For inputs uniform in [-1, 1] (first layer), and for sines of variance 1/2 (later ones), the variances sum up to
    1 / (9 fan_in) and 1 / frequency^2 with SIREN's weights. Gauss starts with PyTorch's: 1/9 in the first layer; later
    ones are given the width of the bump. All others take a normalised input as it is.
    """
    if activation.frequency is not None:
        return 1 / (3 * math.sqrt(fan_in)) if is_first else 1 / activation.frequency
    if settings.activation == "gauss":
        return 1 / 3 if is_first else 1 / settings.value("scale")
    return 1.0


class CoordinateNetwork(nn.Module):
    """encoding -> [linear -> normalization -> activation] x hidden_layers -> linear.

    The activation starts the linear layer before it in its own way (see `Activation.init_linear`). Normalization stands
    before the activation, as in the authors' code of cross normalization; its scale starts at the standard deviation
    that the activation's own initialisation gives that layer (1 for ReLU and the like, as theirs).

    Networks of complex numbers (wavelet) are int(width / sqrt(2)) wide, so that they have as many weights; their
    first layer's weights are real and the real part of their last layer is the output, as in WIRE (Saragadam 2023).

    In eval every row is a function of itself alone.
    """

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        config: CoordinateNetworkConfig,
        sampling_levels: int = 1,
        make_head: HeadMaker | None = None,
    ) -> None:
        """See `CoordinateNetworkConfig.build`, which checks its arguments."""
        super().__init__()
        self.in_dim, self.out_dim = in_dim, out_dim
        self.skips = frozenset(config.skips)
        self.encoding = config._encoding(in_dim)
        self.positions = self.encoding.positions
        self.fused: TcnnNetwork | None = None
        if config.implementation == "tcnn":
            self.fused = TcnnNetwork(
                self.encoding.out_dim, out_dim, width=config.width, hidden_layers=config.hidden_layers
            )
            return
        self.activation = make_activation(config, detach_scale=config.detach_scale)
        self.layers = nn.ModuleList()
        self.norms = nn.ModuleList()
        width = self.activation.hidden_width(config.width)
        encoded = self.encoding.out_dim
        for i in range(config.hidden_layers):
            fan_in = encoded if i == 0 else width + encoded * (i in self.skips)
            layer = nn.Linear(fan_in, width, dtype=self._dtype(first=i == 0))
            self.activation.init_linear(layer, is_first=i == 0)
            self.layers.append(layer)
            start = _natural_std(config, self.activation, fan_in, is_first=i == 0)
            self.norms.append(self._norm(config, width, start, sampling_levels))
        last = nn.Linear(width, out_dim, dtype=self._dtype(first=False))
        self.activation.init_last(last)
        if config.initialization == "glorot":
            for linear in [*self.layers, last]:
                assert isinstance(linear, nn.Linear)
                nn.init.xavier_uniform_(linear.weight)
                nn.init.zeros_(linear.bias)
        self.layers.append(last if make_head is None else make_head(last))

    @property
    def features(self) -> int:
        """How many numbers the last module sees of each row."""
        assert isinstance(self.layers[-2], nn.Linear)
        return self.layers[-2].out_features

    @property
    def relu_pair(self) -> tuple[nn.Linear, nn.Linear] | None:
        """Its two linear layers, if it is last(relu(first(x))) and nothing more, else None."""
        if self.fused is not None or not isinstance(self.activation, ReLU) or type(self.encoding) is not Identity:
            return None
        if len(self.layers) != 2 or not isinstance(self.norms[0], NoNormalization):
            return None
        first, last = self.layers
        return (first, last) if type(first) is nn.Linear and type(last) is nn.Linear else None

    @property
    def head(self) -> nn.Module:
        """The last module."""
        return self.layers[-1]

    def _dtype(self, *, first: bool) -> torch.dtype:
        complex_layer = self.activation.is_complex and not first
        return torch.get_default_dtype().to_complex() if complex_layer else torch.get_default_dtype()

    @staticmethod
    def _norm(config: CoordinateNetworkConfig, width: int, start: float, sampling_levels: int) -> Normalization:
        if config.normalization == "none":
            return NoNormalization(width)
        norm = make_normalization(
            config.normalization, width, sampling_levels=sampling_levels, **config._normalization_settings()
        )
        assert norm.weight is not None
        nn.init.constant_(norm.weight, start)
        return norm

    def forward(self, x: Float[Tensor, "*n in_dim"], covariance: Tensor | None = None) -> Float[Tensor, "*n out_dim"]:
        """Evaluate the network.

        Args:
            x: inputs; for encodings, positions scaled to about [-1, 1].
            covariance: of each position, for the integrated encoding: (*n, in_dim, in_dim), or (*n, in_dim), its
                diagonal.
        """
        encoded = self.encoding(x, covariance)
        if self.fused is not None:
            return self.fused(encoded)
        h = encoded
        for i, (layer, norm) in enumerate(zip(self.layers[:-1], self.norms, strict=True)):
            if i in self.skips:
                h = torch.cat([h, encoded.to(h.dtype)], -1)
            # Positions do not survive eight bits of mantissa: a first layer that sees them computes in their precision.
            exact = i == 0 and self.encoding.keeps_position and h.dtype == layer.weight.dtype
            with torch.autocast(h.device.type, enabled=False) if exact else nullcontext():
                assert isinstance(layer, nn.Linear)
                assert isinstance(norm, Normalization)
                z = linear_of_positions(h, layer.weight, layer.bias, positions=self.positions) if exact else layer(h)
                h = norm.activated(z, self.activation)
        out = self.head(h)
        return out.real if out.is_complex() else out
