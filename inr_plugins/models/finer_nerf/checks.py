"""Which settings of finer-nerf can be used together, and in what ranges."""

from __future__ import annotations

from inr_plugins.errors import InputError
from inr_plugins.models.common.checks import check_planes
from inr_plugins.models.finer_nerf.config import FinerNerfSettings
from inr_plugins.options import check_model, model_option


def check_config(config: FinerNerfSettings) -> None:
    """Raise InputError for the first setting that cannot be used, with its name and range."""
    check_model(config)
    if list(config.double_samples_at) != sorted(config.double_samples_at):
        raise InputError(f"{model_option('double_samples_at')} must be steps in ascending order.")
    check_planes(config.near_plane, config.far_plane)
