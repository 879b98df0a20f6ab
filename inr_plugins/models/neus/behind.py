"""What is seen behind an object on a table: the background model along rays, from where they leave the box."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.fields.background import BackgroundField, composite_background
from inr_plugins.models.neus.config import NeusSettings
from inr_plugins.rendering.grid.march import box_interval
from inr_plugins.rendering.neus.sampling import distances_beyond


def seen_behind(
    background: BackgroundField,
    origins: Float[Tensor, "r 3"],
    directions: Float[Tensor, "r 3"],
    light: Float[Tensor, "r 1"],
    config: NeusSettings,
) -> Float[Tensor, "r 3"]:
    """Colour along rays, black where less light than min_weight is left; in training places are jittered.

    Args:
        background: of the box that the surface is in.
        origins: ray origins, normalised frame.
        directions: unit ray directions.
        light: what of each pixel the surface leaves.
        config: of the model.
    """
    lit = light[:, 0] > config.min_weight
    if origins.device.type != "cpu":
        # Asking which rays these are costs more than the others.
        return torch.where(lit[:, None], _beyond(background, origins, directions, config), 0.0)
    rays = lit.nonzero()[:, 0]
    colours = torch.zeros_like(origins)
    if len(rays) == 0:
        return colours
    return colours.index_copy(0, rays, _beyond(background, origins[rays], directions[rays], config))


def _beyond(background: BackgroundField, origins: Tensor, directions: Tensor, config: NeusSettings) -> Tensor:
    enter, leave = box_interval(origins, directions, background.box)
    # A ray that misses the box has its background from where it comes nearest to the middle.
    nearest = ((background.middle - origins) * directions).sum(-1)
    start = torch.where(leave > enter, leave, nearest).clamp(min=config.near_plane)
    jitter = torch.rand(len(origins), device=origins.device) if background.training else None
    places, lengths = distances_beyond(start, start.clamp(min=background.network_unit), config.outside_samples, jitter)
    points = origins[:, None] + directions[:, None] * places[..., None]
    along = directions[:, None].expand_as(points)
    density, colour = background.density_and_colour(points.reshape(-1, 3), along.reshape(-1, 3))
    return composite_background(density.view(places.shape), colour.view(points.shape), lengths)
