"""What finer-sdf and cn-occupancy share: one shape in one coordinate network."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import Parameter

from inr_plugins.engine.optimization.weight_average import WeightAverage, load_states_of_either_kind
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
    own_octaves: ClassVar[int] = 10
    """Of a positional encoding, where no other number is asked for."""
    trained_field: ShapeField
    average: WeightAverage

    def populate_modules(self) -> None:
        super().populate_modules()
        config = self.config
        check_one_shape(self.names)
        network = config.network()
        with naming_options():
            if network.encoding == "positional" and network.octaves is None:
                network = replace(network, octaves=self.own_octaves)
            self.trained_field = self.make_field(network)
        self.average = WeightAverage(self.trained_field, decay=self.average_decay())
        self.register_load_state_dict_pre_hook(_name_as_now)
        load_states_of_either_kind(self, average="average", source="trained_field")

    @abstractmethod
    def make_field(self, network: CoordinateNetworkConfig) -> ShapeField:
        """What the network is: a signed distance or an occupancy."""

    def average_decay(self) -> float:
        """Part of the mean of the weights that a step keeps; 0: the weights themselves are evaluated."""
        return 0.0

    @property
    def field(self) -> ShapeField:
        """The network that is trained; in evaluation the mean of its weights over steps, where there is one."""
        return self.trained_field if self.training else self.average.of(self.trained_field)

    def after_step(self, step: int) -> None:
        """As ShapeModel's; and the weights are averaged."""
        self.average.update(self.trained_field)
        super().after_step(step)

    def values(self, points: ShapePoints) -> Float[Tensor, "shapes points"]:
        """See ShapeModel."""
        return self.field(points.points)

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        """One group of all weights."""
        return {"fields": list(self.trained_field.parameters())}

    def field_of(self, shape: int) -> ShapeField:
        """The one field, whatever the number."""
        return self.field


def _name_as_now(module: torch.nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Runs from before weights were averaged have what is trained under the name of what is shown."""
    for name in [name for name in state if name.startswith(f"{prefix}field.")]:
        state[prefix + "trained_" + name.removeprefix(prefix)] = state.pop(name)
