"""Normalizations of a coordinate network's pre-activations: none, batch, layer, global and cross.

Equations and names follow "Towards the Spectral Bias Alleviation by Normalizations in Coordinate Networks". A batch is
a matrix of N rows (points) and n columns (channels); each normalization ends in a factor and a summand for each
channel, which start at 1 and 0. Statistics are computed in float32 at least, whatever the type of the input.

Batch, global and cross normalization couple the rows of a batch. In training mode they use the batch's own statistics
and average them into running ones; in eval mode, and everywhere inside `frozen_statistics`, they use the running ones
and leave them alone. A row's output then depends on that row only, so that a picture does not depend on its chunks and
a spatial gradient is that of the function. Every pass in training mode that is not the training pass - normals, an
occupancy grid's refresh, importance sampling - belongs inside `frozen_statistics`; a training pass whose loss holds
a spatial gradient belongs inside `rowwise_gradients`.
"""

from __future__ import annotations

from typing import Literal, get_args

from inr_plugins.networks.normalization.base import EPS, LayerNorm, NoNormalization, Normalization
from inr_plugins.networks.normalization.row_coupled import (
    MOMENTUM,
    BatchNorm,
    CrossNorm,
    GlobalNorm,
    RowCoupledNormalization,
)
from inr_plugins.networks.normalization.running_statistics import (
    frozen_statistics,
    rowwise_gradients,
    use_sampling_level,
)

__all__ = [
    "BatchNorm",
    "CrossNorm",
    "GlobalNorm",
    "LayerNorm",
    "NoNormalization",
    "Normalization",
    "NormalizationName",
    "RowCoupledNormalization",
    "frozen_statistics",
    "make_normalization",
    "rowwise_gradients",
    "use_sampling_level",
]

NormalizationName = Literal["none", "batch", "layer", "global", "cross"]


def make_normalization(
    name: str,
    width: int,
    *,
    eps: float = EPS,
    momentum: float = MOMENTUM,
    affine: bool = True,
    sampling_levels: int = 1,
    cross_variance: bool = False,
) -> Normalization:
    """The normalization of that name (`NormalizationName`); arguments that its kind has no use for are ignored.

    Raises:
        ValueError: an unknown name, a setting out of its range, or `cross_variance` for another kind.
    """
    if name not in get_args(NormalizationName):
        raise ValueError(f"unknown normalization {name!r}: choose one of {', '.join(get_args(NormalizationName))}")
    if cross_variance and name != "cross":
        raise ValueError(f"cross_variance is a setting of normalization cross, got it with {name}: leave it False")
    if name == "none":
        return NoNormalization(width)
    if name == "layer":
        return LayerNorm(width, eps=eps, affine=affine)
    if name == "cross":
        return CrossNorm(
            width,
            eps=eps,
            momentum=momentum,
            affine=affine,
            sampling_levels=sampling_levels,
            cross_variance=cross_variance,
        )
    kind = BatchNorm if name == "batch" else GlobalNorm
    return kind(width, eps=eps, momentum=momentum, affine=affine, sampling_levels=sampling_levels)
