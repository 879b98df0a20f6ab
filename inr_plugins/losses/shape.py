"""Losses of shapes that are learnt from points with their signed distance or their occupancy.

Their means are over the points of all processes (`losses.means`).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from inr_plugins.losses.means import joint_mean

AUTHORS_POINTS = 5000
"""Fine points in each step of FINER++'s surface experiments, and as many coarse ones."""


def coarse_to_fine(
    value: Float[Tensor, "*n"], target: Float[Tensor, "*n"], fine: Bool[Tensor, "*n"], *, coarse_weight: float = 0.01
) -> Float[Tensor, ""]:
    """Squared error that counts fully close to the surface and little elsewhere (BACON, Lindell et al. 2022; FINER++).

    The released code sums over fine points and adds 0.01 times the sum over coarse ones, 5,000 of each. Here each sum
    is 5,000 times a mean: that number at the authors' batch, and independent of the batch at any other, so that a
    limit on the gradient's norm means the same. A kind without points counts nothing.

    Args:
        value: fitted distance.
        target: true distance, in the same unit.
        fine: points that were drawn close to the surface; all others are coarse.
        coarse_weight: of the coarse points' mean.
    """
    error = (value - target).square()
    return AUTHORS_POINTS * (joint_mean(error, fine) + coarse_weight * joint_mean(error, ~fine))


def surface_and_offset_loss(
    value: Float[Tensor, "*n"], sdf: Float[Tensor, "*n"], on: Bool[Tensor, "*n"]
) -> Float[Tensor, ""]:
    """Mean |f| over points of the surface plus mean |f - d| over all others (NID, eq. 17, without its eikonal term).

    The paper integrates over both sets; means are that for points drawn evenly from each, of any number.

    Args:
        value: fitted distance f.
        sdf: true distance d, in the same unit.
        on: points that lie on the surface.
    """
    return joint_mean(value.abs(), on) + joint_mean((value - sdf).abs(), ~on)


def occupancy_entropy(
    logits: Float[Tensor, "*n"], occupancy: Float[Tensor, "*n"], counted: Bool[Tensor, "*n"]
) -> Float[Tensor, ""]:
    """Mean binary cross entropy between occupancies, by their logits, and the truth; in float32.

    Args:
        logits: logarithm of the odds of being inside.
        occupancy: 1 inside, 0 outside.
        counted: points that take part: those on the surface itself are neither.
    """
    entropy = F.binary_cross_entropy_with_logits(logits.float(), occupancy.float(), reduction="none")
    return joint_mean(entropy, counted)


def normal_alignment(gradient: Float[Tensor, "*n 3"], normal: Float[Tensor, "*n 3"]) -> Float[Tensor, ""]:
    """Mean of 1 - cos of the angle between a distance's gradient and the true normal, where that is known.

    Args:
        gradient: of the fitted distance, of any length.
        normal: outward unit normals; zero where they are not known, which does not count.
    """
    known = normal.square().sum(-1) > 0.25
    length = (gradient.square().sum(-1) + 1e-12).sqrt()
    return joint_mean(1 - (gradient * normal).sum(-1) / length, known)


def masked_mean(value: Float[Tensor, "*n"], mask: Bool[Tensor, "*n"]) -> Float[Tensor, ""]:
    """Mean over the entries of a mask, without waiting for the device; 0 where there is none. Of this process alone."""
    kept = torch.where(mask, value, torch.zeros_like(value))
    return kept.sum() / mask.sum().clamp(min=1)
