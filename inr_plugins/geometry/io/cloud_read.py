"""Reading point clouds as the file has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.ply import LONGEST_HEADER, load_ply_elements, ply_count
from inr_plugins.geometry.io.read_checks import check_file, check_finite, guarded
from inr_plugins.geometry.open3d_import import import_open3d

CLOUD_SUFFIXES = (".ply", ".xyz", ".pcd", ".npy")
_NORMAL_TOLERANCE = 1e-2


@dataclass(frozen=True)
class Cloud:
    """Points of a surface, in the frame and units of their file.

    Attributes:
        points: positions, finite.
        normals: unit normals, or None.
    """

    points: Float[np.ndarray, "n 3"]
    normals: Float[np.ndarray, "n 3"] | None = None


def read_cloud(path: Path) -> Cloud:
    """The points of a PLY, PCD, XYZ or NPY file, in the file's frame and units.

    XYZ is text: x y z, or x y z nx ny nz, in each line; NPY an array of 3 or 6 columns, the same way.

    Raises:
        InputError: no such file, an extension that is not known, a file that cannot be read or is cut short, no points,
            positions that are not finite, or normals whose length is not 1 (to a hundredth).
    """
    check_file(path, CLOUD_SUFFIXES, kind="point cloud")
    readers: dict[str, Callable[[Path], np.ndarray]] = {".npy": _load_npy, ".xyz": _load_xyz}
    return _checked_cloud(guarded(path, readers.get(path.suffix.lower(), _load_cloud)), path)


def _load_cloud(path: Path) -> np.ndarray:
    """Rows x y z, or x y z nx ny nz, of a PLY or PCD file."""
    if path.suffix.lower() == ".ply":
        ply = load_ply_elements(path)
        with path.open("rb") as file:
            promised = ply_count(file.read(LONGEST_HEADER), b"vertex ")
        if promised == 0 or len(ply["vertices"]) < promised:
            return np.zeros((0, 3))
        return np.hstack([ply["vertices"], ply.get("vertex_normals", np.zeros((len(ply["vertices"]), 0)))])
    o3d = import_open3d()
    with o3d.utility.VerbosityContextManager(o3d.utility.VerbosityLevel.Error):
        cloud = o3d.io.read_point_cloud(str(path), remove_nan_points=False, remove_infinite_points=False)
    points, normals = np.asarray(cloud.points), np.asarray(cloud.normals)
    return np.hstack([points, normals]) if len(normals) else points.copy()


def _load_npy(path: Path) -> np.ndarray:
    rows = np.load(path, allow_pickle=False)
    if rows.ndim != 2 or rows.dtype.kind not in "fiu":
        raise InputError(f"{path} holds an array of shape {rows.shape} and type {rows.dtype}, not rows of x y z.")
    return rows.astype(np.float64)


def _load_xyz(path: Path) -> np.ndarray:
    return np.loadtxt(path, ndmin=2)


def _checked_cloud(rows: np.ndarray, path: Path) -> Cloud:
    if rows.shape[1] not in (3, 6):
        raise InputError(f"{path} has {rows.shape[1]} columns; rows must be x y z or x y z nx ny nz.")
    if len(rows) == 0:
        raise InputError(f"{path} has no points, or is cut short; write it again, or give another file.")
    check_finite(rows, path, what="points or normals")
    points, normals = rows[:, :3].astype(np.float64), rows[:, 3:].astype(np.float64)
    if normals.shape[1] == 0:
        return Cloud(points)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    if np.abs(length - 1).max() > _NORMAL_TOLERANCE:
        raise InputError(
            f"Columns 4 to 6 of {path} are no unit normals: their lengths run from {length.min():.3g} to "
            f"{length.max():.3g}; drop them, or scale them to length 1."
        )
    return Cloud(points, normals / length)
