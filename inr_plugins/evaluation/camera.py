"""One picture of a run, from a camera in the dataset's frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras, CameraType

from inr_plugins.errors import InputError
from inr_plugins.meshing.shapes import find_shape, frame_of, show_shape

if TYPE_CHECKING:
    from inr_plugins.engine.runs.run import Run

# Rotations of poses from files are rounded to about as much.
_TOLERANCE = 1e-3


def render_view(
    run: Run,
    camera_to_world: Float[np.ndarray, "rows 4"],
    *,
    width: int,
    height: int,
    focal: float,
    shape: str | None = None,
) -> dict[str, np.ndarray]:
    """What a pinhole camera sees of a run, as the viewer and ns-render do.

    Args:
        run: from `load_run`.
        camera_to_world: (3, 4) or (4, 4) pose in the dataset's frame: x to the right, y up, looking along -z (as in
            transforms.json).
        width: of the picture, pixels.
        height: of the picture, pixels.
        focal: focal length in pixels, along both sides; the principal point is the middle.
        shape: of a run of several shapes, the one that is meant; None: the one it shows.

    Returns:
        The model's outputs as float arrays (height, width, channels) in [0, 1], rgb among them; "depth", where there is
        one, in the dataset's units, along the ray.

    Raises:
        InputError: a pose that is no rotation and position, or sizes that are not above 0.
    """
    pose = np.asarray(camera_to_world, dtype=np.float64)[:3, :4]
    turn = pose[:, :3]
    if not np.isfinite(pose).all() or np.abs(turn.T @ turn - np.eye(3)).max() > _TOLERANCE:
        raise InputError("camera_to_world must be a rotation and a position: its first three columns are unit vectors.")
    if min(width, height) < 1 or not (np.isfinite(focal) and focal > 0):
        raise InputError(f"A picture of {width} x {height} pixels with focal length {focal} cannot be rendered.")
    meant = find_shape(run, shape)
    to_normalised = frame_of(run, meant)
    show_shape(run, meant)
    if to_normalised.mirrors:
        raise InputError("The run's frame is a mirror image of the dataset's, in which no camera can stand.")
    placed = np.concatenate([to_normalised.rotation @ turn, to_normalised.points(pose[None, :, 3]).T], axis=1)
    camera = Cameras(
        camera_to_worlds=torch.as_tensor(placed, dtype=torch.float32)[None],
        fx=float(focal),
        fy=float(focal),
        cx=width / 2,
        cy=height / 2,
        width=width,
        height=height,
        camera_type=CameraType.PERSPECTIVE,
    ).to(run.pipeline.device)
    with torch.no_grad():
        outputs = run.pipeline.model.get_outputs_for_camera(camera)
    found = {name: value.float().cpu().numpy() for name, value in outputs.items() if isinstance(value, torch.Tensor)}
    if "depth" in found:
        found["depth"] = found["depth"] / to_normalised.scale
    return found
