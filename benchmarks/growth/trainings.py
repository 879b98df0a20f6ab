"""Training steps of methods on balls of closed form: against rays, a diner's lattice, and a dictionary's experts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu_report.methods import Balls, make_small, preset
from benchmarks.gpu_report.training import Training
from inr_plugins.fields.voxel_density import raw_of_optical_depth
from inr_plugins.fields.voxel_sh import VoxelSHField
from inr_plugins.models.diner.model import DinerModel, DinerModelConfig
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice

from .meter import Task, steps_of

LATTICE_OF_RAYS, RAYS_OF_LATTICE = 128, 8192
FEW_RAYS = 1024
"""Of the steps before a method is timed."""
BEFORE = {"finer-nerf": 100}
"""Steps before a method is timed, in which empty space is found; the same ones for each number of rays."""

_BALL, _FEWEST_CELLS = 0.9, 64
_OPAQUE, _CLEAR = 3.0, 1e-4
"""Optical depths of a cell inside the ball and outside of it."""


@dataclass
class BallDinerConfig(DinerModelConfig):
    """A diner whose coarse stages are over, on a lattice over the box of side 2 that holds a ball."""

    _target: type = field(default_factory=lambda: BallDiner)
    cells: int = 64
    """Cells along a side."""
    shell: float | None = None
    """Cells whose middles are no farther from the surface are occupied; None: 1.5 cells, which is what remains after
    unseen ones were dropped."""


class BallDiner(DinerModel):
    """See BallDinerConfig."""

    config: BallDinerConfig

    def populate_modules(self) -> None:
        super().populate_modules()
        lattice = shell_lattice(self.config.cells, self.config.shell)
        height = lattice.vertices().norm(dim=-1, keepdim=True) - _BALL
        depth = torch.where(height < 0, _OPAQUE, _CLEAR)
        config = self.config
        self._take_field(
            VoxelSHField(
                lattice,
                raw_of_optical_depth(depth),
                key_width=config.key_width,
                network=config.network,
                precision=config.precision,
                sparse_grad=config.sparse_gradients,
            )
        )
        self._stage = len(config.coarse_voxels)
        self.stage.fill_(self._stage)


def shell_lattice(cells: int, shell: float | None) -> SparseLattice:
    """A lattice over the box of side 2, occupied around the surface of the ball."""
    edge = 2 / cells
    middles = (torch.arange(cells) + 0.5) * edge - 1
    squares = middles**2
    radius = (squares[:, None, None] + squares[:, None] + squares).sqrt()
    return SparseLattice(
        torch.full((3,), -1.0), edge, (radius - _BALL).abs() < (1.5 * edge if shell is None else shell)
    )


@dataclass
class Patch(Balls):
    """Parallel rays onto a disc of the ball.

    Attributes:
        radius: of the disc.
    """

    radius: float = 0.45

    def _lines(self, drawn: torch.Generator) -> tuple[Tensor, Tensor]:
        angle, share = torch.rand(2, self.count, generator=drawn)
        reach = self.radius * share.sqrt()
        angle = 2 * torch.pi * angle
        origins = torch.stack([reach * angle.cos(), reach * angle.sin(), torch.full_like(reach, 4.0)], -1)
        return origins, torch.tensor([0.0, 0.0, -1.0]).expand_as(origins)


def patch_of(cells: int, rays: int) -> Patch:
    """Rays onto as many cells of a lattice of any size as they fall on in the smallest one."""
    return Patch(rays, radius=0.45 * _FEWEST_CELLS / max(cells, _FEWEST_CELLS))


def diner_config(cells: int, *, shell: float | None = None) -> Any:
    """The preset, with a lattice that holds a ball in place of one that was learnt."""
    config = preset("diner")
    config.pipeline.model = BallDinerConfig(cells=cells, shell=shell, unbounded="no", prune_steps=())
    return config


def rays_of(method: str) -> Any:
    """Measures a method's steps against the number of rays."""

    def measure(task: Task) -> dict[str, Any]:
        if method == "diner":
            config = diner_config(12 if task.tiny else LATTICE_OF_RAYS)
        else:
            config = small(method, tiny=task.tiny)
        source = Balls(min(FEW_RAYS, task.size))
        training = Training(config, source, task.device, last_step=1000)
        before = 2 if task.tiny else BEFORE.get(method, 5)
        for number in range(before):
            training.step(number)
        source.count = task.size
        return steps_of(training, task, first=before)

    return measure


def small(method: str, *, tiny: bool) -> Any:
    """A preset cut down to what 64k rays of a CPU take seconds and a few gigabytes for."""
    config = make_small(preset(method), tiny=tiny)
    model = config.pipeline.model
    if method == "finer-nerf":
        # All rays are to be rendered, however many there are.
        model.max_train_samples = 10**9
    elif method == "cn-mipnerf":
        model.width, model.hidden_layers, model.num_coarse_samples, model.num_fine_samples = 32, 3, 16, 16
    else:
        model.width, model.colour_width, model.hidden_layers, model.skips = 24, 24, 2, ()
        model.uniform_samples, model.finer_samples = 16, 8
    return config


def lattice_of(shell: float | None, *, same_cells: bool = False) -> Any:
    """Measures a diner's steps against the cells along a side of its lattice.

    Args:
        shell: as BallDinerConfig's.
        same_cells: have rays fall on a part of the ball that has as many cells in each lattice, so that nothing grows
            but the table.
    """

    def measure(task: Task) -> dict[str, Any]:
        config = diner_config(task.size, shell=shell)
        rays = 64 if task.tiny else RAYS_OF_LATTICE
        source = patch_of(task.size, rays) if same_cells else Balls(rays)
        training = Training(config, source, task.device, last_step=1000)
        table = sum(each.numel() * each.element_size() for each in training.model.parameters())
        found = steps_of(training, task, first=0)
        field = training.model.field
        asked = field.table.keys.grad._indices().shape[1]
        return {**found, "rows": field.lattice.num_rows, "asked": asked, "table_mib": table / (1 << 20)}

    return measure


def experts_of(*, sparse: bool) -> Any:
    """Measures nid-shapes' steps against the size of its dictionary; `sparse`: after the warm-up."""

    def measure(task: Task) -> dict[str, Any]:
        config = nid_config(task.size, tiny=task.tiny)
        model = config.pipeline.model
        model.warmup_steps = 0 if sparse else 1000
        training = Training(config, Balls.for_config(config), task.device, last_step=1000)
        return steps_of(training, task, first=0)

    return measure


def nid_config(experts: int, *, tiny: bool) -> Any:
    """The preset, with so many experts, of which a shape has 128."""
    config = preset("nid-shapes")
    model, manager = config.pipeline.model, config.pipeline.datamanager
    model.experts, model.active = experts, min(128, experts)
    if tiny:
        model.active, model.trunk_width, manager.points_per_batch, manager.shapes_per_batch = 8, 16, 256, 4
    return config
