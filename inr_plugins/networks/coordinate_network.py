"""The small network behind a field: linear layers with one activation, initialised as that activation asks."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

SINE_FREQUENCY = 30.0
"""omega_0 of SIREN."""


@dataclass
class CoordinateNetworkConfig:
    """Shape and activation of a coordinate network; the field that owns it says how wide its input and output are."""

    activation: Literal["relu", "sine"] = "relu"
    """Activation of the hidden layers; sine is SIREN's, sin(30 x)."""
    width: int = 128
    """Width of the hidden layers."""
    hidden_layers: int = 1
    """Number of hidden layers."""

    def build(self, in_dim: int, out_dim: int) -> CoordinateNetwork:
        """The network for inputs of width in_dim and outputs of width out_dim.

        Raises:
            ValueError: a width or depth below 1, or an unknown activation.
        """
        return CoordinateNetwork(in_dim, out_dim, config=self)


class CoordinateNetwork(nn.Module):
    """in_dim -> width -> ... -> width -> out_dim; the last layer is linear.

    ReLU layers start as PyTorch's do (as in the DINER authors' code); sine layers as in SIREN (Sitzmann et al. 2020,
    sec. 3.2): first weights U(±1/fan_in), later ones U(±sqrt(6/fan_in)/30), biases as PyTorch's.
    """

    def __init__(self, in_dim: int, out_dim: int, *, config: CoordinateNetworkConfig) -> None:
        super().__init__()
        for name, value in (("width", config.width), ("hidden_layers", config.hidden_layers)):
            if value < 1:
                raise ValueError(f"{name} of a coordinate network must be at least 1, got {value}")
        if config.activation not in ("relu", "sine"):
            raise ValueError(f"unknown activation {config.activation!r}: choose relu or sine")
        self.activation = config.activation
        widths = [in_dim, *[config.width] * config.hidden_layers, out_dim]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        if self.activation == "sine":
            for i, (fan_in, layer) in enumerate(zip(widths[:-1], self.layers, strict=True)):
                bound = 1 / fan_in if i == 0 else math.sqrt(6 / fan_in) / SINE_FREQUENCY
                nn.init.uniform_(layer.get_parameter("weight"), -bound, bound)

    def forward(self, x: Float[Tensor, "*n in_dim"]) -> Float[Tensor, "*n out_dim"]:
        """Evaluate every row on its own."""
        for layer in self.layers[:-1]:
            z = layer(x)
            # The phase of a sine is large, so its argument stays in float32 under mixed precision.
            x = F.relu(z) if self.activation == "relu" else torch.sin(SINE_FREQUENCY * z.float())
        return self.layers[-1](x)
