"""Where rays are looked at, and what they see of the surface."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.models.neus.config import NeusSettings
from inr_plugins.rendering.crop import Crop
from inr_plugins.rendering.grid.distance import DistanceGrid, reach_of
from inr_plugins.rendering.grid.march import box_interval
from inr_plugins.rendering.neus.render import SurfaceRendering, render_surface
from inr_plugins.rendering.neus.sampling import SectionSettings, place_edges, worthwhile_sections
from inr_plugins.rendering.sections import pack_sections


def least_weight(config: NeusSettings, *, training: bool) -> float:
    """Least part of a pixel's light that is worth a look.

    What is left out of a pixel adds up, in a soft surface: pictures are to be better than a training step needs.
    """
    return config.min_weight * (1.0 if training else 0.1)


def look_along(
    origins: Float[Tensor, "r 3"],
    directions: Float[Tensor, "r 3"],
    field: Any,
    config: NeusSettings,
    *,
    grid: DistanceGrid | None,
    anneal: Float[Tensor, ""],
    crop: Crop | None = None,
) -> SurfaceRendering:
    """What rays see; in training with jittered samples and further points for the eikonal loss.

    Args:
        origins: ray origins, normalised frame.
        directions: unit ray directions.
        field: the surface, a SurfaceField or what answers as one.
        config: of the model.
        grid: what is known of distances; None: nothing.
        anneal: see `inr_plugins.rendering.neus.alpha.annealed_slope`; a grid is for 1.
        crop: distances along each ray between which it is looked at.
    """
    box, training = field.box, field.training
    enter, leave = box_interval(origins, directions, box)
    enter, leave = enter.clamp(min=config.near_plane), leave.clamp(max=config.far_plane)
    if crop is not None:
        enter, leave = torch.maximum(enter, crop[0]), torch.minimum(leave, crop[1])
    inside = leave > enter
    least, sharpness = least_weight(config, training=training), field.sharpness.detach()
    if grid is None:
        hit = inside.nonzero()[:, 0]
    else:
        hit = grid.rays_worth_a_look(
            *(origins, directions, torch.where(inside, enter, 0.0), torch.where(inside, leave, 0.0)),
            sections=config.uniform_samples,
            reach=reach_of(sharpness, least),
        )
    enter, leave = enter[hit], leave[hit]
    edges, sdf = place_edges(
        *(origins[hit], directions[hit], enter, leave, field.rough_distance),
        settings=SectionSettings(config.uniform_samples, config.finer_samples, config.sampling_rounds),
        network_unit=field.network_unit,
        jitter=torch.rand(len(hit), device=hit.device) if training else None,
        rough=None if grid is None else grid.distance_at,
    )
    kept = worthwhile_sections(edges, sdf, sharpness=sharpness, anneal=anneal, min_weight=least)
    extra = None
    if training:
        extra = box[0] + (box[1] - box[0]) * torch.rand(config.eikonal_points, 3, device=box.device)
    return render_surface(
        *(origins, directions, pack_sections(edges, kept, rays=hit), field),
        anneal=anneal,
        min_weight=least,
        extra=extra,
    )
