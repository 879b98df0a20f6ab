"""Ray marching in a contracted space, in which straight rays are curves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.rendering.grid.march import OccupancyGrid, Samples, box_interval, march

BEFORE, INSIDE, BEHIND = 8, 6, 24
"""Straight pieces of a ray before the inner box, in it, and behind it."""
_TRIAL = 3
"""Trial pieces in one piece, from which even ones are made."""


@runtime_checkable
class SpaceContraction(Protocol):
    """What takes points of the normalised frame to the contracted frame, and leaves those of a box alone."""

    @property
    def inner_box(self) -> Float[Tensor, "2 3"]:
        """The box that stays as it is, (minimum, maximum corner)."""

    def __call__(self, x: Tensor, /) -> Tensor:
        """Contracted positions (*n, 3) of points (*n, 3)."""


@dataclass(frozen=True)
class ContractedMarch:
    """Rays of the normalised frame as chains of straight pieces in the contracted frame.

    Attributes:
        knots: distances along each ray at which its pieces begin and end, ascending.
        points: contracted positions of the knots.
    """

    knots: Float[Tensor, "r k"]
    points: Float[Tensor, "r k 3"]


def bend(
    origins: Float[Tensor, "r 3"],
    directions: Float[Tensor, "r 3"],
    contract: Callable[[Tensor], Tensor],
    inner_box: Float[Tensor, "2 3"],
    *,
    near: float,
    far: float,
) -> ContractedMarch:
    """Cut rays at the inner box, where contraction leaves them straight, and into short pieces outside it.

    Outside, pieces are about equally long in contracted length. A ray that misses the box is cut where it passes the
    box's middle.

    Args:
        origins: ray origins, normalised frame.
        directions: unit ray directions.
        contract: the contraction of points.
        inner_box: the box in which contraction is the identity.
        near: distance at which rays begin.
        far: distance at which rays end.
    """
    enter, leave = box_interval(origins, directions, inner_box)
    middle, extent = inner_box.mean(0), (inner_box[1] - inner_box[0]) / 2
    passes = ((middle - origins) * directions).sum(-1)
    hit = leave > enter
    enter = torch.where(hit, enter, passes).clamp(near, far)[:, None]
    leave = torch.where(hit, leave, passes).clamp(near, far)[:, None]
    # The farther a ray passes from the box, the longer it takes to turn in the contracted frame.
    closest = origins + directions * leave
    reach = extent.max() * ((closest - middle) / extent).abs().amax(-1, keepdim=True).clamp(min=1.0)
    before = enter - _geometric(enter - near, reach, BEFORE * _TRIAL).flip(-1)
    behind = leave + _geometric(far - leave, reach, BEHIND * _TRIAL)
    inside = enter + (leave - enter) * torch.linspace(0, 1, INSIDE + 1, device=enter.device)

    def place(t: Tensor) -> Tensor:
        return contract(origins[:, None] + directions[:, None] * t[..., None])

    knots = torch.cat(
        [_even(before, place(before), BEFORE)[:, :-1], inside[:, :-1], _even(behind, place(behind), BEHIND)], -1
    )
    return ContractedMarch(knots, place(knots))


def _geometric(length: Float[Tensor, "r 1"], scale: Float[Tensor, "r 1"], count: int) -> Float[Tensor, "r c"]:
    """count + 1 distances from 0 to `length`, evenly spaced up to about `scale` and ever wider beyond."""
    w = length / (length + scale) * torch.linspace(0, 1, count + 1, device=length.device)
    return scale * w / (1 - w)


def _even(t: Float[Tensor, "r c"], points: Float[Tensor, "r c 3"], count: int) -> Float[Tensor, "r k"]:
    """count + 1 distances between the first and last of t that are about evenly spaced along the chain of points."""
    along = torch.cat([torch.zeros_like(t[:, :1]), points.diff(dim=1).norm(dim=-1).cumsum(-1)], -1)
    wanted = along[:, -1:] * torch.linspace(0, 1, count + 1, device=t.device)
    right = torch.searchsorted(along, wanted).clamp(1, t.shape[1] - 1)
    a, b = along.gather(1, right - 1), along.gather(1, right)
    share = ((wanted - a) / (b - a).clamp(min=1e-12)).clamp(0, 1)
    return torch.lerp(t.gather(1, right - 1), t.gather(1, right), share)


@torch.no_grad()
def march_contracted(
    origins: Float[Tensor, "r 3"],
    directions: Float[Tensor, "r 3"],
    contract: Callable[[Tensor], Tensor],
    inner_box: Float[Tensor, "2 3"],
    grid: OccupancyGrid,
    *,
    step: float,
    near: float,
    far: float,
    jitter: Float[Tensor, " r"] | None = None,
) -> Samples:
    """As `march`, with a fixed step in contracted length, where the grid is one of the contracted frame.

    Args:
        origins: ray origins, normalised frame.
        directions: unit ray directions.
        contract: the contraction of points.
        inner_box: the box in which contraction is the identity.
        grid: the occupied cells, contracted frame.
        step: contracted length between samples; inside the inner box, distance.
        near: no sample is nearer than this to the origin, normalised units.
        far: no sample is farther than this.
        jitter: offset of each ray's samples in [0, 1) steps; the middle of the step when None.

    Returns:
        Samples sorted by ray, then by distance; `distance` is in normalised units, cell and fraction are of the grid.
    """
    rays = bend(origins, directions, contract, inner_box, near=near, far=far)
    pieces = rays.knots.shape[1] - 1
    delta = rays.points.diff(dim=1)
    length = delta.norm(dim=-1)
    # Steps go on from one piece to the next as if the chain were one line.
    offset = torch.full_like(length[:, :1], 0.5) if jitter is None else jitter[:, None]
    phase = torch.remainder(offset - (length.cumsum(-1) - length) / step, 1.0)
    unit = (delta / length[..., None].clamp(min=1e-12)).reshape(-1, 3)
    starts, lengths = rays.points[:, :-1].reshape(-1, 3), length.reshape(-1)
    found = march(starts, unit, grid, step=step, far=lengths, jitter=phase.reshape(-1).clamp(max=1 - 1e-6))
    share = found.distance / lengths[found.ray].clamp(min=1e-12)
    first = rays.knots[:, :-1].reshape(-1)[found.ray]
    distance = first + share * rays.knots.diff(dim=-1).reshape(-1)[found.ray]
    return Samples(found.ray // pieces, distance, found.flat_cell, found.fraction)
