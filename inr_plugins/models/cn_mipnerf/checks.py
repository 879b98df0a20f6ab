"""Which settings of cn-mipnerf can be used, and in what ranges."""

from __future__ import annotations

from inr_plugins.models.cn_mipnerf.config import CnMipNerfSettings
from inr_plugins.models.common.checks import check_planes
from inr_plugins.options import check_model


def check_config(config: CnMipNerfSettings) -> None:
    """Raise InputError for the first setting that cannot be used, with its name and range."""
    check_model(config)
    check_planes(config.near_plane, config.far_plane)
