"""A transforms.json as nerfstudio's parsers have to be given it: what they would drop or misread is rewritten first."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float

from inr_plugins.data.images.lenses import is_number, settle_lenses
from inr_plugins.data.images.schema import DoubleKeyError, check_document, parse
from inr_plugins.errors import InputError
from inr_plugins.files import shown, why_unreadable

FAR = 100.0
"""Cameras that lie this many times farther from the origin than from each other are moved to it before float32."""

_PATH_KEYS = ("file_path", "mask_path", "depth_file_path")
_IDENTITY = np.eye(4)[:3]
_SINGULAR = 1e-6
# What nerfstudio-data takes for applied_transform where there is none but COLMAP's files are there.
_OLD_COLMAP_TRANSFORM = np.array([[0.0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0]])

_reading = threading.Lock()


@dataclass(frozen=True)
class Document:
    """The JSON object of nerfstudio-data, rewritten.

    Attributes:
        content: what the parser is to read; poses are `offset` away from those of the file, and there is no
            applied_transform.
        offset: taken from all positions, in the dataset's units.
        models: camera model of each frame.
        applied_transform: (3, 4) from the frame before ns-process-data to that of the file, as nerfstudio reads it.
        applied_scale: scale beside it.
    """

    content: dict[str, Any]
    offset: Float[np.ndarray, " 3"]
    models: list[str]
    applied_transform: Float[np.ndarray, "3 4"]
    applied_scale: float


def read_transforms(path: Path, *, instead: str = "") -> dict[str, Any]:
    """Read a JSON file of camera poses and return its top-level object, which has a list of frames.

    A byte-order mark is passed over. Backslashes in paths are taken for separators, as Windows writes them, unless
    there is a file whose name has them.

    Args:
        path: the file.
        instead: words on what to do when it is missing.

    Raises:
        InputError: the file is missing, cannot be read, is not JSON (with line and column), has no frames, or an entry
            that is of another kind than it should be or out of range.
    """
    problem = why_unreadable(path)
    if problem is not None and problem != "does not exist":
        raise InputError(f"{shown(path)} {problem}: replace it.")
    try:
        document = parse(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise InputError(
            f"There is no {path.name} in {path.parent}: {instead or 'give the right folder with --data'}."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}): replace the file.") from error
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path} is not valid JSON, or was cut short (line {error.lineno}, column {error.colno}: {error.msg}): "
            "fix or replace the file."
        ) from error
    except DoubleKeyError as error:
        raise InputError(f"{path} gives {error} in one object: take one of them out.") from error
    except RecursionError as error:
        raise InputError(f"{path} is nested too deeply for camera poses: replace the file.") from error
    frames = document.get("frames") if isinstance(document, dict) else None
    if not isinstance(frames, list) or not frames:
        raise InputError(f"{path} lists no frames: it needs a list named frames, one entry for each image.")
    check_document(document, where=str(path))
    _turn_separators(document, folder=path.parent)
    return document


def settle(document: dict[str, Any], *, path: Path, data: Path) -> Document:
    """Rewrite a checked document of nerfstudio-data, in place, for its parser.

    Args:
        document: the object.
        path: its file.
        data: the file or folder that the parser was given.

    Raises:
        InputError: a lens, the applied transform or its scale is bad.
    """
    models = settle_lenses(document, where=str(path))
    applied = applied_transform(document, path=path, data=data)
    scale = document.pop("applied_scale", 1.0)
    document.pop("applied_transform", None)
    if not (is_number(scale) and scale > 0):
        raise InputError(f"{path} gives applied_scale as {scale}: it needs a number above 0.")
    document["applied_transform"] = _IDENTITY.tolist()
    poses = np.array([frame["transform_matrix"] for frame in document["frames"]], dtype=np.float64)
    offset = far_offset(poses[:, :3, 3])
    if offset.any():
        poses[:, :3, 3] -= offset
        for frame, pose in zip(document["frames"], poses, strict=True):
            frame["transform_matrix"] = pose.tolist()
    return Document(document, offset, models, applied, float(scale))


def far_offset(positions: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " 3"]:
    """What to take from positions so that float32 keeps their differences: their mean where they lie far off, else 0.

    Georeferenced cameras lie 5e6 metres from the origin, where float32 counts in half metres.
    """
    spread = float(np.ptp(positions, axis=0).max())
    if len(positions) < 2 or float(np.abs(positions).max()) <= FAR * spread:
        return np.zeros(3)
    return positions.mean(axis=0)


@contextmanager
def instead_of_json(module: ModuleType, read: Callable[[Path], dict[str, Any]]) -> Iterator[None]:
    """While the body runs, a module of nerfstudio's gets its JSON from `read`, one thread at a time."""
    with _reading:
        name = "load_from_json"
        original = getattr(module, name)
        setattr(module, name, read)
        try:
            yield
        finally:
            setattr(module, name, original)


def applied_transform(document: dict[str, Any], *, path: Path, data: Path) -> Float[np.ndarray, "3 4"]:
    """The applied_transform of a document of nerfstudio-data, or what the parser takes for it; InputError if bad."""
    given = document.get("applied_transform")
    if given is None:
        return _OLD_COLMAP_TRANSFORM if (data / "colmap/sparse/0").exists() else _IDENTITY
    try:
        matrix = np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} has an applied_transform that is not all numbers: fix or remove it.") from error
    if matrix.shape not in ((3, 4), (4, 4)) or not np.isfinite(matrix).all():
        raise InputError(f"{path} has an applied_transform that is not 3 rows of 4 numbers: fix or remove it.")
    if matrix.shape[0] == 4 and (matrix[3] != [0, 0, 0, 1]).any():
        raise InputError(f"{path} has an applied_transform with a last row other than 0 0 0 1: fix or remove it.")
    stretches = np.linalg.svd(matrix[:3, :3], compute_uv=False)
    if stretches[-1] <= _SINGULAR * stretches[0]:
        raise InputError(f"{path} has an applied_transform that cannot be undone (singular): fix or remove it.")
    return matrix[:3]


def _turn_separators(document: dict[str, Any], *, folder: Path) -> None:
    def turned(value: Any) -> Any:
        is_path = isinstance(value, str) and "\\" in value
        return value.replace("\\", "/") if is_path and not (folder / value).exists() else value

    for frame in document["frames"]:
        if isinstance(frame, dict):
            frame.update({key: turned(frame[key]) for key in _PATH_KEYS if key in frame})
    for split in ("train", "val", "test"):
        names = document.get(f"{split}_filenames")
        if isinstance(names, list):
            document[f"{split}_filenames"] = [turned(name) for name in names]
