"""Which settings of diner-surface can be used together, and in what ranges."""

from __future__ import annotations

from itertools import pairwise

from nerfstudio.cameras.cameras import Cameras, CameraType

from inr_plugins.errors import InputError
from inr_plugins.models.common.checks import check_planes
from inr_plugins.models.diner_surface.config import DinerSurfaceSettings
from inr_plugins.options import check_model, model_option


def check_config(config: DinerSurfaceSettings) -> None:
    """Raise InputError for the first setting that cannot be used, with its name and range."""
    sizes = config.lattice_sizes
    each = (sizes, config.smooth_share, config.colour_degrees)
    if not sizes or len(config.stage_steps) != len(sizes) - 1 or any(len(numbers) != len(sizes) for numbers in each):
        raise InputError(
            f"{model_option('lattice_sizes')}, {model_option('smooth_share')} and {model_option('colour_degrees')} "
            f"need one number for each stage, and {model_option('stage_steps')} one for each but the last."
        )
    if any(b <= a for a, b in pairwise(sizes)):
        raise InputError(f"{model_option('lattice_sizes')} must grow from stage to stage, got {sizes}.")
    check_model(config)
    check_planes(config.near_plane, config.far_plane)


def check_masks(*, opaque: bool, labelled: bool) -> None:
    """See that the object can be told from what is behind it.

    Raises:
        InputError: it cannot.
    """
    if opaque:
        raise InputError(
            "The images have neither masks nor an alpha channel, from which capture object starts: leave "
            f"{model_option('capture')} at auto or set it to table, or give the images masks."
        )
    if not labelled:
        raise InputError(
            "diner-surface learns from rays beside the object too: set --pipeline.datamanager.masks labels."
        )


def check_pinholes(cameras: Cameras) -> None:
    """See that points can be found in the pictures.

    Raises:
        InputError: a camera is no pinhole.
    """
    if (cameras.camera_type != CameraType.PERSPECTIVE.value).any():
        raise InputError(
            "diner-surface needs pinhole cameras, and some of these are of another kind: undistort the pictures, or "
            "train with cn-neus."
        )
