"""What each activation wants around it in a shape: encoding, constants, learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from inr_plugins.models.nerf_backbones import Backbone
from inr_plugins.networks.activations import ActivationName
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig

CONSTANTS = ("omega", "scale", "carrier", "beta", "first_bias")
FINAL_LR = 1e-4
"""Where the learning rate of every signed distance ends."""

BACKBONES: dict[ActivationName, Backbone] = {
    "relu": Backbone(lr=5e-4, encoding="positional"),
    "softplus": Backbone(lr=5e-4, encoding="positional"),
    "sine": Backbone(lr=5e-4),
    "gauss": Backbone(lr=5e-3),
    "wavelet": Backbone(lr=5e-3),
    "finer-sine": Backbone(lr=5e-4, settings={"first_bias": 1.0}),
    "finer-gauss": Backbone(lr=1e-3, settings={"first_bias": 1.0}),
    "finer-wavelet": Backbone(lr=1e-3, settings={"first_bias": 1 / math.sqrt(3)}),
}
"""Published for signed distances (FINER++, released code): ω 30 for both sines, and for all others the constants of the
image experiments; k is 1, for finer-wavelet 1/√3 (the paper says 1/√2; the script is followed). relu has ten octaves.

The rates there are 1e-4 all along 200,000 steps (relu with octaves: from 5e-4). The rates here start from those of the
authors' image experiments, which are as short as runs on a CPU, and end at 1e-4."""


def network_config(
    activation: ActivationName,
    *,
    encoding: Literal["auto", "identity", "positional", "fourier"] = "auto",
    constants: Mapping[str, float | None],
    **shape: Any,
) -> CoordinateNetworkConfig:
    """The network of an activation with its own set-up, where nothing else is asked for.

    Args:
        activation: which one.
        encoding: of positions; "auto" takes the activation's own.
        constants: omega, scale, carrier, beta, first_bias; None takes the activation's own.
        shape: all else of CoordinateNetworkConfig: width, hidden_layers, normalization and so on.

    Raises:
        ValueError: there is no such activation, or settings cannot go together; it names them.
    """
    if activation not in BACKBONES:
        raise ValueError(f"unknown activation {activation!r}: choose one of {', '.join(BACKBONES)}")
    own = BACKBONES[activation]
    settings: dict[str, Any] = {name: own.settings.get(name) if v is None else v for name, v in constants.items()}
    return CoordinateNetworkConfig(
        activation=activation, encoding=own.encoding if encoding == "auto" else encoding, **settings, **shape
    )
