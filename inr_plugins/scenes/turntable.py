"""A closed orbit around what the training cameras look at, as a camera path for `ns-render camera-path`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float


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


def look_at(
    eye: Float[np.ndarray, " 3"], target: Float[np.ndarray, " 3"], up: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, "4 4"]:
    """Camera-to-world transform (OpenGL) of a camera at `eye` that looks at `target`."""
    back = (eye - target) / np.linalg.norm(eye - target)
    right = np.cross(up, back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = right, np.cross(back, right), back, eye
    return pose


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
    path = []
    for k in range(frames):
        angle = 2 * math.pi * k / frames
        eye = target + np.array([ring * math.cos(angle), ring * math.sin(angle), rise])
        pose = look_at(eye, target, np.array([0.0, 0.0, 1.0]))
        path.append({"camera_to_world": pose.ravel().tolist(), "fov": vertical_fov, "aspect": width / height})
    return {
        "camera_type": "perspective",
        "render_width": width,
        "render_height": height,
        "fps": frames / seconds,
        "seconds": seconds,
        "is_cycle": True,
        "camera_path": path,
    }
