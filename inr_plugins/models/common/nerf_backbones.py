"""What each activation wants around it in a radiance field: encoding, constants, learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from inr_plugins.networks.activations.settings import ActivationName
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig


@dataclass(frozen=True)
class Backbone:
    """The set-up of one activation.

    Attributes:
        lr: Adam's learning rate at the first step.
        encoding: of positions; an encoded position goes with an encoded direction.
        settings: constants of the activation that differ from its own (image) defaults.
    """

    lr: float
    encoding: Literal["identity", "positional"] = "identity"
    settings: Mapping[str, float] = field(default_factory=dict)


BACKBONES: dict[ActivationName, Backbone] = {
    "relu": Backbone(lr=5e-4, encoding="positional"),
    "softplus": Backbone(lr=5e-4, encoding="positional"),
    "sine": Backbone(lr=5e-4),
    "gauss": Backbone(lr=3e-3),
    "wavelet": Backbone(lr=3e-3),
    "finer-sine": Backbone(lr=4e-4),
    "finer-gauss": Backbone(lr=1.2e-3, settings={"first_bias": 1 / math.sqrt(3)}),
    "finer-wavelet": Backbone(lr=1.2e-3, settings={"first_bias": 1.0}),
}
"""Published for radiance fields: finer-sine ω 30 and k 1/√3 (PyTorch's own bias; with lr 2e-4 over 37,500 steps),
finer-gauss k 1/√3, finer-wavelet k 1 (FINER++), wavelet lr 4e-4 (WIRE's author), relu lr 5e-4 (NeRF). All other
constants are those of the image experiments: nothing is published of them.

The rates are for runs of hundreds of steps: of 2e-4, 5e-4, 1.2e-3, 3e-3 the best after 250 (docs/results/finer-nerf.md:
plain gauss and wavelet learn little at any of them). finer-sine's is 4e-4: at 1e-3 lego came apart within 100 steps."""


def network_config(
    activation: ActivationName,
    *,
    encoding: Literal["auto", "identity", "positional", "fourier"] = "auto",
    constants: Mapping[str, float | None],
    backbones: Mapping[ActivationName, Backbone] = BACKBONES,
    **shape: Any,
) -> CoordinateNetworkConfig:
    """The network of an activation with its own set-up, where nothing else is asked for.

    Args:
        activation: which one.
        encoding: of positions; "auto" takes the activation's own.
        constants: omega, scale, carrier, beta, first_bias; None takes the activation's own.
        backbones: the set-up of every activation.
        shape: all else of CoordinateNetworkConfig: width, hidden_layers, normalization and so on.

    Raises:
        ValueError: there is no such activation, or settings cannot go together; it names them.
    """
    if activation not in backbones:
        raise ValueError(f"unknown activation {activation!r}: choose one of {', '.join(backbones)}")
    own = backbones[activation]
    settings: dict[str, Any] = {name: own.settings.get(name) if v is None else v for name, v in constants.items()}
    return CoordinateNetworkConfig(
        activation=activation, encoding=own.encoding if encoding == "auto" else encoding, **settings, **shape
    )
