"""Image and mask files of a dataset: what can be told from their headers, and what to say when they do not decode."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from jaxtyping import Float
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.data.datasets.base_dataset import InputDataset
from PIL import Image
from torch import Tensor

from inr_plugins.errors import InputError

UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
"""What Pillow raises for a file that is not an image, is cut short or is damaged."""

IMAGE_CHANNELS = {"L": 3, "RGB": 3, "RGBA": 4}
"""Pillow's modes that nerfstudio reads as colours, with the channels it makes of them.

It would take the indices of a palette for grey values, CMYK for RGBA, and the low byte of 16-bit grey.
"""

MASK_MODES = ("1", "L", "P", "I", "I;16")


@dataclass(frozen=True)
class Header:
    """What the header of an image file says: its size in pixels and Pillow's mode."""

    width: int
    height: int
    mode: str


def read_header(path: Path, *, what: str = "Image") -> Header:
    """Read the header of the image file at `path`, without decoding it.

    Raises:
        InputError: the file is missing or is no image; `what` begins the sentence.
    """
    try:
        with Image.open(path) as image:
            return Header(*image.size, image.mode)
    except FileNotFoundError as error:
        raise InputError(
            f"{what} {path} is missing: put it back, or take its frame out of the dataset's JSON file."
        ) from error
    except UNREADABLE as error:
        raise _undecodable(path, error, what=what) from error


def check_colour_image(path: Path, header: Header) -> None:
    """Refuse an image whose pixels nerfstudio would misread; InputError."""
    if header.mode not in IMAGE_CHANNELS:
        raise InputError(
            f"Image {path} has pixels of Pillow's mode {header.mode}: convert it to 8-bit RGB, RGBA or grey."
        )


def check_mask(path: Path, image_header: Header) -> None:
    """Refuse a mask that is missing, has several channels, or is not of the size of its image; InputError."""
    mask = read_header(path, what="Mask")
    if mask.mode not in MASK_MODES:
        raise InputError(f"Mask {path} has pixels of Pillow's mode {mask.mode}: convert it to one channel.")
    if (mask.width, mask.height) != (image_header.width, image_header.height):
        raise InputError(
            f"Mask {path} is {mask.width} x {mask.height} pixels but its image is {image_header.width} x "
            f"{image_header.height}: make them the same size."
        )


def check_decodes(path: Path) -> None:
    """Decode the image at `path` and throw the pixels away; InputError if that fails."""
    read_header(path)
    try:
        with Image.open(path) as image:
            image.load()
    except UNREADABLE as error:
        raise _undecodable(path, error) from error


def _undecodable(path: Path, error: BaseException, *, what: str = "Image") -> InputError:
    reason = str(error).split(" '")[0].split(": '")[0] or type(error).__name__
    return InputError(f"{what} {path} does not decode ({reason}): replace the file, or take its frame out.")


def _is_opaque(path: Path) -> bool:
    """Whether the image has no pixel with alpha below the greatest; False if it cannot be read."""
    try:
        with Image.open(path) as image:
            return "A" not in image.getbands() or image.getchannel("A").getextrema()[0] == 255
    except UNREADABLE:
        return False


class InrDataset(InputDataset):
    """nerfstudio's dataset of images, which names the file that does not decode.

    Its `metadata`, which nerfstudio hands to the model, says under "opaque" whether the images show all that was in
    front of the camera: no masks, and no transparent pixel in the first image.
    """

    def __init__(self, dataparser_outputs: DataparserOutputs, scale_factor: float = 1.0) -> None:
        super().__init__(dataparser_outputs, scale_factor)
        self.metadata["opaque"] = not self.has_masks and _is_opaque(self.image_filenames[0])

    def get_numpy_image(self, image_idx: int) -> npt.NDArray[np.uint8]:
        """Return image `image_idx` as (height, width, 3 or 4) bytes; InputError if its file does not decode."""
        try:
            return super().get_numpy_image(image_idx)
        except UNREADABLE as error:
            raise _undecodable(self.image_filenames[image_idx], error) from error

    def get_data(self, image_idx: int, image_type: Literal["uint8", "float32"] = "float32") -> dict[str, Any]:
        """Return what nerfstudio's dataset returns for image `image_idx`; InputError if a file does not decode."""
        try:
            return super().get_data(image_idx, image_type)
        except InputError:
            raise
        except UNREADABLE as error:
            # The image has decoded, or its own error would have come.
            raise _undecodable(self._mask_filenames[image_idx], error, what="Mask") from error

    def mask_bytes(self, image_idx: int) -> npt.NDArray[np.bool_]:
        """Return mask `image_idx` as (height, width) booleans, True inside; InputError if its file does not decode."""
        path = self._mask_filenames[image_idx]
        try:
            with Image.open(path) as image:
                size = (int(image.width * self.scale_factor), int(image.height * self.scale_factor))
                return np.asarray(image.resize(size, resample=Image.Resampling.NEAREST)).astype(bool)
        except UNREADABLE as error:
            raise _undecodable(path, error, what="Mask") from error

    @property
    def has_masks(self) -> bool:
        """Whether every image has a mask."""
        return bool(self._dataparser_outputs.mask_filenames)

    @property
    def background(self) -> Float[Tensor, " 3"] | None:
        """Colour in [0, 1] that the dataset composites alpha over; None leaves alpha to the model."""
        return self._dataparser_outputs.alpha_color

    @property
    def _mask_filenames(self) -> list[Path]:
        return self._dataparser_outputs.mask_filenames or []
