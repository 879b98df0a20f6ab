"""Options of a coordinate network that several models have."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from inr_plugins.networks.activations.settings import ActivationName
from inr_plugins.networks.normalization.registry import NormalizationName


@dataclass
class ActivationSettings:
    """An activation and its constants."""

    activation: ActivationName = "finer-sine"
    """Activation of the hidden layers; encoding, constants and learning rate follow it unless they are given."""
    omega: float | None = None
    """Frequency of the sine in sine and finer activations; None: the activation's own."""
    scale: float | None = None
    """Scale of Gauss and wavelet activations; None: the activation's own."""
    carrier: float | None = None
    """Frequency of the wavelet; None: the activation's own."""
    beta: float | None = None
    """Sharpness of softplus; None: the activation's own."""
    first_bias: float | None = None
    """Biases of the first layer of the finer activations start in U(-k, k) of this k; None: the activation's own."""

    @property
    def constants(self) -> dict[str, float | None]:
        """The constants by name, None where the activation's own is meant."""
        return {each.name: getattr(self, each.name) for each in fields(ActivationSettings) if each.name != "activation"}


@dataclass
class BackboneSettings(ActivationSettings):
    """What the network is made of."""

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
