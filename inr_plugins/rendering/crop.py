"""The part of each ray that is wanted, such as what lies in the crop of a viewer."""

from __future__ import annotations

from jaxtyping import Float
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from inr_plugins.rendering.grid.march import Samples

Crop = tuple[Float[Tensor, " r"], Float[Tensor, " r"]]
"""Distances between which each ray is looked at; the first not below the second where a ray is not."""


def crop_of(rays: RayBundle) -> Crop | None:
    """The crop of a bundle's rays in row-major order; None where it has none."""
    if rays.nears is None or rays.fars is None:
        return None
    return rays.nears.reshape(-1), rays.fars.reshape(-1)


def within(samples: Samples, crop: Crop | None) -> Samples:
    """The samples inside the crop."""
    if crop is None:
        return samples
    near, far = crop
    inside = (samples.distance >= near[samples.ray]) & (samples.distance < far[samples.ray])
    return samples.select(inside.nonzero()[:, 0])
