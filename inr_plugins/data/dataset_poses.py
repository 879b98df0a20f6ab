"""What a camera must be before a ray can be cast from it: a rigid pose and a lens with a focal length."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras

RIGID_TOLERANCE = 1e-2
"""Largest accepted entry of |RᵀR - 1|: poses written by hand with three decimals pass, scaled or sheared ones fail."""

SINGULAR_RATIO = 1e-6
"""A 3x3 matrix whose smallest singular value is below this part of the largest one has no usable inverse."""


def pose_problem(pose: Float[np.ndarray, "rows 4"]) -> str | None:
    """Say what keeps a camera-to-world matrix from being a rotation and a translation, as the end of a sentence.

    Args:
        pose: 3 or 4 rows; columns are the camera's x, y and z axes and its position, in any one frame.

    Returns:
        None if the pose is rigid, else words such as "is singular", to go after the name of the matrix.
    """
    if not np.isfinite(pose).all():
        return "has an entry that is not a finite number"
    rotation = np.asarray(pose[:3, :3], dtype=np.float64)
    stretches = np.linalg.svd(rotation, compute_uv=False)
    if stretches[-1] <= SINGULAR_RATIO * stretches[0]:
        return "is singular (its axes lie in a plane, on a line, or are zero)"
    if np.abs(rotation.T @ rotation - np.eye(3)).max() > RIGID_TOLERANCE:
        lengths = ", ".join(f"{length:.4g}" for length in np.linalg.norm(rotation, axis=0))
        return f"is not rigid (its axes, of lengths {lengths}, should have length 1 and be at right angles)"
    if np.linalg.det(rotation) < 0:
        return "mirrors space (its determinant is -1; the axes should be right-handed)"
    if len(pose) == 4 and np.abs(pose[3] - np.array([0.0, 0.0, 0.0, 1.0])).max() > 1e-6:
        return "has a last row other than 0 0 0 1"
    return None


def lens_problem(cameras: Cameras, index: int) -> str | None:
    """Say what is wrong with the intrinsics of camera `index`, as the end of a sentence; None if nothing is."""
    for name in ("fx", "fy"):
        value = float(getattr(cameras, name)[index])
        if not (np.isfinite(value) and value > 0):
            return f"has the focal length {name} = {value:g} pixels (it should be above 0)"
    for name in ("cx", "cy"):
        value = float(getattr(cameras, name)[index])
        if not np.isfinite(value):
            return f"has the principal point {name} = {value:g}"
    width, height = int(cameras.width[index]), int(cameras.height[index])
    if width <= 0 or height <= 0:
        return f"has an image of {width} x {height} pixels"
    if cameras.distortion_params is not None and not bool(cameras.distortion_params[index].isfinite().all()):
        return "has a distortion parameter that is not a finite number"
    return None
