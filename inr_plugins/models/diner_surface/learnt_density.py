"""A density that is learnt before there is a surface: explicit voxels, and which of their cells rays have seen."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from inr_plugins import ranks
from inr_plugins.errors import InputError
from inr_plugins.fields.explicit_voxels import ExplicitVoxelField
from inr_plugins.fields.refinement import drop_rows, refine_explicit
from inr_plugins.networks.voxels.contraction import Contraction
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice, dilate
from inr_plugins.rendering.crop import Crop
from inr_plugins.rendering.grid.march import OccupancyGrid
from inr_plugins.rendering.voxel_render import MarchSettings, Rendering, render_voxels


class LearntDensity(nn.Module):
    """A density and its colours at the vertices of a lattice.

    Attributes:
        field: the density and its colours.
        stage: how often it was refined.
        best_weight: of each cell, the largest part of a pixel that a sample in it made up.
    """

    field: ExplicitVoxelField
    stage: Tensor
    best_weight: Tensor

    def __init__(self, lattice: SparseLattice, raw: float, contraction: Contraction | None = None) -> None:
        """
        Args:
            lattice: of the cells that hold something.
            raw: density of every vertex, as the field holds it.
            contraction: what takes points of the normalised frame to the lattice's.
        """
        super().__init__()
        self.register_buffer("stage", torch.tensor(0))
        self._take(ExplicitVoxelField(lattice, raw, contraction=contraction).to(lattice.origin.device))

    def _take(self, field: ExplicitVoxelField) -> None:
        self.field = field
        self._grid: OccupancyGrid | None = None
        device = field.lattice.origin.device
        self.register_buffer("best_weight", torch.zeros(field.lattice.cell_row.shape, device=device))

    @property
    def whole(self) -> Float[Tensor, "2 3"]:
        """The box of the lattice, in its own frame."""
        return self.field.lattice.aabb

    @property
    def cell(self) -> float:
        """Edge of a cell, normalised units where nothing is contracted."""
        return float(self.field.lattice.edge)

    def see(
        self,
        origins: Float[Tensor, "r 3"],
        directions: Float[Tensor, "r 3"],
        settings: MarchSettings,
        *,
        jitter: Float[Tensor, " r"] | None = None,
        with_normals: bool = False,
        crop: Crop | None = None,
    ) -> Rendering:
        """What rays see; the arguments are `render_voxels`'."""
        lattice = self.field.lattice
        if self._grid is None or self._grid.cells.device != lattice.origin.device:
            self._grid = OccupancyGrid(lattice.origin, float(lattice.edge), lattice.occupied)
        return render_voxels(
            *(origins, directions, self.field, self._grid, settings),
            jitter=jitter,
            with_normals=with_normals,
            crop=crop,
        )

    @torch.no_grad()
    def note(self, seen: Rendering) -> None:
        """Remember which cells a rendering saw."""
        self.best_weight.scatter_reduce_(0, seen.samples.flat_cell, seen.weights.detach(), "amax")

    def seen_cells(self, least: float) -> Bool[Tensor, "x y z"]:
        """Cells in which a sample of any process made up more than this part of some pixel; all processes call it.

        Raises:
            InputError: there are none.
        """
        ranks.largest_over_ranks(self.best_weight)
        seen = (self.best_weight > least).view(self.field.lattice.shape)
        if not bool(seen.any()):
            raise InputError(
                "Nothing was found where the cameras look: see that the pictures are not all of one colour, and that "
                "the poses are right."
            )
        return seen

    def refine(self, cells: int, seen: Bool[Tensor, "x y z"]) -> None:
        """Hold what was seen on a finer lattice, so many cells along the longest side."""
        self.stage += 1
        size = self.whole[1] - self.whole[0]
        count = round(float(size.double().prod()) / (float(size.max()) / cells) ** 3)
        finer = self.field.lattice.refined(self.whole, count, dilate(seen))
        self._take(refine_explicit(self.field, finer))

    def keep(self, cells: Bool[Tensor, "x y z"]) -> Int[Tensor, " v"]:
        """Hold no more than these cells; for each row that is left, its number before."""
        lattice = self.field.lattice
        kept = drop_rows(self.field, SparseLattice(lattice.origin, float(lattice.edge), cells & lattice.occupied))
        self._take(self.field)
        return kept

    def settle(self) -> None:
        """Learn colours alone from now on.

        Once a surface hides what is behind it, a density that goes on learning explains each picture by fog before its
        camera.
        """
        self.field.density_table.requires_grad_(False)

    def take_on(self, state: Mapping[str, Tensor], prefix: str) -> None:
        """Take on the lattice that a state_dict holds under `prefix`, so that the rest of it fits."""
        lattice = SparseLattice.from_state(state, f"{prefix}field.lattice.", self.field.lattice.origin.device)
        self._take(ExplicitVoxelField(lattice, 0.0, contraction=self.field.contraction))
