"""What finer-sdf and cn-occupancy share: one shape in one coordinate network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from torch.nn import Parameter

from inr_plugins.fields.shape import ShapeField
from inr_plugins.models.common.feasibility import IN_TRAINING, check_room, hidden_weights, naming_options
from inr_plugins.models.common.network_settings import BackboneSettings
from inr_plugins.models.shapes.backbones import BACKBONES
from inr_plugins.models.shapes.base import ShapeModel, ShapeModelConfig
from inr_plugins.models.shapes.checks import check_one_shape
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.shape_points import ShapePoints


@dataclass
class SingleShapeModelConfig(ShapeModelConfig, BackboneSettings):
    """One shape in one coordinate network."""

    _target: type = field(default_factory=lambda: SingleShapeModel)
    """Class to instantiate."""

    def check_options(self) -> None:
        """Raise InputError for the first setting that cannot be used, or is too much for this machine."""
        super().check_options()
        network = self.network()
        with naming_options():
            network.check_use(3, spatial_gradient=True, own_head=True)
        check_room(hidden_weights(network), "width", "hidden_layers", copies=IN_TRAINING)

    def network(self) -> CoordinateNetworkConfig:
        """The network; InputError where settings cannot go together."""
        with naming_options():
            return self.network_config(BACKBONES)


class SingleShapeModel(ShapeModel):
    """One coordinate network for the one shape of the data.

    Raises:
        InputError: a setting out of range, settings that cannot go together, or data of several shapes.
    """

    config: SingleShapeModelConfig
    field_type: ClassVar[type[ShapeField]]
    """What the network is: a signed distance or an occupancy."""
    own_octaves: ClassVar[int] = 10
    """Of a positional encoding, where no other number is asked for."""
    field: ShapeField

    def populate_modules(self) -> None:
        super().populate_modules()
        config = self.config
        check_one_shape(self.names)
        network = config.network()
        with naming_options():
            if network.encoding == "positional" and network.octaves is None:
                network = replace(network, octaves=self.own_octaves)
            self.field = self.field_type(self.trace_box, network=network, precision=config.precision)

    def values(self, points: ShapePoints) -> Float[Tensor, "shapes points"]:
        """See ShapeModel."""
        return self.field(points.points)

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        """One group of all weights."""
        return {"fields": list(self.field.parameters())}

    def field_of(self, shape: int) -> ShapeField:
        """The one field, whatever the number."""
        return self.field
