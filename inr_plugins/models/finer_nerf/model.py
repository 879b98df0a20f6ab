"""`ns-train finer-nerf`: a radiance field of coordinate networks, FINER++'s or any other, with empty space skipped."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.models.base_model import Model
from torch import Tensor
from torch.nn import Parameter

from inr_plugins import ranks
from inr_plugins.boxes import scaled_box
from inr_plugins.engine.optimization.settle import OwnRate
from inr_plugins.engine.optimization.weight_average import WeightAverage, load_states_of_either_kind
from inr_plugins.errors import InputError
from inr_plugins.fields.protocol import CellBounds
from inr_plugins.fields.radiance import RadianceField
from inr_plugins.losses.means import joint_squared_error
from inr_plugins.metrics.image import ImageMetrics
from inr_plugins.models.common.backgrounds import Background, over
from inr_plugins.models.common.feasibility import IN_TRAINING, check_room, hidden_weights, naming_options
from inr_plugins.models.common.nerf_backbones import BACKBONES
from inr_plugins.models.common.network_settings import PreciseSteps
from inr_plugins.models.common.panels import network_panels
from inr_plugins.models.common.pictures import evaluation_pictures
from inr_plugins.models.finer_nerf.checks import check_config
from inr_plugins.models.finer_nerf.config import FinerNerfSettings
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.voxels.contraction import Contraction
from inr_plugins.rendering.crop import Crop, crop_of, within
from inr_plugins.rendering.front_to_back import PointRendering, StopSettings, render_front_to_back
from inr_plugins.rendering.grid.backend import choose_grid
from inr_plugins.rendering.grid.density import DensityGrid
from inr_plugins.rendering.grid.march import first_rays
from inr_plugins.viewer.page import LivePage

_DEVICE_WAVE, _DEVICE_POINTS = 32, 1 << 19
"""Samples of a ray in the first wave of evaluation, and of all rays at once, where asking what is left costs more than
evaluating what is hidden. A step of training is one wave there."""
# Connected occupied cells fewer than this share of the largest piece are specks, not worth samples of a mesh.
_SPECK = 1e-3


@dataclass
class FinerNerfModelConfig(FinerNerfSettings):
    """Radiance field of coordinate networks."""

    _target: type = field(default_factory=lambda: FinerNerfModel)
    """Class to instantiate."""

    def check_options(self) -> None:
        """Raise InputError for the first setting that cannot be used, or is too much for this machine."""
        check_config(self)
        network = self.network()
        with naming_options():
            network.check_use(3, spatial_gradient=self.has_normals)
            choose_grid(self.grid, "cuda" if torch.cuda.is_available() else "cpu")
        check_room(2 * hidden_weights(network), "width", "hidden_layers", copies=IN_TRAINING)

    @property
    def has_normals(self) -> bool:
        """Whether the networks' gradient with respect to the position is theirs."""
        return not self.detach_scale and self.implementation == "torch"

    def network(self) -> CoordinateNetworkConfig:
        """Both networks; InputError where settings cannot go together."""
        with naming_options():
            return self.network_config(detach_scale=self.detach_scale, implementation=self.implementation)


def _read_doublings(model: Any, _: Any) -> None:
    model._doublings = int(model.doublings_left)


class FinerNerfModel(PreciseSteps, Model):
    """A density network and a colour network, sampled where an occupancy grid says that there is something.

    In evaluation the field has the mean of its weights over recent steps, as in FINER++'s released code: at a learning
    rate that has not fallen yet the weights themselves wander about what they have learnt.

    Outputs in the normalised frame: rgb, depth (distance along the ray), accumulation, and in eval normals in [0, 1].
    In training rgb is not blended with a background yet, and may hold fewer rays than were given: the first ones.

    Raises:
        InputError: a setting out of range, or a scene box without volume.
    """

    config: FinerNerfModelConfig
    trained_field: RadianceField
    average: WeightAverage
    grid: DensityGrid
    doublings_left: Tensor

    def populate_modules(self) -> None:
        super().populate_modules()
        config = self.config
        check_config(config)
        self.metadata = self.kwargs.get("metadata") or {}
        box = scaled_box(self.scene_box.aabb.to(torch.float32), config.box_scale)
        try:
            contraction = Contraction(box) if self._is_unbounded() else None
        except ValueError as error:
            raise InputError(f"The scene box cannot be used: {error}; set the dataparser's scene scale.") from error
        with naming_options():
            self.trained_field = RadianceField(
                box,
                network=config.network(),
                contraction=contraction,
                spatial_gradient=config.has_normals,
                precision=config.precision,
            )
            self.grid = choose_grid(config.grid, self.kwargs.get("device", "cpu"))(
                self.trained_field.box, config.grid_resolution, contraction=contraction, skip=config.skip_empty
            )
        self.average = WeightAverage(self.trained_field, decay=config.average_decay)
        load_states_of_either_kind(self, average="average", source="trained_field")
        self.finest_step = float((self.field.box[1] - self.field.box[0]).norm()) / config.samples_per_diagonal
        self.register_buffer("doublings_left", torch.tensor(len(config.double_samples_at)))
        # Known here too, so that no step asks the device.
        self._doublings = len(config.double_samples_at)
        self.register_load_state_dict_post_hook(_read_doublings)
        self.background = Background(config.background_color, opaque=bool(self.metadata.get("opaque", False)))
        self.image_metrics = ImageMetrics()
        self.page = LivePage(panels=lambda: network_panels(self))

    @property
    def field(self) -> RadianceField:
        """The networks that are trained; in evaluation their average."""
        return self.trained_field if self.training else self.average.of(self.trained_field)

    def _is_unbounded(self) -> bool:
        if self.config.unbounded != "auto":
            return self.config.unbounded == "yes"
        return bool(self.metadata.get("opaque", False))

    # -- training ------------------------------------------------------------------------------------------------------

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        """One group of all weights."""
        return {"fields": list(self.trained_field.parameters())}

    def own_rates(self) -> dict[str, OwnRate]:
        """The activation's learning rate."""
        return {"fields": OwnRate(BACKBONES[self.config.activation].lr)}

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        where = [TrainingCallbackLocation.AFTER_TRAIN_ITERATION]
        return [TrainingCallback(where, self.after_step, update_every_num_iters=1)]

    def after_step(self, step: int) -> None:
        """After training step `step`: average the weights; refresh the grid, or make samples denser, if it is time."""
        config, done = self.config, step + 1
        self.average.update(self.trained_field)
        self._doublings = sum(at > done for at in config.double_samples_at)
        self.doublings_left.fill_(self._doublings)
        if config.skip_empty and done % config.grid_refresh_every == 0:
            self._refresh_grid(spread=done <= config.grid_warm_up_steps)

    def _refresh_grid(self, *, spread: bool) -> None:
        """Look at the grid's cells at random places, which are the first process's for all of them."""
        if ranks.rank() == 0:
            with ranks.alone():
                self.grid.refresh(self.field.density_of_contracted, spread=spread)
        ranks.send_from_first([self.grid.density, self.grid.turn])

    def get_loss_dict(
        self, outputs: dict[str, Any], batch: dict[str, Any], metrics_dict: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        rgb, image = outputs["rgb"], batch["image"].to(self.device)[: len(outputs["rgb"])]
        if not self.training:
            return {"rgb_loss": torch.nn.functional.mse_loss(rgb, self.background.under_image(image))}
        background = self.background.for_training(image, has_mask="mask" in batch)
        rgb = rgb + background * (1 - outputs["accumulation"])
        return {"rgb_loss": joint_squared_error(rgb, over(image, background))}

    def get_metrics_dict(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        rgb = outputs["rgb"].detach()
        target = self.background.under_image(batch["image"].to(self.device)[: len(rgb)])
        if self.training:
            rgb = rgb + self.background.for_evaluation(rgb) * (1 - outputs["accumulation"].detach())
        error = torch.nn.functional.mse_loss(rgb, target)
        return {"psnr": -10 * torch.log10(error.clamp(min=1e-10))}

    # -- rendering -----------------------------------------------------------------------------------------------------

    @property
    def step_length(self) -> float:
        """Distance between samples, normalised units (contracted ones where there is a contraction)."""
        return self.finest_step * 2**self._doublings

    def render(self, origins: Tensor, directions: Tensor, crop: Crop | None = None) -> PointRendering:
        """What rays see; in training with jittered samples, and only of as many rays as a step may hold."""
        config = self.config
        jitter = torch.rand(len(origins), device=origins.device) if self.training else None
        step = self.step_length
        samples = self.grid.march(
            origins, directions, step=step, near=config.near_plane, far=config.far_plane, jitter=jitter
        )
        samples = within(samples, crop)
        if self.training:
            rays, samples = first_rays(samples, len(origins), limit=config.max_train_samples)
            origins, directions = origins[:rays], directions[:rays]
        # A normalization that couples rows wants its batch whole.
        in_waves = config.skip_empty and not (self.training and config.normalization in ("batch", "global", "cross"))
        stop = (
            StopSettings(config.min_transmittance, config.min_weight) if config.skip_empty else StopSettings(0.0, 0.0)
        )
        if self.training and (not in_waves or origins.device.type != "cpu"):
            stop = replace(stop, at_once=True)
        elif origins.device.type != "cpu":
            stop = replace(stop, first_wave=_DEVICE_WAVE, max_points=_DEVICE_POINTS)
        return render_front_to_back(origins, directions, samples, self.field, step=step, stop=stop)

    def get_outputs(self, ray_bundle: RayBundle | Cameras) -> dict[str, Any]:
        if isinstance(ray_bundle, Cameras):
            raise TypeError("finer-nerf renders rays; make them from the cameras with Cameras.generate_rays")
        origins, directions = ray_bundle.origins.reshape(-1, 3), ray_bundle.directions.reshape(-1, 3)
        seen = self.render(origins, directions, crop_of(ray_bundle))
        if self.training:
            return {"rgb": seen.rgb, "accumulation": seen.accumulation, "depth": seen.depth}
        outputs = {
            "rgb": (seen.rgb + self.background.for_evaluation(seen.rgb) * (1 - seen.accumulation)).clamp(0, 1),
            "depth": seen.depth,
            "accumulation": seen.accumulation.clamp(0, 1),
        }
        if self.config.has_normals:
            outputs["normals"] = (self._normals(origins, directions, seen) + 1) / 2
        return {name: value.reshape(*ray_bundle.origins.shape[:-1], -1) for name, value in outputs.items()}

    def _normals(self, origins: Tensor, directions: Tensor, seen: PointRendering) -> Tensor:
        """The field's normal where each ray sees most, zero where it sees nothing: one point a ray, which is cheap."""
        hit = (seen.accumulation[:, 0] > 0.5).nonzero()[:, 0]
        normals = torch.zeros_like(origins)
        normals[hit] = self.field.normal(origins[hit] + directions[hit] * seen.peak[hit])
        return normals

    def get_image_metrics_and_images(
        self, outputs: dict[str, Tensor], batch: dict[str, Any]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        target = self.background.under_image(batch["image"].to(outputs["rgb"].device))
        return self.image_metrics(outputs["rgb"], target), evaluation_pictures(outputs, target)

    # -- surface -------------------------------------------------------------------------------------------------------

    def surface_aabb(self) -> Tensor:
        """Box of the occupied cells inside the scene box, but for specks, (2, 3), normalised frame."""
        found, contraction = self.grid.occupied_aabb(least_share=_SPECK), self.field.contraction
        box = self.field.box if contraction is None else contraction.inner_box
        return torch.stack([torch.maximum(found[0], box[0]), torch.minimum(found[1], box[1])])

    def surface_cells(self) -> CellBounds:
        """The cells that pictures are made from: any density may be in them, and none elsewhere."""
        marched = self.grid.cells.cells.view(self.grid.shape)
        least = torch.zeros(marched.shape, device=marched.device)
        contraction = self.field.contraction
        box = self.field.box if contraction is None else contraction.inner_box
        largest = torch.where(marched, math.inf, 0.0)
        return CellBounds(self.grid.origin, self.grid.edge, least, largest, box)

    def surface_level(self) -> float:
        """Density at which a cell of the occupancy grid counts as occupied: what is fainter is not rendered either."""
        return self.grid.empty_density
