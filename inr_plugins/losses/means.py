"""Means over the entries of all processes that train together; of one process's where it trains alone."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from inr_plugins import ranks


def joint_mean(value: Float[Tensor, "*n"], mask: Bool[Tensor, "*n"] | None = None) -> Float[Tensor, ""]:
    """Mean over the entries of a mask, without waiting for the device; 0 where there is none.

    Of several ranks, each of which may have another number of entries, possibly none: what is given is this rank's part
    of it, and the mean of that over the ranks is the mean over all their entries.

    Args:
        value: what is averaged.
        mask: which of it; None: all.
    """
    if mask is not None:
        total, count = torch.where(mask, value, torch.zeros_like(value)).sum(), mask.sum()
    elif not ranks.is_joint():
        return value.mean() if value.numel() else value.sum()
    else:
        total, count = value.sum(), torch.tensor(float(value.numel()), device=value.device)
    return total / ranks.mean_over_ranks(count).clamp(min=1 / ranks.number())


def joint_squared_error(value: Float[Tensor, "*n"], target: Float[Tensor, "*n"]) -> Float[Tensor, ""]:
    """Mean squared error, over all ranks' entries as in `joint_mean`."""
    if not ranks.is_joint():
        return F.mse_loss(value, target)
    return joint_mean((value - target).square())
