"""`ns-train cn-occupancy`: one shape as the probability of being inside, in a normalised coordinate network."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from inr_plugins.engine.optimization.settle import OwnRate
from inr_plugins.fields.shape import OccupancyShape
from inr_plugins.losses.shape import occupancy_entropy
from inr_plugins.models.shapes.single import SingleShapeModel, SingleShapeModelConfig
from inr_plugins.networks.activations.settings import ActivationName
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.encodings import Identity
from inr_plugins.networks.normalization.registry import NormalizationName


@dataclass
class CnOccupancyModelConfig(SingleShapeModelConfig):
    """Occupancy of one shape."""

    _target: type = field(default_factory=lambda: CnOccupancyModel)
    """Class to instantiate."""
    activation: ActivationName = "relu"
    """Activation of the hidden layers; encoding and constants follow it unless they are given."""
    normalization: NormalizationName = "cross"
    """Normalization before each activation; the learning rate depends on whether there is one."""
    octaves: int | None = None
    """Octaves of the positional encoding; None: seven; the paper's ten leave ripples in short runs."""
    hidden_layers: int = 2
    """Hidden layers."""


class CnOccupancyModel(SingleShapeModel):
    """The side of the surface that a point is on, learnt by cross entropy (normalization paper, sec. 5.2).

    The paper's network: two hidden layers of 256 with ReLU, positional encoding and cross normalization. It learns from
    a grid of voxels, 100,000 of them in each step, for 200 epochs; here from points at any place, half of them close to
    the surface. Positions lie in [-1, 1], and octaves start at one radian (in the authors' code at pi). The paper has
    ten; after 250 steps on a mesh seven gave an IoU of 0.994 and ten one of 0.987, with ripples all over the surface.
    """

    config: CnOccupancyModelConfig
    value_kind = "logits"
    own_octaves = 7

    def make_field(self, network: CoordinateNetworkConfig) -> OccupancyShape:
        """See SingleShapeModel."""
        return OccupancyShape(self.trace_box, network=network, precision=self.config.precision)

    def own_rates(self) -> dict[str, OwnRate]:
        """The rate depends by far on whether the network is normalised, or its input encoded.

        The normalization paper's image experiments have 1e-2 for normalised networks and 2e-4 for others. A plain
        network of encoded positions bears 1e-2 too, and is far better for it (docs/results/shapes.md); one of raw
        positions, as the sines are, is not known to.
        """
        is_encoded = not isinstance(self.field.network.encoding, Identity)
        return {"fields": OwnRate(1e-2 if is_encoded or self.config.normalization != "none" else 1e-3)}

    def point_losses(self, outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """See ShapeModel."""
        return {"entropy_loss": occupancy_entropy(outputs["value"], batch["occupancy"], ~batch["on"])}
