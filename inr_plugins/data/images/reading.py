"""A split read by one of nerfstudio's parsers, given what it reads rightly and fixed where it would not be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import CAMERA_MODEL_TO_TYPE, Cameras, CameraType
from nerfstudio.data.dataparsers import blender_dataparser, instant_ngp_dataparser, nerfstudio_dataparser
from nerfstudio.data.dataparsers.base_dataparser import DataParser, DataparserOutputs
from nerfstudio.data.dataparsers.blender_dataparser import Blender
from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParser
from nerfstudio.data.dataparsers.instant_ngp_dataparser import InstantNGP
from nerfstudio.data.dataparsers.nerfstudio_dataparser import Nerfstudio
from nerfstudio.utils.rich_utils import CONSOLE

from inr_plugins.data.images.colmap import read_colmap
from inr_plugins.data.images.document import instead_of_json, read_transforms, settle
from inr_plugins.data.images.frames import check_frame, parsers_map, shift, with_applied, with_frame
from inr_plugins.data.images.lenses import DISTORTION_KEYS, is_number
from inr_plugins.data.images.splits import transforms_path
from inr_plugins.errors import InputError

_LENS_NAMES = {"w": "width", "h": "height", "cx": "cx", "cy": "cy", "fl_x": "fx", "fl_y": "fy"}
# Files written with four digits agree.
_TOLERANCE = 1e-3


def read_split(parser: DataParser, split: str, **options: Any) -> DataparserOutputs:
    """Read a split, with the exact map from the dataset's frame under `frames.DATASET_FRAME` in the metadata.

    That frame is the one of the poses in the files: the `transform_matrix` entries of a JSON file, for colmap the
    reconstruction's own.

    Args:
        parser: nerfstudio's.
        split: "train", "val" or "test", one that the dataset has.
        options: more arguments for the parser.

    Raises:
        InputError: what would be misread and cannot be fixed.
        Exception: whatever the parser raises.
    """
    if isinstance(parser, Nerfstudio):
        return _read_nerfstudio(parser, split, options)
    if isinstance(parser, ColmapDataParser):
        return read_colmap(parser, split, options)
    if isinstance(parser, Blender):
        with instead_of_json(blender_dataparser, read_transforms):
            outputs = parser.get_dataparser_outputs(split=split, **options)
        _check_blender_lens(outputs, Path(parser.config.data) / f"transforms_{split}.json")
    elif isinstance(parser, InstantNGP):
        with instead_of_json(instant_ngp_dataparser, read_transforms):
            outputs = parser.get_dataparser_outputs(split=split, **options)
        path = transforms_path(Path(parser.config.data))
        document = read_transforms(path)
        if not outputs.cameras.shape:
            outputs = replace(outputs, cameras=_only_camera(outputs, document, folder=path.parent))
        _fix_focal_length(outputs, document)
    else:
        outputs = parser.get_dataparser_outputs(split=split, **options)
    return with_frame(outputs, parsers_map(outputs))


def _read_nerfstudio(parser: Nerfstudio, split: str, options: dict[str, Any]) -> DataparserOutputs:
    data = Path(parser.config.data)
    path = transforms_path(data)
    content = read_transforms(path)
    poses = np.array([frame["transform_matrix"] for frame in content["frames"]], dtype=np.float64)
    document = settle(content, path=path, data=data)
    with instead_of_json(nerfstudio_dataparser, lambda _: document.content):
        outputs = parser.get_dataparser_outputs(split=split, **options)
    if document.offset.any() and split == "train":
        CONSOLE.print(f"The cameras of {path} lie far from the origin, and are moved to it for training.")
    numbers = _frame_numbers(parser, outputs, document.content["frames"], path=path)
    to_normalised = parsers_map(outputs).after(shift(document.offset))
    check_frame(outputs, poses[numbers], to_normalised, parser="nerfstudio-data", data=data)
    types = [CAMERA_MODEL_TO_TYPE[document.models[number]].value for number in numbers]
    outputs.cameras.camera_type = torch.tensor(types, dtype=outputs.cameras.camera_type.dtype)[:, None]
    applied = _moved_after(document.applied_transform, document.offset)
    return with_frame(with_applied(outputs, applied, document.applied_scale), to_normalised)


def _frame_numbers(
    parser: Nerfstudio, outputs: DataparserOutputs, frames: Sequence[dict[str, Any]], *, path: Path
) -> list[int]:
    """The number of the frame of each image in the outputs; InputError where two frames have the same image."""
    numbers: dict[Path, int] = {}
    for number, frame in enumerate(frames):
        image = parser._get_fname(Path(frame["file_path"]), path.parent)
        if image in numbers:
            other = frames[numbers[image]]["file_path"]
            raise InputError(
                f"Frames {other} and {frame['file_path']} of {path} are both read from {image}: give each image a name "
                "of its own, or nerfstudio-data --downscale-factor 1, which reads the files that the frames name."
            )
        numbers[image] = number
    return [numbers[Path(image)] for image in outputs.image_filenames]


def _moved_after(applied: Float[np.ndarray, "3 4"], offset: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "3 4"]:
    """`applied` and then the shift by minus `offset`."""
    moved = np.array(applied, dtype=np.float64)
    moved[:, 3] -= offset
    return moved


def _check_blender_lens(outputs: DataparserOutputs, path: Path) -> None:
    """Refuse a lens that blender-data passes over: it takes camera_angle_x of the file and the middle of the picture.

    Raises:
        InputError: the file says something else.
    """
    document, cameras = read_transforms(path), outputs.cameras
    taken = {name: float(getattr(cameras, key)[0]) for name, key in _LENS_NAMES.items()}
    taken |= dict.fromkeys(DISTORTION_KEYS, 0.0) | {"camera_angle_x": float(document["camera_angle_x"])}
    taken["camera_angle_y"] = 2 * float(np.arctan(taken["h"] / (2 * taken["fl_y"])))
    frames = [(f"Frame {frame['file_path']} of {path}", frame) for frame in document["frames"]]
    for owner, entries in [(str(path), document), *frames]:
        model = entries.get("camera_model")
        if model is not None and CAMERA_MODEL_TO_TYPE.get(model) is not CameraType.PERSPECTIVE:
            raise InputError(
                f"{owner} gives camera_model as {model}, which blender-data passes over: write a transforms.json for "
                "nerfstudio-data, or take the entry out."
            )
        for key, value in taken.items():
            given = entries.get(key)
            if is_number(given) and abs(given - value) > _TOLERANCE * max(1.0, abs(value)):
                raise InputError(
                    f"{owner} gives {key} as {given}, which blender-data passes over (it takes {value:g}): write a "
                    "transforms.json for nerfstudio-data, or take the entry out."
                )


def _only_camera(outputs: DataparserOutputs, document: dict[str, Any], *, folder: Path) -> Cameras:
    """The camera of a split of one view, of which instant-ngp-data drops the axis of views and the position."""
    camera, image = outputs.cameras, Path(outputs.image_filenames[0])
    frame = next(f for f in document["frames"] if image in (folder / f["file_path"], folder / f"{f['file_path']}.png"))
    pose = torch.tensor(frame["transform_matrix"], dtype=torch.float32)[None, :3]
    pose[..., 3] *= outputs.dataparser_scale
    return Cameras(
        camera_to_worlds=pose,
        fx=camera.fx[None],
        fy=camera.fy[None],
        cx=camera.cx[None],
        cy=camera.cy[None],
        width=camera.width[None],
        height=camera.height[None],
        distortion_params=None if camera.distortion_params is None else camera.distortion_params[None],
        camera_type=camera.camera_type[None],
    )


def _fix_focal_length(outputs: DataparserOutputs, document: dict[str, Any]) -> None:
    """Set fl_y as the file gives it: nerfstudio's instant-ngp-data takes fl_x for it."""
    height = float(outputs.cameras.height[0])
    value = None
    if "fl_y" in document:
        value = float(document["fl_y"])
    elif "y_fov" in document:
        value = 0.5 * height / np.tan(0.5 * np.deg2rad(document["y_fov"]))
    elif "camera_angle_y" in document:
        value = 0.5 * height / np.tan(0.5 * document["camera_angle_y"])
    if value is not None:
        outputs.cameras.fy = torch.full_like(outputs.cameras.fx, float(value))
