"""`ns-train diner-surface` of pictures without masks: an object and what is around it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.engine.optimizers import Optimizers
from nerfstudio.models.base_model import Model
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor
from torch.nn import Parameter
from torch.nn import functional as F

from inr_plugins.boxes import cube_around
from inr_plugins.engine.host.memory import release_free_memory
from inr_plugins.engine.optimization.optimizers import drop_param_group, rebuild_param_group
from inr_plugins.errors import InputError
from inr_plugins.fields.explicit_voxels import ExplicitVoxelField
from inr_plugins.fields.protocol import CellBounds
from inr_plugins.losses.radiance import background_entropy, per_point_colour
from inr_plugins.models.common.feasibility import IN_TRAINING, check_room
from inr_plugins.models.common.object_box import object_box
from inr_plugins.models.diner_surface.carving import carved_distances
from inr_plugins.models.diner_surface.checks import check_looking, check_outside_box, check_pinholes
from inr_plugins.models.diner_surface.model import DinerSurfaceModel, DinerSurfaceModelConfig
from inr_plugins.models.diner_surface.surroundings import Surroundings
from inr_plugins.networks.voxels.sparse_lattice import dilate
from inr_plugins.options import model_option
from inr_plugins.rendering.crop import Crop, crop_of, cuts_off
from inr_plugins.rendering.grid.march import box_interval
from inr_plugins.rendering.surrounded import with_surroundings
from inr_plugins.rendering.voxel_render import MarchSettings, Rendering


@dataclass
class DinerSurfaceCaptureConfig(DinerSurfaceModelConfig):
    """Signed distances on voxels: of an object with masks, or of what cameras look at, with what is around it."""

    capture: Literal["auto", "object", "table"] = "auto"
    """An object with masks or alpha; or an object on a table, on a wall, with whatever is around it, for which masks
    are not asked; auto: table if the images have neither masks nor alpha."""
    coarse_sizes: tuple[int, ...] = (48, 96)
    """Cells along the sides of the lattices of density that are learnt first, one stage after another; half of each
    lies in the object's box, the rest in all of space around it."""
    coarse_steps: tuple[int, ...] = (240, 240)
    """Training steps of each of them."""
    coarse_prune_every: int = 80
    """Steps after which cells of density that no training ray saw are dropped."""
    coarse_step_size: float = 1.0
    """Distance between samples of the density, in its cells."""
    visible_weight: float = 0.05
    """A cell of density counts as seen when a sample in it made up this part of some pixel."""
    coarse_entropy_weight: float = 0.01
    """Weight of the background entropy while density is learnt."""
    coarse_point_weight: float = 0.1
    """Weight of the per-point colour loss while density is learnt."""

    def setup(self, **kwargs: Any) -> Any:
        """The model of the capture."""
        capture = self.capture
        if capture == "auto":
            opaque = bool((kwargs.get("metadata") or {}).get("opaque", False))
            capture = "table" if opaque else "object"
        return (DinerSurfaceTableModel if capture == "table" else self._target)(self, **kwargs)

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


class DinerSurfaceTableModel(DinerSurfaceModel):
    """A density of everything is learnt first; what no camera looks through becomes the surface, in the box that
    cameras look at. What lies around that box stays a density.

    Raises:
        InputError: a setting out of range, or cameras that do not look at one place.
    """

    config: DinerSurfaceCaptureConfig
    around: Surroundings
    has_box: Tensor

    def populate_modules(self) -> None:
        super().populate_modules()
        self.register_buffer("has_box", torch.tensor(False))
        self._cameras: Cameras | None = None
        self._look_into(cube_around(self.box))

    def _look_into(self, box: Tensor) -> None:
        self.around = Surroundings(box, self.config.coarse_sizes[0])
        self._show_density()

    def _show_density(self) -> None:
        """Pictures, mesh and viewer are of the density for as long as there is no surface."""
        self.field: Any = self.around.field
        self._grid = None

    later_kind = "distance"
    """What the field answers once it is a surface, for the viewer's panels, which are made before."""

    @property
    def learns_masked_object(self) -> bool:
        """The truth, to this model, is the whole picture."""
        return False

    @property
    def is_coarse(self) -> bool:
        """Whether the density of everything is being learnt, and there is no surface yet."""
        return isinstance(self.field, ExplicitVoxelField)

    # -- training ------------------------------------------------------------------------------------------------------

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        groups = {"surroundings": [self.around.field.density_table, self.around.field.colour_table]}
        return groups if self.is_coarse else groups | super().get_param_groups()

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
        if config.box == "found":
            check_looking(cameras)
        box = cube_around(object_box(dataset, self.scene_box.aabb, config.box, masked=False, scale=config.box_scale))
        check_outside_box(cameras, [str(name) for name in dataset.image_filenames], box, config.box_scale)
        self._look_into(box.to(self.device))
        self.has_box.fill_(True)
        return True

    @property
    def _first_step(self) -> int:
        """The first step in which there is a surface."""
        return sum(self.config.coarse_steps)

    def before_step(self, step: int) -> None:
        """Set how sharp the surface is in training step `step`, once there is one."""
        if not self.is_coarse:
            super().before_step(step - self._first_step)

    def after_step(self, optimizers: Optimizers, step: int) -> None:
        """Go on to the next lattice, or leave out cells, if it is time after training step `step`."""
        if not self.is_coarse:
            super().after_step(optimizers, step - self._first_step)
            return
        config, done, stage = self.config, step + 1, int(self.around.stage)
        ends = [*itertools.accumulate(config.coarse_steps)]
        if done >= ends[stage]:
            seen = self.around.seen_cells(config.visible_weight)
            if stage + 1 < len(ends):
                self.around.refine(config.coarse_sizes[stage + 1], seen)
                self._show_density()
                drop_param_group(optimizers, "surroundings")
            else:
                self.carve()
            self._rebuild(optimizers)
            if self.device.type == "cpu":
                release_free_memory()
        elif (done - (ends[stage - 1] if stage else 0)) % config.coarse_prune_every == 0:
            kept = self.around.keep(dilate(self.around.seen_cells(config.visible_weight)))
            self._show_density()
            params = self.get_param_groups()["surroundings"]
            rebuild_param_group(optimizers, "surroundings", params, carry_state_index={0: kept, 1: kept})

    def carve(self) -> None:
        """Make what no camera looks through the surface, and take the density out of its box.

        Raises:
            InputError: nothing is left.
        """
        assert self._cameras is not None
        CONSOLE.print("What no camera looks through becomes the surface.")
        was, self.training = self.training, False
        origin, edge, distances = carved_distances(
            self._cameras,
            lambda origins, directions: self._see_density(origins, directions),
            self.around.box.cpu(),
            self.config.lattice_sizes[0],
            margin=self.around.cell,
            device=self.device,
        )
        self.training = was
        self.around.leave_box()
        self._take_field(self._placeholder().to(self.device))
        self.start_at(origin, edge, distances)

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """As nn.Module's, after taking on the lattices that the state was saved with."""
        if "around.field.lattice.packed" not in state_dict:
            return super().load_state_dict(state_dict, *args, **kwargs)
        self.around.take_on(state_dict, "around.")
        if "field.distances" in state_dict:
            return super().load_state_dict(state_dict, *args, **kwargs)
        self._show_density()
        return Model.load_state_dict(self, state_dict, *args, **kwargs)

    # -- rendering -----------------------------------------------------------------------------------------------------

    def _see_density(self, origins: Tensor, directions: Tensor, crop: Crop | None = None) -> Rendering:
        config = self.config
        return self.around.see(
            *(origins, directions),
            MarchSettings(config.coarse_step_size, config.near_plane, config.far_plane, min_weight=config.min_weight),
            jitter=torch.rand(len(origins), device=origins.device) if self.training else None,
            with_normals=self.is_coarse and not self.training,
            crop=crop,
        )

    def get_outputs(self, ray_bundle: RayBundle | Cameras) -> dict[str, Any]:
        if isinstance(ray_bundle, Cameras):
            raise TypeError("diner-surface renders rays; make them from the cameras with Cameras.generate_rays")
        origins, directions = ray_bundle.origins.reshape(-1, 3), ray_bundle.directions.reshape(-1, 3)
        # A ray that ends behind the surface in the box still has what is around it behind it.
        crop = crop_of(ray_bundle) if self.is_coarse or cuts_off(ray_bundle) else None
        far = self._see_density(origins, directions, crop)
        if self.is_coarse:
            return self._coarse_outputs(far, ray_bundle.origins.shape[:-1])
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

    def _coarse_outputs(self, seen: Rendering, shape: torch.Size) -> dict[str, Any]:
        rgb = seen.rgb + self._background_colour(seen.rgb) * (1 - seen.accumulation)
        if self.training:
            self.around.note(seen)
            return {"rgb": rgb, "accumulation": seen.accumulation, "depth": seen.depth, "density": seen}
        assert seen.normals is not None
        outputs = {
            "rgb": rgb.clamp(0, 1),
            "depth": seen.depth,
            "accumulation": seen.accumulation.clamp(0, 1),
            "normals": (seen.normals + 1) / 2,
        }
        return {name: value.reshape(*shape, -1) for name, value in outputs.items()}

    def get_loss_dict(
        self, outputs: dict[str, Any], batch: dict[str, Any], metrics_dict: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        config, image = self.config, batch["image"].to(self.device)
        target = self._target(image, self._mask(image, batch))
        losses = {"rgb_loss": F.mse_loss(outputs["rgb"], target)}
        if "density" in outputs:
            seen: Rendering = outputs["density"]
            losses["entropy_loss"] = config.coarse_entropy_weight * background_entropy(outputs["accumulation"])
            colours = per_point_colour(seen.weights, seen.colours, seen.samples.ray, target)
            losses["point_loss"] = config.coarse_point_weight * colours
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

    def surface_cells(self) -> CellBounds:
        """Bounds of the distance, or of the density, in each cell of its lattice."""
        return self.around.field.cell_bounds() if self.is_coarse else super().surface_cells()
