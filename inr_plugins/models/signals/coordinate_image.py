"""`ns-train finer-image`, `cn-image`, `finer-video`: coordinate networks of any activation and any normalization."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

from torch.nn import Parameter

from inr_plugins.engine.optimization.settle import OwnRate
from inr_plugins.fields.image import CoordinateImage, ImageField
from inr_plugins.models.common.feasibility import IN_TRAINING, check_room, hidden_weights, naming_options
from inr_plugins.models.common.nerf_backbones import Backbone
from inr_plugins.models.common.network_settings import BackboneSettings
from inr_plugins.models.signals.base import ImageModel, ImageModelConfig
from inr_plugins.networks.activations.settings import ActivationName
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.normalization.registry import NormalizationName

BACKBONES: dict[ActivationName, Backbone] = {
    "relu": Backbone(lr=5e-4, encoding="positional"),
    "softplus": Backbone(lr=5e-4, encoding="positional"),
    "sine": Backbone(lr=5e-4),
    "gauss": Backbone(lr=5e-3),
    "wavelet": Backbone(lr=5e-3),
    "finer-sine": Backbone(lr=5e-4, settings={"first_bias": 1 / math.sqrt(2)}),
    "finer-gauss": Backbone(lr=1e-3, settings={"first_bias": 1.0}),
    "finer-wavelet": Backbone(lr=1e-3, settings={"first_bias": 1.0}),
}
"""Published for images (FINER++ and its released code); all other constants are those of the activation itself."""

NORMALISED_LR = 1e-2
"""The normalization paper's rate of every normalised network."""


@dataclass
class CoordinateImageModelConfig(ImageModelConfig, BackboneSettings):
    """An image as a coordinate network."""

    _target: type = field(default_factory=lambda: CoordinateImageModel)
    """Class to instantiate."""
    DIMENSIONS: ClassVar[int] = 2
    """Of a place."""

    def check_options(self) -> None:
        """Raise InputError for the first setting that cannot be used, or is too much for this machine."""
        super().check_options()
        network = self.network()
        with naming_options():
            network.check_use(self.DIMENSIONS)
        check_room(hidden_weights(network), "width", "hidden_layers", copies=IN_TRAINING)

    def network(self) -> CoordinateNetworkConfig:
        """The network; InputError where settings cannot go together."""
        with naming_options():
            return self.network_config(BACKBONES)


@dataclass
class FinerImageModelConfig(CoordinateImageModelConfig):
    """An image as FINER++ has it (sec. 5.1): three hidden layers of 256 and sin(ω (|x| + 1) x)."""


@dataclass
class FinerVideoModelConfig(FinerImageModelConfig):
    """A video in the same way, with time as the third coordinate."""

    DIMENSIONS: ClassVar[int] = 3


@dataclass
class CnImageModelConfig(CoordinateImageModelConfig):
    """An image as the normalization paper has it (sec. 5.1): ten narrow layers with ReLU, cross-normalised."""

    activation: ActivationName = "relu"
    """Activation of the hidden layers; encoding, constants and learning rate follow it unless they are given."""
    normalization: NormalizationName = "cross"
    """Normalization before each activation; the learning rate depends on whether there is one."""
    width: int = 28
    """Width of the hidden layers; the paper has 20 to 49."""
    hidden_layers: int = 10
    """Hidden layers, the first one included; the paper has 5 to 13."""


class CoordinateImageModel(ImageModel):
    """One coordinate network of (x, y), or (x, y, t), whose batch is the whole image where that is not a large one.

    Normalizations that couple rows use the statistics of a step's pixels in training, and running ones in every picture
    and file: what the last step's loss says can be a little better than what is seen.
    """

    config: CoordinateImageModelConfig
    field: CoordinateImage

    def make_field(self) -> ImageField:
        """See ImageModel."""
        config = self.config
        return CoordinateImage(self.grid, self.channels, network=config.network(), precision=config.precision)

    def own_rates(self) -> dict[str, OwnRate]:
        """The activation's rate, or that of normalised networks."""
        normalised = self.config.normalization != "none"
        return {"fields": OwnRate(NORMALISED_LR if normalised else BACKBONES[self.config.activation].lr)}

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        """One group of all weights."""
        return {"fields": list(self.field.parameters())}
