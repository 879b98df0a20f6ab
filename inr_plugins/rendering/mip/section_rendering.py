"""Which sections of cones light reaches, and which one a pixel sees most of."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from inr_plugins.rendering.sections import Sections


@torch.no_grad()
def termination_distance(
    edges: Float[Tensor, "r edges"], weights: Float[Tensor, "r sections"], min_transmittance: float
) -> Float[Tensor, " r"]:
    """Distance from which on less light than min_transmittance is left of each ray; infinity where it never gets so.

    It is the end of the first section behind which it is dark, since within a section the light is not known.
    """
    left = (1 - torch.cumsum(weights.double(), -1)).clamp(min=0)
    dark = left < min_transmittance
    first = dark.to(torch.uint8).argmax(-1, keepdim=True)
    end = edges.gather(-1, first + 1)[:, 0]
    return torch.where(dark.any(-1), end, math.inf)


@torch.no_grad()
def max_weight_section(
    sections: Sections, weights: Float[Tensor, " s"], num_rays: int
) -> tuple[Int[Tensor, " k"], Int[Tensor, " k"]]:
    """Rays that have sections, and for each of them the index of a section with its greatest weight."""
    ray = sections.ray
    greatest = weights.new_full((num_rays,), -1.0).scatter_reduce(0, ray, weights, "amax")
    place = (weights == greatest[ray]).nonzero()[:, 0]
    found = torch.full((num_rays,), -1, dtype=torch.long, device=ray.device)
    found[ray[place]] = place
    rays = (found >= 0).nonzero()[:, 0]
    return rays, found[rays]
