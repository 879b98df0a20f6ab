"""Boxes along the axes, as two corners: what every module that lives in one asks of it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def has_volume(box: Float[Tensor, "2 3"]) -> bool:
    """Whether both corners are finite and the second lies above the first in every direction."""
    return bool(torch.isfinite(box).all()) and bool((box[1] > box[0]).all())


def checked_box(box: Float[Tensor, ...]) -> Float[Tensor, "2 3"]:
    """The box in float32, which modules reckon in, without a gradient.

    Args:
        box: (minimum, maximum corner).

    Raises:
        ValueError: it is no two corners of three numbers, or has no volume; one so thin that float32 cannot tell its
            corners apart has none.
    """
    if box.shape != (2, 3):
        raise ValueError(f"a box is two corners of three numbers, got the shape {tuple(box.shape)}")
    rounded = box.detach().float()
    if not has_volume(rounded):
        raise ValueError(f"the box {box.tolist()} has no volume")
    return rounded


def scaled_box(box: Float[Tensor, "2 3"], factor: float) -> Float[Tensor, "2 3"]:
    """The box grown or shrunk around its middle: its sides are `factor` times as long."""
    middle = box.mean(0)
    return middle + (box - middle) * factor


def cube_around(box: Float[Tensor, "2 3"]) -> Float[Tensor, "2 3"]:
    """The cube with the box's middle that holds the box."""
    middle, half = box.mean(0), (box[1] - box[0]).max() / 2
    return torch.stack([middle - half, middle + half])
