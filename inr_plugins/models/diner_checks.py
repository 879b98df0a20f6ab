"""Which settings of diner can be used together, and in what ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inr_plugins.errors import InputError

if TYPE_CHECKING:
    from inr_plugins.models.diner import DinerModelConfig


def check_config(config: DinerModelConfig) -> None:
    """Raise InputError for the first setting that cannot be used, with its name and range."""
    prefix = "--pipeline.model."
    if len(config.coarse_voxels) != len(config.coarse_steps) or not config.coarse_voxels:
        raise InputError(f"{prefix}coarse-voxels and {prefix}coarse-steps need one number for each coarse stage.")
    minima: dict[str, float] = {"num_voxels": 8, "key_width": 1, "warm_up_steps": 0, "near_plane": 0}
    for name, least in minima.items():
        if getattr(config, name) < least:
            raise InputError(f"{prefix}{name.replace('_', '-')} must be at least {least}, got {getattr(config, name)}.")
    if min(config.coarse_voxels) < 8 or min(config.coarse_steps) < 1:
        raise InputError(f"{prefix}coarse-voxels must be at least 8 and {prefix}coarse-steps at least 1.")
    for name in ("step_size", "coarse_step_size"):
        if not 0 < getattr(config, name) <= 2:
            raise InputError(f"{prefix}{name.replace('_', '-')} must be above 0 and at most 2 cells.")
    if config.far_plane <= config.near_plane:
        raise InputError(f"{prefix}far-plane must lie beyond {prefix}near-plane.")
    if not config.box_scale > 0:
        raise InputError(f"{prefix}box-scale must be positive, got {config.box_scale}.")
