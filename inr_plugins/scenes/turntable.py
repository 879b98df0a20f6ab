"""A closed orbit around what the training cameras look at, as a camera path for `ns-render camera-path`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from inr_plugins.geometry.cameras import look_at


def focus_point(poses: Float[np.ndarray, "n 3 4"]) -> Float[np.ndarray, " 3"]:
    """The point nearest, in the least-squares sense, to the optical axes of cameras.

    Args:
        poses: camera-to-world transforms, x right, y up, looking along -z (OpenGL).
    """
    origins, axes = poses[:, :, 3], -poses[:, :, 2]
    axes = axes / np.linalg.norm(axes, axis=-1, keepdims=True)
    # Projectors onto the planes across each axis; a little of the identity settles parallel axes.
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    middle = origins.mean(0)
    offset = (across @ (origins - middle)[..., None])[..., 0].sum(0)
    return middle + np.linalg.solve(across.sum(0) + 1e-6 * len(poses) * np.eye(3), offset)


def turntable_path(
    poses: Float[np.ndarray, "n 3 4"],
    *,
    width: int,
    height: int,
    vertical_fov: float,
    frames: int = 60,
    seconds: float = 4.0,
) -> dict[str, Any]:
    """One turn about the z axis at the cameras' median distance and height, in nerfstudio's camera path format.

    Args:
        poses: training cameras in the normalised frame, whose z axis is up.
        width: width of the frames in pixels.
        height: height of the frames in pixels.
        vertical_fov: field of view along the height, degrees.
        frames: frames of the turn.
        seconds: how long the turn lasts.
    """
    target = focus_point(poses)
    offset = poses[:, :, 3] - target
    distance = float(np.median(np.linalg.norm(offset, axis=-1)))
    # From straight above or below, the orbit would not turn around anything.
    slope = float(np.clip(np.median(offset[:, 2]) / max(distance, 1e-9), -0.8, 0.8))
    ring, rise = distance * math.sqrt(1 - slope * slope), distance * slope
    angle = 2 * math.pi * np.arange(frames) / frames
    eyes = target + np.stack([ring * np.cos(angle), ring * np.sin(angle), np.full(frames, rise)], axis=-1)
    path = [
        {"camera_to_world": pose.ravel().tolist(), "fov": vertical_fov, "aspect": width / height}
        for pose in look_at(eyes, target)
    ]
    return {
        "camera_type": "perspective",
        "render_width": width,
        "render_height": height,
        "fps": frames / seconds,
        "seconds": seconds,
        "is_cycle": True,
        "camera_path": path,
    }
