"""`ns-train diner`: a DINER radiance field, spherical harmonics behind a table of learnable keys."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.engine.optimizers import Optimizers
from nerfstudio.model_components import renderers
from nerfstudio.model_components.renderers import RGBRenderer
from nerfstudio.models.base_model import Model
from torch import Tensor
from torch.nn import Parameter

from inr_plugins import ranks
from inr_plugins.boxes import scaled_box
from inr_plugins.engine.host.memory import release_free_memory
from inr_plugins.engine.optimization.optimizers import drop_param_group, rebuild_param_group
from inr_plugins.errors import InputError
from inr_plugins.fields.explicit_voxels import ExplicitVoxelField
from inr_plugins.fields.protocol import CellBounds
from inr_plugins.fields.refinement import drop_rows, explicit_to_keys, fit_colours, refine_explicit
from inr_plugins.fields.voxel_sh import VoxelSHField
from inr_plugins.losses.radiance import background_entropy, per_point_colour
from inr_plugins.metrics.image import ImageMetrics
from inr_plugins.models.common.feasibility import (
    IN_TRAINING,
    check_room,
    hidden_weights,
    naming_options,
    surface_cells,
)
from inr_plugins.models.common.network_settings import PreciseSteps
from inr_plugins.models.common.object_box import object_box
from inr_plugins.models.common.pictures import evaluation_pictures
from inr_plugins.models.diner.checks import check_config
from inr_plugins.models.diner.config import DinerSettings
from inr_plugins.models.diner.panels import LatticePanel
from inr_plugins.networks.voxels.contraction import Contraction
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice, dilate
from inr_plugins.networks.voxels.spherical_harmonics import NUM_COEFFICIENTS
from inr_plugins.rendering.crop import crop_of
from inr_plugins.rendering.grid.march import OccupancyGrid
from inr_plugins.rendering.voxel_render import MarchSettings, Rendering, render_voxels
from inr_plugins.viewer.page import LivePage

_UNSEEN_RAW = -10.0
"""Raw density at the start: a cell is 0.005 % opaque, so that no ray is blocked before it has learnt anything."""


@dataclass
class DinerModelConfig(DinerSettings):
    """DINER voxel-SH radiance field."""

    _target: type = field(default_factory=lambda: DinerModel)
    """Class to instantiate."""

    def check_options(self) -> None:
        """Raise InputError for the first setting that cannot be used, or is too much for this machine."""
        check_config(self)
        # Made when the coarse stages have done their work, and that takes minutes.
        with naming_options():
            self.network.check_use(self.key_width)
        check_room(hidden_weights(self.network), "network.width", "network.hidden_layers", copies=IN_TRAINING)
        coarse = (1 + 3 * NUM_COEFFICIENTS) * max(self.coarse_voxels)
        check_room(coarse, "coarse_voxels", copies=IN_TRAINING)
        keys = self.key_width * surface_cells(self.num_voxels)
        check_room(keys, "num_voxels", "key_width", copies=IN_TRAINING)


class DinerModel(PreciseSteps, Model):
    """Explicit grids find the occupied cells, then a table of keys on those cells' vertices learns the scene.

    Outputs in the normalised frame: rgb, depth (distance along the ray), accumulation, and in eval normals in [0, 1].

    Raises:
        InputError: a setting out of range, or a scene in which the coarse stage finds nothing.
    """

    config: DinerModelConfig
    field: ExplicitVoxelField | VoxelSHField
    stage: Tensor
    best_weight: Tensor

    def populate_modules(self) -> None:
        super().populate_modules()
        check_config(self.config)
        config = self.config
        self.metadata = self.kwargs.get("metadata") or {}
        self._is_new = True
        self.register_buffer("stage", torch.tensor(0))
        # Known here too, so that no step asks the device.
        self._stage = 0
        box = scaled_box(self.scene_box.aabb.to(torch.float32), config.box_scale)
        try:
            contraction = Contraction(box) if self._is_unbounded() else None
            lattice = SparseLattice.over_box(
                box if contraction is None else contraction.outer_box, config.coarse_voxels[0]
            )
        except ValueError as error:
            raise InputError(f"The scene box cannot be used: {error}; set the dataparser's scene scale.") from error
        self._take_field(ExplicitVoxelField(lattice, _UNSEEN_RAW, contraction=contraction))
        self.renderer_rgb = RGBRenderer(background_color=config.background_color)
        self.image_metrics = ImageMetrics()
        self.page = LivePage(panels=lambda: [LatticePanel()])

    def _is_unbounded(self) -> bool:
        if self.config.unbounded != "auto":
            return self.config.unbounded == "yes"
        return bool(self.metadata.get("opaque", False))

    # -- stages --------------------------------------------------------------------------------------------------------

    @property
    def is_coarse(self) -> bool:
        """Whether an explicit grid is being trained, not yet keys."""
        return isinstance(self.field, ExplicitVoxelField)

    def _take_field(self, new: ExplicitVoxelField | VoxelSHField) -> None:
        """Render `new` from now on, and start to note afresh which of its cells are seen."""
        self.field = new
        self._grid: OccupancyGrid | None = None
        self.register_buffer("best_weight", torch.zeros(new.lattice.cell_row.shape, device=new.lattice.origin.device))

    @property
    def grid(self) -> OccupancyGrid:
        """The field's occupied cells, as the ray marcher wants them."""
        lattice = self.field.lattice
        if self._grid is None or self._grid.cells.device != lattice.origin.device:
            self._grid = OccupancyGrid(lattice.origin, float(lattice.edge), lattice.occupied)
        return self._grid

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        """Callbacks of a run that is about to begin, or to go on; one that begins is given the object's box.

        Raises:
            InputError: masks leave nothing of the object.
        """
        optimizers, pipeline = training_callback_attributes.optimizers, training_callback_attributes.pipeline
        assert optimizers is not None
        if pipeline is not None and self._is_new:
            self.place(pipeline.datamanager.train_dataset)
            for name, params in self.get_param_groups().items():
                rebuild_param_group(optimizers, name, params)
        return [
            TrainingCallback(
                [TrainingCallbackLocation.AFTER_TRAIN_ITERATION],
                self.after_step,
                update_every_num_iters=1,
                args=[optimizers],
            )
        ]

    def place(self, dataset: Any) -> None:
        """Begin in the box that a dataset's masks or alpha have the object in, where they cut one out.

        Raises:
            InputError: they leave nothing of it.
        """
        config = self.config
        if config.box == "scene" or self._is_unbounded() or self.metadata.get("opaque", False):
            return
        box = object_box(
            *(dataset, self.scene_box.aabb, config.box), masked=True, scale=config.box_scale, unsure=True
        ).to(self.device)
        # Machines may round otherwise.
        ranks.send_from_first([box])
        lattice = SparseLattice.over_box(box, config.coarse_voxels[0])
        self._take_field(ExplicitVoxelField(lattice, _UNSEEN_RAW).train(self.training))

    def after_step(self, optimizers: Optimizers, step: int) -> None:
        """Move on to the next stage, or drop cells that are not seen, if it is time after training step `step`."""
        done = step + 1
        ends = list(itertools.accumulate(self.config.coarse_steps))
        if self.is_coarse and done >= ends[self._stage]:
            self.share_notes()
            self._next_stage()
            # Keys are drawn at random; all else is the same in every process already.
            ranks.send_from_first(ranks.tensors_of(self))
            self._release()
            groups = self.get_param_groups()
            # Coarse stages share one schedule; moments are of the parameters, and begin anew.
            for name in optimizers.optimizers.keys() - groups.keys():
                drop_param_group(optimizers, name)
            for name, params in groups.items():
                rebuild_param_group(optimizers, name, params)
        elif self._is_time_to_prune(done, ends):
            self.share_notes()
            kept = self._drop_unseen()
            for name, params in self.get_param_groups().items():
                if name != "network":
                    rebuild_param_group(
                        optimizers, name, params, carry_state_index=dict.fromkeys(range(len(params)), kept)
                    )

    def _release(self) -> None:
        """A change of stage leaves large holes in the heap, on which the next steps would pile theirs."""
        if self.device.type == "cpu":
            release_free_memory()

    def share_notes(self) -> None:
        """Take in which cells the rays of the other processes saw, so that all decide the same; all of them call it."""
        ranks.largest_over_ranks(self.best_weight)

    def seen_cells(self) -> Tensor:
        """Cells (x, y, z) that some training ray saw in this stage, as bool."""
        return (self.best_weight > self.config.visible_weight).reshape(self.field.lattice.shape)

    def _next_stage(self) -> None:
        config, old = self.config, self.field
        assert isinstance(old, ExplicitVoxelField)
        seen = self._seen_or_stop()
        seen_lattice = SparseLattice(old.lattice.origin, float(old.lattice.edge), dilate(seen))
        box = seen_lattice.occupied_aabb()
        self._stage += 1
        self.stage.fill_(self._stage)
        if self._stage < len(config.coarse_voxels):
            voxels = config.coarse_voxels[self._stage]
            self._take_field(refine_explicit(old, old.lattice.refined(box, voxels, dilate(seen))))
            return
        lattice = old.lattice.refined(box, config.num_voxels, seen)
        new = self._key_field(lattice, old)
        self._release()
        if config.warm_up_steps:
            for _ in fit_colours(new, old, steps=config.warm_up_steps):
                pass
        self._take_field(new)

    def _seen_or_stop(self) -> Tensor:
        seen = self.seen_cells()
        if not bool(seen.any()):
            raise InputError(
                "The coarse stage found nothing in the scene box: check that the cameras look into it "
                "(--pipeline.model.box-scale enlarges it) and that the images are not all background."
            )
        return seen

    def _key_field(self, lattice: SparseLattice, start: ExplicitVoxelField) -> VoxelSHField:
        config = self.config
        return explicit_to_keys(
            start,
            lattice,
            key_width=config.key_width,
            network=config.network,
            precision=config.precision,
            compiled=config.compile_network,
            sparse_grad=config.sparse_gradients,
        )

    def _is_time_to_prune(self, done: int, ends: list[int]) -> bool:
        if not self.is_coarse:
            return done - ends[-1] in self.config.prune_steps
        start = ends[self._stage - 1] if self._stage else 0
        return (done - start) % self.config.coarse_prune_every == 0

    def _drop_unseen(self) -> Tensor:
        field = self.field
        lattice = field.lattice
        keep = dilate(self._seen_or_stop()) & lattice.occupied
        kept = drop_rows(field, SparseLattice(lattice.origin, float(lattice.edge), keep))
        self._take_field(field)
        return kept

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """As nn.Module's, after taking on the stage, lattice and table sizes that the state was saved with."""
        if "field.lattice.packed" in state_dict:
            lattice = SparseLattice.from_state(state_dict, "field.lattice.", self.device)
            box = state_dict.get("field.contraction.middle")
            contraction = None if box is None else Contraction(torch.stack([box - 1, box + 1])).to(self.device)
            explicit = ExplicitVoxelField(lattice, _UNSEEN_RAW, contraction=contraction)
            is_coarse = "field.colour_table" in state_dict
            self._take_field(explicit if is_coarse else self._key_field(lattice, explicit))
        loaded = super().load_state_dict(state_dict, *args, **kwargs)
        self._is_new = False
        self._stage = int(self.stage)
        return loaded

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        field = self.field
        if isinstance(field, ExplicitVoxelField):
            return {"coarse": [field.density_table, field.colour_table]}
        return {"density": [field.density_table], "keys": [field.table.keys], "network": field.network_parameters()}

    # -- rendering -----------------------------------------------------------------------------------------------------

    def _render(self, ray_bundle: RayBundle) -> Rendering:
        config = self.config
        fills = self.training and not self.is_coarse
        settings = MarchSettings(
            step=config.coarse_step_size if self.is_coarse else config.step_size,
            near=config.near_plane,
            far=config.far_plane,
            min_weight=max(config.min_weight, config.train_min_weight) if fills else config.min_weight,
            fills=fills,
        )
        origins, directions = ray_bundle.origins.reshape(-1, 3), ray_bundle.directions.reshape(-1, 3)
        jitter = torch.rand(len(origins), device=origins.device) if self.training else None
        return render_voxels(
            *(origins, directions, self.field, self.grid, settings),
            jitter=jitter,
            with_normals=not self.training,
            crop=crop_of(ray_bundle),
        )

    def get_outputs(self, ray_bundle: RayBundle | Cameras) -> dict[str, Any]:
        if isinstance(ray_bundle, Cameras):
            raise TypeError("diner renders rays; make them from the cameras with Cameras.generate_rays")
        seen = self._render(ray_bundle)
        rgb = seen.rgb
        background = self.config.background_color
        if background != "random" or renderers.BACKGROUND_COLOR_OVERRIDE is not None:
            colour = RGBRenderer.get_background_color(background, shape=rgb.shape, device=rgb.device)
            rgb = rgb + colour * (1 - seen.accumulation)
        if self.training:
            self._note_seen(seen)
            return {"rgb": rgb, "accumulation": seen.accumulation, "depth": seen.depth, "rendering": seen}
        return seen.pictures(rgb, ray_bundle.origins.shape[:-1])

    @torch.no_grad()
    def _note_seen(self, seen: Rendering) -> None:
        self.best_weight.scatter_reduce_(0, seen.samples.flat_cell, seen.weights.detach(), "amax")

    def get_loss_dict(
        self, outputs: dict[str, Any], batch: dict[str, Any], metrics_dict: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        config = self.config
        rgb, target = self.renderer_rgb.blend_background_for_loss_computation(
            pred_image=outputs["rgb"],
            pred_accumulation=outputs["accumulation"],
            gt_image=batch["image"].to(self.device),
        )
        losses = {"rgb_loss": torch.nn.functional.mse_loss(rgb, target)}
        if "rendering" in outputs:
            seen: Rendering = outputs["rendering"]
            entropy = config.coarse_entropy_weight if self.is_coarse else config.entropy_weight
            point = config.coarse_point_weight if self.is_coarse else config.point_weight
            losses["entropy_loss"] = entropy * background_entropy(outputs["accumulation"])
            losses["point_loss"] = point * per_point_colour(seen.weights, seen.colours, seen.samples.ray, target)
        return losses

    def get_metrics_dict(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        target = self.renderer_rgb.blend_background(batch["image"].to(self.device))
        error = torch.nn.functional.mse_loss(outputs["rgb"].detach(), target)
        return {"psnr": -10 * torch.log10(error.clamp(min=1e-10))}

    def get_image_metrics_and_images(
        self, outputs: dict[str, Tensor], batch: dict[str, Any]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        target = self.renderer_rgb.blend_background(batch["image"].to(outputs["rgb"].device))
        return self.image_metrics(outputs["rgb"], target), evaluation_pictures(outputs, target)

    # -- surface -------------------------------------------------------------------------------------------------------

    def surface_aabb(self) -> Tensor:
        """Box of the occupied cells, (2, 3), normalised frame; of an unbounded scene, the part in the scene box."""
        box, contraction = self.field.lattice.occupied_aabb(), self.field.contraction
        if contraction is None:
            return box
        inner = contraction.inner_box
        return torch.stack([torch.maximum(box[0], inner[0]), torch.minimum(box[1], inner[1])])

    def surface_cells(self) -> CellBounds:
        """Bounds of the density in each cell of the lattice."""
        return self.field.cell_bounds()

    def surface_level(self) -> float:
        """Density at which a twentieth of the light is stopped within one cell of the final lattice.

        A broad even surface is learnt as a few half-clear cells: at one half it is full of holes, at this level
        it is closed and thin parts keep their size (seen on the made windmill).
        """
        return -math.log(0.95) / float(self.field.lattice.edge)
