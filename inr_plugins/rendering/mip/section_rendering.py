"""Volume rendering of sections of cones: which of them are looked at, and what a pixel sees of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from inr_plugins.rendering.packed import accumulate, packed_weights


@dataclass(frozen=True)
class Sections:
    """Sections of a bundle of rays, packed: sorted by ray, then by distance.

    Attributes:
        ray: index of the ray of each section.
        start: distance along the ray at which it begins.
        end: distance at which it ends.
    """

    ray: Int[Tensor, " s"]
    start: Float[Tensor, " s"]
    end: Float[Tensor, " s"]

    def __len__(self) -> int:
        return len(self.ray)


@dataclass(frozen=True)
class SectionRendering:
    """What rays see of their sections.

    Attributes:
        accumulation: opacity in [0, 1].
        depth: expected distance, of sections' middles, of what is seen; 0 where nothing is. Without a gradient.
        weights: weight of each section in its pixel.
    """

    accumulation: Float[Tensor, "r 1"]
    depth: Float[Tensor, "r 1"]
    weights: Float[Tensor, " s"]


def pack_sections(edges: Float[Tensor, "r edges"], until: Float[Tensor, " r"] | None = None) -> Sections:
    """The sections between ascending edges, but for those of a ray that begin at or beyond its distance `until`."""
    rays, count = len(edges), edges.shape[1] - 1
    start, end = edges[:, :-1].reshape(-1), edges[:, 1:].reshape(-1)
    if until is None:
        return Sections(torch.arange(rays, device=edges.device).repeat_interleave(count), start, end)
    index = (edges[:, :-1] < until[:, None]).reshape(-1).nonzero()[:, 0]
    return Sections(index // count, start[index], end[index])


def render_sections(sections: Sections, density: Float[Tensor, " s"], num_rays: int) -> SectionRendering:
    """Weigh sections, density being constant in each: w = T (1 - exp(-density length)).

    Args:
        sections: where; a ray may have none.
        density: 1 / unit of their lengths.
        num_rays: number of rays.
    """
    ray = sections.ray
    weights, _ = packed_weights(density * (sections.end - sections.start), ray, num_rays)
    accumulation = accumulate(weights, None, ray, num_rays)
    with torch.no_grad():
        middles = (sections.start + sections.end)[:, None] / 2
        depth = accumulate(weights, middles, ray, num_rays) / accumulation.clamp(min=1e-6)
    return SectionRendering(accumulation, depth, weights)


@torch.no_grad()
def dark_from(
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
def heaviest(
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
