"""The part of each ray that is wanted, such as what lies in the crop of a viewer."""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from inr_plugins.rendering.grid.march import Samples

Crop = tuple[Float[Tensor, " r"], Float[Tensor, " r"]]
"""Distances between which each ray is looked at; the first not below the second where a ray is not."""


_BEFORE_NARROWING, _GUESS = "crop_before_narrowing", "guessed_distance"


def crop_of(rays: RayBundle) -> Crop | None:
    """Where a bundle's rays are to be looked at, in row-major order; None where that is everywhere."""
    if rays.nears is None or rays.fars is None:
        return None
    return rays.nears.reshape(-1), rays.fars.reshape(-1)


def cuts_off(rays: RayBundle) -> bool:
    """Whether what lies beyond the ends of a bundle's rays is cut off, rather than known to be nothing."""
    return rays.nears is not None and _BEFORE_NARROWING not in (rays.metadata or {})


def guess_of(rays: RayBundle) -> Float[Tensor, " r"] | None:
    """Distances just behind where a bundle's rays are thought to meet a surface; not finite where that is not known."""
    guess = (rays.metadata or {}).get(_GUESS)
    return None if guess is None else guess.reshape(-1)


def narrowed(
    rays: RayBundle,
    near: Float[Tensor, " r"],
    far: Float[Tensor, " r"],
    *,
    guess: Float[Tensor, " r"] | None = None,
) -> RayBundle:
    """Rays that are looked at between two distances only: those who ask know that nothing else is in the scene's box.

    What stands behind everything is still behind them, unless they have a crop already, which counts besides.

    Args:
        rays: a flat bundle.
        near: from where on each is looked at.
        far: up to where; not above `near` for rays that meet nothing.
        guess: what `guess_of` is to answer for them.
    """
    made, crop = copy.copy(rays), crop_of(rays)
    made.metadata = dict(rays.metadata or {})
    if guess is not None:
        made.metadata[_GUESS] = guess[:, None]
    if crop is None:
        made.metadata[_BEFORE_NARROWING] = torch.ones_like(near[:, None])
    else:
        near, far = torch.maximum(near, crop[0]), torch.minimum(far, crop[1])
    made.nears, made.fars = near[:, None], far[:, None]
    return made


def within(samples: Samples, crop: Crop | None) -> Samples:
    """The samples inside the crop."""
    if crop is None:
        return samples
    near, far = crop
    inside = (samples.distance >= near[samples.ray]) & (samples.distance < far[samples.ray])
    return samples.select(inside.nonzero()[:, 0])
