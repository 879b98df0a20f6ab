"""Checks of the files that blender-data and nerfstudio-data read, made before nerfstudio's parsers meet them.

Those parsers stop at the first surprise with a KeyError, an AssertionError or, for a NaN, not at all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from nerfstudio.cameras.cameras import CAMERA_MODEL_TO_TYPE
from nerfstudio.data.dataparsers.base_dataparser import DataParserConfig
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig

from inr_plugins.data.dataset_images import check_decodes, read_header
from inr_plugins.data.dataset_poses import pose_problem
from inr_plugins.errors import InputError

_LENS_KEYS = ("fl_x", "fl_y", "cx", "cy", "w", "h")
_POSITIVE_KEYS = ("fl_x", "fl_y", "w", "h")
_DISTORTION_KEYS = ("k1", "k2", "k3", "k4", "p1", "p2")


def check_dataset_files(config: DataParserConfig, *, split: str, read_images: bool = True) -> None:
    """Refuse a dataset whose files `config`'s parser could not read, or would read as nonsense.

    Any parser: there is something at `config.data`, and its scale factor is a positive number. blender-data and
    nerfstudio-data: the JSON file and all its frames.

    Args:
        config: the parser's configuration.
        split: "train", "val" or "test".
        read_images: False leaves the images alone, as far as the parser does.

    Raises:
        InputError: a file or an option is bad; the sentence names it.
    """
    data = Path(config.data)
    if not data.exists():
        raise InputError(
            f"There is no dataset at {data}: give its folder with --data, or if the data of a saved run has moved, set "
            "the environment variable INR_DATA to where it is now."
        )
    if data.is_dir() and not any(data.iterdir()):
        raise InputError(f"The dataset folder {data} is empty: give --data a folder with images and their poses.")
    scale = getattr(config, "scale_factor", 1.0)
    if not (_is_number(scale) and scale > 0):
        raise InputError(f"--scale-factor is {scale}: the dataset's cameras need a factor above 0.")
    if isinstance(config, BlenderDataParserConfig):
        _check_blender(config, split=split)
    elif isinstance(config, NerfstudioDataParserConfig):
        _check_nerfstudio(config, split=split, read_images=read_images)


def read_transforms(path: Path, *, instead: str = "") -> dict[str, Any]:
    """Read a JSON file of camera poses and return its top-level object, which has a list of frames.

    Args:
        path: the file.
        instead: words on what to do when it is missing.

    Raises:
        InputError: the file is missing, cannot be read, is not JSON (with line and column), or has no frames.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"There is no {path.name} in {path.parent}: {instead or 'give the right folder with --data'}."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}): replace the file.") from error
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path} is not valid JSON, or was cut short (line {error.lineno}, column {error.colno}: {error.msg}): "
            "mend or replace the file."
        ) from error
    frames = document.get("frames") if isinstance(document, dict) else None
    if not isinstance(frames, list) or not frames:
        raise InputError(f"{path} lists no frames: it needs a list named frames, one entry for each image.")
    return document


def _check_blender(config: BlenderDataParserConfig, *, split: str) -> None:
    folder = Path(config.data)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: blender-data needs the folder that holds transforms_{split}.json.")
    path = folder / f"transforms_{split}.json"
    if not path.exists() and (folder / "transforms.json").exists():
        hint = "it holds a transforms.json, so put nerfstudio-data at the end of the command"
    else:
        hint = f"blender-data reads the {split} split from it, so add the file or give the right folder with --data"
    document = read_transforms(path, instead=hint)
    _check_frames(document["frames"], path=path, rows=(3, 4))
    angle = document.get("camera_angle_x")
    if not (_is_number(angle) and 0 < angle < math.pi):
        raise InputError(
            f"{path} gives camera_angle_x as {angle}: it needs the horizontal angle of view in radians, between 0 and "
            "3.14159, so that the focal length is above 0."
        )
    first = document["frames"][0]["file_path"]
    image = folder / Path(first.replace("./", "") + ".png")
    if not image.exists() and first.endswith(".png"):
        raise InputError(
            f"{path} names {first}, but blender-data adds .png itself: leave the extension out of every file_path."
        )
    # The one image that the parser decodes, to learn the size.
    check_decodes(image)


def _check_nerfstudio(config: NerfstudioDataParserConfig, *, split: str, read_images: bool) -> None:
    data = Path(config.data)
    path = data if data.suffix == ".json" else data / "transforms.json"
    hint = ""
    if not path.exists() and (path.parent / "transforms_train.json").exists():
        hint = "the folder holds a transforms_train.json, so put blender-data at the end of the command"
    document = read_transforms(path, instead=hint)
    frames = document["frames"]
    _check_frames(frames, path=path, rows=(4,))
    _check_lens_entries(document, path=path)
    _check_all_or_none(frames, "mask_path", path=path)
    _check_all_or_none(frames, "depth_file_path", path=path)
    _check_split_lists(document, split=split, path=path)
    positions = np.array([np.array(frame["transform_matrix"], dtype=np.float64)[:3, 3] for frame in frames])
    if config.auto_scale_poses and config.center_method == "poses" and np.ptp(positions, axis=0).max() == 0:
        raise InputError(
            f"All {len(frames)} cameras of {path} stand at one point, so that their poses cannot be scaled: give "
            "nerfstudio-data --auto-scale-poses False, or frames from several places."
        )
    if read_images:
        # The parser opens this one to choose a resolution.
        read_header(path.parent / frames[0]["file_path"])


def _check_frames(frames: Sequence[Any], *, path: Path, rows: tuple[int, ...]) -> None:
    """Refuse frames without an image or without a rigid pose of `rows` rows and 4 columns."""
    for index, frame in enumerate(frames):
        if not isinstance(frame, dict) or not isinstance(frame.get("file_path"), str):
            raise InputError(f"Frame {index} of {path} has no file_path: give it one, or take the frame out.")
        name = f"Frame {index} of {path} ({frame['file_path']})"
        if "transform_matrix" not in frame:
            raise InputError(f"{name} has no transform_matrix: add its camera-to-world pose, or take the frame out.")
        try:
            pose = np.array(frame["transform_matrix"], dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"{name} has a transform_matrix that is not all numbers: mend the frame.") from error
        if pose.ndim != 2 or pose.shape[1] != 4 or pose.shape[0] not in rows:
            raise InputError(f"{name} has a transform_matrix of shape {pose.shape}: it needs 4 rows of 4 numbers.")
        problem = pose_problem(pose)
        if problem is not None:
            raise InputError(f"{name} has a transform_matrix that {problem}: mend the pose, or take the frame out.")


def _check_lens_entries(document: dict[str, Any], *, path: Path) -> None:
    """Refuse intrinsics that are missing, not numbers, or not above 0 where they have to be."""
    for key in _LENS_KEYS:
        for owner, entries in _owners(document, key, path=path):
            value = entries.get(key)
            if value is None:
                raise InputError(f"{owner} has no {key}, nor has the file as a whole: add it.")
            if not _is_number(value) or (key in _POSITIVE_KEYS and value <= 0):
                wanted = "a number above 0" if key in _POSITIVE_KEYS else "a finite number"
                raise InputError(f"{owner} gives {key} as {value}: it needs {wanted}.")
    for owner, entries in [(str(path), document), *_frame_owners(document, path=path)]:
        parameters = [entries[key] for key in _DISTORTION_KEYS if key in entries]
        parameters += list(entries.get("distortion_params", []))
        if not all(_is_number(value) for value in parameters):
            raise InputError(f"{owner} has a distortion parameter that is not a finite number: mend or remove it.")
    model = document.get("camera_model", "PINHOLE")
    if model not in CAMERA_MODEL_TO_TYPE:
        known = ", ".join(CAMERA_MODEL_TO_TYPE)
        raise InputError(f"{path} gives camera_model as {model}, which nerfstudio does not know: use one of {known}.")


def _owners(document: dict[str, Any], key: str, *, path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Where nerfstudio-data reads `key` from, with a name: the file as a whole if it is there, else each frame."""
    return [(str(path), document)] if key in document else _frame_owners(document, path=path)


def _frame_owners(document: dict[str, Any], *, path: Path) -> list[tuple[str, dict[str, Any]]]:
    return [(f"Frame {frame['file_path']} of {path}", frame) for frame in document["frames"]]


def _check_all_or_none(frames: Sequence[dict[str, Any]], key: str, *, path: Path) -> None:
    without = [frame["file_path"] for frame in frames if key not in frame]
    if without and len(without) < len(frames):
        raise InputError(
            f"Frame {without[0]} of {path} has no {key} while other frames have one: give it to all frames or to none."
        )


def _check_split_lists(document: dict[str, Any], *, split: str, path: Path) -> None:
    """Refuse lists of file names by split that leave `split` out or name an image that no frame has."""
    present = [name for name in ("train", "val", "test") if f"{name}_filenames" in document]
    if not present:
        return
    names = document.get(f"{split}_filenames")
    if not names:
        raise InputError(
            f"{path} gives the {split} split no images, though it has {present[0]}_filenames: add {split}_filenames."
        )
    known = {Path(frame["file_path"]) for frame in document["frames"]}
    strangers = [name for name in names if Path(name) not in known]
    if strangers:
        raise InputError(
            f"{path} lists {strangers[0]} in {split}_filenames but has no frame for it: add the frame, or take the "
            "name out."
        )


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
