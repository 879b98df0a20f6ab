"""What finer-sdf and cn-occupancy share: one shape in one coordinate network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

from inr_plugins.errors import InputError
from inr_plugins.fields.shape import ShapeField
from inr_plugins.models.shape import ShapeModel, ShapeModelConfig
from inr_plugins.models.shape_backbones import CONSTANTS, network_config
from inr_plugins.models.shape_checks import check_one_shape
from inr_plugins.networks.activations import ActivationName
from inr_plugins.networks.normalizations import NormalizationName
from inr_plugins.shape_points import ShapePoints


@dataclass
class SingleShapeModelConfig(ShapeModelConfig):
    """One shape in one coordinate network."""

    _target: type = field(default_factory=lambda: SingleShapeModel)
    """Class to instantiate."""
    activation: ActivationName = "finer-sine"
    """Activation of the hidden layers; encoding and constants follow it unless they are given."""
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
    bfloat16: bool = False
    """Run the hidden layers in bfloat16 in training: faster, but fine detail is lost."""


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
                constants={name: getattr(config, name) for name in CONSTANTS},
                octaves=config.octaves,
                normalization=config.normalization,
                width=config.width,
                hidden_layers=config.hidden_layers,
            )
            if network.encoding == "positional" and network.octaves is None:
                network = replace(network, octaves=self.own_octaves)
            self.field = self.field_type(self.trace_box, network=network, low_precision=config.bfloat16)
        except ValueError as error:
            raise InputError(f"The model cannot be built: {error} (options --pipeline.model.*).") from error

    def values(self, points: ShapePoints) -> Float[Tensor, "shapes points"]:
        """See ShapeModel."""
        return self.field(points.points)

    def field_of(self, shape: int) -> ShapeField:
        """The one field, whatever the number."""
        return self.field
