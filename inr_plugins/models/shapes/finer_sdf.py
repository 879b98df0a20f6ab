"""`ns-train finer-sdf`: the signed distance of one shape in a coordinate network, FINER++'s or any other."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from inr_plugins.engine.optimization.settle import OwnRate
from inr_plugins.fields.shape import DistanceShape
from inr_plugins.losses.shape import coarse_to_fine, normal_alignment
from inr_plugins.losses.surface import eikonal
from inr_plugins.models.shapes.backbones import BACKBONES, FINAL_LR
from inr_plugins.models.shapes.single import SingleShapeModel, SingleShapeModelConfig
from inr_plugins.shape_points import ShapePoints


@dataclass
class FinerSdfModelConfig(SingleShapeModelConfig):
    """Signed distance of one shape."""

    _target: type = field(default_factory=lambda: FinerSdfModel)
    """Class to instantiate."""
    coarse_weight: float = 0.01
    """Weight of the squared error far from the surface; near it, it is 1."""
    eikonal_weight: float = 0.0
    """Weight of the loss that makes the field's slope 1 at all points; the authors have none."""
    normal_weight: float = 0.0
    """Weight of the loss that turns the field's gradient into the true normal at points of the surface, of which
    --pipeline.datamanager draws some where its share of surface points is not 0."""


class FinerSdfModel(SingleShapeModel):
    """A signed distance fitted to distances at points close to the surface and far from it (FINER++, sec. 5.2).

    In the released code, which is followed (shared with BACON): three hidden layers of 256, half of the points within
    a thousandth of the surface and half within a tenth, squared errors of which the latter count a hundredth, gradients
    clipped to norm 1. Errors are measured in the authors' cube of side 1, in which a shape is half as large as in the
    normalised frame, so that clipping means the same. Here the target is the true distance unless the datamanager is
    told to give the authors' point-to-plane one.
    """

    config: FinerSdfModelConfig
    field_type = DistanceShape

    def own_rates(self) -> dict[str, OwnRate]:
        """The activation's learning rate, which falls to that of all others."""
        lr = BACKBONES[self.config.activation].lr
        return {"fields": OwnRate(lr, FINAL_LR / lr)}

    def point_outputs(self, points: ShapePoints) -> dict[str, Tensor]:
        """`value`, and in training `gradient` (s, p, 3) if a loss wants it."""
        if not self.training or not (self.config.eikonal_weight or self.config.normal_weight):
            return super().point_outputs(points)
        value, gradient = self.field.with_gradient(points.points)
        return {"value": value, "gradient": gradient}

    def point_losses(self, outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """See ShapeModel."""
        config, to_authors = self.config, self.field.reach / self.field.network_unit
        losses = {
            "sdf_loss": coarse_to_fine(
                outputs["value"] * to_authors,
                batch["sdf"] * to_authors,
                batch["near"] | batch["on"],
                coarse_weight=config.coarse_weight,
            )
        }
        if "gradient" in outputs:
            gradient = outputs["gradient"]
            losses["eikonal_loss"] = config.eikonal_weight * eikonal(gradient.reshape(-1, 3))
            losses["normal_loss"] = config.normal_weight * normal_alignment(gradient, batch["normal"])
        return losses
