"""The base of models of shapes: learnt from points, seen along rays that are traced to the surface."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.models.base_model import Model
from nerfstudio.utils import comms
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor

from inr_plugins.errors import InputError
from inr_plugins.fields.level_normals import outward_normals
from inr_plugins.fields.protocol import SDFField
from inr_plugins.losses.shape import masked_mean
from inr_plugins.metrics.image import ImageMetrics
from inr_plugins.models.common.backgrounds import over
from inr_plugins.models.common.network_settings import PreciseSteps
from inr_plugins.models.common.over_white import OverWhite
from inr_plugins.models.common.panels import network_panels
from inr_plugins.models.common.pictures import evaluation_pictures
from inr_plugins.models.common.run_length import KnowsRunLength
from inr_plugins.models.neus.watch import look_steps
from inr_plugins.models.shapes.checks import sign_problem
from inr_plugins.models.shapes.config import ShapeSettings
from inr_plugins.models.shapes.panels import TargetPanel
from inr_plugins.options import check_model
from inr_plugins.rendering.crop import guess_of
from inr_plugins.rendering.grid.march import box_interval
from inr_plugins.rendering.normal_shading import normal_shade
from inr_plugins.rendering.tracing.sphere_tracing import Hits, trace_distance, trace_level
from inr_plugins.shape_names import first_shown_shape
from inr_plugins.shape_points import ShapePoints
from inr_plugins.viewer.page import LivePage
from inr_plugins.viewer.panel import Panel
from inr_plugins.viewer.shape_choice import ShapeChoice

_LONGEST_STEP = 1 / 16
"""Longest step of sphere tracing, as a part of the box's longest side."""
_SHORTEST_STEP = 1 / 4000
"""Shortest one; a ray that grazes the surface at less counts as a hit."""
_SHORTEST_STEP_NEARBY = 1 / 1000
"""Shortest one of rays that begin close to the surface, as those of the viewer's sharp frames: half of one's pixels."""


@dataclass
class ShapeModelConfig(ShapeSettings):
    """Shapes that are learnt from points."""

    _target: type = field(default_factory=lambda: ShapeModel)
    """Class to instantiate."""

    def check_options(self) -> None:
        """Raise InputError for the first setting that cannot be used."""
        check_model(self)


class ShapeModel(KnowsRunLength, PreciseSteps, OverWhite, Model):
    """One shape or several, each a field with a surface, that learn from points and are rendered by tracing rays.

    Subclasses say in `values`, `point_losses`, `field_of` and `get_param_groups` what the shapes are and how they are
    learnt; `field` is to answer for the shown shape, which is what mesh extraction asks.

    For points (`ShapePoints`) forward gives `value` (s, p), a signed distance in normalised units or logits. For rays
    it gives, in the normalised frame: rgb (shaded by normals), depth (distance along the ray; where nothing is hit,
    one beyond the box), accumulation (1 where the ray hits) and normals in [0, 1]. A ray belongs to the shape that its
    metadata "shape" says, else to the one that is shown.

    Raises:
        InputError: a setting out of range.
    """

    config: ShapeSettings
    value_kind: ClassVar[Literal["distance", "logits"]] = "distance"
    """Whether values are negative inside (signed distances) or positive (logarithm of the odds of being inside)."""
    panel_types: ClassVar[tuple[type[Panel], ...]] = (TargetPanel,)
    """What stands in the viewer's page beside that of all methods."""
    trace_box: Tensor

    def populate_modules(self) -> None:
        super().populate_modules()
        check_model(self.config)
        self.metadata = self.kwargs.get("metadata") or {}
        self.names = tuple(str(name) for name in self.metadata.get("shapes", ("shape",)))
        self.shown_shape = first_shown_shape(self.names)
        self._inside_parts: Tensor | None = None
        self.register_buffer("trace_box", self.scene_box.aabb.detach().float().clone(), persistent=False)
        self.image_metrics = ImageMetrics()
        self.page = LivePage(panels=lambda: [*(make() for make in self.panel_types), *network_panels(self)])
        if len(self.names) > 1:
            self.shape_choice = ShapeChoice(self.names, self.show, first=self.shown_shape)

    def show(self, number: int) -> None:
        """Make a shape the one that rays of no shape of their own see, and that a mesh is made of.

        Raises:
            InputError: there is no shape of that number.
        """
        if not 0 <= number < len(self.names):
            raise InputError(f"There is no shape {number}: the run has {len(self.names)}, counted from 0.")
        self.shown_shape = number

    # -- what the shapes are: for subclasses ---------------------------------------------------------------------------

    @abstractmethod
    def values(self, points: ShapePoints) -> Float[Tensor, "shapes points"]:
        """Signed distances or logits (`value_kind`) at points; in training of the batch as a whole."""

    @abstractmethod
    def point_losses(self, outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of what `point_outputs` gave for a batch of the datamanager."""

    @abstractmethod
    def field_of(self, shape: int) -> Any:
        """The field of one shape, which answers sdf(x) or occupancy(x) (inr_plugins.fields.protocol)."""

    def point_outputs(self, points: ShapePoints) -> dict[str, Tensor]:
        """What forward gives for points: `value`, and whatever else the losses want."""
        return {"value": self.values(points)}

    # -- training ------------------------------------------------------------------------------------------------------

    def forward(self, ray_bundle: RayBundle | Cameras | ShapePoints) -> dict[str, Any]:
        """Outputs for points, which training and its held-out batches have, or for rays (see the class)."""
        if isinstance(ray_bundle, ShapePoints):
            return self.point_outputs(ray_bundle)
        return super().forward(ray_bundle)

    def get_loss_dict(
        self, outputs: dict[str, Any], batch: dict[str, Any], metrics_dict: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        return self.point_losses(outputs, batch)

    def get_metrics_dict(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        """Of a batch's points off the surface: how many are on the right side; the IoU of the insides over points that
        are not close to the surface (over all if there are none); and for signed distances the mean absolute error of
        points close to the surface, in thousandths of a normalised unit.
        """
        value, counted = outputs["value"].detach(), ~batch["on"]
        inside, truth = self._is_inside(value), batch["occupancy"] > 0.5
        if self.training:
            # Looked at now and then: fetching them in each step would make the device wait.
            self._inside_parts = torch.stack([masked_mean(each.float(), counted) for each in (truth, inside)])
        far = counted & ~batch["near"]
        far = torch.where(far.any(), far, counted)
        both, either = (inside & truth & far).sum(), ((inside | truth) & far).sum()
        metrics = {
            "sign_accuracy": masked_mean((inside == truth).float(), counted),
            "iou": both / either.clamp(min=1),
        }
        if self.value_kind == "distance":
            metrics["near_error"] = 1000 * masked_mean((value - batch["sdf"]).abs(), batch["near"])
        return metrics

    def _is_inside(self, value: Tensor) -> Bool[Tensor, "*n"]:
        return value < 0 if self.value_kind == "distance" else value > 0

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        """Callbacks of a run that is about to begin, or to go on."""
        self.note_run_length(training_callback_attributes)
        where = [TrainingCallbackLocation.AFTER_TRAIN_ITERATION]
        return [TrainingCallback(where, self.after_step, update_every_num_iters=1)]

    def after_step(self, step: int) -> None:
        """Warn, if it is time to look after training step `step`, when a shape has no surface left."""
        due = step + 1 in look_steps(self.run_steps) and comms.is_main_process()
        if not due or self._inside_parts is None:
            return
        true_inside, fitted_inside = self._inside_parts.tolist()
        problem = sign_problem(true_inside, fitted_inside, group=next(iter(self.get_param_groups())))
        if problem is not None:
            CONSOLE.print(f"[bold yellow]Warning after {step + 1} steps:[/bold yellow] {problem}")

    # -- rendering -----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def get_outputs(self, ray_bundle: RayBundle | Cameras) -> dict[str, Any]:
        if isinstance(ray_bundle, Cameras):
            raise TypeError("models of shapes render rays; make them from the cameras with Cameras.generate_rays")
        origins, directions = ray_bundle.origins.reshape(-1, 3), ray_bundle.directions.reshape(-1, 3)
        enter, leave = self._span(ray_bundle)
        box, guess = self.trace_box, guess_of(ray_bundle)
        outputs = {
            "rgb": self._background_colour(origins).clone(),
            "depth": (origins - box.mean(0)).norm(dim=-1, keepdim=True) + (box[1] - box[0]).norm() / 2,
            "accumulation": origins.new_zeros(len(origins), 1),
            "normals": torch.full_like(origins, 0.5),
        }
        for shape, rays in self._rays_of_shapes(ray_bundle):
            surface = self.field_of(shape)
            place = (origins[rays], directions[rays], enter[rays], leave[rays])
            hits = self._trace(surface, *place, guess=None if guess is None else guess[rays])
            seen, distance = rays[hits.hit], hits.distance[hits.hit][:, None]
            normal = outward_normals(surface, origins[seen] + directions[seen] * distance)
            outputs["rgb"][seen] = normal_shade(normal, -directions[seen])
            outputs["depth"][seen] = distance
            outputs["accumulation"][seen] = 1.0
            outputs["normals"][seen] = (normal + 1) / 2
        return {name: value.reshape(*ray_bundle.origins.shape[:-1], -1) for name, value in outputs.items()}

    def _span(self, ray_bundle: RayBundle) -> tuple[Float[Tensor, " r"], Float[Tensor, " r"]]:
        """Where each ray is in the box, before the camera, and within the viewer's crop if there is one."""
        enter, leave = box_interval(
            ray_bundle.origins.reshape(-1, 3), ray_bundle.directions.reshape(-1, 3), self.trace_box
        )
        enter = enter.clamp(min=0)
        if ray_bundle.nears is not None and ray_bundle.fars is not None:
            enter = torch.maximum(enter, ray_bundle.nears.reshape(-1))
            leave = torch.minimum(leave, ray_bundle.fars.reshape(-1))
        return enter, leave

    def _rays_of_shapes(self, ray_bundle: RayBundle) -> Iterator[tuple[int, Tensor]]:
        """Each shape that is looked at, and the numbers of its rays."""
        own = (ray_bundle.metadata or {}).get("shape")
        if own is None:
            own = torch.full(ray_bundle.origins.shape[:-1], self.shown_shape, device=ray_bundle.origins.device)
        own = own.reshape(-1)
        for shape in own.unique().tolist():
            yield shape, (own == shape).nonzero()[:, 0]

    def _trace(
        self,
        surface: Any,
        origins: Tensor,
        directions: Tensor,
        enter: Tensor,
        leave: Tensor,
        *,
        guess: Tensor | None = None,
    ) -> Hits:
        config, side = self.config, float((self.trace_box[1] - self.trace_box[0]).max())
        if not isinstance(surface, SDFField):
            step = side / config.march_samples
            return trace_level(surface.occupancy, origins, directions, enter, leave, step=step, guess=guess)
        return trace_distance(
            *(surface.sdf, origins, directions, enter, leave),
            # Rays that come with a guess begin close to the surface: there is nothing free to be passed.
            box=self.trace_box if guess is None else None,
            guess=guess,
            slope=config.trace_slope,
            min_step=side * (_SHORTEST_STEP if guess is None else _SHORTEST_STEP_NEARBY),
            max_step=side * _LONGEST_STEP,
            max_steps=config.trace_steps,
        )

    # -- pictures ------------------------------------------------------------------------------------------------------

    def get_image_metrics_and_images(
        self, outputs: dict[str, Tensor], batch: dict[str, Any]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        image = batch["image"].to(outputs["rgb"].device)
        target = over(image, self._background_colour(image[..., :3]))
        return self.image_metrics(outputs["rgb"], target), evaluation_pictures(outputs, target)

    def surface_aabb(self) -> Tensor:
        """Box that the shapes lie in, (2, 3), normalised frame."""
        return self.trace_box
