"""What a camera must be before a ray can be cast from it: a rigid pose and a lens with a focal length."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras

RIGID_TOLERANCE = 1e-2
"""Largest accepted entry of |RᵀR - 1|: poses written by hand with three decimals pass, scaled or sheared ones fail."""

SINGULAR_RATIO = 1e-6
"""A 3x3 matrix whose smallest singular value is below this part of the largest one has no usable inverse."""

# Axes that are all alike, or hardly come together, have no point in common: forward-facing captures, walks.
_FEWEST_AXES = 5
_LEAST_SPREAD = 0.05
_NEAR = 0.3


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


def looking_away(poses: Float[np.ndarray, "n rows 4"]) -> int:
    """How many cameras have the point that their optical axes meet in behind them, if there is one and most have.

    The point is the nearest to all axes in the sense of least squares. Cameras around an object have it before them;
    poses with OpenCV's axes (y down, z forward), which nerfstudio takes for OpenGL's, have it behind them, and so have
    cameras that look out from a middle.

    Args:
        poses: cameras to world, rigid; 3 or 4 rows each; -z is the optical axis.

    Returns:
        The number of such cameras; 0 unless nine tenths are, the axes have different directions, and they come near to
        the point.
    """
    origins, axes = poses[:, :3, 3].astype(np.float64), -poses[:, :3, 2].astype(np.float64)
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    total = across.mean(axis=0)
    if len(poses) < _FEWEST_AXES or np.linalg.eigvalsh(total)[0] < _LEAST_SPREAD:
        return 0
    point = np.linalg.solve(total, np.einsum("nij,nj->ni", across, origins).mean(axis=0))
    towards = point - origins
    past = np.linalg.norm(np.einsum("nij,nj->ni", across, towards), axis=1)
    if np.median(past) > _NEAR * np.median(np.linalg.norm(towards, axis=1)):
        return 0
    behind = int((np.einsum("ni,ni->n", towards, axes) < 0).sum())
    return behind if behind >= 0.9 * len(poses) else 0


def one_pose(poses: Float[np.ndarray, "n rows 4"]) -> tuple[int, int] | None:
    """Two cameras that have exactly the same pose, the first of them; None: all differ."""
    _, first, number = np.unique(poses.reshape(len(poses), -1), axis=0, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[number.reshape(-1)] != np.arange(len(poses)))
    return (int(first[number.reshape(-1)[again[0]]]), int(again[0])) if len(again) else None


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
