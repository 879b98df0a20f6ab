"""A surface that begins as what no camera looks through of a density, which is learnt first."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from nerfstudio.engine.optimizers import Optimizers
from nerfstudio.models.base_model import Model
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor
from torch.nn import Parameter

from inr_plugins.engine.host.memory import release_free_memory
from inr_plugins.engine.optimization.optimizers import drop_param_group, rebuild_param_group
from inr_plugins.fields.explicit_voxels import ExplicitVoxelField
from inr_plugins.fields.protocol import CellBounds
from inr_plugins.losses.radiance import background_entropy, per_point_colour
from inr_plugins.models.diner_surface.learnt_density import LearntDensity
from inr_plugins.models.diner_surface.model import DinerSurfaceModel
from inr_plugins.networks.voxels.sparse_lattice import dilate
from inr_plugins.rendering.crop import Crop
from inr_plugins.rendering.voxel_render import MarchSettings, Rendering


class DensityFirstModel(DinerSurfaceModel):
    """For its first steps a density on a lattice that is refined; its field is that density's until then.

    Attributes:
        density: what is learnt first; None where it is no longer needed.
    """

    density: LearntDensity | None

    later_kind = "distance"
    """What the field answers once it is a surface, for the viewer's panels, which are made before."""

    @property
    @abstractmethod
    def density_stages(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Cells along the longest side of the density's lattices, and training steps of each."""

    @abstractmethod
    def carve(self) -> None:
        """Make what no camera looks through the surface.

        Raises:
            InputError: nothing is left.
        """

    def _learn(self, density: LearntDensity) -> None:
        self.density = density
        self._show_density()

    def _show_density(self) -> None:
        """Pictures, mesh and viewer are of the density for as long as there is no surface."""
        self.field: Any = self._learnt.field
        self._grid = None

    @property
    def _learnt(self) -> LearntDensity:
        assert self.density is not None
        return self.density

    @property
    def is_coarse(self) -> bool:
        """Whether the density is being learnt, and there is no surface yet."""
        return isinstance(self.field, ExplicitVoxelField)

    # -- training ------------------------------------------------------------------------------------------------------

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        groups = {}
        if self.density is not None:
            groups["surroundings"] = [self.density.field.density_table, self.density.field.colour_table]
        return groups if self.is_coarse else groups | super().get_param_groups()

    @property
    def _first_step(self) -> int:
        """The first step in which there is a surface."""
        return sum(self.density_stages[1])

    def before_step(self, step: int) -> None:
        """Set how sharp the surface is in training step `step`, once there is one."""
        if not self.is_coarse:
            super().before_step(step - self._first_step)

    def after_step(self, optimizers: Optimizers, step: int) -> None:
        """Go on to the next lattice, or leave out cells, if it is time after training step `step`."""
        if not self.is_coarse:
            super().after_step(optimizers, step - self._first_step)
            return
        config, done, density = self.config, step + 1, self._learnt
        sizes, steps = self.density_stages
        stage, ends = int(density.stage), [*itertools.accumulate(steps)]
        if done >= ends[stage]:
            if stage + 1 < len(ends):
                density.refine(sizes[stage + 1], density.seen_cells(config.visible_weight))
                self._show_density()
            else:
                CONSOLE.print("What no camera looks through becomes the surface.")
                self.carve()
                if self.density is None:
                    drop_param_group(optimizers, "surroundings")
            # The density's stages share one schedule; moments are of the parameters, and begin anew.
            self._rebuild(optimizers)
            if self.device.type == "cpu":
                release_free_memory()
        elif (done - (ends[stage - 1] if stage else 0)) % config.coarse_prune_every == 0:
            kept = density.keep(dilate(density.seen_cells(config.visible_weight)))
            self._show_density()
            params = self.get_param_groups()["surroundings"]
            rebuild_param_group(optimizers, "surroundings", params, carry_state_index={0: kept, 1: kept})

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """As nn.Module's, after taking on the lattices that the state was saved with."""
        if "density.field.lattice.packed" in state_dict:
            self._learnt.take_on(state_dict, "density.")
            if "field.distances" in state_dict:
                self._learnt.settle()
        elif "field.distances" in state_dict:
            self.density = None
        if "field.distances" in state_dict:
            return super().load_state_dict(state_dict, *args, **kwargs)
        if self.density is not None:
            self._show_density()
        return Model.load_state_dict(self, self._take_limit(state_dict), *args, **kwargs)

    # -- rendering -----------------------------------------------------------------------------------------------------

    def _see_density(self, origins: Tensor, directions: Tensor, crop: Crop | None = None) -> Rendering:
        config = self.config
        return self._learnt.see(
            *(origins, directions),
            MarchSettings(config.coarse_step_size, config.near_plane, config.far_plane, min_weight=config.min_weight),
            jitter=torch.rand(len(origins), device=origins.device) if self.training else None,
            with_normals=self.is_coarse and not self.training,
            crop=crop,
        )

    def _see_evenly(self, origins: Tensor, directions: Tensor) -> Rendering:
        """What rays see of the density without chance."""
        was, self.training = self.training, False
        seen = self._see_density(origins, directions)
        self.training = was
        return seen

    def _density_outputs(self, seen: Rendering, shape: torch.Size) -> dict[str, Any]:
        rgb = seen.rgb + self._background_colour(seen.rgb) * (1 - seen.accumulation)
        if self.training:
            self._learnt.note(seen)
            return {"rgb": rgb, "accumulation": seen.accumulation, "depth": seen.depth, "density": seen}
        return seen.pictures(rgb, shape)

    def _density_losses(self, seen: Rendering, accumulation: Tensor, target: Tensor) -> dict[str, Tensor]:
        """What keeps a density from being fog."""
        config = self.config
        colours = per_point_colour(seen.weights, seen.colours, seen.samples.ray, target)
        return {
            "entropy_loss": config.coarse_entropy_weight * background_entropy(accumulation),
            "point_loss": config.coarse_point_weight * colours,
        }

    # -- surface -------------------------------------------------------------------------------------------------------

    def surface_cells(self) -> CellBounds:
        """Bounds of the distance, or of the density, in each cell of its lattice."""
        return self._learnt.field.cell_bounds() if self.is_coarse else super().surface_cells()
