"""The losses of NeuS (Wang et al. 2021, eq. 14 to 17), as its released code computes them.

Of several processes each has equally many rays; counts that differ among them are those over all (`losses.means`).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins import ranks
from inr_plugins.losses.means import joint_mean

OPACITY_MARGIN = 1e-3
"""Opacities are held this far from 0 and 1 in `mask_entropy`, beyond which they have no gradient."""


def masked_l1(
    rgb: Float[Tensor, "r 3"], target: Float[Tensor, "r 3"], mask: Float[Tensor, "r 1"] | None = None
) -> Float[Tensor, ""]:
    """Absolute error, summed over channels and averaged over the rays that count; 0 where none does.

    The paper averages over rays; the code over masked rays, and that is followed here.

    Args:
        rgb: what is rendered.
        target: what was seen.
        mask: weight of each ray; None counts all.
    """
    error = (rgb - target).abs().sum(-1, keepdim=True)
    if mask is None:
        return error.mean() if len(error) else error.sum()
    return (error * mask).sum() / (ranks.mean_over_ranks(mask.sum()) + 1e-5 / ranks.number())


def eikonal(gradient: Float[Tensor, "n 3"]) -> Float[Tensor, ""]:
    """Mean squared deviation of the length of a distance's gradient from 1; 0 without points.

    The length is that of the gradient plus 1e-12 under the root, whose derivative at 0 is finite then.
    """
    length = (gradient.square().sum(-1) + 1e-12).sqrt()
    return joint_mean((length - 1).square())


def mask_entropy(accumulation: Float[Tensor, "r 1"], mask: Float[Tensor, "r 1"]) -> Float[Tensor, ""]:
    """Binary cross entropy between a ray's opacity and its mask, which may be a soft one (alpha).

    In float32 and by logarithms, because torch's own refuses to run under autocast.
    """
    p = accumulation.float().clamp(OPACITY_MARGIN, 1 - OPACITY_MARGIN)
    return -(mask * p.log() + (1 - mask) * torch.log1p(-p)).mean()


def smeared_area(distance: Float[Tensor, " n"], gradient: Float[Tensor, "n 3"]) -> Float[Tensor, ""]:
    """Area of a level set per vertex of a lattice, in faces of a cell; 0 without vertices.

    The coarea formula: the mean over all levels near 0, weighed by a normal distribution of one cell's deviation, of
    their areas is the mean of that weight times the gradient's length.

    Args:
        distance: at the vertices, in cells.
        gradient: of it, per cell.
    """
    weight = torch.exp(-0.5 * distance.square()) / math.sqrt(2 * math.pi)
    return joint_mean(weight * (gradient.square().sum(-1) + 1e-12).sqrt())
