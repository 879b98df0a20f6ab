"""`ns-train diner-surface`: a surface of signed distances on voxels, learnt from pictures with masks or alpha."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.engine.optimizers import Optimizers
from nerfstudio.model_components.renderers import RGBRenderer
from nerfstudio.models.base_model import Model
from torch import Tensor
from torch.nn import Parameter
from torch.nn import functional as F

from inr_plugins import ranks
from inr_plugins.boxes import scaled_box
from inr_plugins.engine.host.memory import release_free_memory
from inr_plugins.engine.optimization.optimizers import rebuild_param_group
from inr_plugins.errors import InputError
from inr_plugins.fields.colour_start import Colours, start_colours
from inr_plugins.fields.distance_band import HALF_WIDTH, follow_surface, grown, near_cells, refine, solid_of_state
from inr_plugins.fields.protocol import CellBounds
from inr_plugins.fields.voxel_distance import Reading, VoxelDistanceField
from inr_plugins.losses.surface import eikonal, mask_entropy, smeared_area
from inr_plugins.metrics.image import ImageMetrics
from inr_plugins.models.common.capture import say_capture
from inr_plugins.models.common.feasibility import IN_TRAINING, check_room, hidden_weights, naming_options, surface_cells
from inr_plugins.models.common.hull import check_outlines, hull_distances, masked_views
from inr_plugins.models.common.mask_agreement import check_agreement
from inr_plugins.models.common.network_settings import PreciseSteps
from inr_plugins.models.common.object_box import object_box
from inr_plugins.models.common.pictures import evaluation_pictures
from inr_plugins.models.diner_surface.checks import check_config, check_masks
from inr_plugins.models.diner_surface.config import DinerSurfaceSettings
from inr_plugins.models.diner_surface.limit import SurfaceLimit
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice
from inr_plugins.rendering.crop import crop_of
from inr_plugins.rendering.distance_render import DistanceRendering, render_distances
from inr_plugins.rendering.grid.march import OccupancyGrid
from inr_plugins.rendering.voxel_render import MarchSettings
from inr_plugins.viewer.page import LivePage

_GONE = (
    "The surface has vanished: see that masks are white where the object is, lower --optimizers.distances.optimizer.lr "
    "or raise --pipeline.model.mask-weight."
)


@dataclass
class DinerSurfaceModelConfig(DinerSurfaceSettings):
    """Signed distances on voxels, coloured by keys and normals."""

    _target: type = field(default_factory=lambda: DinerSurfaceModel)
    """Class to instantiate."""

    def check_options(self) -> None:
        """Raise InputError for the first setting that cannot be used, or is too much for this machine."""
        check_config(self)
        with naming_options():
            self.network.check_use(self.key_width + 3)
        check_room(hidden_weights(self.network), "network.width", "network.hidden_layers", copies=IN_TRAINING)
        finest = self.lattice_sizes[-1] ** 3
        keys = self.key_width * surface_cells(finest) * 2 * HALF_WIDTH
        check_room(keys, "lattice_sizes", "key_width", copies=IN_TRAINING)


class DinerSurfaceModel(PreciseSteps, Model):
    """Signed distances in a band of cells around the surface, on a lattice that is refined as training goes.

    Outputs in the normalised frame: rgb, depth (distance along the ray), accumulation, and in eval normals in [0, 1].

    Raises:
        InputError: a setting out of range, images without masks, or masks that leave nothing.
    """

    config: DinerSurfaceModelConfig
    field: VoxelDistanceField
    stage: Tensor
    sharpness: Tensor
    is_started: Tensor

    def populate_modules(self) -> None:
        super().populate_modules()
        check_config(self.config)
        config = self.config
        self.metadata = self.kwargs.get("metadata") or {}
        self.box = scaled_box(self.scene_box.aabb.to(torch.float32), config.box_scale)
        self.register_buffer("stage", torch.tensor(0))
        self.register_buffer("sharpness", torch.tensor(float(config.sharpness_start)))
        self.register_buffer("is_started", torch.tensor(False))
        # Known here too, so that no step asks the device.
        self._stage, self._sharpness = 0, float(config.sharpness_start)
        self._take_field(self._placeholder())
        self.limit = SurfaceLimit.none()
        self.image_metrics = ImageMetrics()
        self.page = LivePage()

    def _placeholder(self) -> VoxelDistanceField:
        """A ball in the scene box, until the hull is known or a checkpoint read."""
        try:
            lattice = SparseLattice.over_box(self.box, 16**3)
        except ValueError as error:
            raise InputError(f"The scene box cannot be used: {error}; set the dataparser's scene scale.") from error
        radius = 0.25 * (self.box[1] - self.box[0]).min()
        distances = ((lattice.vertices() - self.box.mean(0)).norm(dim=-1) - radius) / lattice.edge
        return self._field_of(lattice, distances, torch.zeros(lattice.shape, dtype=torch.bool))

    def _field_of(self, lattice: SparseLattice, distances: Tensor, solid: Tensor) -> VoxelDistanceField:
        config = self.config
        with naming_options():
            return VoxelDistanceField(
                lattice,
                distances,
                solid,
                key_width=config.key_width,
                network=config.network,
                precision=config.precision,
            )

    def _take_field(self, new: VoxelDistanceField) -> None:
        self.field = new
        self.field.degree = self.config.colour_degrees[self._stage]
        self._grid: OccupancyGrid | None = None

    @property
    def grid(self) -> OccupancyGrid:
        """The band's cells, as the ray marcher wants them."""
        lattice = self.field.lattice
        if self._grid is None or self._grid.cells.device != lattice.origin.device:
            self._grid = OccupancyGrid(lattice.origin, float(lattice.edge), lattice.occupied)
        return self._grid

    @property
    def learns_masked_object(self) -> bool:
        """The truth, to this model, is what masks cut out of the pictures; evaluation asks."""
        return True

    # -- training ------------------------------------------------------------------------------------------------------

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        field = self.field
        return {
            "distances": [field.distances],
            "keys": [field.keys],
            "network": list(field.network.parameters()),
        }

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        """Callbacks of a run that is about to begin, or to go on; one that begins is given the visual hull.

        Raises:
            InputError: there are no masks, or they leave nothing.
        """
        optimizers, pipeline = training_callback_attributes.optimizers, training_callback_attributes.pipeline
        assert optimizers is not None
        if pipeline is not None:
            manager = pipeline.datamanager
            labelled = getattr(manager.config, "masks", None) == "labels"
            check_masks(opaque=bool(self.metadata.get("opaque", False)), labelled=labelled)
            if not bool(self.is_started):
                say_capture("object")
                self.start_from(manager.train_dataset)
                self._rebuild(optimizers)
        before, after = TrainingCallbackLocation.BEFORE_TRAIN_ITERATION, TrainingCallbackLocation.AFTER_TRAIN_ITERATION
        return [
            TrainingCallback([before], self.before_step, update_every_num_iters=1),
            TrainingCallback([after], self.after_step, update_every_num_iters=1, args=[optimizers]),
        ]

    def start_from(self, dataset: Any) -> None:
        """Make the surface the visual hull of a dataset's masks.

        Raises:
            InputError: they leave nothing, or all.
        """
        hull = self._hull(dataset, self.config.lattice_sizes[0])[1]
        self.limit = SurfaceLimit.of_hull(*hull).to(self.device)
        self.start_at(*hull)

    def _hull(self, dataset: Any, cells: int) -> tuple[Tensor, tuple[Tensor, float, Tensor]]:
        """The box in which the hull of a dataset's masks is looked for, and `hull_distances` in it.

        Raises:
            InputError: they leave nothing, or all.
        """
        config, views = self.config, masked_views(dataset)
        check_outlines(views)
        box = object_box(dataset, self.scene_box.aabb, config.box, masked=True, scale=config.box_scale)
        check_agreement(views, box)
        return box, hull_distances(views, box, cells)

    def start_at(self, origin: Tensor, edge: float, distances: Tensor, colours: Colours | None = None) -> None:
        """Make the surface that of signed distances, in cells, at the vertices (x, y, z) of a lattice.

        Args:
            origin: lowest vertex, normalised frame.
            edge: of the cells.
            distances: negative inside.
            colours: logits of RGB at points (n, 3), that keys start with; None: keys know nothing.
        """
        shape = [n - 1 for n in distances.shape]
        origin, distances = origin.to(self.device), distances.to(self.device)
        whole = SparseLattice(origin, edge, torch.ones(shape, dtype=torch.bool, device=self.device))
        near = near_cells(whole, distances.reshape(-1))
        lattice = SparseLattice(origin, edge, grown(near, HALF_WIDTH))
        solid = distances[:-1, :-1, :-1] < 0
        new = self._field_of(lattice, distances.reshape(-1)[lattice.rows_in(whole)], solid)
        new.network.load_state_dict(self.field.network.state_dict())
        if colours is not None and self.config.colour_start_steps:
            start_colours(new, colours(lattice.vertices()), steps=self.config.colour_start_steps)
        self._take_field(new.to(self.device).train(self.training))
        self.is_started.fill_(True)
        # Keys are drawn at random; all else is the same in every process already.
        ranks.send_from_first(ranks.tensors_of(self))

    def before_step(self, step: int) -> None:
        """Set how sharp the surface is in training step `step`."""
        config = self.config
        ends = [0, *itertools.accumulate(config.stage_steps)]
        stage = self._stage
        length = config.stage_steps[stage] if stage < len(config.stage_steps) else config.sharpening_steps
        part = min(max((step - ends[stage]) / max(length, 1), 0.0), 1.0)
        self._sharpness = config.sharpness_start * (config.sharpness_end / config.sharpness_start) ** part
        self.sharpness.fill_(self._sharpness)

    def after_step(self, optimizers: Optimizers, step: int) -> None:
        """Refine the lattice, or have the band follow the surface, if it is time after training step `step`."""
        done, ends = step + 1, [*itertools.accumulate(self.config.stage_steps)]
        if self._stage < len(ends) and done >= ends[self._stage]:
            self._stage += 1
            self.stage.fill_(self._stage)
            self.limit.keep(self.field)
            if not refine(self.field, self.config.lattice_sizes[self._stage]):
                raise InputError(_GONE)
            self._take_field(self.field)
            self._rebuild(optimizers)
            if self.device.type == "cpu":
                release_free_memory()
        elif done % self.config.refresh_every == 0:
            self.limit.keep(self.field)
            rows = follow_surface(self.field)
            if rows is None:
                raise InputError(_GONE)
            self._take_field(self.field)
            self._rebuild(optimizers, carry=rows)

    def _rebuild(self, optimizers: Optimizers, carry: Tensor | None = None) -> None:
        for name, params in self.get_param_groups().items():
            index = {0: carry} if carry is not None and name in ("distances", "keys") else None
            rebuild_param_group(optimizers, name, params, carry_state_index=index)

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """As nn.Module's, after taking on the lattice and table sizes that the state was saved with."""
        if "field.lattice.packed" in state_dict:
            lattice = SparseLattice.from_state(state_dict, "field.lattice.", self.device)
            solid = solid_of_state(dict(state_dict), "field.", lattice.shape).to(self.device)
            zeros = torch.zeros(lattice.num_rows, device=self.device)
            self._take_field(self._field_of(lattice, zeros, solid).train(self.training))
        state_dict = self._take_limit(state_dict)
        loaded = super().load_state_dict(state_dict, *args, **kwargs)
        self._stage, self._sharpness = int(self.stage), float(self.sharpness)
        self.field.degree = self.config.colour_degrees[self._stage]
        return loaded

    def _take_limit(self, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        """Take on the limit's sizes; the state, with one that runs of versions before do not have."""
        self.limit = SurfaceLimit.of_state(state_dict, "limit.").to(self.device)
        return {**self.limit.state_dict(prefix="limit."), **state_dict}

    # -- rendering -----------------------------------------------------------------------------------------------------

    def get_outputs(self, ray_bundle: RayBundle | Cameras) -> dict[str, Any]:
        if isinstance(ray_bundle, Cameras):
            raise TypeError("diner-surface renders rays; make them from the cameras with Cameras.generate_rays")
        reading = self.field.reading()
        seen = self._see(ray_bundle, reading)
        rgb = seen.rgb + self._background_colour(seen.rgb) * (1 - seen.accumulation)
        if self.training:
            return {"rgb": rgb, "accumulation": seen.accumulation, "depth": seen.depth, "reading": reading}
        return self._pictures(seen, rgb, ray_bundle.origins.shape[:-1])

    def _see(self, ray_bundle: RayBundle, reading: Reading) -> DistanceRendering:
        """What rays see of the surface."""
        config = self.config
        origins, directions = ray_bundle.origins.reshape(-1, 3), ray_bundle.directions.reshape(-1, 3)
        return render_distances(
            *(origins, directions, reading, self.grid),
            MarchSettings(config.step_size, config.near_plane, config.far_plane, min_weight=config.min_weight),
            self._sharpness,
            jitter=torch.rand(len(origins), device=origins.device) if self.training else None,
            with_normals=not self.training,
            crop=crop_of(ray_bundle),
        )

    @staticmethod
    def _pictures(seen: DistanceRendering, rgb: Tensor, shape: torch.Size) -> dict[str, Tensor]:
        assert seen.normals is not None
        outputs = {
            "rgb": rgb.clamp(0, 1),
            "depth": seen.depth,
            "accumulation": seen.accumulation.clamp(0, 1),
            "normals": (torch.where(seen.accumulation > 0.5, seen.normals, 0.0) + 1) / 2,
        }
        return {name: value.reshape(*shape, -1) for name, value in outputs.items()}

    def _background_colour(self, rgb: Tensor) -> Tensor:
        """The colour behind everything, in the shape of some colours; that of a command goes before the model's own."""
        colour: Literal["black", "white"] = self.config.background_color
        return RGBRenderer.get_background_color(colour, shape=rgb.shape, device=rgb.device)

    def _mask(self, image: Tensor, batch: dict[str, Any]) -> Tensor | None:
        """What of each pixel the object covers, in [0, 1]: its alpha, else its mask; None where there is neither."""
        if image.shape[-1] == 4:
            return image[..., 3:]
        return batch["mask"].to(image) if "mask" in batch else None

    def _target(self, image: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None:
            return image
        return image[..., :3] * mask + self._background_colour(image[..., :3]) * (1 - mask)

    def get_loss_dict(
        self, outputs: dict[str, Any], batch: dict[str, Any], metrics_dict: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        config, image = self.config, batch["image"].to(self.device)
        mask = self._mask(image, batch)
        losses = {"rgb_loss": F.mse_loss(outputs["rgb"], self._target(image, mask))}
        if not self.training:
            return losses
        if mask is None:
            raise InputError(
                "The batches carry neither masks nor alpha: leave the dataparser's --alpha-color at None, and the "
                "options of the pixel sampler as they are."
            )
        losses["mask_loss"] = config.mask_weight * mask_entropy(outputs["accumulation"], mask)
        return losses | self._smoothness(outputs["reading"]) if "reading" in outputs else losses

    def _smoothness(self, reading: Reading) -> dict[str, Tensor]:
        """The losses that need no picture."""
        config, share, losses = self.config, self.config.smooth_share[self._stage], {}
        losses["eikonal_loss"] = config.eikonal_weight * share * eikonal(reading.gradient)
        bending = reading.second_differences().square().sum(-1).mean()
        losses["curvature_loss"] = config.curvature_weight * share * bending
        if config.area_weight > 0:
            losses["area_loss"] = config.area_weight * smeared_area(reading.distance, reading.gradient)
        return losses

    def get_metrics_dict(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        image = batch["image"].to(self.device)
        error = F.mse_loss(outputs["rgb"].detach(), self._target(image, self._mask(image, batch)))
        return {"psnr": -10 * torch.log10(error.clamp(min=1e-10))}

    def get_image_metrics_and_images(
        self, outputs: dict[str, Tensor], batch: dict[str, Any]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        image = batch["image"].to(outputs["rgb"].device)
        target = self._target(image, self._mask(image, batch))
        return self.image_metrics(outputs["rgb"], target), evaluation_pictures(outputs, target)

    # -- surface -------------------------------------------------------------------------------------------------------

    def surface_aabb(self) -> Tensor:
        """Box of the band's cells, (2, 3), normalised frame."""
        return self.field.lattice.occupied_aabb()

    def surface_cells(self) -> CellBounds:
        """Bounds of the distance in each cell of the lattice."""
        return self.field.cell_bounds()
