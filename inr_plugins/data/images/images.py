"""Image and mask files of a dataset: what can be told from their headers, and what to say when they do not decode."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.data.datasets.base_dataset import InputDataset
from nerfstudio.utils.rich_utils import CONSOLE
from PIL import Image
from torch import Tensor

from inr_plugins.data.images.masks import MASK_MODES, inside
from inr_plugins.data.images.orientation import Header, as_stored, header_of, turned, turned_like
from inr_plugins.errors import InputError
from inr_plugins.files import shown, why_unreadable

UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
"""What Pillow raises for a file that is not an image, is cut short or is damaged."""

IMAGE_CHANNELS = {"L": 3, "RGB": 3, "RGBA": 4}
"""Pillow's modes that nerfstudio reads as colours, with the channels it makes of them.

It would take the indices of a palette for grey values, CMYK for RGBA, and the low byte of 16-bit grey.
"""


def read_header(path: Path, *, what: str = "Image") -> Header:
    """Read the header of the image file at `path`, without decoding it.

    Raises:
        InputError: the file is missing or is no image; `what` begins the sentence.
    """
    require_file(path, what=what)
    try:
        with Image.open(path) as image:
            return header_of(image)
    except FileNotFoundError as error:
        raise InputError(
            f"{what} {path} is missing: put it back, or take its frame out of the dataset's JSON file."
        ) from error
    except UNREADABLE as error:
        raise _undecodable(path, error, what=what) from error


def require_file(path: Path, *, what: str = "Image") -> None:
    """Refuse what is no file: opening a pipe would wait for ever; InputError. What is missing is let pass."""
    problem = why_unreadable(path)
    if problem is not None and problem != "does not exist":
        raise InputError(f"{what} {shown(path)} {problem}: replace it.")


def check_colour_image(path: Path, header: Header) -> None:
    """Refuse an image whose pixels nerfstudio would misread; InputError."""
    if header.mode not in IMAGE_CHANNELS:
        raise InputError(
            f"Image {path} has pixels of Pillow's mode {header.mode}: convert it to 8-bit RGB, RGBA or grey."
        )


def check_mask(path: Path, image_header: Header, *, size: tuple[int, int]) -> None:
    """Refuse a mask that is missing, has several channels, or does not lie on its image as a camera of `size` sees it.

    Raises:
        InputError: also where EXIF would turn one of the two and the sizes do not say whether it should.
    """
    mask = read_header(path, what="Mask")
    if mask.mode not in MASK_MODES:
        raise InputError(f"Mask {path} has pixels of Pillow's mode {mask.mode}: convert it to one channel.")
    if mask.size_for(size) != size:
        raise InputError(
            f"Mask {path} is {mask.width} x {mask.height} pixels but its image is {size[0]} x {size[1]}: make them the "
            "same size."
        )
    if mask.orientation != image_header.orientation and (mask.is_undecided or image_header.is_undecided):
        raise InputError(
            f"Mask {path} has EXIF orientation {mask.orientation} and its image {image_header.orientation}, so that it "
            "is not plain how one lies on the other: save both turned upright, without that tag."
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
    require_file(path)
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
        self._said_greys = False
        self.metadata["opaque"] = not self.has_masks and _is_opaque(self.image_filenames[0])

    def get_numpy_image(self, image_idx: int) -> npt.NDArray[np.uint8]:
        """Return image `image_idx` as (height, width, 3 or 4) bytes, upright; InputError if its file does not decode.

        Whether EXIF's orientation is followed is for the size of its camera to say (`images.orientation`).
        """
        path = self.image_filenames[image_idx]
        require_file(path)
        try:
            with Image.open(path) as stored:
                image = turned(stored, self._camera_size(image_idx))
                if self.scale_factor != 1.0:
                    image = image.resize(self._scaled(image.size), resample=Image.Resampling.BILINEAR)
                pixels = np.array(image, dtype=np.uint8)
        except UNREADABLE as error:
            raise _undecodable(path, error) from error
        return pixels[:, :, None].repeat(3, axis=2) if pixels.ndim == 2 else pixels

    def get_data(self, image_idx: int, image_type: Literal["uint8", "float32"] = "float32") -> dict[str, Any]:
        """Return what nerfstudio's dataset returns for image `image_idx`; InputError if a file does not decode.

        Of the mask that is (height, width, 1) booleans, as `images.masks` reads them.
        """
        get_image = {"uint8": self.get_image_uint8, "float32": self.get_image_float32}[image_type]
        data: dict[str, Any] = {"image_idx": image_idx, "image": get_image(image_idx)}
        if self.has_masks:
            data["mask"] = torch.from_numpy(self.mask_bytes(image_idx))[..., None]
        if self.mask_color:
            colour = torch.tensor(self.mask_color).expand_as(data["image"])
            data["image"] = torch.where(data["mask"], data["image"], colour)
        return {**data, **self.get_metadata(data)}

    def mask_bytes(self, image_idx: int) -> npt.NDArray[np.bool_]:
        """Return mask `image_idx` as (height, width) booleans, True inside; InputError if its file does not decode."""
        path = self._mask_filenames[image_idx]
        require_file(path, what="Mask")
        try:
            with Image.open(path) as stored:
                header = header_of(stored)
                values, has_greys = inside(as_stored(stored), path)
                mask = turned_like(Image.fromarray(values), header, self._camera_size(image_idx))
        except UNREADABLE as error:
            raise _undecodable(path, error, what="Mask") from error
        if has_greys and not self._said_greys:
            self._said_greys = True
            CONSOLE.print(f"Masks have greys ({path} is one): those above half of white are inside.")
        return np.array(mask.resize(self._scaled(mask.size), resample=Image.Resampling.NEAREST))

    def _camera_size(self, image_idx: int) -> tuple[int, int]:
        """Width and height of an image's camera, before the datamanager's scale."""
        cameras = self._dataparser_outputs.cameras
        return int(cameras.width[image_idx]), int(cameras.height[image_idx])

    def _scaled(self, size: tuple[int, int]) -> tuple[int, int]:
        return int(size[0] * self.scale_factor), int(size[1] * self.scale_factor)

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
