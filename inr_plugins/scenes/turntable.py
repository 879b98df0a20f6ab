"""A closed way around what the training cameras look at, as a camera path for `ns-render camera-path`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from inr_plugins.geometry.cameras import look_at

_GAP = 2 * math.pi / 3
"""Where cameras leave more of the circle empty, nobody knows what there is to be seen from there."""
_INSIDE = 0.9
"""Part of the way between the outermost cameras that is gone: half of what is seen from these no other saw."""


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

    Where the cameras stand on one side only, the way goes to and fro on that side instead.

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
    angle = directions_around(offset, frames)
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


def directions_around(offset: Float[np.ndarray, "n 3"], frames: int) -> Float[np.ndarray, " frames"]:
    """Angles about the z axis of a closed way that stays where cameras have been.

    They go around once, or, where a third of the circle has no camera in it, to and fro over nine tenths of the rest,
    slower at the ends (a sine).

    Args:
        offset: of the cameras from what they look at; those straight above or below it tell no direction.
        frames: how many angles, radians.
    """
    turn = 2 * math.pi * np.arange(frames) / frames
    flat = np.linalg.norm(offset[:, :2], axis=-1)
    aside = offset[flat > 0.1 * np.median(np.linalg.norm(offset, axis=-1))]
    angles = np.sort(np.arctan2(aside[:, 1], aside[:, 0]))
    if len(angles) < 2:
        return turn
    gaps = np.diff(angles, append=angles[0] + 2 * math.pi)
    widest = int(gaps.argmax())
    if gaps[widest] <= _GAP:
        return turn
    half = (2 * math.pi - gaps[widest]) / 2
    return angles[widest] + gaps[widest] + half * (1 + _INSIDE * np.sin(turn))
