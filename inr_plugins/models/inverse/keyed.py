"""DINER for what is measured: parts of an image or a volume, each in keys of its own before a network of its own."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch.nn import Parameter

from inr_plugins.engine.optimization.settle import OwnRate
from inr_plugins.fields.image import CoordinateImage, ImageField, KeyImage
from inr_plugins.fields.parts import PartedImage
from inr_plugins.models.common.feasibility import IN_TRAINING, check_room, hidden_weights, naming_options
from inr_plugins.models.inverse.measured import ComparedMeasurements
from inr_plugins.models.signals.base import ImageModel, ImageModelConfig
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.voxels.key_table import KEY_RANGE

_NETWORK_LR = {"relu": 3e-3}
_OTHER_LR = 1e-3
_COORDINATES_LR = 5e-4
_AT_ONCE = 1 << 14
"""Rows of a network, of normalizations that do not look at others."""


@dataclass
class KeyedModelConfig(ImageModelConfig):
    """What has parts and is learnt from measurements, behind a table of keys for each of them."""

    _target: type = field(default_factory=lambda: KeyedModel)
    """Class to instantiate."""
    keys: bool = True
    """Keys before the networks, as DINER has them; else networks of the coordinates, whose encoding is network.encoding
    (positional and eight layers of 256 of them: DNF's, with which the paper compares)."""
    key_width: int = 2
    """Length of a key of each part."""
    key_start: float = KEY_RANGE
    """Keys start in U(-k, k) of this k; 0: equal."""
    network: CoordinateNetworkConfig = field(
        default_factory=lambda: CoordinateNetworkConfig(activation="sine", width=64, hidden_layers=2)
    )
    """Network of each part, from a key or a place to its value."""

    def check_options(self) -> None:
        """Raise InputError for the first setting that cannot be used, or is too much for this machine."""
        super().check_options()
        with naming_options():
            self.network.check_use(self.key_width if self.keys else 2)
        check_room(hidden_weights(self.network), "network.width", "network.hidden_layers", copies=IN_TRAINING)


class KeyedModel(ComparedMeasurements, ImageModel):
    """Parts whose values are learnt from measurements (DINER, Zhu et al. 2023, sec. 7), each with keys and a network.

    A key for each pixel, or voxel, rearranges its part into a signal of low frequencies. Subclasses put `measured` into
    the outputs of a step. Learning needs the whole of it in every step.
    """

    config: KeyedModelConfig
    field: PartedImage

    def make_field(self) -> ImageField:
        """See ImageModel."""
        fields = [self._part_field() for _ in range(self.channels)]
        if self.config.network.normalization == "none":
            for each in fields:
                each.rows_at_once = _AT_ONCE
        return PartedImage(fields)

    def _part_field(self) -> ImageField:
        config = self.config
        if not config.keys:
            return CoordinateImage(self.grid, 1, network=config.network, precision=config.precision)
        check_room(self.channels * self.grid.count * config.key_width, "key_width", copies=IN_TRAINING)
        return KeyImage(
            self.grid,
            1,
            key_width=config.key_width,
            network=config.network,
            init_range=config.key_start,
            precision=config.precision,
            sparse_grad=False,
        )

    def own_rates(self) -> dict[str, OwnRate]:
        """The networks' rate."""
        if not self.config.keys:
            return {"network": OwnRate(_COORDINATES_LR)}
        return {"network": OwnRate(_NETWORK_LR.get(self.config.network.activation, _OTHER_LR))}

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        """The keys, if there are any, and the networks."""
        tables = [each.table.keys for each in self.field.fields if isinstance(each, KeyImage)]
        networks = [weight for each in self.field.fields for weight in each.network.parameters()]  # type: ignore[union-attr]
        return {**({"keys": tables} if tables else {}), "network": networks}
