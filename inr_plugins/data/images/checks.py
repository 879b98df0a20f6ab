"""Checks of what any of nerfstudio's dataparsers gives: images, cameras, masks and the scene box, in that order.

With them a bad dataset ends in one sentence that names the file or the option, before a model is made. They read the
headers of images only; a file that does not decode is found, and named, when the images are loaded.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from nerfstudio.data.dataparsers.base_dataparser import DataParserConfig, DataparserOutputs
from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from nerfstudio.utils.rich_utils import CONSOLE

from inr_plugins.boxes import has_volume
from inr_plugins.data.images.files import check_dataset_files
from inr_plugins.data.images.frames import check_precision
from inr_plugins.data.images.images import IMAGE_CHANNELS, check_colour_image, check_mask, read_header
from inr_plugins.data.images.lens_checks import MOST_WITHOUT_RAY, share_without_ray
from inr_plugins.data.images.orientation import Header
from inr_plugins.data.images.poses import lens_problem, pose_problem
from inr_plugins.errors import InputError

__all__ = ["check_dataparser_outputs", "check_dataset_files"]


def check_dataparser_outputs(
    outputs: DataparserOutputs, *, split: str, config: DataParserConfig, read_images: bool = True
) -> None:
    """Refuse dataparser outputs that nothing could be trained on or compared with.

    Args:
        outputs: what the parser gave, poses in the normalised frame, camera to world.
        split: "train", "val" or "test".
        config: the parser's configuration, for its options and the place of its data.
        read_images: also read the headers of images and masks: they are there, of a kind that nerfstudio reads
            rightly, and of the size of their camera and of each other.

    Raises:
        InputError: something is bad; the sentence names the file or the option.
    """
    _check_counts(outputs, split=split, config=config)
    _check_images_once(outputs, split=split, data=config.data)
    _check_cameras(outputs, data=config.data)
    check_precision(outputs, data=config.data)
    _check_scene_box(outputs, config=config)
    _check_colours(outputs, config=config)
    if read_images:
        _check_images(outputs, split=split, config=config)


def _check_counts(outputs: DataparserOutputs, *, split: str, config: DataParserConfig) -> None:
    count = len(outputs.image_filenames)
    if count == 0:
        how = "add images to it"
        if isinstance(config, NerfstudioDataParserConfig):
            how = "add frames, or divide them otherwise with nerfstudio-data's --eval-mode or --train-split-fraction"
        raise InputError(f"The {split} split of {config.data} has no images: {how}.")
    if count != len(outputs.cameras):
        raise InputError(
            f"The {split} split of {config.data} has {count} images but {len(outputs.cameras)} cameras: give each "
            "image a pose."
        )
    masks = outputs.mask_filenames
    if masks is not None and len(masks) != count:
        raise InputError(
            f"The {split} split of {config.data} has {count} images but {len(masks)} masks: give a mask to all or none."
        )


def _check_images_once(outputs: DataparserOutputs, *, split: str, data: Path) -> None:
    if len(set(outputs.image_filenames)) == len(outputs.image_filenames):
        return
    double, times = Counter(outputs.image_filenames).most_common(1)[0]
    raise InputError(
        f"{double} is the image of {times} frames of the {split} split of {data}: give each frame an image of its own, "
        "or take frames out."
    )


def _check_cameras(outputs: DataparserOutputs, *, data: Path) -> None:
    poses = outputs.cameras.camera_to_worlds.double().cpu().numpy()
    for index, filename in enumerate(outputs.image_filenames):
        problem = pose_problem(poses[index])
        if problem is not None:
            raise InputError(f"The pose of {filename} {problem}: fix it in {data}, or take the image out.")
        problem = lens_problem(outputs.cameras, index)
        if problem is not None:
            raise InputError(f"The camera of {filename} {problem}: fix it in {data}.")
    without_ray = share_without_ray(outputs.cameras)
    worst = int(without_ray.argmax())
    if float(without_ray[worst]) > MOST_WITHOUT_RAY:
        raise InputError(
            f"The distortion of the camera of {outputs.image_filenames[worst]} folds its image over: "
            f"{float(without_ray[worst]):.0%} of the pixels, far from the middle, have no ray: fix it in {data}, or "
            "undistort or crop the images."
        )


def _check_scene_box(outputs: DataparserOutputs, *, config: DataParserConfig) -> None:
    box = outputs.scene_box.aabb.float()
    if has_volume(box):
        return
    low, high = (", ".join(f"{value:g}" for value in corner) for corner in box.tolist())
    option = "the dataparser's options"
    if hasattr(config, "scene_scale"):
        option = f"--scene-scale (it is {config.scene_scale})"
    raise InputError(f"The scene box of {config.data}, from ({low}) to ({high}), has no volume: change {option}.")


def _check_colours(outputs: DataparserOutputs, *, config: DataParserConfig) -> None:
    colour = outputs.alpha_color
    if colour is not None and not bool(((colour >= 0) & (colour <= 1)).all()):
        raise InputError(f"--alpha-color is {colour.tolist()}: give a colour whose parts are between 0 and 1.")
    if outputs.metadata.get("mask_color") and not outputs.mask_filenames:
        raise InputError(f"--mask-color colours what masks leave out, but {config.data} has no masks: leave it out.")


def _check_images(outputs: DataparserOutputs, *, split: str, config: DataParserConfig) -> None:
    widths, heights = outputs.cameras.width.flatten().tolist(), outputs.cameras.height.flatten().tolist()
    first: tuple[Path, Header] | None = None
    turned: list[Path] = []
    for index, path in enumerate(outputs.image_filenames):
        header, size = read_header(path), (widths[index], heights[index])
        check_colour_image(path, header)
        _check_size(path, header, size)
        if header.orientation != 1:
            _check_decided(path, header, config=config)
            turned += [path] if header.turn(size) != 1 else []
        first = first or (path, header)
        _check_same_channels(path, header, first=first, outputs=outputs)
        if outputs.mask_filenames is not None:
            check_mask(outputs.mask_filenames[index], header, size=size)
    if turned and split == "train":
        CONSOLE.print(
            f"{len(turned)} images of {config.data} carry an EXIF orientation ({turned[0].name} is one): they are "
            "turned upright, as viewers show them."
        )


def _check_size(path: Path, header: Header, size: tuple[int, int]) -> None:
    if header.size_for(size) == size:
        return
    exif = "" if header.orientation == 1 else f" (EXIF orientation {header.orientation})"
    raise InputError(
        f"Image {path} is {header.width} x {header.height} pixels{exif} but its camera says {size[0]} x {size[1]}: "
        "make images and cameras agree (only with a size for each frame, as nerfstudio-data has it, may sizes differ)."
    )


def _check_decided(path: Path, header: Header, *, config: DataParserConfig) -> None:
    """Refuse an image of which COLMAP may have seen the stored pixels or the turned ones; InputError."""
    if header.is_undecided and isinstance(config, ColmapDataParserConfig):
        raise InputError(
            f"Image {path} carries EXIF orientation {header.orientation}, and its size does not say whether COLMAP "
            "saw it turned: save the images without that tag, as COLMAP saw them."
        )


def _check_same_channels(path: Path, header: Header, *, first: tuple[Path, Header], outputs: DataparserOutputs) -> None:
    channels = IMAGE_CHANNELS[header.mode]
    if outputs.alpha_color is None and channels != IMAGE_CHANNELS[first[1].mode]:
        raise InputError(
            f"Images {first[0]} and {path} differ in having an alpha channel: give it to all or none, or set the "
            "dataparser's --alpha-color."
        )
    if channels == 4 and outputs.alpha_color is None and outputs.metadata.get("mask_color"):
        raise InputError(f"Image {path} has an alpha channel, which --mask-color cannot colour: leave one of them out.")
