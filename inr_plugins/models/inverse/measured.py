"""What fits have in common that are learnt from measurements: the loss, and how far measurements are missed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from inr_plugins.fields.image import CoordinateImage, ImageField
from inr_plugins.models.common.feasibility import naming_options
from inr_plugins.models.signals.coordinate_image import BACKBONES, CoordinateImageModel, CoordinateImageModelConfig
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.operators.tomography import relative_error


@dataclass
class MeasuredModelConfig(CoordinateImageModelConfig):
    """A field that is learnt from measurements.

    The encoding of relu and softplus is one of few random frequencies, where an image has ten octaves: measurements
    leave what is finer than they tell open, and a network that can have it, has it.
    """

    _target: type = field(default_factory=lambda: MeasuredModel)
    """Class to instantiate."""
    encoding: Literal["auto", "identity", "positional", "fourier"] = "auto"
    """Encoding of positions; auto: fourier for relu and softplus, none for the others."""
    fourier_features: int = 64
    """Frequencies of the fourier encoding, each with a sine and a cosine."""
    fourier_std: float = 1.5
    """Standard deviation of those frequencies, cycles along half of the longer side."""

    positive: bool = True
    """Values are 0 and more, as attenuations and magnitudes are."""

    def network(self) -> CoordinateNetworkConfig:
        """See CoordinateImageModelConfig."""
        encoding = self.encoding
        if encoding == "auto" and BACKBONES[self.activation].encoding == "positional":
            encoding = "fourier"
        more = {"fourier_features": self.fourier_features, "fourier_std": self.fourier_std}
        with naming_options():
            return replace(self, encoding=encoding).network_config(BACKBONES, **(more if encoding == "fourier" else {}))


class ComparedMeasurements:
    """What all models have that are learnt from measurements: the loss, and how far those are missed.

    Models put `measured`, A f, into the outputs of a step; batches have y, what was measured, under that name.

    The loss is |A f - y|² / |y|² of all measurements, the papers' mean squared error but for a factor.
    """

    def weighted(self, missed: Tensor) -> Tensor:
        """What the loss takes the squares of, for A f - y and for y: they themselves."""
        return missed

    def get_loss_dict(
        self, outputs: dict[str, Any], batch: dict[str, Any], metrics_dict: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        missed = self.weighted(outputs["measured"] - batch["measured"]).square().sum()
        return {"measurement_loss": missed / self.weighted(batch["measured"]).square().sum()}

    @torch.no_grad()
    def get_metrics_dict(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        """How far the learnt measurements are missed, as a share of them; what is looked for is not known here."""
        return {"measurement_error": torch.as_tensor(relative_error(outputs["measured"], batch["measured"]))}


class MeasuredModel(ComparedMeasurements, CoordinateImageModel):
    """A coordinate network whose measurements are compared with what was measured."""

    config: MeasuredModelConfig
    field: CoordinateImage

    def make_field(self) -> ImageField:
        """See ImageModel."""
        config = self.config
        return CoordinateImage(
            self.grid,
            self.channels,
            network=config.network(),
            precision=config.precision,
            positive=config.positive,
        )
