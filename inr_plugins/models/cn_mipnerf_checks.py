"""Which settings of cn-mipnerf can be used, and in what ranges."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from inr_plugins.errors import InputError

if TYPE_CHECKING:
    from inr_plugins.models.cn_mipnerf import CnMipNerfModelConfig

_PREFIX = "--pipeline.model."


def check_config(config: CnMipNerfModelConfig) -> None:
    """Raise InputError for the first setting that cannot be used, with its name and range."""
    minima: dict[str, float] = {
        "num_coarse_samples": 2,
        "num_fine_samples": 1,
        "coarse_loss_weight": 0,
        "near_plane": 0,
        "eval_num_rays_per_chunk": 1,
    }
    for name, least in minima.items():
        value = getattr(config, name)
        if not least <= value < math.inf:
            raise InputError(f"{_option(name)} must be finite and at least {least:g}, got {value}.")
    if not 0 <= config.min_transmittance < 1:
        option = _option("min_transmittance")
        raise InputError(f"{option} must be at least 0 and below 1, got {config.min_transmittance}.")
    if config.far_plane is not None and not config.near_plane < config.far_plane < math.inf:
        raise InputError(
            f"{_option('far_plane')} must be finite and lie beyond {_option('near_plane')} {config.near_plane}, "
            f"got {config.far_plane}: leave it out for as far as the scene box goes."
        )


def _option(name: str) -> str:
    return _PREFIX + name.replace("_", "-")
