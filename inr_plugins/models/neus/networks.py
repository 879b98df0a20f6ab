"""What each activation wants around it in a surface: encoding, constants, depth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from inr_plugins.models.neus.config import NeusSettings
from inr_plugins.networks.activations.settings import ActivationName
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.normalization.registry import NormalizationName


@dataclass(frozen=True)
class SurfaceBackbone:
    """The set-up of one activation.

    Attributes:
        encoding: of positions.
        hidden_layers: of the distance network.
        skips: its layers that get the position again.
        settings: constants of the activation that differ from its own (image) defaults.
    """

    encoding: Literal["identity", "positional"] = "identity"
    hidden_layers: int = 4
    skips: tuple[int, ...] = ()
    settings: Mapping[str, float] = field(default_factory=dict)


_NEUS = SurfaceBackbone(encoding="positional", hidden_layers=8, skips=(4,))

BACKBONES: dict[ActivationName, SurfaceBackbone] = {
    "relu": _NEUS,
    "softplus": _NEUS,
    "sine": SurfaceBackbone(settings={"omega": 15.0}),
    "gauss": SurfaceBackbone(settings={"scale": 3.0}),
    "wavelet": SurfaceBackbone(settings={"carrier": 3.0, "scale": 3.0}),
    "finer-sine": SurfaceBackbone(settings={"omega": 10.0}),
    "finer-gauss": SurfaceBackbone(settings={"omega": 3.0, "scale": 1.5, "first_bias": 1.0}),
    "finer-wavelet": SurfaceBackbone(),
}
"""softplus is NeuS (and relu as it). Nothing is published of the others in a surface that is learnt from pictures.
Their image constants make a distance so rough that a fit to a sphere of 200 steps fails with eight layers (sine ones)
or four (Gauss and wavelet); with these its mean error is about 1 % of the box's half side with four."""


def distance_config(config: NeusSettings) -> CoordinateNetworkConfig:
    """The distance network of a model's settings; None in them takes the activation's own.

    Raises:
        ValueError: settings that cannot be used together; it names them.
    """
    if config.activation not in BACKBONES:
        raise ValueError(f"unknown activation {config.activation!r}: choose one of {', '.join(BACKBONES)}")
    own = BACKBONES[config.activation]
    settings: dict[str, Any] = {
        name: own.settings.get(name) if given is None else given for name, given in config.constants.items()
    }
    octaves = config.octaves
    if own.encoding == "positional" and octaves is None:
        octaves = 6
    hidden = own.hidden_layers if config.hidden_layers is None else config.hidden_layers
    skips = tuple(skip for skip in own.skips if skip < hidden) if config.skips is None else config.skips
    return CoordinateNetworkConfig(
        activation=config.activation,
        encoding=own.encoding if octaves else "identity",
        octaves=octaves or None,
        normalization=_normalization_of(config, "sdf"),
        width=config.width,
        hidden_layers=hidden,
        skips=skips,
        **settings,
    )


def colour_config(config: NeusSettings) -> CoordinateNetworkConfig:
    """The colour network: ReLU as in NeuS, whatever the activation of the distance.

    Raises:
        ValueError: settings that cannot be used together; it names them.
    """
    return CoordinateNetworkConfig(
        normalization=_normalization_of(config, "colour"), width=config.colour_width, hidden_layers=config.colour_layers
    )


def _normalization_of(config: NeusSettings, network: Literal["sdf", "colour"]) -> NormalizationName:
    """The normalization of a network, none where it is not wanted there."""
    return config.normalization if config.normalization_at in ("both", network) else "none"
