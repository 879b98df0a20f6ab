"""`ns-train diner-surface` of pictures without masks: an object and what is around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from torch import Tensor
from torch.nn import functional as F

from inr_plugins.boxes import cube_around
from inr_plugins.errors import InputError
from inr_plugins.models.common.capture import say_capture
from inr_plugins.models.common.feasibility import IN_TRAINING, check_room
from inr_plugins.models.common.object_box import object_box
from inr_plugins.models.diner_surface.carved_object import DinerSurfaceCarvedModel
from inr_plugins.models.diner_surface.carving import carved_distances
from inr_plugins.models.diner_surface.checks import check_looking, check_outside_box, check_pinholes
from inr_plugins.models.diner_surface.density_first import DensityFirstModel
from inr_plugins.models.diner_surface.model import DinerSurfaceModelConfig
from inr_plugins.models.diner_surface.surroundings import Surroundings
from inr_plugins.options import model_option
from inr_plugins.rendering.crop import crop_of, cuts_off
from inr_plugins.rendering.grid.march import box_interval
from inr_plugins.rendering.surrounded import with_surroundings


@dataclass
class DinerSurfaceCaptureConfig(DinerSurfaceModelConfig):
    """Signed distances on voxels: of an object with masks, or of what cameras look at, with what is around it."""

    capture: Literal["auto", "object", "table"] = "auto"
    """An object with masks or alpha; or an object on a table, on a wall, with whatever is around it, for which masks
    are not asked; auto: table if the images have neither masks nor alpha."""

    def setup(self, **kwargs: Any) -> Any:
        """The model of the capture."""
        capture = self.capture
        if capture == "auto":
            opaque = bool((kwargs.get("metadata") or {}).get("opaque", False))
            capture = "table" if opaque else "object"
        if capture == "table":
            return DinerSurfaceTableModel(self, **kwargs)
        return (DinerSurfaceCarvedModel if self.hull_steps else self._target)(self, **kwargs)

    def check_options(self) -> None:
        """Raise InputError for the first setting that cannot be used, or is too much for this machine."""
        super().check_options()
        sizes = self.coarse_sizes
        if not sizes or len(sizes) != len(self.coarse_steps):
            raise InputError(
                f"{model_option('coarse_sizes')} and {model_option('coarse_steps')} need one number for each stage."
            )
        if any(size % 4 for size in sizes):
            raise InputError(
                f"{model_option('coarse_sizes')} must be multiples of 4, so that cells end where the object's box "
                f"does, got {sizes}."
            )
        check_room(4 * max(sizes) ** 3, "coarse_sizes", copies=IN_TRAINING)
        if len(self.hull_sizes) != len(self.hull_steps):
            raise InputError(
                f"{model_option('hull_sizes')} and {model_option('hull_steps')} need one number for each stage."
            )
        if self.hull_sizes:
            check_room(4 * max(self.hull_sizes) ** 3, "hull_sizes", copies=IN_TRAINING)


class DinerSurfaceTableModel(DensityFirstModel):
    """A density of everything is learnt first; what no camera looks through becomes the surface, in the box that
    cameras look at. What lies around that box stays a density.

    Raises:
        InputError: a setting out of range, or cameras that do not look at one place.
    """

    density: Surroundings
    has_box: Tensor

    def populate_modules(self) -> None:
        super().populate_modules()
        self.register_buffer("has_box", torch.tensor(False))
        self._cameras: Cameras | None = None
        self._learn(Surroundings(cube_around(self.box), self.config.coarse_sizes[0]))

    @property
    def around(self) -> Surroundings:
        """The density of everything; once there is a surface, of what is around its box."""
        return self.density

    @property
    def learns_masked_object(self) -> bool:
        """The truth, to this model, is the whole picture."""
        return False

    @property
    def density_stages(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return self.config.coarse_sizes, self.config.coarse_steps

    # -- training ------------------------------------------------------------------------------------------------------

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        """Callbacks of a run that is about to begin, or to go on; one that begins looks where the object is.

        Raises:
            InputError: the cameras are no pinholes, or do not look at one place.
        """
        optimizers, pipeline = training_callback_attributes.optimizers, training_callback_attributes.pipeline
        assert optimizers is not None
        if pipeline is not None:
            dataset = pipeline.datamanager.train_dataset
            assert dataset is not None
            if self.look_at(dataset):
                self._rebuild(optimizers)
        before, after = TrainingCallbackLocation.BEFORE_TRAIN_ITERATION, TrainingCallbackLocation.AFTER_TRAIN_ITERATION
        return [
            TrainingCallback([before], self.before_step, update_every_num_iters=1),
            TrainingCallback([after], self.after_step, update_every_num_iters=1, args=[optimizers]),
        ]

    def look_at(self, dataset: Any) -> bool:
        """Keep the training cameras; whether a run begins, which looks for the object where they look.

        Raises:
            InputError: they are no pinholes, do not look at one place, or stand in the box around it.
        """
        cameras, config = dataset.cameras, self.config
        check_pinholes(cameras)
        self._cameras = cameras.to("cpu")
        if bool(self.has_box):
            return False
        say_capture("table")
        if config.box == "found":
            check_looking(cameras)
        box = cube_around(object_box(dataset, self.scene_box.aabb, config.box, masked=False, scale=config.box_scale))
        check_outside_box(cameras, [str(name) for name in dataset.image_filenames], box, config.box_scale)
        self._learn(Surroundings(box.to(self.device), config.coarse_sizes[0]))
        self.has_box.fill_(True)
        return True

    def carve(self) -> None:
        """Make what no camera looks through the surface, and take the density out of its box.

        Raises:
            InputError: nothing is left.
        """
        assert self._cameras is not None
        origin, edge, distances = carved_distances(
            self._cameras,
            self._see_evenly,
            self.around.box.cpu(),
            self.config.lattice_sizes[0],
            margin=self.around.cell,
            device=self.device,
        )
        self.around.leave_box()
        self.around.settle()
        self._take_field(self._placeholder().to(self.device))
        # Without the density's colours: with them, pieces of what is around the object stay in its box.
        self.start_at(origin, edge, distances)

    # -- rendering -----------------------------------------------------------------------------------------------------

    def get_outputs(self, ray_bundle: RayBundle | Cameras) -> dict[str, Any]:
        if isinstance(ray_bundle, Cameras):
            raise TypeError("diner-surface renders rays; make them from the cameras with Cameras.generate_rays")
        origins, directions = ray_bundle.origins.reshape(-1, 3), ray_bundle.directions.reshape(-1, 3)
        # A ray that ends behind the surface in the box still has what is around it behind it.
        crop = crop_of(ray_bundle) if self.is_coarse or cuts_off(ray_bundle) else None
        far = self._see_density(origins, directions, crop)
        if self.is_coarse:
            return self._density_outputs(far, ray_bundle.origins.shape[:-1])
        reading = self.field.reading()
        surface = self._see(ray_bundle, reading)
        enter, leave = box_interval(origins, directions, self.around.box)
        seen = with_surroundings(surface, far, torch.where(leave > enter, enter, torch.inf))
        rgb = seen.rgb + self._background_colour(seen.rgb) * (1 - seen.accumulation)
        if self.training:
            return {"rgb": rgb, "accumulation": surface.accumulation, "depth": seen.depth, "reading": reading}
        outputs = self._pictures(surface, rgb, ray_bundle.origins.shape[:-1])
        for name, value in (("depth", seen.depth), ("accumulation", seen.accumulation.clamp(0, 1))):
            outputs[name] = value.reshape(*ray_bundle.origins.shape[:-1], -1)
        return outputs

    def get_loss_dict(
        self, outputs: dict[str, Any], batch: dict[str, Any], metrics_dict: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        image = batch["image"].to(self.device)
        target = self._target(image, self._mask(image, batch))
        losses = {"rgb_loss": F.mse_loss(outputs["rgb"], target)}
        if "density" in outputs:
            losses |= self._density_losses(outputs["density"], outputs["accumulation"], target)
        if "reading" in outputs:
            losses |= self._smoothness(outputs["reading"])
        return losses

    def _mask(self, image: Tensor, batch: dict[str, Any]) -> Tensor | None:
        """The truth is all of the picture; alpha alone has nothing behind it."""
        return image[..., 3:] if image.shape[-1] == 4 else None

    # -- surface -------------------------------------------------------------------------------------------------------

    def surface_aabb(self) -> Tensor:
        """Box of the surface's cells, or of the density's within the object's box, (2, 3), normalised frame."""
        if not self.is_coarse:
            return super().surface_aabb()
        held, box = self.field.lattice.occupied_aabb(), self.around.box
        return torch.stack([torch.maximum(held[0], box[0]), torch.minimum(held[1], box[1])])
