"""Where rays are cut into sections: evenly at first, then where earlier sections were seen to matter (mip-NeRF).

A ray of n sections has n + 1 ascending edges, distances along the ray. `jitter` is one number in [0, 1) for each edge,
drawn anew in each training step; without it edges are the same each time.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

PADDING = 0.01
"""Added to each section's weight, so that sections which seem empty are looked at too (mip-NeRF, sec. 3.4)."""


def even_edges(
    near: Float[Tensor, " r"],
    far: Float[Tensor, " r"],
    sections: int,
    *,
    jitter: Float[Tensor, "r edges"] | None = None,
) -> Float[Tensor, "r edges"]:
    """Edges evenly between two distances; with jitter each anywhere between the middles of the sections beside it."""
    share = torch.linspace(0, 1, sections + 1, dtype=near.dtype, device=near.device)
    if jitter is not None:
        middle = (share[1:] + share[:-1]) / 2
        low, high = torch.cat([share[:1], middle]), torch.cat([middle, share[-1:]])
        share = low + (high - low) * jitter
    return near[:, None] + (far - near)[:, None] * share


def blurred(weights: Float[Tensor, "r sections"]) -> Float[Tensor, "r sections"]:
    """Weights widened to their neighbours: mean of two maxima of two neighbours each (mip-NeRF, eq. 18).

    The result is an envelope with soft edges, so that nothing between two samples of a surface is missed. Beyond the
    ends the last weight goes on.
    """
    padded = torch.cat([weights[:, :1], weights, weights[:, -1:]], -1)
    largest = torch.maximum(padded[:, :-1], padded[:, 1:])
    return (largest[:, :-1] + largest[:, 1:]) / 2


@torch.no_grad()
def resampled_edges(
    edges: Float[Tensor, "r edges"],
    weights: Float[Tensor, "r sections"],
    sections: int,
    *,
    jitter: Float[Tensor, "r new_edges"] | None = None,
) -> Float[Tensor, "r new_edges"]:
    """Edges of new sections, dense where blurred and padded weights are large; no gradient flows, as in the paper.

    The edges are quantiles of the density that is constant in each section: at equal steps from 0 to 1 or, with jitter,
    one anywhere in each of as many equal parts.

    Args:
        edges: of the sections that the weights belong to.
        weights: of those sections in the pixel's colour, >= 0.
        sections: number of new ones.
        jitter: see the module.
    """
    count = sections + 1
    steps = torch.arange(count, dtype=edges.dtype, device=edges.device)
    quantiles = (steps[None] + jitter) / count if jitter is not None else (steps / sections)[None]
    return _quantiles(edges, blurred(weights) + PADDING, quantiles.expand(len(edges), count).contiguous())


def _quantiles(edges: Tensor, weights: Tensor, wanted: Tensor) -> Tensor:
    """Distances before which shares `wanted` of positive weights lie, each being spread evenly over its section."""
    share = torch.cumsum(weights / weights.sum(-1, keepdim=True), -1)
    # Exactly 0 and 1 at the ends, whatever the sum's rounding.
    share = torch.cat([torch.zeros_like(share[:, :1]), share[:, :-1].clamp(max=1), torch.ones_like(share[:, :1])], -1)
    above = torch.searchsorted(share, wanted, right=True).clamp(1, edges.shape[-1] - 1)
    low, high = share.gather(-1, above - 1), share.gather(-1, above)
    part = ((wanted - low) / (high - low).clamp(min=torch.finfo(edges.dtype).tiny)).clamp(0, 1)
    return torch.lerp(edges.gather(-1, above - 1), edges.gather(-1, above), part)
