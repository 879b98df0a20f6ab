"""Which settings of cn-mipnerf can be used, and in what ranges."""

from __future__ import annotations

import math

from inr_plugins.errors import InputError
from inr_plugins.models.cn_mipnerf.config import CnMipNerfSettings
from inr_plugins.options import TRAINING, check_numbers

_PREFIX = "--pipeline.model."


def check_config(config: CnMipNerfSettings) -> None:
    """Raise InputError for the first setting that cannot be used, with its name and range."""
    check_numbers(config, TRAINING, prefix="pipeline.model.")
    if config.far_plane is not None and not config.near_plane < config.far_plane < math.inf:
        raise InputError(
            f"{_option('far_plane')} must be finite and lie beyond {_option('near_plane')} {config.near_plane}, "
            f"got {config.far_plane}: leave it out for as far as the scene box goes."
        )


def _option(name: str) -> str:
    return _PREFIX + name.replace("_", "-")
