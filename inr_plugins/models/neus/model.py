"""`ns-train cn-neus` and its kin: a surface of coordinate networks, normalised or not, learnt from pictures (NeuS)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.model_components.renderers import RGBRenderer
from nerfstudio.models.base_model import Model
from nerfstudio.utils import comms
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor
from torch.nn import Parameter
from torch.nn import functional as F

from inr_plugins import ranks
from inr_plugins.boxes import scaled_box
from inr_plugins.engine.optimization.settle import OwnRate
from inr_plugins.engine.runs.folder import find_config
from inr_plugins.fields.background import BackgroundField
from inr_plugins.fields.surface import SurfaceField
from inr_plugins.losses.surface import masked_l1
from inr_plugins.metrics.image import ImageMetrics
from inr_plugins.models.common.capture import say_capture
from inr_plugins.models.common.feasibility import IN_TRAINING, check_room, hidden_weights, naming_options
from inr_plugins.models.common.network_settings import PreciseSteps
from inr_plugins.models.common.panels import network_panels
from inr_plugins.models.common.pictures import evaluation_pictures
from inr_plugins.models.common.run_length import KnowsRunLength
from inr_plugins.models.neus.behind import seen_behind
from inr_plugins.models.neus.checks import check_config, check_masks
from inr_plugins.models.neus.config import NeusSettings
from inr_plugins.models.neus.known import KnownDistances
from inr_plugins.models.neus.length import PUBLISHED_STEPS, HowLong
from inr_plugins.models.neus.look import least_weight, look_along
from inr_plugins.models.neus.losses import coverage, eikonal_loss, object_losses
from inr_plugins.models.neus.networks import colour_config, distance_config
from inr_plugins.models.neus.rate import RATE, share_of_rate, slow_down
from inr_plugins.models.neus.start import check_where_cameras_stand, place_fields, start_surface
from inr_plugins.models.neus.watch import SETTLED, look_steps, sample_box, surface_problem
from inr_plugins.rendering.crop import Crop, crop_of, cuts_off
from inr_plugins.rendering.grid.distance import DistanceGrid
from inr_plugins.rendering.neus.render import SurfaceRendering
from inr_plugins.viewer.page import LivePage


@dataclass
class NeusModelConfig(NeusSettings):
    """Surface of coordinate networks."""

    _target: type = field(default_factory=lambda: NeusModel)
    """Class to instantiate."""

    def check_options(self) -> None:
        """Raise InputError for the first setting that cannot be used, or is too much for this machine."""
        check_config(self)
        if self.start is not None:
            find_config(self.start)
        with naming_options():
            distance, colour = distance_config(self), colour_config(self)
            distance.check_use(3, spatial_gradient=True, own_head=True)
        check_room(hidden_weights(distance), "width", "hidden_layers", copies=IN_TRAINING)
        check_room(hidden_weights(colour), "colour_width", "colour_layers", copies=IN_TRAINING)


class NeusModel(KnowsRunLength, PreciseSteps, Model):
    """A signed distance and its colours, rendered at the sections of rays in which a surface can be.

    Outputs in the normalised frame: rgb, depth (distance along the ray), accumulation, and in eval normals in [0, 1].
    In training rgb of an object or a room is not blended with a background, and gradient holds the distance's.

    Raises:
        InputError: a setting out of range, or a scene box without volume.
    """

    config: NeusModelConfig
    run_steps = PUBLISHED_STEPS
    field: SurfaceField
    anneal: Tensor
    is_started: Tensor
    rate_share: Tensor

    def populate_modules(self) -> None:
        super().populate_modules()
        config = self.config
        check_config(config)
        self.metadata = self.kwargs.get("metadata") or {}
        box = scaled_box(self.scene_box.aabb.to(torch.float32), config.resolved_box_scale)
        with naming_options():
            shape = distance_config(config)
            self.field = SurfaceField(
                box,
                distance=shape,
                colour=colour_config(config),
                initial_variance=config.initial_variance,
                precision=config.precision,
            )
            self.background = (
                BackgroundField(box, width=config.width, hidden_layers=8, skips=(4,), precision=config.precision)
                if config.capture == "table"
                else None
            )
        self.grid = KnownDistances(box, config.grid_resolution)
        self._is_settled = False
        self._how_long: HowLong | None = None
        self.camera_positions = torch.zeros(0, 3)
        self.register_buffer("anneal", torch.tensor(1.0))
        self.register_buffer("is_started", torch.tensor(False))
        # Saved where it may be another one, so that runs of before it was there open.
        self.register_buffer("rate_share", torch.tensor(1.0), persistent=config.start is not None)
        self.image_metrics = ImageMetrics()
        self.page = LivePage(panels=lambda: network_panels(self))

    @property
    def learns_masked_object(self) -> bool:
        """Whether the truth, to this model, is what masks cut out of the pictures; evaluation asks."""
        return self.config.capture == "object"

    # -- training ------------------------------------------------------------------------------------------------------

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        """One group of all weights."""
        return {"fields": list(self.parameters())}

    def own_rates(self) -> dict[str, OwnRate]:
        """NeuS's rate, or what a surface that starts sharper bears of it."""
        return {"fields": OwnRate(float(self.rate_share) * RATE)}

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        """Callbacks of a run that is about to begin, or to go on: its data are looked at, and the surface is started.

        Raises:
            InputError: the data lack masks, or the cameras do not stand where the capture has them.
        """
        trainer, pipeline = training_callback_attributes.trainer, training_callback_attributes.pipeline
        self.note_run_length(training_callback_attributes)
        if trainer is not None:
            self._how_long = HowLong(trainer._start_step, self.run_steps)
        if pipeline is not None:
            manager = pipeline.datamanager
            labelled = getattr(manager.config, "masks", None) == "labels"
            check_masks(self.config, opaque=bool(self.metadata.get("opaque", False)), labelled=labelled)
            if manager.train_dataset is not None:
                if not bool(self.is_started):
                    say_capture(self.config.capture)
                    fields = [each for each in (self.field, self.background) if each is not None]
                    place_fields(fields, manager.train_dataset, self.scene_box.aabb, self.config)
                    self.grid.place(self.field.box)
                self.look_at(manager.train_dataset.cameras)
        is_new = not bool(self.is_started)
        self.begin(None if pipeline is None else pipeline.datamanager)
        optimizers = training_callback_attributes.optimizers
        if is_new and trainer is not None and optimizers is not None:
            slow_down(optimizers, trainer.config.optimizers, self.get_param_groups(), float(self.rate_share))
        before, after = TrainingCallbackLocation.BEFORE_TRAIN_ITERATION, TrainingCallbackLocation.AFTER_TRAIN_ITERATION
        return [
            TrainingCallback([before], self.before_step, update_every_num_iters=1),
            TrainingCallback([after], self.after_step, update_every_num_iters=1),
        ]

    def look_at(self, cameras: Cameras) -> None:
        """Check the training cameras, and keep where they stand; InputError if that cannot work."""
        check_where_cameras_stand(self.field, self.config, cameras)
        self.camera_positions = cameras.camera_to_worlds[:, :3, 3].detach().float()

    def begin(self, manager: Any = None) -> None:
        """Settle how fast the surface is to sharpen, and make it what it starts as, unless it has been that.

        Weights from a checkpoint stay as they are, and so does the rate.

        Args:
            manager: the datamanager of the training; None: the surface starts as a sphere.

        Raises:
            InputError: the network does not become a sphere, or the run cannot be started from.
        """
        if bool(self.is_started):
            return
        self.field.sharpness_rate.fill_(self.config.resolved_sharpness_rate(self.run_steps))
        start_surface(self.field, self.config, manager)
        if self.config.start is not None:
            self.rate_share.fill_(share_of_rate(self.field))
        self.is_started.fill_(True)

    @property
    def _looks_first(self) -> bool:
        """Whether the lattice of distances is of use: what may be left out is something."""
        return self._is_settled and self.config.skip_empty and self.config.min_weight > 0

    def before_step(self, step: int) -> None:
        """Set how far slopes are annealed in training step `step`."""
        config, steps = self.config, self.config.resolved_anneal_share * self.run_steps
        anneal = min(1.0, step / steps) if steps > 0 else 1.0
        self.anneal.fill_(anneal)
        # While surfaces that a ray leaves stop light too, nothing bounds what is seen far from one.
        self._is_settled = anneal >= 1
        if self._looks_first and (step % config.grid_refresh_every == 0 or not self.grid.is_known):
            self.grid.look_at(self.field, least_weight(config, training=True))

    def after_step(self, step: int) -> None:
        """Look at the surface, if it is time to after training step `step`, and warn if it has collapsed."""
        self.grid.forget_pictures()
        if self._how_long is not None:
            self._how_long.after_step(step)
        looks = look_steps(self.run_steps)
        if step + 1 not in looks or not comms.is_main_process():
            return
        at = self.camera_positions.to(self.device)
        low, high = self.field.box
        at = at[((at >= low) & (at <= high)).all(-1)]
        with torch.no_grad(), ranks.alone():
            lattice, at_cameras = sample_box(self.field.sdf, self.field.box), self.field.sdf(at)
        problem = surface_problem(
            lattice, at_cameras, capture=self.config.capture, young=step + 1 < max(looks[-1], SETTLED)
        )
        if problem is not None:
            CONSOLE.print(f"[bold yellow]Warning after {step + 1} steps:[/bold yellow] {problem}")

    def get_loss_dict(
        self, outputs: dict[str, Any], batch: dict[str, Any], metrics_dict: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        config, image = self.config, batch["image"].to(self.device)
        mask = coverage(image, batch, config)
        if not self.training or config.capture != "object":
            losses = {"rgb_loss": masked_l1(self._seen(outputs), self._target(image, mask))}
        else:
            losses = object_losses(outputs, image, mask, config)
        if "gradient" in outputs:
            losses["eikonal_loss"] = eikonal_loss(outputs["gradient"], config)
        return losses

    def get_metrics_dict(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        image = batch["image"].to(self.device)
        error = F.mse_loss(self._seen(outputs).detach(), self._target(image, coverage(image, batch, self.config)))
        sharpness = (self.field.sharpness * self.field.network_unit).detach()
        return {"psnr": -10 * torch.log10(error.clamp(min=1e-10)), "sharpness": sharpness}

    def narrow(self) -> None:
        """From now on, place an eighth of the samples, a quarter outside: rays begin and end close to the surface.

        For the viewer's copy of a model.
        """
        config = self.config
        self.config = replace(
            config,
            uniform_samples=max(8, config.uniform_samples // 8),
            finer_samples=max(8, config.finer_samples // 8),
            sampling_rounds=min(1, config.sampling_rounds),
            outside_samples=max(8, config.outside_samples // 4),
        )

    # -- rendering -----------------------------------------------------------------------------------------------------

    def render(self, origins: Tensor, directions: Tensor, crop: Crop | None = None) -> SurfaceRendering:
        """What rays see of the surface; in training with jittered samples and further points for the eikonal loss."""
        return look_along(
            origins, directions, self.field, self.config, grid=self._distances(), anneal=self.anneal, crop=crop
        )

    def _distances(self) -> DistanceGrid | None:
        """What is known of distances; None where all sections are to be looked at."""
        config = self.config
        if not config.skip_empty or config.min_weight <= 0:
            return None
        if self.training:
            return self.grid if self._is_settled and self.grid.is_known else None
        return self.grid.of_now(self.field, least_weight(config, training=False)) if float(self.anneal) >= 1 else None

    def get_outputs(self, ray_bundle: RayBundle | Cameras) -> dict[str, Any]:
        if isinstance(ray_bundle, Cameras):
            raise TypeError("NeusModel renders rays; make them from the cameras with Cameras.generate_rays")
        origins, directions = ray_bundle.origins.reshape(-1, 3), ray_bundle.directions.reshape(-1, 3)
        seen = self.render(origins, directions, crop_of(ray_bundle))
        rgb, light = seen.rgb, 1 - seen.accumulation
        if self.background is not None and not cuts_off(ray_bundle):
            rgb = rgb + light * seen_behind(self.background, origins, directions, light.detach(), self.config)
        elif self.background is not None:
            # The box of a crop holds nothing of what stands around the scene.
            rgb = rgb + light * self._background_colour(rgb)
        outputs = {"rgb": rgb, "accumulation": seen.accumulation, "depth": seen.depth}
        if self.training:
            return {**outputs, "gradient": seen.gradient}
        normal = torch.where(seen.accumulation > 0.5, F.normalize(seen.normal, dim=-1), 0.0)
        outputs["rgb"] = self._blended(outputs).clamp(0, 1)
        outputs["accumulation"] = seen.accumulation.clamp(0, 1)
        outputs["normals"] = (normal + 1) / 2
        return {name: value.reshape(*ray_bundle.origins.shape[:-1], -1) for name, value in outputs.items()}

    # -- pictures ------------------------------------------------------------------------------------------------------

    def _background_colour(self, rgb: Tensor) -> Tensor:
        """The colour behind everything, in the shape of some colours; that of a command goes before the model's own."""
        colour: Literal["black", "white"] = "black" if self.config.background_color == "black" else "white"
        return RGBRenderer.get_background_color(colour, shape=rgb.shape, device=rgb.device)

    def _blended(self, outputs: dict[str, Any]) -> Tensor:
        """What rays see with the colour behind everything; the background model leaves nothing open."""
        if self.background is not None:
            return outputs["rgb"]
        return outputs["rgb"] + self._background_colour(outputs["rgb"]) * (1 - outputs["accumulation"])

    def _seen(self, outputs: dict[str, Any]) -> Tensor:
        """Blended colours of training's outputs, which are not, or of evaluation's, which are."""
        return self._blended(outputs) if self.training else outputs["rgb"]

    def _target(self, image: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None:
            return image
        return image[..., :3] * mask + self._background_colour(image[..., :3]) * (1 - mask)

    def get_image_metrics_and_images(
        self, outputs: dict[str, Tensor], batch: dict[str, Any]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        image = batch["image"].to(outputs["rgb"].device)
        target = self._target(image, coverage(image, batch, self.config))
        return self.image_metrics(outputs["rgb"], target), evaluation_pictures(outputs, target)

    def surface_aabb(self) -> Tensor:
        """Box that the surface lives in, (2, 3), normalised frame."""
        return self.field.box
