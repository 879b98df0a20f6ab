"""`ns-train cn-mipnerf`: mip-NeRF, as in its paper, on a normalised coordinate network."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.models.base_model import Model
from torch import Tensor
from torch.nn import Parameter
from torch.nn.functional import mse_loss

from inr_plugins.errors import InputError
from inr_plugins.fields.mip_radiance import MipRadianceField
from inr_plugins.metrics.image import ImageMetrics
from inr_plugins.models.cn_mipnerf.checks import check_config
from inr_plugins.models.cn_mipnerf.config import CnMipNerfSettings
from inr_plugins.models.cn_mipnerf.panels import RayPanel
from inr_plugins.models.common.backgrounds import Background, over
from inr_plugins.models.common.feasibility import IN_TRAINING, check_room, hidden_weights, naming_options
from inr_plugins.models.common.network_settings import PreciseSteps
from inr_plugins.models.common.panels import network_panels
from inr_plugins.models.common.pictures import evaluation_pictures
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.rendering.crop import crop_of
from inr_plugins.rendering.grid.march import box_interval
from inr_plugins.rendering.mip.cones import Cones, pixel_radius
from inr_plugins.rendering.mip.two_levels import LevelSettings, TwoLevels, render_two_levels
from inr_plugins.viewer.page import LivePage

# Without a box, rays end this many of the scene box's diagonals from the camera.
_FAR_DIAGONALS = 2.0


@dataclass
class CnMipNerfModelConfig(CnMipNerfSettings):
    """mip-NeRF on a normalised coordinate network."""

    _target: type = field(default_factory=lambda: CnMipNerfModel)
    """Class to instantiate."""

    def check_options(self) -> None:
        """Raise InputError for the first setting that cannot be used, or is too much for this machine."""
        check_config(self)
        check_room(hidden_weights(self.network()), "width", "hidden_layers", copies=IN_TRAINING)

    def network(self) -> CoordinateNetworkConfig:
        """The trunk; InputError where settings cannot go together."""
        with naming_options():
            return CoordinateNetworkConfig(
                activation=self.activation,
                normalization=self.normalization,
                width=self.width,
                hidden_layers=self.hidden_layers,
                initialization="glorot" if self.activation == "relu" else "own",
            )


class CnMipNerfModel(PreciseSteps, Model):
    """One network for both sampling levels, with running statistics of its own for each.

    Outputs in the normalised frame: rgb, depth (distance along the ray), accumulation, and in eval normals in [0, 1].
    In training also rgb_coarse and accumulation_coarse, and neither colour is blended with a background yet.

    Where the surface is for `inr-mesh` the model does not say: a density without an occupancy grid is sampled, and box
    and level are found in the samples.

    Fine sections are left out in training as in evaluation, also where the normalization couples rows: its statistics
    are then those of the sections that pixels see, in training as in evaluation. Rays that miss the box cost nothing.

    Raises:
        InputError: a setting out of range, or a scene box without volume.
    """

    config: CnMipNerfModelConfig
    field: MipRadianceField

    def populate_modules(self) -> None:
        super().populate_modules()
        config = self.config
        check_config(config)
        opaque = bool((self.kwargs.get("metadata") or {}).get("opaque", False))
        self.unbounded = opaque if config.unbounded == "auto" else config.unbounded == "yes"
        network = config.network()
        try:
            self.field = MipRadianceField(
                self.scene_box.aabb, network=network, bounded=not self.unbounded, precision=config.precision
            )
        except ValueError as error:
            raise InputError(
                f"The model cannot be built: {error} (options --pipeline.model.*; the scene box is the dataparser's)."
            ) from error
        self.levels = LevelSettings(config.num_coarse_samples, config.num_fine_samples, config.min_transmittance)
        self.background = Background(config.background_color, opaque=opaque)
        self.image_metrics = ImageMetrics()
        self.page = LivePage(panels=lambda: [RayPanel(), *network_panels(self)])

    # -- training ------------------------------------------------------------------------------------------------------

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        """All weights in one group, as in the paper."""
        return {"fields": list(self.field.parameters())}

    def get_loss_dict(
        self, outputs: dict[str, Any], batch: dict[str, Any], metrics_dict: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        image = batch["image"].to(self.device)
        if not self.training:
            return {"rgb_loss": mse_loss(outputs["rgb"], self.background.under_image(image))}
        background = self.background.for_training(image, has_mask="mask" in batch)
        target = over(image, background)
        fine = outputs["rgb"] + background * (1 - outputs["accumulation"])
        coarse = outputs["rgb_coarse"] + background * (1 - outputs["accumulation_coarse"])
        return {
            "rgb_loss": mse_loss(fine, target),
            "rgb_loss_coarse": self.config.coarse_loss_weight * mse_loss(coarse, target),
        }

    def get_metrics_dict(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        rgb = outputs["rgb"].detach()
        if self.training:
            rgb = rgb + self.background.for_evaluation(rgb) * (1 - outputs["accumulation"].detach())
        error = mse_loss(rgb, self.background.under_image(batch["image"].to(self.device)))
        return {"psnr": -10 * torch.log10(error.clamp(min=1e-10))}

    def narrow(self) -> None:
        """From now on, place a quarter of the samples: rays begin and end close to what they meet.

        For the viewer's copy of a model.
        """
        levels = self.levels
        self.levels = replace(levels, coarse=max(8, levels.coarse // 4), fine=max(8, levels.fine // 4))

    # -- rendering -----------------------------------------------------------------------------------------------------

    def interval(self, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Distances (rays,) between which rays are sampled; the first beyond the second where a ray misses the box."""
        near_plane, far_plane, box = self.config.near_plane, self.config.far_plane, self.field.box
        if self.unbounded:
            near = torch.full_like(origins[:, 0], near_plane)
            far = _FAR_DIAGONALS * (box[1] - box[0]).norm()
            return near, far.expand_as(near) if far_plane is None else torch.full_like(near, far_plane)
        enter, leave = box_interval(origins, directions, box)
        return enter.clamp(min=near_plane), leave.clamp(max=math.inf if far_plane is None else far_plane)

    def render(self, ray_bundle: RayBundle) -> TwoLevels:
        """What rays see in both passes, with sections that are cut anew each time in training."""
        directions = ray_bundle.directions.reshape(-1, 3)
        origins = ray_bundle.origins.reshape(-1, 3)
        cones = Cones(origins, directions, pixel_radius(ray_bundle.pixel_area.reshape(-1, 1)))
        near, far = self.interval(origins, directions)
        crop = crop_of(ray_bundle)
        if crop is not None:
            near, far = torch.maximum(near, crop[0]), torch.minimum(far, crop[1])
        return render_two_levels(cones, near, far, self.field, self.levels, training=self.training)

    def get_outputs(self, ray_bundle: RayBundle | Cameras) -> dict[str, Any]:
        if isinstance(ray_bundle, Cameras):
            raise TypeError("cn-mipnerf renders rays; make them from the cameras with Cameras.generate_rays")
        seen = self.render(ray_bundle)
        fine = seen.fine
        if self.training:
            self.field.note_footprint(seen.variance, fine.weights)
            return {
                "rgb": seen.rgb,
                "accumulation": fine.accumulation,
                "depth": fine.depth,
                "rgb_coarse": seen.rgb_coarse,
                "accumulation_coarse": seen.coarse.accumulation,
            }
        outputs = {
            "rgb": (seen.rgb + self.background.for_evaluation(seen.rgb) * (1 - fine.accumulation)).clamp(0, 1),
            "depth": fine.depth,
            "accumulation": fine.accumulation.clamp(0, 1),
            "normals": (self._normals(seen) + 1) / 2,
        }
        return {name: value.reshape(*ray_bundle.origins.shape[:-1], -1) for name, value in outputs.items()}

    def _normals(self, seen: TwoLevels) -> Tensor:
        """The field's normal where each ray sees most, zero where it sees nothing: one Gaussian a ray, which is cheap.

        The Gaussian is that of the section, so that the gradient is that of what the pixel shows.
        """
        rays, section = seen.max_weight_sections()
        normals = torch.zeros_like(seen.rgb)
        normals[rays] = self.field.normal(seen.mean[section], seen.variance[section])
        return normals

    def get_image_metrics_and_images(
        self, outputs: dict[str, Tensor], batch: dict[str, Any]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        target = self.background.under_image(batch["image"].to(outputs["rgb"].device))
        return self.image_metrics(outputs["rgb"], target), evaluation_pictures(outputs, target)
