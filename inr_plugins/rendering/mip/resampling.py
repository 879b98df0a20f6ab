"""Where rays are cut a second time: where earlier sections were seen to matter (mip-NeRF)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.rendering.sections import between, quantiles

PADDING = 0.01
"""Added to each section's weight, so that sections which seem empty are looked at too (mip-NeRF, sec. 3.4)."""


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
        jitter: one number in [0, 1) for each edge, drawn anew in each training step; without it edges are the same
            each time.
    """
    count = sections + 1
    steps = torch.arange(count, dtype=edges.dtype, device=edges.device)
    wanted = (steps[None] + jitter) / count if jitter is not None else (steps / sections)[None]
    section, part = quantiles(blurred(weights) + PADDING, wanted.expand(len(edges), count).contiguous())
    return between(edges, section, part)
