"""`ns-train finer-sdf`: the signed distance of one shape in a coordinate network, FINER++'s or any other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes
from nerfstudio.utils import comms
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor

from inr_plugins.engine.optimization.settle import OwnRate
from inr_plugins.fields.shape import DistanceShape
from inr_plugins.losses.shape import coarse_to_fine, normal_alignment
from inr_plugins.losses.surface import eikonal
from inr_plugins.models.shapes.backbones import BACKBONES, FINAL_LR
from inr_plugins.models.shapes.single import SingleShapeModel, SingleShapeModelConfig
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.options import model_option
from inr_plugins.shape_points import ShapePoints

_DECAY = 0.95
_OF_THE_BATCH = ("batch", "global", "cross")
_OPTION = model_option("lattice-cells")


@runtime_checkable
class TellsDistance(Protocol):
    """A datamanager of shapes that can be asked for their distances."""

    def shape_distance(self, number: int) -> Callable[[np.ndarray], np.ndarray] | None:
        """What gives a shape's signed distances (n,) at points (n, 3), normalised frame; None: they are unsigned."""


@dataclass
class FinerSdfModelConfig(SingleShapeModelConfig):
    """Signed distance of one shape."""

    _target: type = field(default_factory=lambda: FinerSdfModel)
    """Class to instantiate."""
    lattice_cells: int = 32
    """Cells along each side of a coarse lattice of the shape's distances under the network, which learns what is left
    over; 0: the network alone, as the paper has it."""
    average_decay: float | None = None
    """Part of a running mean of the weights that a step keeps; pictures and meshes are of the mean. None: 0.95, and 0
    with a normalization whose statistics belong to the weights of the step (batch, global, cross). 0: no mean."""
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
    own_octaves = 6
    trained_field: DistanceShape

    def make_field(self, network: CoordinateNetworkConfig) -> DistanceShape:
        """See SingleShapeModel."""
        config = self.config
        return DistanceShape(
            self.trace_box, network=network, precision=config.precision, lattice_cells=config.lattice_cells
        )

    def average_decay(self) -> float:
        """See SingleShapeModel."""
        decay, normalization = self.config.average_decay, self.config.normalization
        if decay is None:
            return 0.0 if normalization in _OF_THE_BATCH else _DECAY
        return decay

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        """Callbacks of a run that is about to begin, or to go on; one that begins has its lattice laid here."""
        pipeline = training_callback_attributes.pipeline
        source: Any = None if pipeline is None else pipeline.datamanager
        if isinstance(source, TellsDistance):
            self.begin(source)
        return super().get_training_callbacks(training_callback_attributes)

    def begin(self, source: TellsDistance) -> None:
        """Lay the lattice under the network by the distances of the one shape, unless it has been.

        What is not signed has a crease at the surface, which no coarse lattice holds: there the network is alone.
        """
        lattice, distance = self.trained_field.lattice, source.shape_distance(0)
        if lattice is None or bool(lattice.laid):
            return
        if distance is None:
            words = f"Distances are unsigned, so there is no lattice of them under the network ({_OPTION})."
        else:
            self.trained_field.lay(distance)
            words = (
                f"A lattice of {lattice.cells}^3 cells holds the distance coarsely, and the network learns what is "
                f"left ({_OPTION} 0: the network alone)."
            )
        if comms.is_main_process():
            CONSOLE.print(words, markup=False, highlight=False)

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
