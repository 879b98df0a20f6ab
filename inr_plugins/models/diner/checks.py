"""Which settings of diner can be used together, and in what ranges."""

from __future__ import annotations

from inr_plugins.errors import InputError
from inr_plugins.models.common.checks import check_planes
from inr_plugins.models.diner.config import DinerSettings
from inr_plugins.options import check_model, model_option


def check_config(config: DinerSettings) -> None:
    """Raise InputError for the first setting that cannot be used, with its name and range."""
    if len(config.coarse_voxels) != len(config.coarse_steps) or not config.coarse_voxels:
        raise InputError(
            f"{model_option('coarse_voxels')} and {model_option('coarse_steps')} need one number for each coarse stage."
        )
    check_model(config)
    check_planes(config.near_plane, config.far_plane)
