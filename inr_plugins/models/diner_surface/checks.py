"""Which settings of diner-surface can be used together, and in what ranges."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras, CameraType
from torch import Tensor

from inr_plugins.errors import InputError
from inr_plugins.models.common.checks import check_planes
from inr_plugins.models.common.object_box import box_of_axes
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


def check_looking(cameras: Cameras) -> None:
    """See that cameras look at one place.

    Raises:
        InputError: they do not.
    """
    if box_of_axes(cameras) is None:
        raise InputError(
            "The cameras do not look at one place in their middle, where the object would be: train a room from inside "
            f"with cn-neus-room, anything with diner, or set {model_option('box')} to scene to look into the "
            "dataparser's box."
        )


def check_outside_box(cameras: Cameras, names: Sequence[str], box: Float[Tensor, "2 3"], scale: float) -> None:
    """See that no camera stands in the box in which the object is looked for.

    Args:
        cameras: of the training pictures.
        names: of those.
        box: a cube, normalised frame.
        scale: the option that it was multiplied by.

    Raises:
        InputError: one does.
    """
    away = (cameras.camera_to_worlds[:, :, 3].detach().cpu().float() - box.mean(0)).abs().amax(-1)
    half = float(box[1, 0] - box[0, 0]) / 2
    count = int((away <= half).sum())
    if count:
        raise InputError(
            f"{count} of {len(away)} cameras, that of {names[int(away.argmin())]} among them, stand in the box in "
            f"which the object is looked for: set {model_option('box_scale')} below "
            f"{scale * float(away.min()) / half:.2g}."
        )
