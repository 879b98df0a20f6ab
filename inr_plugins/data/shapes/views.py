"""Cameras around shapes in the normalised frame, for pictures of what the shapes truly look like."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras, CameraType

from inr_plugins.geometry.cameras import orbit, spread

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

DISTANCE = 4.0
"""From every camera to the middle of the scene, normalised units."""
_FILLED = 0.94
"""Part of a picture's side that the ball around a shape fills."""
# Shapes of a category keep their relative sizes, so that one may be a speck; and a ball around a camera has no picture.
_SMALLEST, _LARGEST = 1e-3, 0.9 * DISTANCE


def views_of_each(wanted: int, shapes: int) -> int:
    """Views that each of so many shapes gets, so that there are at least `wanted` together and one of each."""
    return max(1, -(-wanted // shapes))


def shape_cameras(radii: Float[np.ndarray, " shapes"], *, split: Split, views: int, size: int) -> Cameras:
    """Cameras that look at the origin, where every shape has its middle; shape by shape, `views` of each.

    Training and validation views lie evenly over the whole sphere, no two of them alike; test views lie on one closed
    loop around the z axis that rises and falls by 40 degrees. Several shapes share one such set between them, so that
    also with one view of each they are seen from all sides. A camera's focal length is such that the ball around its
    shape fills the picture.

    Args:
        radii: distance of each shape's farthest point from the origin, normalised units.
        split: whose views.
        views: of each shape.
        size: side of the square pictures, pixels.

    Returns:
        Cameras in float32, in the normalised frame; metadata["shape"] (cameras, 1) is the number of the shape.
    """
    count = len(radii)
    if split == "test":
        poses = orbit(count * views, radius=DISTANCE, coverage="sphere")
    else:
        generator = np.random.default_rng(SPLITS.index(split))
        poses = spread(count * views, radius=DISTANCE, coverage="sphere", generator=generator)
    # Neighbours on the loop go to different shapes, and a shape's own views far apart.
    poses = poses.reshape(views, count, 4, 4).swapaxes(0, 1).reshape(-1, 4, 4)
    half_angle = np.arcsin(np.clip(radii, _SMALLEST, _LARGEST) / DISTANCE)
    focal = torch.from_numpy(_FILLED * size / 2 / np.tan(half_angle)).float().repeat_interleave(views)[:, None]
    return Cameras(
        camera_to_worlds=torch.from_numpy(poses[:, :3]).float(),
        fx=focal,
        fy=focal,
        cx=size / 2,
        cy=size / 2,
        width=size,
        height=size,
        camera_type=CameraType.PERSPECTIVE,
        metadata={"shape": torch.arange(count).repeat_interleave(views)[:, None]},
    )
