"""Cones of pixels, cut into sections: each conical frustum as a Gaussian with a diagonal covariance (mip-NeRF).

Equations are those of Barron et al. 2021, "Mip-NeRF: A Multiscale Representation for Anti-Aliasing Neural Radiance
Fields". Lengths are in the unit of the rays' origins, directions have unit length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Cones:
    """Cones around the rays of pixels.

    Attributes:
        origins: apexes.
        directions: unit directions of the axes.
        radii: radius at distance 1, where the cross section has the variance of the pixel (`pixel_radius`).
    """

    origins: Float[Tensor, "r 3"]
    directions: Float[Tensor, "r 3"]
    radii: Float[Tensor, " r"]

    def __len__(self) -> int:
        return len(self.origins)

    def select(self, index: Int[Tensor, " k"]) -> Cones:
        """The cones at an index."""
        return Cones(self.origins[index], self.directions[index], self.radii[index])


@dataclass(frozen=True)
class FrustumMoments:
    """Moments of conical frustums in the frame of their axis.

    Attributes:
        distance: mean distance from the apex along the axis.
        along: variance along the axis.
        across: variance in each direction perpendicular to it.
    """

    distance: Float[Tensor, " n"]
    along: Float[Tensor, " n"]
    across: Float[Tensor, " n"]


def pixel_radius(pixel_area: Float[Tensor, "r 1"]) -> Float[Tensor, " r"]:
    """Radius of the cone, at distance 1, whose cross section has the variance of a square pixel: 2 / sqrt(12) widths.

    The width is sqrt(pixel_area), nerfstudio's product of the distances between neighbouring unit directions: what the
    ray sees of the pixel. mip-NeRF's code takes the pixel's width in the image plane, which off the axis is a little
    more; nerfstudio's own mip-NeRF takes the disc of the pixel's area (sqrt(area / pi), 2 % less).
    """
    return pixel_area[:, 0].sqrt() * (2 / math.sqrt(12))


def frustum_moments(
    start: Float[Tensor, " n"], end: Float[Tensor, " n"], radius: Float[Tensor, " n"]
) -> FrustumMoments:
    """Mean and variances of the uniform distribution in a cone between two distances (eq. 7, in the form of eq. 8).

    Args:
        start: distance at which the frustum begins, >= 0.
        end: distance at which it ends, >= start.
        radius: of the cone at distance 1.
    """
    middle, half = (start + end) / 2, (end - start) / 2
    # eq. 7 subtracts fourth powers of distances that nearly agree; in the middle and half the length nothing cancels.
    squared = half.square()
    bottom = (3 * middle.square() + squared).clamp(min=torch.finfo(start.dtype).tiny)
    share = squared / bottom
    distance = middle + 2 * middle * share
    along = squared / 3 - (4 / 15) * share.square() * (12 * middle.square() - squared)
    across = radius.square() * (middle.square() / 4 + (5 / 12) * squared - (4 / 15) * squared * share)
    return FrustumMoments(distance, along, across)


def section_gaussians(
    cones: Cones, ray: Int[Tensor, " s"], start: Float[Tensor, " s"], end: Float[Tensor, " s"]
) -> tuple[Float[Tensor, "s 3"], Float[Tensor, "s 3"]]:
    """Mean and diagonal of the covariance of sections of cones (eq. 8 and eq. 16), in the frame of the cones.

    Args:
        cones: the cones.
        ray: which of them each section belongs to.
        start: distance at which each section begins.
        end: distance at which it ends.
    """
    directions = cones.directions[ray]
    moments = frustum_moments(start, end, cones.radii[ray])
    mean = torch.addcmul(cones.origins[ray], directions, moments.distance[:, None])
    # eq. 16 for unit directions: along d d + across (1 - d d).
    squares = directions.square()
    across = moments.across[:, None]
    return mean, torch.addcmul(across, squares, moments.along[:, None] - across)
