"""Which settings of diner can be used together, and in what ranges."""

from __future__ import annotations

from inr_plugins.errors import InputError
from inr_plugins.models.diner.config import DinerSettings
from inr_plugins.options import TRAINING, check_numbers


def check_config(config: DinerSettings) -> None:
    """Raise InputError for the first setting that cannot be used, with its name and range."""
    prefix = "--pipeline.model."
    if len(config.coarse_voxels) != len(config.coarse_steps) or not config.coarse_voxels:
        raise InputError(f"{prefix}coarse-voxels and {prefix}coarse-steps need one number for each coarse stage.")
    check_numbers(config, TRAINING, prefix="pipeline.model.")
    if config.far_plane <= config.near_plane:
        raise InputError(f"{prefix}far-plane must lie beyond {prefix}near-plane.")
