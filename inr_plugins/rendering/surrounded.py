"""A surface in a box, and a volume around it, before and behind it on every ray."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.rendering.distance_render import DistanceRendering
from inr_plugins.rendering.packed import accumulate
from inr_plugins.rendering.voxel_render import Rendering


@dataclass(frozen=True)
class Surrounded:
    """What rays see of both.

    Attributes:
        rgb: not blended with any background.
        accumulation: opacity of both, in [0, 1].
        depth: expected distance along the ray of what is seen, 0 where nothing is.
        behind: of each ray's light, what the surface and all before it leave.
    """

    rgb: Float[Tensor, "r 3"]
    accumulation: Float[Tensor, "r 1"]
    depth: Float[Tensor, "r 1"]
    behind: Float[Tensor, "r 1"]


def with_surroundings(surface: DistanceRendering, around: Rendering, enter: Float[Tensor, " r"]) -> Surrounded:
    """Composite a surface with a volume that has no samples in the surface's box.

    Args:
        surface: what rays see of the surface alone.
        around: what they see of the volume alone.
        enter: distance at which each ray enters the box; infinite for rays that miss it. Samples of the volume before
            it hide the surface, the others are hidden by it.
    """
    ray, count = around.samples.ray, len(enter)
    first = around.samples.distance < enter[ray]
    front = accumulate(torch.where(first, around.weights, 0.0), None, ray, count)
    light = 1 - front
    # Weights of what is behind know of what is before the surface already.
    weights = torch.where(first, around.weights, around.weights * (1 - surface.accumulation)[ray, 0])
    own = light * surface.accumulation
    accumulation = accumulate(weights, None, ray, count) + own
    with torch.no_grad():
        depth = accumulate(weights, around.samples.distance[:, None], ray, count) + own * surface.depth
        depth = depth / accumulation.clamp(min=1e-6)
    return Surrounded(
        rgb=light * surface.rgb + accumulate(weights, around.colours, ray, count),
        accumulation=accumulation,
        depth=depth,
        behind=light * (1 - surface.accumulation),
    )
