"""COLMAP's reconstructions: found where they are, read in float64 and in their own frame, without a prompt."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from nerfstudio.data.dataparsers import colmap_dataparser
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParser, ColmapDataParserConfig
from nerfstudio.utils.rich_utils import CONSOLE

from inr_plugins.data.images.colmap_places import find_reconstruction, is_reconstruction
from inr_plugins.data.images.document import far_offset
from inr_plugins.data.images.downscaled import refuse_missing, smaller_folder
from inr_plugins.data.images.frames import check_frame, parsers_map, shift, with_applied, with_frame
from inr_plugins.errors import InputError


def check_colmap(config: ColmapDataParserConfig) -> Path:
    """See that a reconstruction and its images are there; returns its place below the dataset's folder.

    Where nothing is at the parser's default place, the others are looked at.

    Raises:
        InputError: there is no reconstruction, no folder of images, or a list of views under a name that is not read.
    """
    data, place = Path(config.data), Path(config.colmap_path)
    if not is_reconstruction(data / place):
        found = find_reconstruction(data)
        if found is None:
            raise InputError(
                f"There is no reconstruction of COLMAP at {data / place} (cameras.txt and images.txt, or .bin): give "
                "its place below --data with colmap --colmap-path."
            )
        if place != ColmapDataParserConfig.colmap_path:
            raise InputError(
                f"There is no reconstruction of COLMAP at {data / place}, but one at {data / found}: give colmap "
                f"--colmap-path {found}."
            )
        place = found
    _check_images(data / config.images_path, factor=config.downscale_factor or 1)
    if (data / "validation_list.txt").exists() and not (data / "val_list.txt").exists():
        raise InputError(
            f"{data / 'validation_list.txt'} is not read under that name: call it val_list.txt, or take it away."
        )
    return place


def _check_images(folder: Path, *, factor: int) -> None:
    """See that the images are there, in full size or, by a factor that was given, smaller beside it."""
    if folder.is_dir() or (factor > 1 and folder.with_name(f"{folder.name}_{factor}").is_dir()):
        return
    smaller = smaller_folder(folder)
    if smaller is not None:
        raise refuse_missing(folder, folder, smaller, parser="colmap")
    raise InputError(
        f"There is no folder of images at {folder}: give its place below --data with colmap --images-path."
    )


def read_colmap(parser: ColmapDataParser, split: str, options: dict[str, Any]) -> DataparserOutputs:
    """Read a split; its dataset's frame is the reconstruction's own.

    Raises:
        InputError: the reconstruction is not there or mixes kinds of cameras, or smaller images are missing and there
            is no terminal to ask at.
    """
    place = check_colmap(parser.config)
    if place != Path(parser.config.colmap_path):
        CONSOLE.print(f"COLMAP's reconstruction is read from {place} (colmap --colmap-path).")
    # The points of the reconstruction are of no use here, and take long to read.
    parser.config = replace(parser.config, colmap_path=place, load_3D_points=False)
    seen: dict[str, Any] = {}
    original = parser._get_all_images_and_cameras

    def moved(folder: Path) -> dict[str, Any]:
        """The reconstruction, moved to the origin where float32 needs it; what it was is kept in `seen`."""
        try:
            meta = original(folder)
        except AssertionError as error:
            raise InputError(
                f"The reconstruction {folder} has cameras of several kinds, of which colmap reads one ({error}): "
                "undistort the images with COLMAP, or make a dataset of each kind."
            ) from error
        poses = np.array([frame["transform_matrix"] for frame in meta["frames"]], dtype=np.float64)
        seen["poses"], seen["offset"] = poses.copy(), far_offset(poses[:, :3, 3])
        seen["names"] = [Path(frame["file_path"]) for frame in meta["frames"]]
        seen["applied"] = np.array(meta.get("applied_transform", np.eye(4)[:3]), dtype=np.float64)
        poses[:, :3, 3] -= seen["offset"]
        for frame, pose in zip(meta["frames"], poses, strict=True):
            frame["transform_matrix"] = pose
        return meta

    parser._get_all_images_and_cameras = moved  # type: ignore[method-assign, assignment]
    try:
        with _without_prompt(Path(parser.config.data)):
            outputs = parser.get_dataparser_outputs(split=split, **options)
    finally:
        del parser._get_all_images_and_cameras
    return _in_own_frame(parser, outputs, **seen)


def _in_own_frame(
    parser: ColmapDataParser,
    outputs: DataparserOutputs,
    *,
    poses: np.ndarray,
    offset: np.ndarray,
    names: list[Path],
    applied: np.ndarray,
) -> DataparserOutputs:
    """The outputs with the map from COLMAP's frame; `applied`, a turn, leads from it to that of `poses`."""
    data = Path(parser.config.data)
    folder = data / parser.config.images_path
    folders = (folder, folder.with_name(f"{folder.name}_{parser._downscale_factor}"))
    numbers = {name.relative_to(folder): number for number, name in enumerate(names)}
    taken = [numbers[_below(Path(image), folders)] for image in outputs.image_filenames]
    own = np.linalg.inv(np.vstack([applied, [0.0, 0, 0, 1]])) @ poses[taken]
    offset = np.linalg.solve(applied[:, :3], offset)
    to_normalised = parsers_map(outputs).after(shift(offset))
    check_frame(outputs, own, to_normalised, parser="colmap", data=data)
    moved = np.eye(4)[:3]
    moved[:, 3] = -offset
    return with_frame(with_applied(outputs, moved, 1.0), to_normalised)


def _below(image: Path, folders: tuple[Path, ...]) -> Path:
    """`image` as seen from the one of the folders that it lies in."""
    return next(image.relative_to(folder) for folder in folders if image.is_relative_to(folder))


@contextmanager
def _without_prompt(data: Path) -> Iterator[None]:
    """While the body runs, what nerfstudio would ask at a terminal is an InputError where there is none."""
    if sys.stdin is not None and sys.stdin.isatty():
        yield
        return

    class NoTerminal:
        @staticmethod
        def ask(*_: Any, **__: Any) -> NoReturn:
            raise InputError(
                f"The images of {data} are larger than 1600 pixels and there are no smaller ones beside them: give "
                "colmap --downscale-factor 1 to train on them as they are, or make smaller ones (in images_2, for half "
                "the size)."
            )

    original = colmap_dataparser.Confirm
    colmap_dataparser.Confirm = NoTerminal  # type: ignore[assignment,misc]
    try:
        yield
    finally:
        colmap_dataparser.Confirm = original  # type: ignore[misc]
