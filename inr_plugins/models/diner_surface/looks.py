"""What cameras see of a density: how far, and which places they look through, stop at or never see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor

from inr_plugins.models.common.hull import project
from inr_plugins.rendering.packed import sums_before
from inr_plugins.rendering.voxel_render import Rendering

_LONGEST = 160
"""Pixels along the longer side of a picture of depths."""
_RAYS_AT_ONCE = 1 << 14
_FEWEST_VOTES = 2
"""Cameras that have to look through a place for it to be empty; a density learnt in seconds has holes."""
_BEHIND = 2.0
"""Margins behind the depth that are seen, too: of walls as thick as that none is hollow."""

Render = Callable[[Float[Tensor, "r 3"], Float[Tensor, "r 3"]], Rendering]


@dataclass(frozen=True)
class DepthView:
    """What a camera sees: the distance at which half of a ray's light is stopped, infinite where less is.

    Attributes:
        number: of the camera.
        distance: along the ray through each place of an even grid over the picture, normalised units.
    """

    number: int
    distance: Float[Tensor, "rows columns"]


def median_distance(seen: Rendering, num_rays: int) -> Float[Tensor, " r"]:
    """The distance at which half of each ray's light is stopped; infinity where it never is."""
    before = sums_before(seen.weights, seen.samples.ray, num_rays)
    crosses = (before < 0.5) & (before + seen.weights >= 0.5)
    found = torch.full((num_rays,), torch.inf, device=seen.weights.device)
    found[seen.samples.ray[crosses]] = seen.samples.distance[crosses]
    return found


@torch.no_grad()
def depth_views(cameras: Cameras, render: Render, device: torch.device) -> list[DepthView]:
    """The depths that all cameras see, at a low resolution."""
    found = []
    for number in range(len(cameras)):
        height, width = int(cameras.height[number]), int(cameras.width[number])
        shrink = min(1.0, _LONGEST / max(height, width))
        rows, columns = max(1, round(height * shrink)), max(1, round(width * shrink))
        y = (torch.arange(rows) + 0.5) * (height / rows)
        x = (torch.arange(columns) + 0.5) * (width / columns)
        coords = torch.cartesian_prod(y, x).to(cameras.device)
        chosen = torch.full((len(coords), 1), number, dtype=torch.long, device=cameras.device)
        rays = cameras.generate_rays(camera_indices=chosen, coords=coords)
        parts = [
            median_distance(render(o, d), len(o))
            for o, d in zip(
                rays.origins.to(device).split(_RAYS_AT_ONCE),
                rays.directions.to(device).split(_RAYS_AT_ONCE),
                strict=True,
            )
        ]
        found.append(DepthView(number, torch.cat(parts).view(rows, columns).cpu()))
    return found


@dataclass(frozen=True)
class Looks:
    """What the cameras make of points.

    Attributes:
        shown: whether some picture shows it, whatever is before it.
        through: how many cameras look through it.
        stopped: at how many cameras' depth it lies, within a margin.
        seen: whether it is at some camera's depth, within a margin before it and two behind.
        num_views: of the cameras.
    """

    shown: Bool[Tensor, " n"]
    through: Int[Tensor, " n"]
    stopped: Int[Tensor, " n"]
    seen: Bool[Tensor, " n"]
    num_views: int

    def solid(self, hits: Float[Tensor, " n"] | None = None) -> Bool[Tensor, " n"]:
        """Points that some picture shows, and that not several cameras look through.

        Args:
            hits: of each point; it is solid, too, where so many cameras' light stops at it for each that looks through:
                what is thinner than a pixel is looked through by many.
        """
        solid = self.through < min(_FEWEST_VOTES, self.num_views)
        if hits is not None:
            solid |= self.stopped >= hits * self.through
        return self.shown & solid


def looks_at(cameras: Cameras, views: Sequence[DepthView], x: Float[Tensor, "n 3"], *, margin: float) -> Looks:
    """What cameras see of points.

    Args:
        cameras: perspective cameras, normalised frame, on the CPU.
        views: what they see.
        x: points, normalised frame.
        margin: before the depth within which nothing is said to be empty, normalised units.
    """
    through, stopped = torch.zeros(2, len(x), dtype=torch.int32)
    shown, seen = torch.zeros(2, len(x), dtype=torch.bool)
    for view in views:
        u, v, front = project(cameras, view.number, x)
        height, width = float(cameras.height[view.number]), float(cameras.width[view.number])
        inside = front & (u >= 0) & (u < width) & (v >= 0) & (v < height)
        rows, columns = view.distance.shape
        row = (v.nan_to_num(0.0) * (rows / height)).long().clamp(0, rows - 1)
        column = (u.nan_to_num(0.0) * (columns / width)).long().clamp(0, columns - 1)
        way = (x - cameras.camera_to_worlds[view.number, :, 3].to(x)).norm(dim=-1)
        beyond = way - view.distance[row, column]
        through += inside & (beyond < -margin)
        stopped += inside & (beyond.abs() <= margin)
        seen |= inside & (beyond >= -margin) & (beyond <= _BEHIND * margin)
        shown |= inside
    return Looks(shown, through, stopped, seen, len(views))
