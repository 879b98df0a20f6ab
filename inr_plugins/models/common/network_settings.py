"""Options of a coordinate network that several models have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from inr_plugins.models.common.nerf_backbones import BACKBONES, Backbone, network_config
from inr_plugins.networks.activations.settings import ActivationName, ActivationSettings
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.normalization.registry import NormalizationName
from inr_plugins.networks.precision import Precision


@dataclass
class PrecisionSettings:
    """In what precision networks are trained."""

    precision: Precision = "auto"
    """Precision of the networks in training (evaluation is always in float32). auto: on a CPU bfloat16 if it has
    AVX-512, AMX or Arm's BF16, else float32, which is ten times faster there; on CUDA what --mixed-precision says,
    float32 unless it is on."""


@dataclass
class BackboneSettings(ActivationSettings):
    """What the network is made of."""

    activation: ActivationName = "finer-sine"
    """Activation of the hidden layers; encoding, constants and learning rate follow it unless they are given."""

    encoding: Literal["auto", "identity", "positional", "fourier"] = "auto"
    """Encoding of positions; auto: positional for relu and softplus, none for the others."""
    octaves: int | None = None
    """Octaves of the positional encoding; None: ten."""
    normalization: NormalizationName = "none"
    """Normalization before each activation."""
    width: int = 256
    """Width of the hidden layers."""
    hidden_layers: int = 3
    """Hidden layers, the first one included."""

    def network_config(
        self, backbones: Mapping[ActivationName, Backbone] = BACKBONES, **more: Any
    ) -> CoordinateNetworkConfig:
        """The network, in which what is left open is the activation's own.

        Args:
            backbones: the set-up of every activation.
            more: what else of CoordinateNetworkConfig is set.

        Raises:
            ValueError: there is no such activation, or settings cannot go together; it names them.
        """
        return network_config(
            self.activation,
            encoding=self.encoding,
            constants=self.constants,
            backbones=backbones,
            octaves=self.octaves,
            normalization=self.normalization,
            width=self.width,
            hidden_layers=self.hidden_layers,
            **more,
        )
