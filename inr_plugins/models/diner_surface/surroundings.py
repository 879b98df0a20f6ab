"""What is around an object: diner's explicit voxels of contracted space, learnt of everything first."""

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

_UNSEEN_RAW = -10.0
"""Raw density at the start: no ray is blocked before it has learnt anything."""


class Surroundings(nn.Module):
    """A density of all of space, on a lattice of which the middle half is a box of the normalised frame.

    Attributes:
        field: the density and its colours.
        stage: how often it was refined.
        best_weight: of each cell, the largest part of a pixel that a sample in it made up.
    """

    field: ExplicitVoxelField
    stage: Tensor
    best_weight: Tensor

    def __init__(self, box: Float[Tensor, "2 3"], cells: int) -> None:
        """
        Args:
            box: a cube, normalised frame; contraction leaves it as it is.
            cells: along a side of the lattice, a multiple of 4, so that cells end where the box does.

        Raises:
            ValueError: the box has no volume.
        """
        super().__init__()
        contraction = Contraction(box)
        lattice = SparseLattice.over_box(contraction.outer_box, cells**3)
        self.register_buffer("stage", torch.tensor(0))
        self._take(ExplicitVoxelField(lattice, _UNSEEN_RAW, contraction=contraction).to(box.device))

    def _take(self, field: ExplicitVoxelField) -> None:
        self.field = field
        self._grid: OccupancyGrid | None = None
        device = field.lattice.origin.device
        self.register_buffer("best_weight", torch.zeros(field.lattice.cell_row.shape, device=device))

    @property
    def contraction(self) -> Contraction:
        """What takes all of space to the lattice."""
        assert self.field.contraction is not None
        return self.field.contraction

    @property
    def box(self) -> Float[Tensor, "2 3"]:
        """The box of the object, normalised frame."""
        return self.contraction.inner_box

    @property
    def cell(self) -> float:
        """Edge of a cell in the box, normalised units."""
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
        """Hold what was seen on a finer lattice, so many cells along a side."""
        self.stage += 1
        finer = self.field.lattice.refined(self.contraction.outer_box, cells**3, dilate(seen))
        self._take(refine_explicit(self.field, finer))

    def keep(self, cells: Bool[Tensor, "x y z"]) -> Int[Tensor, " v"]:
        """Hold no more than these cells; for each row that is left, its number before."""
        lattice = self.field.lattice
        kept = drop_rows(self.field, SparseLattice(lattice.origin, float(lattice.edge), cells & lattice.occupied))
        self._take(self.field)
        return kept

    def leave_box(self) -> None:
        """Hold nothing in the object's box any more."""
        lattice, (low, high) = self.field.lattice, self.box
        within = torch.ones(lattice.shape, dtype=torch.bool, device=low.device)
        for axis, count in enumerate(lattice.shape):
            middles = lattice.origin[axis] + lattice.edge * (torch.arange(count, device=low.device) + 0.5)
            here = (middles > low[axis]) & (middles < high[axis])
            within &= here.reshape([-1 if i == axis else 1 for i in range(3)])
        if bool((lattice.occupied & ~within).any()):
            self.keep(~within)
            return
        # Nothing is around the object, and a lattice has one cell at the least.
        corner = torch.zeros_like(within)
        corner[0, 0, 0] = True
        nothing = SparseLattice(lattice.origin, float(lattice.edge), corner)
        self._take(ExplicitVoxelField(nothing, _UNSEEN_RAW, contraction=self.contraction))

    def take_on(self, state: Mapping[str, Tensor], prefix: str) -> None:
        """Take on the lattice that a state_dict holds under `prefix`, so that the rest of it fits."""
        device = self.field.lattice.origin.device
        lattice = SparseLattice.from_state(state, f"{prefix}field.lattice.", device)
        contraction = self.contraction
        self._take(ExplicitVoxelField(lattice, _UNSEEN_RAW, contraction=contraction))
