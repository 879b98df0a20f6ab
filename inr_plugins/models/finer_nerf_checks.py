"""Which settings of finer-nerf can be used together, and in what ranges."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from inr_plugins.errors import InputError

if TYPE_CHECKING:
    from inr_plugins.models.finer_nerf import FinerNerfModelConfig


def check_config(config: FinerNerfModelConfig) -> None:
    """Raise InputError for the first setting that cannot be used, with its name and range."""
    prefix = "--pipeline.model."
    minima: dict[str, float] = {
        "samples_per_diagonal": 8,
        "max_train_samples": 1024,
        "grid_refresh_every": 1,
        "grid_warm_up_steps": 0,
        "near_plane": 0,
    }
    for name, least in minima.items():
        if not getattr(config, name) >= least:
            raise InputError(f"{prefix}{name.replace('_', '-')} must be at least {least}, got {getattr(config, name)}.")
    for name in ("min_transmittance", "min_weight", "average_decay"):
        if not 0 <= getattr(config, name) < 1:
            option = f"{prefix}{name.replace('_', '-')}"
            raise InputError(f"{option} must be at least 0 and below 1, got {getattr(config, name)}.")
    if (
        list(config.double_samples_at) != sorted(config.double_samples_at)
        or min(config.double_samples_at, default=0) < 0
    ):
        raise InputError(f"{prefix}double-samples-at must be steps in ascending order, none below 0.")
    if not config.far_plane > config.near_plane:
        raise InputError(f"{prefix}far-plane must lie beyond {prefix}near-plane.")
    if not (math.isfinite(config.box_scale) and config.box_scale > 0):
        raise InputError(f"{prefix}box-scale must be positive, got {config.box_scale}.")
