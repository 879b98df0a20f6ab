"""Sections of rays: where rays are cut into them, which are looked at, and what a pixel sees of them.

A ray of n sections has n + 1 ascending edges, distances along the ray.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
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

    @property
    def middle(self) -> Float[Tensor, " s"]:
        """Distance half-way between start and end."""
        return (self.start + self.end) / 2

    @property
    def length(self) -> Float[Tensor, " s"]:
        """Distance between start and end."""
        return self.end - self.start


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


def even_edges(
    near: Float[Tensor, " r"],
    far: Float[Tensor, " r"],
    sections: int,
    *,
    jitter: Float[Tensor, "r edges"] | None = None,
) -> Float[Tensor, "r edges"]:
    """Edges evenly between two distances, or each anywhere between the middles of the sections beside it.

    Args:
        near: first distance of each ray.
        far: last distance.
        sections: number of sections, one less than there are edges.
        jitter: where each edge lies, from 0, the middle of the section before it (at the first one near itself), to 1,
            that of the section behind it (at the last one far itself); None: half-way, and the ends at near and far.
    """
    share = torch.linspace(0, 1, sections + 1, dtype=near.dtype, device=near.device)
    if jitter is not None:
        middle = (share[1:] + share[:-1]) / 2
        low, high = torch.cat([share[:1], middle]), torch.cat([middle, share[-1:]])
        share = low + (high - low) * jitter
    return near[:, None] + (far - near)[:, None] * share


def quantiles(
    weights: Float[Tensor, "r s"], wanted: Float[Tensor, "r k"]
) -> tuple[Int[Tensor, "r k"], Float[Tensor, "r k"]]:
    """Sections, and places in them in [0, 1], before which shares of all weight lie.

    Args:
        weights: of the sections of each ray, > 0; each is spread evenly over its section.
        wanted: the shares, in [0, 1], contiguous.
    """
    share = torch.cumsum(weights / weights.sum(-1, keepdim=True), -1)
    # Exactly 0 and 1 at the ends, whatever the sum's rounding.
    share = torch.cat([torch.zeros_like(share[:, :1]), share[:, :-1].clamp(max=1), torch.ones_like(share[:, :1])], -1)
    above = torch.searchsorted(share, wanted, right=True).clamp(1, weights.shape[1])
    low, high = share.gather(-1, above - 1), share.gather(-1, above)
    part = (wanted - low) / (high - low).clamp(min=torch.finfo(weights.dtype).tiny)
    return above - 1, part.clamp(0, 1)


def between(
    values: Float[Tensor, "r edges"], section: Int[Tensor, "r k"], part: Float[Tensor, "r k"]
) -> Float[Tensor, "r k"]:
    """Values at places in sections (`quantiles`), linear between those at the sections' two edges."""
    return torch.lerp(values.gather(-1, section), values.gather(-1, section + 1), part)


def pack_sections(
    edges: Float[Tensor, "h edges"],
    kept: Bool[Tensor, "h s"] | None = None,
    *,
    rays: Int[Tensor, " h"] | None = None,
) -> Sections:
    """Sections between neighbouring edges.

    Args:
        edges: distances along rays, ascending.
        kept: which sections; None: all.
        rays: index of the ray of each row in its bundle, ascending; None: the rows are the bundle.
    """
    if kept is None:
        row = torch.arange(len(edges), device=edges.device) if rays is None else rays
        count = edges.shape[1] - 1
        return Sections(row.repeat_interleave(count), edges[:, :-1].reshape(-1), edges[:, 1:].reshape(-1))
    row, section = kept.nonzero().unbind(-1)
    return Sections(row if rays is None else rays[row], edges[row, section], edges[row, section + 1])


def weigh_sections(sections: Sections, optical_depth: Float[Tensor, " s"], num_rays: int) -> SectionRendering:
    """Weigh sections of an even density: w = T (1 - exp(-optical depth)), T being the light that reaches a section.

    Args:
        sections: where; a ray may have none.
        optical_depth: of each section, >= 0: its density times its length.
        num_rays: number of rays.
    """
    ray = sections.ray
    weights, _ = packed_weights(optical_depth, ray, num_rays)
    accumulation = accumulate(weights, None, ray, num_rays)
    with torch.no_grad():
        depth = accumulate(weights, sections.middle[:, None], ray, num_rays) / accumulation.clamp(min=1e-6)
    return SectionRendering(accumulation, depth, weights)
