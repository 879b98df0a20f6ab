"""What inr-photos can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from inr_plugins.errors import InputError, setting
from inr_plugins.geometry.up_axis import Up
from inr_plugins.options import COMMANDS, check_numbers, told

Cameras = Literal["auto", "one", "each"]
Matching = Literal["auto", "all", "sequence"]


@dataclass(frozen=True)
class PhotoOptions:
    """How a dataset is made of photographs. Sizes are in pixels."""

    masks: Annotated[Path | None, told("FOLDER", "none")] = None
    """A folder with a mask for each photo, under the photo's name: white (255) is what counts. They are taken along,
    turned, made smaller and undistorted like the photos. To diner-surface and cn-neus they are the object's outline;
    others draw pixels inside of them only."""
    max_size: int = 1600
    """Longer side of the images: larger photos are made smaller before anything else."""
    frames: int = 120
    """Frames to take of a video: the sharpest of each of so many stretches of equal length."""
    cameras: Cameras = "auto"
    """Which photos have one lens in common: auto, those of one camera, focal length and size by EXIF; one, all of
    one size; each, none."""
    matching: Matching = "auto"
    """Which photos are compared: all with all; sequence, each with those before and after it by name; auto, sequence
    for videos and for more than 200 photos."""
    max_features: int = 8192
    """Features to find in a photo, the largest first; fewer are quicker, more hold on to less."""
    at_least: float = 0.5
    """Share of the photos that has to find its place; with fewer no dataset is written."""
    seed: int = 0
    """Of all that is drawn at random: the same photos and seed give the same poses."""
    colmap: bool = False
    """SOURCE is a folder of COLMAP's, with images/ and a reconstruction in sparse/0 or the like: its poses are taken as
    they are."""
    known_length: Annotated[tuple[str, str, float] | None, told("A B METRES", "none")] = None
    """A distance that you know, so that the dataset is in metres. A and B are two photos, whose cameras stood so far
    apart, or two points in photos as PHOTO:COLUMN,ROW, in pixels of the photo as a viewer shows it."""
    up: Up = "auto"
    """Where up is: auto, by the cameras, which people hold level; else an axis of the reconstruction."""


def check_options(options: PhotoOptions) -> None:
    """Refuse options that make no sense, before any work.

    Raises:
        InputError: naming the option.
    """
    check_numbers(options, COMMANDS["inr-photos"])
    if options.masks is not None and not options.masks.is_dir():
        raise InputError(
            f"{setting('masks')} is {options.masks}, where there is no folder: give one with a mask for each."
        )
