"""Which settings of finer-nerf can be used together, and in what ranges."""

from __future__ import annotations

from inr_plugins.errors import InputError
from inr_plugins.models.finer_nerf.config import FinerNerfSettings
from inr_plugins.options import TRAINING, check_numbers


def check_config(config: FinerNerfSettings) -> None:
    """Raise InputError for the first setting that cannot be used, with its name and range."""
    prefix = "--pipeline.model."
    check_numbers(config, TRAINING, prefix="pipeline.model.")
    if list(config.double_samples_at) != sorted(config.double_samples_at):
        raise InputError(f"{prefix}double-samples-at must be steps in ascending order.")
    if not config.far_plane > config.near_plane:
        raise InputError(f"{prefix}far-plane must lie beyond {prefix}near-plane.")
