"""The training cameras as plain arrays, for what is asked of a mesh from where the pictures were taken."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from inr_plugins.errors import InputError
from inr_plugins.geometry.pinhole import PinholeViews
from inr_plugins.meshing.shapes import RunShape

# Points that fewer training views than this look at are nobody's surface: their depth was never seen.
_FEWEST_VIEWS = 2
_NUMBERS, _SIZES = ("fx", "fy", "cx", "cy"), ("width", "height")


def training_views(run: Any, shape: RunShape | None = None) -> PinholeViews | None:
    """The run's training cameras in the normalised frame; None where there are none or one is no pinhole.

    Of a run of several shapes only those that look at `shape`.

    Lens distortion is left out, which moves what a camera sees by a few pixels at the border of its image.
    """
    from nerfstudio.cameras.cameras import CameraType

    cameras = getattr(run.dataparser_outputs, "cameras", None)
    if cameras is None or len(cameras) == 0 or (cameras.camera_type != CameraType.PERSPECTIVE.value).any():
        return None
    if shape is not None and "shape" in (cameras.metadata or {}):
        cameras = cameras[cameras.metadata["shape"].reshape(-1) == shape.number]
    numbers = {name: getattr(cameras, name).detach().cpu().double().numpy().reshape(-1) for name in _NUMBERS}
    sizes = {name: getattr(cameras, name).detach().cpu().numpy().reshape(-1).astype(np.int64) for name in _SIZES}
    return PinholeViews(cameras.camera_to_worlds.detach().cpu().double().numpy(), **numbers, **sizes)


def require_views(views: PinholeViews | None, wish: str) -> PinholeViews:
    """The views, or an InputError that names the setting that wants them."""
    if views is None:
        raise InputError(f"{wish} needs training cameras that are pinholes, which this run's are not; leave it out.")
    return views


def seen_by_several(views: PinholeViews, points: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
    """Points that lie in the images of two cameras at least, hidden or not; of one, where there is only one."""
    seen = np.zeros(len(points), dtype=np.int32)
    for view in range(len(views)):
        seen += views.contains(view, points)
    return seen >= min(_FEWEST_VIEWS, len(views))
