"""Camera paths in nerfstudio's format around what a page shows: a turn of its camera, or the one view."""

from __future__ import annotations

import math
import re
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from inr_plugins.errors import InputError
from inr_plugins.files import write_json

FOLDER = "camera_paths"
"""In the run folder, where nerfstudio's page looks for them too."""
_SCENE_UNITS = 10.0
"""Of nerfstudio's page in a normalised unit."""
_KEYFRAMES = 8
_LONGEST_NAME = 80


def safe_name(name: str) -> str:
    """A file's name without extension that stays in its folder and needs no quotes: all else becomes a dash."""
    found = re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII)[:_LONGEST_NAME].strip(".-")
    return found or "camera_path"


def camera_of(camera: Any) -> tuple[Float[np.ndarray, "4 4"], Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """Pose of a page's camera, the point that it turns around, and its axis.

    Args:
        camera: viser's CameraHandle (x right, y down, z ahead; the page's units).

    Returns:
        Camera-to-world (OpenGL: looking along -z) and the point, in the normalised frame, and a unit vector.
    """
    w, x, y, z = camera.wxyz
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_quat([x, y, z, w]).as_matrix() * [1, -1, -1]
    pose[:3, 3] = np.asarray(camera.position) / _SCENE_UNITS
    up = np.asarray(camera.up_direction, dtype=float)
    return pose, np.asarray(camera.look_at, dtype=float) / _SCENE_UNITS, up / np.linalg.norm(up)


def turn(
    pose: Float[np.ndarray, "4 4"], centre: Float[np.ndarray, " 3"], axis: Float[np.ndarray, " 3"], count: int
) -> Float[np.ndarray, "n 4 4"]:
    """A camera carried once around an axis, beginning where it is; its distance from the centre stays.

    Args:
        pose: camera-to-world.
        centre: a point of the axis.
        axis: unit vector.
        count: how many poses, evenly spread; the last is one short of the first.
    """
    turns = np.tile(np.eye(4), (count, 1, 1))
    angles = 2 * math.pi * np.arange(count) / count
    turns[:, :3, :3] = Rotation.from_rotvec(angles[:, None] * axis).as_matrix()
    turns[:, :3, 3] = centre - turns[:, :3, :3] @ centre
    return turns @ pose


def camera_path(
    poses: Float[np.ndarray, "n 4 4"], *, fov: float, size: tuple[int, int], seconds: float, crop: dict[str, Any] | None
) -> dict[str, Any]:
    """What nerfstudio's page would write, and reads.

    Args:
        poses: camera-to-world of each frame, normalised frame.
        fov: along the height, degrees.
        size: width and height of frames in pixels.
        seconds: how long the path lasts.
        crop: entry of the viewport's box, None for no crop.
    """
    aspect = size[0] / size[1]
    keys = poses[:: max(1, len(poses) // _KEYFRAMES)]
    path: dict[str, Any] = {
        "camera_type": "perspective", "render_width": size[0], "render_height": size[1], "fps": len(poses) / seconds,
        "seconds": seconds, "is_cycle": len(poses) > 1, "smoothness_value": 0.0, "default_fov": fov,
        "default_transition_sec": seconds / len(keys),
        "keyframes": [{"matrix": each.ravel().tolist(), "fov": fov, "aspect": aspect} for each in keys],
        "camera_path": [{"camera_to_world": each.ravel().tolist(), "fov": fov, "aspect": aspect} for each in poses],
    }  # fmt: skip
    return path if crop is None else {**path, "crop": crop}


def crop_entry(panel: Any) -> dict[str, Any] | None:
    """The box of "Crop Viewport" as camera paths have it; None where that is off."""
    if not panel.crop_viewport:
        return None
    box = panel.crop_obb
    turned = Rotation.from_matrix(box.R.detach().cpu().double().numpy()).as_euler("xyz")
    colour = panel.background_color or (0, 0, 0)
    return {
        "crop_center": box.T.reshape(3).tolist(),
        "crop_scale": box.S.reshape(3).tolist(),
        "crop_rot": turned.tolist(),
        "crop_bg_color": dict(zip("rgb", map(int, colour), strict=True)),
    }


def write_path(run_folder: Path, name: str, path: dict[str, Any]) -> Path:
    """Write a camera path into the run folder, whole or not at all; beside one of that name, by another.

    Raises:
        InputError: the folder takes no files.
    """
    stem = safe_name(name)
    names = (stem if number == 1 else f"{stem}_{number}" for number in count(1))
    file = next(file for each in names if not (file := run_folder / FOLDER / f"{each}.json").exists())
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, path)
    except OSError as error:
        raise InputError(f"Cannot write {file} ({error.strerror or error}).") from error
    return file
