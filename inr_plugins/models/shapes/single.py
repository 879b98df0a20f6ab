"""What finer-sdf and cn-occupancy share: one shape in one coordinate network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from torch.nn import Parameter

from inr_plugins.errors import InputError
from inr_plugins.fields.shape import ShapeField
from inr_plugins.models.common.network_settings import BackboneSettings
from inr_plugins.models.shapes.backbones import network_config
from inr_plugins.models.shapes.base import ShapeModel, ShapeModelConfig
from inr_plugins.models.shapes.checks import check_one_shape
from inr_plugins.shape_points import ShapePoints


@dataclass
class SingleShapeModelConfig(ShapeModelConfig, BackboneSettings):
    """One shape in one coordinate network."""

    _target: type = field(default_factory=lambda: SingleShapeModel)
    """Class to instantiate."""


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
        try:
            network = network_config(
                config.activation,
                encoding=config.encoding,
                constants=config.constants,
                octaves=config.octaves,
                normalization=config.normalization,
                width=config.width,
                hidden_layers=config.hidden_layers,
            )
            if network.encoding == "positional" and network.octaves is None:
                network = replace(network, octaves=self.own_octaves)
            self.field = self.field_type(self.trace_box, network=network, precision=config.precision)
        except ValueError as error:
            raise InputError(f"The model cannot be built: {error} (options --pipeline.model.*).") from error

    def values(self, points: ShapePoints) -> Float[Tensor, "shapes points"]:
        """See ShapeModel."""
        return self.field(points.points)

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        """One group of all weights."""
        return {"fields": list(self.field.parameters())}

    def field_of(self, shape: int) -> ShapeField:
        """The one field, whatever the number."""
        return self.field
