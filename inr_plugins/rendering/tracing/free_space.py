"""Where rays may start to look for a surface: free cells of a coarse lattice of signed distances are passed at once.

Most rays of a picture meet nothing, and a sphere tracer that asks a network at every step pays most for those: it
creeps along whatever they pass by. A lattice asks once a cell, and all rays share it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

PointFunction = Callable[[Float[Tensor, "n 3"]], Float[Tensor, " n"]]
"""A value at each point of the normalised frame."""

_LEAST_CELLS, _MOST_CELLS = 8, 64
"""Along the longest side; with fewer it is not worth it, and more find little more that is free."""
_FARTHEST_RING = 12
"""Cells that a ray passes at once, at most."""
_BOXES_WITHOUT_LOOKING = 8
"""Boxes of free cells that a ray passes at once on an accelerator."""
_OVER_THE_EDGE = 1e-4
"""Part of a cell that a ray goes too far, so that rounding does not leave it where it was."""


def cells_worth_asking(box: Float[Tensor, "2 3"], rays: int) -> int:
    """Cells along the longest side of a box, one for every two rays altogether; 0 if those are too few to be of use."""
    sides = box[1] - box[0]
    cells = int((rays / 2 * float(sides.max()) ** 3 / float(sides.prod())) ** (1 / 3))
    return 0 if cells < _LEAST_CELLS else min(cells, _MOST_CELLS)


class FreeSpace:
    """Cubic cells over a box, each free of the surface or not.

    A cell is free if the function at its middle is larger than it can become within half the cell's diagonal.
    """

    def __init__(self, sdf: PointFunction, box: Float[Tensor, "2 3"], *, cells: int, slope: float) -> None:
        """
        Args:
            sdf: signed distance, positive outside; asked once for each cell.
            box: (minimum, maximum corner), where rays are looked at.
            cells: along the longest side.
            slope: largest slope of `sdf`.
        """
        sides = box[1] - box[0]
        self.low = box[0]
        self.edge = float(sides.max()) / cells
        self.shape = [max(1, round(float(side) / self.edge + 0.499)) for side in sides]
        axes = [
            low + self.edge * (torch.arange(n, device=box.device) + 0.5)
            for low, n in zip(box[0], self.shape, strict=True)
        ]
        middles = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        free = sdf(middles) > slope * self.edge * 3**0.5 / 2
        self.rings = _rings(free.view(self.shape))
        self._last = torch.tensor(self.shape, device=box.device) - 1
        self._strides = torch.tensor([self.shape[1] * self.shape[2], self.shape[2], 1], device=box.device)

    def pass_through(
        self,
        origins: Float[Tensor, "r 3"],
        directions: Float[Tensor, "r 3"],
        distance: Float[Tensor, " r"],
        leave: Float[Tensor, " r"],
    ) -> Float[Tensor, " r"]:
        """Distances at which rays next come to a cell that is not free; at least `leave` where there is none.

        Args:
            origins: of the rays.
            directions: unit directions.
            distance: where each ray is, in the box; where it stays if its cell is not free.
            leave: distance up to which it is in the box.
        """
        if origins.device.type != "cpu":
            return self._pass_without_looking(origins, directions, distance, leave)
        found = distance.clone()
        ray = (leave > distance).nonzero()[:, 0]
        ahead = (directions > 0).to(origins.dtype)
        while len(ray):
            out, is_free = self._next(origins[ray], directions[ray], ahead[ray], found[ray])
            found[ray] = torch.where(is_free, out, found[ray])
            ray = ray[is_free & (out < leave[ray])]
        return found

    def _pass_without_looking(self, origins: Tensor, directions: Tensor, distance: Tensor, leave: Tensor) -> Tensor:
        """`pass_through` for a device that is not to be waited for: through so many boxes of cells at the most. What is
        beyond them is asked of the function."""
        ahead = (directions > 0).to(origins.dtype)
        for _ in range(_BOXES_WITHOUT_LOOKING):
            out, is_free = self._next(origins, directions, ahead, distance)
            distance = torch.where(is_free & (distance < leave), out, distance)
        return distance

    def _next(
        self, origins: Tensor, directions: Tensor, ahead: Tensor, along: Tensor
    ) -> tuple[Float[Tensor, " r"], Bool[Tensor, " r"]]:
        """Distances at which rays leave the free cells around where they are, and whether there are any."""
        at = (origins + directions * along[:, None] - self.low) / self.edge
        cell = torch.minimum(at.floor().long().clamp(min=0), self._last)
        ring = self.rings[(cell * self._strides).sum(-1)]
        # The box of all cells that are nearer than the first one that is not free, counted in cells.
        side = self.low + (cell + ahead + (2 * ahead - 1) * (ring - 1).clamp(min=0)[:, None]) * self.edge
        # A ray along a side of the cells never leaves through it.
        out = ((side - origins) / directions).where(directions != 0, torch.inf).amin(-1)
        return torch.maximum(out, along) + _OVER_THE_EDGE * self.edge, ring > 0


def _rings(free: Tensor) -> Int[Tensor, " cells"]:
    """How many cells away (by the largest coordinate) the nearest one that is not free is; 0: it is not free itself."""
    taken = (~free).float()[None, None]
    rings = torch.zeros(free.numel(), dtype=torch.int64, device=free.device)
    for _ in range(_FARTHEST_RING):
        rings += (taken < 0.5).flatten()
        taken = F.max_pool3d(taken, 3, stride=1, padding=1)
    return rings
