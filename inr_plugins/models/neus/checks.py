"""What can be known to go wrong before a surface is trained: settings, missing masks, cameras in the wrong place."""

from __future__ import annotations

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor

from inr_plugins.errors import InputError
from inr_plugins.models.common.checks import check_planes
from inr_plugins.models.neus.config import NeusSettings
from inr_plugins.options import check_model, model_option
from inr_plugins.rendering.grid.march import box_interval


def check_config(config: NeusSettings) -> None:
    """Raise InputError for the first setting that cannot be used, with its name and range."""
    check_model(config)
    if config.finer_samples % config.sampling_rounds:
        raise InputError(
            f"{model_option('finer_samples')} must be a multiple of {model_option('sampling_rounds')}, got "
            f"{config.finer_samples} and {config.sampling_rounds}."
        )
    check_planes(config.near_plane, config.far_plane)


def check_masks(config: NeusSettings, *, opaque: bool, labelled: bool) -> None:
    """See that an object can be told from what is behind it.

    Args:
        config: of the model.
        opaque: the images have neither masks nor alpha.
        labelled: the datamanager hands masks on as labels.

    Raises:
        InputError: it cannot.
    """
    if config.capture != "object":
        return
    if opaque:
        raise InputError(
            "The images have neither masks nor an alpha channel, which capture object needs: train with cn-neus-table "
            "(an object and what is around it) or cn-neus-room (a room from inside), or give the images masks."
        )
    if not labelled:
        raise InputError(
            "Capture object learns from rays beside the object too: set --pipeline.datamanager.masks labels."
        )


def check_cameras(config: NeusSettings, cameras: Cameras, box: Float[Tensor, "2 3"], *, radius: float) -> None:
    """See that the surface that training starts from lies where the cameras look, and not around them.

    Args:
        config: of the model.
        cameras: of the training images, normalised frame.
        box: that the surface lives in.
        radius: of the sphere around the box's middle that training starts from, normalised units.

    Raises:
        InputError: cameras stand on the wrong side of the sphere, or none sees the box.
    """
    positions = cameras.camera_to_worlds[:, :3, 3].detach().cpu().float()
    box = box.detach().cpu()
    distance = (positions - box.mean(0)).norm(dim=-1)
    if config.capture == "room":
        _check_room(config, distance, radius)
    else:
        _check_orbit(config, distance, radius)
    if not _sees(cameras, box):
        low, high = (", ".join(f"{value:.3g}" for value in corner) for corner in box.tolist())
        raise InputError(
            f"No camera looks at the scene box, which reaches from ({low}) to ({high}) in the normalised frame: centre "
            f"the poses with the dataparser's options, or set {model_option('box_scale')}."
        )


def _check_room(config: NeusSettings, distance: Tensor, radius: float) -> None:
    outside = int((distance >= radius).sum())
    if not outside:
        return
    needed = 1.1 * float(distance.max()) / radius * config.resolved_box_scale
    raise InputError(
        f"{outside} of {len(distance)} cameras stand outside the sphere of radius {radius:.3g} around the middle of "
        f"the scene box that a room starts as: set {model_option('box_scale')} to {needed:.2g} or more; a scene that "
        "is seen from around it is for cn-neus-table."
    )


def _check_orbit(config: NeusSettings, distance: Tensor, radius: float) -> None:
    inside = int((distance <= radius).sum())
    if not inside:
        return
    needed = 0.9 * float(distance.min()) / radius * config.resolved_box_scale
    raise InputError(
        f"{inside} of {len(distance)} cameras stand inside the sphere of radius {radius:.3g} around the middle of the "
        "box that the object is looked for in, where it is taken to be at first: centre the poses on what is looked at "
        f"(nerfstudio-data has --center-method focus), set {model_option('box_scale')} below {needed:.2g}, or train a "
        "room, seen from inside, with cn-neus-room."
    )


def _sees(cameras: Cameras, box: Float[Tensor, "2 3"]) -> bool:
    """Whether a ray through the middle, or a quarter of the way to it, of any image meets the box before it."""
    sizes = torch.cat([cameras.height, cameras.width], -1).float()
    grid = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95])
    places = torch.cartesian_prod(grid, grid)
    for index in range(len(cameras)):
        coords = places.to(sizes.device) * sizes[index]
        chosen = torch.full((len(coords), 1), index, dtype=torch.long, device=sizes.device)
        rays = cameras.generate_rays(camera_indices=chosen, coords=coords)
        enter, leave = box_interval(rays.origins.cpu(), rays.directions.cpu(), box)
        if bool(((leave > enter) & (leave > 0)).any()):
            return True
    return False
