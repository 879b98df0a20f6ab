"""`ns-train diner-image`, `diner-video`: an image or a video in a table of keys of full resolution before a network."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch.nn import Parameter

from inr_plugins.engine.optimization.settle import OwnRate
from inr_plugins.fields.image import ImageField, KeyImage
from inr_plugins.models.common.feasibility import IN_TRAINING, check_room, hidden_weights, naming_options
from inr_plugins.models.signals.base import ImageModel, ImageModelConfig
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.voxels.key_table import KEY_RANGE

_NETWORK_LR = {"relu": 3e-3}
_OTHER_LR = 1e-3


@dataclass
class DinerImageModelConfig(ImageModelConfig):
    """An image, or a video, behind a table of keys."""

    _target: type = field(default_factory=lambda: DinerImageModel)
    """Class to instantiate."""
    key_width: int = 3
    """Length of a pixel's key; DINER's journal version takes the number of channels, the conference's took 2."""
    key_start: float = KEY_RANGE
    """Keys start in U(-k, k) of this k, never from the image; 0: equal."""
    network: CoordinateNetworkConfig = field(default_factory=lambda: CoordinateNetworkConfig(width=64, hidden_layers=2))
    """Network from a key to the channels; activation sine makes it SIREN."""
    sparse_gradients: bool = True
    """Give the keys sparse gradients where a step sees a part of the image."""

    def check_options(self) -> None:
        """Raise InputError for the first setting that cannot be used, or is too much for this machine."""
        super().check_options()
        with naming_options():
            self.network.check_use(self.key_width)
        check_room(hidden_weights(self.network), "network.width", "network.hidden_layers", copies=IN_TRAINING)


class DinerImageModel(ImageModel):
    """DINER (Zhu et al. 2023): a hash table without collisions, one key for each pixel, and one small network.

    The keys rearrange the pixels into a signal of low frequencies, which the network then learns quickly. As long a key
    as there are channels can hold the image itself: what this shows is how fast that is learnt, not how small it is.
    """

    config: DinerImageModelConfig
    field: KeyImage

    def make_field(self) -> ImageField:
        """See ImageModel."""
        config = self.config
        check_room(self.grid.count * config.key_width, "key_width", copies=IN_TRAINING)
        return KeyImage(
            self.grid,
            self.channels,
            key_width=config.key_width,
            network=config.network,
            init_range=config.key_start,
            precision=config.precision,
            sparse_grad=config.sparse_gradients,
        )

    def own_rates(self) -> dict[str, OwnRate]:
        """The network's rate."""
        return {"network": OwnRate(_NETWORK_LR.get(self.config.network.activation, _OTHER_LR))}

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        """The keys, of which a step moves those that it sees, and the network."""
        return {"keys": [self.field.table.keys], "network": list(self.field.network.parameters())}
