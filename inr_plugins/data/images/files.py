"""Checks of the files that blender-data and nerfstudio-data read, made before nerfstudio's parsers meet them.

Those parsers stop at the first surprise with a KeyError, an AssertionError or, for a NaN, not at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from nerfstudio.data.dataparsers.base_dataparser import DataParserConfig
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParserConfig
from nerfstudio.data.dataparsers.instant_ngp_dataparser import InstantNGPDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig

from inr_plugins.data.images.colmap import check_colmap
from inr_plugins.data.images.colmap_places import find_reconstruction
from inr_plugins.data.images.document import read_transforms, settle
from inr_plugins.data.images.downscaled import refuse_missing, smaller_folder
from inr_plugins.data.images.images import check_decodes, read_header
from inr_plugins.data.images.lenses import DISTORTION_KEYS, LENS_KEYS, is_number
from inr_plugins.data.images.poses import pose_problem
from inr_plugins.data.images.splits import transforms_path
from inr_plugins.errors import InputError
from inr_plugins.geometry.io.mesh_read import MESH_SUFFIXES
from inr_plugins.geometry.io.surface_read import is_shape_file

_ANGLES = ("camera_angle_x", "x_fov")  # How instant-ngp's files give the lens where they have no fl_x.
_ROUNDING = 1e-6  # Of the distance from the origin: positions that differ by less are one point that was rounded.


def check_dataset_files(config: DataParserConfig, *, split: str, read_images: bool = True) -> None:
    """Refuse a dataset whose files `config`'s parser could not read, or would read as nonsense.

    Any parser: there is something at `config.data`, and its scale factor is a positive number. blender-data,
    nerfstudio-data and instant-ngp-data: the JSON file and all its frames. colmap: the reconstruction is there.

    Args:
        config: the parser's configuration.
        split: "train", "val" or "test", as it is read (see `images.splits`).
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
    if is_shape_file(data):
        is_mesh = data.suffix.lower() in MESH_SUFFIXES
        raise InputError(
            f"{data} is a {'mesh' if is_mesh else 'point cloud'} by its extension, and this method learns from images: "
            + (f"make some of it with inr-scene {data} FOLDER, or " if is_mesh else "")
            + f"fit the shape itself with ns-train finer-sdf --data {data}."
        )
    if data.is_dir() and not any(data.iterdir()):
        raise InputError(f"The dataset folder {data} is empty: give --data a folder with images and their poses.")
    scale = getattr(config, "scale_factor", 1.0)
    if not (is_number(scale) and scale > 0):
        raise InputError(f"--scale-factor is {scale}: the dataset's cameras need a factor above 0.")
    if isinstance(config, BlenderDataParserConfig):
        _check_blender(config, split=split)
    elif isinstance(config, NerfstudioDataParserConfig):
        _check_nerfstudio(config, split=split, read_images=read_images)
    elif isinstance(config, InstantNGPDataParserConfig):
        _check_instant_ngp(data)
    elif isinstance(config, ColmapDataParserConfig):
        check_colmap(config)


def right_parser(folder: Path) -> str | None:
    """The parser that reads what the folder holds, by its name on the command line; None where that is not plain.

    Raises:
        InputError: its transforms.json cannot be read.
    """
    if (folder / "transforms.json").exists():
        document = read_transforms(folder / "transforms.json")
        owners = [document, *(frame for frame in document["frames"] if isinstance(frame, dict))]
        has_angle = any(key in document for key in _ANGLES) and not any("fl_x" in owner for owner in owners)
        return "instant-ngp-data" if has_angle else "nerfstudio-data"
    if (folder / "transforms_train.json").exists():
        return "blender-data"
    return None if find_reconstruction(folder) is None else "colmap"


def _check_blender(config: BlenderDataParserConfig, *, split: str) -> None:
    folder = Path(config.data)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: blender-data needs the folder that holds transforms_{split}.json.")
    path = folder / f"transforms_{split}.json"
    hint = f"blender-data reads the {split} split from it, so add the file or give the right folder with --data"
    document = read_transforms(path, instead=_put_instead(folder, hint, but="blender-data"))
    _check_frames(document["frames"], path=path, rows=(3, 4))
    angle = document.get("camera_angle_x")
    if not (is_number(angle) and 0 < angle < math.pi):
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
    path = transforms_path(data)
    document = read_transforms(path, instead=_put_instead(path.parent, "", but="nerfstudio-data"))
    frames = document["frames"]
    _check_frames(frames, path=path, rows=(4,))
    if "camera_angle_x" in document and "fl_x" not in document and not any("fl_x" in frame for frame in frames):
        raise InputError(
            f"{path} gives the lens as camera_angle_x, without fl_x, as instant-ngp has it: put instant-ngp-data at "
            "the end of the command."
        )
    settle(deepcopy(document), path=path, data=data)
    _check_all_or_none(frames, "mask_path", path=path)
    _check_all_or_none(frames, "depth_file_path", path=path)
    _check_split_lists(document, split=split, path=path)
    positions = np.array([np.array(frame["transform_matrix"], dtype=np.float64)[:3, 3] for frame in frames])
    spread, reach = np.ptp(positions, axis=0).max(), np.abs(positions).max()
    if config.auto_scale_poses and config.center_method == "poses" and spread <= _ROUNDING * reach:
        raise InputError(
            f"All {len(frames)} cameras of {path} stand at one point, so that their poses cannot be scaled: if they "
            "stood around an object, these are world-to-camera matrices, and transform_matrix must be their inverse; "
            "else give nerfstudio-data --auto-scale-poses False, or frames from several places."
        )
    if read_images and config.downscale_factor is None:
        # The parser opens this one to choose a resolution.
        image = path.parent / frames[0]["file_path"]
        # It looks for smaller ones in folders of this name, whatever that of the image.
        folder = path.parent / "images"
        smaller = None if image.exists() else smaller_folder(folder, holding=image.name)
        if smaller is not None:
            raise refuse_missing(image, folder, smaller, parser="nerfstudio-data")
        read_header(image)


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
            raise InputError(f"{name} has a transform_matrix that is not all numbers: fix the frame.") from error
        if pose.ndim != 2 or pose.shape[1] != 4 or pose.shape[0] not in rows:
            raise InputError(f"{name} has a transform_matrix of shape {pose.shape}: it needs 4 rows of 4 numbers.")
        problem = pose_problem(pose)
        if problem is not None:
            raise InputError(f"{name} has a transform_matrix that {problem}: fix the pose, or take the frame out.")


def _check_instant_ngp(data: Path) -> None:
    path = transforms_path(data)
    document = read_transforms(path, instead=_put_instead(path.parent, "", but="instant-ngp-data"))
    _check_frames(document["frames"], path=path, rows=(3, 4))
    for frame in document["frames"]:
        key = next((key for key in (*LENS_KEYS, *DISTORTION_KEYS, "camera_model") if key in frame), None)
        if key is not None:
            raise InputError(
                f"Frame {frame['file_path']} of {path} has a {key} of its own, which instant-ngp-data does not read: "
                "put nerfstudio-data at the end of the command."
            )
    model = document.get("camera_model")
    if isinstance(model, str) and "FISHEYE" in model and not document.get("is_fisheye"):
        raise InputError(
            f"{path} gives camera_model as {model}, which instant-ngp-data does not read: put nerfstudio-data at the "
            "end of the command, or give the file is_fisheye."
        )
    if not any(key in document for key in ("fl_x", "x_fov", "camera_angle_x")):
        raise InputError(f"{path} has none of fl_x, x_fov and camera_angle_x: add one, for the lens.")


def _put_instead(folder: Path, otherwise: str, *, but: str) -> str:
    """What to do about a missing JSON file: name the parser that reads what is there, unless it is `but`."""
    right = right_parser(folder) if folder.is_dir() else None
    if right is None or right == but:
        return otherwise
    held = {"colmap": "a reconstruction of COLMAP", "blender-data": "a transforms_train.json"}
    return f"the folder holds {held.get(right, 'a transforms.json')}, so put {right} at the end of the command"


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
