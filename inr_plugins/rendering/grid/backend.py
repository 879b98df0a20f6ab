"""The density grid with rays traversed by nerfacc's CUDA kernels."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.rendering.grid.density import DensityGrid
from inr_plugins.rendering.grid.march import Samples, box_interval
from inr_plugins.rendering.nerfacc_scan import nerfacc_is_built

GridBackend = Literal["auto", "torch", "nerfacc"]


class NerfaccGrid(DensityGrid):
    """A DensityGrid that marches with nerfacc.OccGridEstimator on CUDA.

    Only the traversal differs: densities, their refresh and the saved state are those of the DensityGrid, so that a
    run can change between the two anywhere. The same samples come out, to rounding: a sample belongs to the cell that
    holds it in both, and rays are given to nerfacc half a step before their first sample, because it counts steps from
    where a ray begins and takes their middles. nerfacc knows no curves, so contracted scenes are marched as ever.
    """

    _estimator: tuple[Any, Any] | None = None

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
        """As DensityGrid.march."""
        if self.contraction is not None:
            return super().march(origins, directions, step=step, near=near, far=far, jitter=jitter)
        enter, leave = box_interval(origins, directions, self.cells.box)
        enter, leave = enter.clamp(min=near), leave.clamp(max=far)
        offset = torch.full_like(enter, 0.5) if jitter is None else jitter
        first = enter + (offset - 0.5) * step
        ray, begin, end = self.estimator().sampling(
            origins,
            directions,
            # Below every beginning, so that it is the beginning that counts.
            near_plane=near - step,
            far_plane=far,
            t_min=first,
            t_max=torch.maximum(leave, first),
            render_step_size=step,
        )
        ray = ray.long()
        distance = (begin + end) / 2
        # nerfacc takes a whole last step whose middle may lie beyond the end of the ray.
        kept = (distance < leave[ray]).nonzero()[:, 0]
        ray, distance = ray[kept], distance[kept]
        u = (origins[ray] + directions[ray] * distance[:, None] - self.origin) / self.edge
        last = torch.tensor(self.shape, device=u.device) - 1
        cell = torch.minimum(u.floor().long().clamp(min=0), last)
        flat = (cell[:, 0] * self.shape[1] + cell[:, 1]) * self.shape[2] + cell[:, 2]
        return Samples(ray, distance, flat, (u - cell).clamp(0, 1 - 1e-6))

    def estimator(self) -> Any:
        """nerfacc's estimator of the occupied cells; made again when they have changed."""
        cells = self.cells
        if self._estimator is None or self._estimator[0] is not cells:
            make = importlib.import_module("nerfacc").OccGridEstimator
            estimator = make(cells.box.flatten(), resolution=list(self.shape), levels=1).to(self.density.device)
            estimator.binaries = cells.cells.view(1, *self.shape)
            # In a tuple, lest it becomes a submodule, whose buffers would enter checkpoints.
            self._estimator = (cells, estimator)
        return self._estimator[1]


def choose_grid(wanted: GridBackend, device: torch.device | str) -> type[DensityGrid]:
    """The kind of grid for a device: nerfacc's on CUDA where that is asked for, or built already.

    Raises:
        ValueError: nerfacc is asked for where there is no CUDA, or it does not work.
    """
    is_cuda = torch.device(device).type == "cuda"
    if wanted == "torch" or (wanted == "auto" and not (is_cuda and nerfacc_is_built())):
        return DensityGrid
    if not is_cuda:
        raise ValueError(f"grid 'nerfacc' needs a CUDA device, not {device}: choose auto or torch")
    if not nerfacc_works():
        if wanted == "auto":
            return DensityGrid
        raise ValueError("grid 'nerfacc' does not work here: its CUDA code cannot be built or loaded; choose auto")
    return NerfaccGrid


@cache
def nerfacc_works() -> bool:
    """Whether nerfacc finds a sample of a ray through a full cell, on the present CUDA device; tried once a process."""
    try:
        nerfacc = importlib.import_module("nerfacc")
        estimator = nerfacc.OccGridEstimator(torch.tensor([0.0, 0, 0, 1, 1, 1]), resolution=1).cuda()
        estimator.binaries = torch.ones_like(estimator.binaries)
        origin, direction = torch.tensor([[0.5, 0.5, -1.0]]).cuda(), torch.tensor([[0.0, 0.0, 1.0]]).cuda()
        ray, _, _ = estimator.sampling(origin, direction, render_step_size=0.25)
        return len(ray) == 4
    except Exception:  # whatever a build or a driver may raise
        return False
