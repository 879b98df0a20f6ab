"""Which cells of a box hold anything: a lattice of the largest densities seen lately, refreshed from the field."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from inr_plugins.boxes import checked_box
from inr_plugins.rendering.grid.contracted import SpaceContraction, march_contracted
from inr_plugins.rendering.grid.march import OccupancyGrid, Samples, march

DECAY = 0.95
"""What is left of a cell's density at each look at it (instant-ngp, and FINER++'s radiance fields)."""

EMPTY_OPTICAL_DEPTH = 10 * 2 / 128
"""A cell that stops less light than this along its edge is empty: density 10 in cells of 2/128, as published. Densities
count per half side of the box there."""

UNSEEN = -1.0
"""Density of a cell that nothing is known of, and that is not skipped."""

SWEEP = 16
"""Refreshes that look into every cell once."""

_QUERY_CHUNK = 1 << 17

DensityFunction = Callable[[Float[Tensor, "n 3"]], Float[Tensor, " n"]]


class DensityGrid(nn.Module):
    """A lattice of cubic cells, each with a decaying maximum of the densities that were sampled in it.

    instant-ngp's occupancy grid (Müller et al. 2022, app. C): at each refresh some cells are looked at, at a random
    point each: d <- max(0.95 d, density there). A cell counts as occupied above min(mean d, threshold).

    Which cells: instant-ngp looks at all during warm-up, then at a random quarter and as many occupied ones, which a
    GPU hardly notices. For a CPU, while `spread` is asked for, one point speaks for a block of 2 x 2 x 2 cells, so that
    an eighth of the evaluations covers everything. After that a refresh looks at every 16th cell, beginning at another
    one each time, so that 16 refreshes look into each and nothing that appears is missed for long; and at as many
    occupied cells, so that what has gone decays faster than it would by that alone.

    The buffers are the whole state: a saved grid goes on with the same bits, given the same random numbers.
    """

    origin: Tensor
    density: Tensor
    turn: Tensor

    def __init__(
        self,
        box: Float[Tensor, "2 3"],
        resolution: int,
        *,
        contraction: SpaceContraction | None = None,
        skip: bool = True,
        decay: float = DECAY,
        empty_optical_depth: float = EMPTY_OPTICAL_DEPTH,
    ) -> None:
        """
        Args:
            box: what the lattice covers at least, (minimum, maximum corner); in the contracted frame if there is one.
            resolution: cells along the box's longest side.
            contraction: what takes points of the normalised frame to the lattice's; None where the two are one.
            skip: skip empty cells; False keeps every cell occupied, for comparison.
            decay: what is left of a cell's density at each look, in (0, 1).
            empty_optical_depth: a cell that stops less along its edge is empty, > 0.

        Raises:
            ValueError: an argument out of range, or a box without volume.
        """
        super().__init__()
        box = checked_box(box)
        sides = (box[1] - box[0]).double()
        if not 2 <= resolution <= 1024:
            raise ValueError(f"resolution must be from 2 to 1024 cells, got {resolution}")
        if not 0 < decay < 1 or not empty_optical_depth > 0:
            raise ValueError(f"decay must be in (0, 1) and empty_optical_depth > 0, got {decay}, {empty_optical_depth}")
        self.edge = float(sides.max()) / resolution
        # Even, so that blocks of 2 x 2 x 2 fill the lattice; the slack keeps rounding from adding a layer of cells.
        self.shape = tuple(2 * math.ceil(side / self.edge / 2 - 1e-4) for side in sides.tolist())
        self.contraction = contraction
        self.skip = skip
        self.decay = decay
        self.empty_density = empty_optical_depth / self.edge
        self.register_buffer("origin", box[0].clone())
        self.register_buffer("density", torch.full((math.prod(self.shape),), UNSEEN))
        self.register_buffer("turn", torch.tensor(0))
        self._cells: tuple[Tensor, tuple[int, bool], OccupancyGrid] | None = None

    # -- what is occupied ----------------------------------------------------------------------------------------------

    @property
    def threshold(self) -> float:
        """Density above which a cell is occupied: min(mean density of the cells seen, the published constant)."""
        seen = self.density[self.density >= 0]
        return min(float(seen.mean()), self.empty_density) if len(seen) else 0.0

    @property
    def occupied(self) -> Bool[Tensor, "x y z"]:
        """The cells that are not skipped."""
        if not self.skip:
            return torch.ones(self.shape, dtype=torch.bool, device=self.density.device)
        return ((self.density > self.threshold) | (self.density < 0)).view(self.shape)

    @property
    def cells(self) -> OccupancyGrid:
        """The occupied cells and their neighbours, as the ray marcher wants them; made again when densities change.

        What is never sampled is never learnt: without the neighbours a part that was taken for empty too early stays
        a gap for good, and surfaces cannot move.
        """
        state = (self.density._version, self.skip)
        if self._cells is None or self._cells[0] is not self.density or self._cells[1] != state:
            self._cells = (self.density, state, OccupancyGrid(self.origin, self.edge, _grown(self.occupied)))
        return self._cells[2]

    def occupied_aabb(self, *, least_share: float = 0.0) -> Float[Tensor, "2 3"]:
        """Box of the occupied cells, in the lattice's frame; the whole lattice if there are none.

        Args:
            least_share: leave out connected pieces with fewer cells than this share of the largest: specks.
        """
        occupied = self.occupied
        if least_share > 0:
            from scipy.ndimage import label

            pieces, _ = label(occupied.cpu().numpy(), structure=np.ones((3, 3, 3)))
            sizes = np.bincount(pieces.reshape(-1), minlength=2)
            sizes[0] = 0
            occupied = torch.from_numpy((sizes >= max(1, least_share * sizes.max()))[pieces])
        found = occupied.nonzero().to(self.origin.device)
        if len(found) == 0:
            return self.cells.box
        return self.origin + self.edge * torch.stack([found.amin(0), found.amax(0) + 1])

    # -- refreshing ----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def refresh(self, density: DensityFunction, *, spread: bool = False) -> None:
        """Look at some cells.

        Args:
            density: density >= 0 at points of the lattice's frame, in 1 / unit length of that frame.
            spread: let each point speak for its block of 2 x 2 x 2 cells (see the class).
        """
        device, count = self.density.device, len(self.density)
        if spread:
            x, y, z = (n // 2 for n in self.shape)
            corners = 2 * _unravel(torch.arange(x * y * z, device=device), (x, y, z))
            found = self._look(density, corners, size=2).view(x, 1, y, 1, z, 1)
            # A view: (block, cell of the block) along each axis.
            cells = self.density.view(x, 2, y, 2, z, 2)
            cells.copy_(torch.maximum(cells * self.decay, found))
            return
        self._take_in(density, torch.arange(int(self.turn) % SWEEP, count, SWEEP, device=device))
        self.turn += 1
        if self.skip:
            occupied = self.occupied.flatten().nonzero()[:, 0]
            if len(occupied) > count // SWEEP:
                occupied = occupied[torch.randperm(len(occupied), device=device)[: count // SWEEP]]
            self._take_in(density, occupied)

    def _take_in(self, density: DensityFunction, flat: Int[Tensor, " n"]) -> None:
        """Look at distinct cells, and let what is found there into their maxima."""
        found = self._look(density, _unravel(flat, self.shape), size=1)
        self.density[flat] = torch.maximum(self.density[flat] * self.decay, found)

    def _look(self, density: DensityFunction, corners: Int[Tensor, "n 3"], *, size: int) -> Float[Tensor, " n"]:
        """Density at a random point of each block of size^3 cells."""
        points = self.origin + self.edge * (corners + size * torch.rand(corners.shape, device=corners.device))
        parts = [density(part).to(self.density.dtype) for part in points.split(_QUERY_CHUNK)]
        return torch.cat(parts) if parts else self.density.new_zeros(0)

    # -- marching ------------------------------------------------------------------------------------------------------

    def march(
        self,
        origins: Float[Tensor, "r 3"],
        directions: Float[Tensor, "r 3"],
        *,
        step: float,
        near: float,
        far: float,
        jitter: Float[Tensor, " r"] | None = None,
    ) -> Samples:
        """Samples at a fixed step in the occupied cells: see `ray_march.march` and `contracted.march_contracted`.

        Args:
            origins: ray origins, normalised frame.
            directions: unit ray directions.
            step: distance between samples; in contracted length if there is a contraction.
            near: no sample is nearer than this to the origin, normalised units.
            far: no sample is farther than this.
            jitter: offset of each ray's samples in [0, 1) steps; the middle of the step when None.
        """
        if self.contraction is None:
            return march(origins, directions, self.cells, step=step, near=near, far=far, jitter=jitter)
        return march_contracted(
            *(origins, directions, self.contraction, self.contraction.inner_box, self.cells),
            step=step,
            near=near,
            far=far,
            jitter=jitter,
        )


def _grown(occupied: Bool[Tensor, "x y z"]) -> Bool[Tensor, "x y z"]:
    """The cells and their 26 neighbours."""
    return F.max_pool3d(occupied.float()[None, None], 3, stride=1, padding=1)[0, 0] > 0


def _unravel(flat: Int[Tensor, "*n"], shape: tuple[int, ...]) -> Int[Tensor, "*n 3"]:
    rest, z = flat // shape[2], flat % shape[2]
    return torch.stack([rest // shape[1], rest % shape[1], z], -1)
