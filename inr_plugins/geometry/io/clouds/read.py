"""Reading point clouds as the file has them, and saying what was taken for what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.clouds.binary import read_pcd_rows, read_ply_rows
from inr_plugins.geometry.io.clouds.columns import Table, name_columns
from inr_plugins.geometry.io.clouds.text import read_text_rows
from inr_plugins.geometry.io.read_checks import check_file, guarded
from inr_plugins.geometry.io.rounding import rounding_note

# Clouds and nothing else, in a folder of shapes.
CLOUD_SUFFIXES = (".ply", ".xyz", ".pcd", ".npy", ".pts", ".asc", ".xyzn", ".xyzrgb")
# Clouds where the file itself is named: in a folder they are mostly notes and tables.
TEXT_SUFFIXES = (".txt", ".csv")
_UNIT_LENGTH = 1e-2
_NEAREST = 4
# A file with fewer normals than this share has none worth filling up.
_LEAST_KNOWN = 0.5
# An array of fewer rows and more columns than these was saved with a column for each point.
_FEW_ROWS, _MOST_COLUMNS = 10, 12
# Coordinates, or coordinates and normals: so many rows may be those of points, and may be points themselves.
_EITHER = (3, 6)


@dataclass(frozen=True)
class Cloud:
    """Points of a surface, in the frame and units of their file.

    Attributes:
        points: positions, finite.
        normals: unit normals, or None.
        notes: what was found in the file and what was left out of it, each a few words.
    """

    points: Float[np.ndarray, "n 3"]
    normals: Float[np.ndarray, "n 3"] | None = None
    notes: tuple[str, ...] = ()


def read_cloud(path: Path, *, normals: bool = True) -> Cloud:
    """The points of a PLY, PCD, NPY or text file (XYZ, PTS, ASC, TXT, CSV), in the file's frame and units.

    Points that are NaN or infinite are dropped. Normals of another length are scaled to 1; those of length 0, or NaN,
    count as none: a few are taken from the nearest points that have one, and more leave the cloud without.

    Text and NPY have rows x y z, with or without more columns, see `cloud_columns.name_columns`. Takes about 150 bytes
    a point beside the file's own columns.

    Args:
        path: the file.
        normals: whether to read normals. Without, columns that may be normals or something else are no matter.

    Raises:
        InputError: no such file, an extension that is not known, a file that cannot be read, is cut short or holds
            another number of points than it announces, no points, or columns that cannot be told.
    """
    check_file(path, CLOUD_SUFFIXES + TEXT_SUFFIXES, kind="point cloud")
    readers: dict[str, Callable[[Path], Table]] = {".npy": _read_npy, ".ply": read_ply_rows, ".pcd": read_pcd_rows}
    table = guarded(path, readers.get(path.suffix.lower(), read_text_rows))
    if len(table.rows) == 0:
        raise InputError(f"{path} has no points, or is cut short; write it again, or give another file.")
    columns = name_columns(table, file=str(path), normals=normals)
    notes = ["a splat file, whose points are the centres of Gaussians"] if _is_splat(table) else []
    notes += [columns.note] if columns.note else []
    count, width = table.rows.shape
    if path.suffix.lower() == ".npy" and count in _EITHER and width >= count:
        notes.append(f"{count} rows of {width} numbers, each row taken for a point")
    finite = np.isfinite(table.rows[:, columns.points]).all(axis=1)
    if not finite.all():
        notes.append(f"{int((~finite).sum()):,} of {len(finite):,} points dropped that are NaN or infinite")
        if not finite.any():
            raise InputError(f"All {len(finite)} points of {path} are NaN or infinite; write it again.")
    points = np.ascontiguousarray(table.rows[finite][:, columns.points], dtype=np.float64)
    rounded = rounding_note(points)
    notes += [rounded] if rounded else []
    if columns.normals is None:
        return Cloud(points, None, tuple(notes))
    given = np.ascontiguousarray(table.rows[finite][:, columns.normals], dtype=np.float64)
    found, words = _unit_normals(points, given)
    return Cloud(points, found, (*notes, *words))


def _is_splat(table: Table) -> bool:
    """Whether the columns are those of 3D Gaussian splatting."""
    return {"f_dc_0", "opacity"} <= set(table.ignored)


def _unit_normals(
    points: Float[np.ndarray, "n 3"], given: Float[np.ndarray, "n 3"]
) -> tuple[Float[np.ndarray, "n 3"] | None, list[str]]:
    """The normals with length 1, or None where most have no direction, and what was done."""
    length = np.linalg.norm(given, axis=1)
    known = np.isfinite(length) & (length > 0)
    missing = int((~known).sum())
    if missing == len(known):
        return None, ["the file's normals are all zero and count as none"]
    if known.mean() < _LEAST_KNOWN:
        return None, [f"{missing:,} of the file's {len(known):,} normals are zero or NaN, so that all count as none"]
    words = []
    if np.abs(length[known] - 1).max() > _UNIT_LENGTH:
        low, high = length[known].min(), length[known].max()
        words.append(f"normals of length {low:.3g} to {high:.3g} scaled to 1")
    with np.errstate(invalid="ignore", divide="ignore"):
        normals = given / length[:, None]
    if missing:
        normals = _filled(points, normals, known)
        words.append(f"{missing:,} normals that are zero or NaN taken from the points beside them")
    return normals, words


def _filled(
    points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"], known: Bool[np.ndarray, " n"]
) -> Float[np.ndarray, "n 3"]:
    """Normals with each unknown one replaced by the mean of those of the nearest points that agree with the nearest."""
    from scipy.spatial import cKDTree

    tree = cKDTree(points[known])
    _, near = tree.query(points[~known], k=list(range(1, min(_NEAREST, tree.n) + 1)), workers=-1)
    around = normals[known][near]
    agree = np.einsum("qki,qi->qk", around, around[:, 0]) > 0
    mean = (around * agree[:, :, None]).sum(axis=1)
    filled = normals.copy()
    filled[~known] = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    return filled


def _read_npy(path: Path) -> Table:
    rows = np.load(path, allow_pickle=False)
    if rows.ndim != 2 or rows.dtype.kind not in "fiu":
        raise InputError(f"{path} holds an array of shape {rows.shape} and type {rows.dtype}, not rows of x y z.")
    if 0 < len(rows) < _FEW_ROWS and rows.shape[1] > _MOST_COLUMNS:
        raise InputError(
            f"{path} holds an array of shape {rows.shape}: as rows of x y z it has {len(rows)} points; turn it over "
            "(numpy.transpose) if its columns are the points."
        )
    return Table(rows.astype(np.float64))
