"""A volume that is next to nothing before it is learnt: of what measurements tell little about, nothing is made up."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inr_plugins.fields.image import CoordinateImage, ImageField, KeyImage, positive_part
from inr_plugins.fields.parts import PartedImage
from inr_plugins.networks.coordinate_network import CoordinateNetwork
from inr_plugins.networks.normalization.registry import frozen_statistics
from inr_plugins.networks.relu_rows import network_of_rows

_BEND = 0.02
"""Of values that are to be 0 and more, of which 0 becomes a half of this."""


class KeyVolume(KeyImage):
    """A key for each voxel, as an image has one for each pixel; values are what the network says, which begins at 0.

    Those of an image begin at a half. The mean of a slice is not measured by the light that it scatters, so that of a
    volume would stay there.
    """

    positive = False
    """Values are 0 and more."""

    def __init__(self, *settings: Any, **more: Any) -> None:
        """As KeyImage."""
        super().__init__(*settings, **more)
        with torch.no_grad(), frozen_statistics(self):
            # Where all keys are next to 0, all voxels have one value, whatever weights were drawn.
            last = self.network.layers[-1].bias
            last -= self.network(torch.zeros(1, self.table.width))[0]

    def _values(self, network: nn.Module, inputs: Tensor, *, training: bool) -> Float[Tensor, "n channels"]:
        """See ImageField."""
        assert isinstance(network, CoordinateNetwork)
        if network.relu_pair is not None:
            said = network_of_rows(network, inputs, self.precision, training=training)
        else:
            said = 2 * super()._values(network, inputs, training=training) - 1
        return positive_part(said, _BEND) if self.positive else said


class PlaceVolume(CoordinateImage):
    """A coordinate network whose values are what it says, which begins about 0; see KeyVolume."""

    def _values(self, network: nn.Module, inputs: Tensor, *, training: bool) -> Float[Tensor, "n channels"]:
        """See ImageField."""
        # Not that of CoordinateImage, which makes its own of positive ones.
        said = 2 * ImageField._values(self, network, inputs, training=training) - 1
        return positive_part(said, _BEND) if self.positive else said


class WithAbsorption(PartedImage):
    """An index and what is absorbed; places have the index alone where `whole` is not asked for."""

    @torch.no_grad()
    def at(self, pixels: Float[Tensor, "n d"]) -> Float[Tensor, "n 1"]:
        """The index; see ImageField."""
        found: Float[Tensor, "n 1"] = self.fields[0].at(pixels)  # type: ignore[operator]
        return found

    def whole(self, pixels: Float[Tensor, "n d"]) -> Float[Tensor, "n 2"]:
        """Both, at places as those of `at`."""
        return super().at(pixels)
