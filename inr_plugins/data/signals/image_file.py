"""One image file as numbers, with all of its bits: 8 or 16 of grey or RGB, with alpha or without; or floats."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Shaped
from PIL import Image, UnidentifiedImageError

from inr_plugins.data.images.images import UNREADABLE
from inr_plugins.data.images.orientation import Header, as_stored, header_of, turned_like
from inr_plugins.data.signals.bands_file import ChannelAxis, check_no_axis, read_bands
from inr_plugins.data.signals.bit_depth import stored_bits
from inr_plugins.data.signals.float_file import EXR_ENDING, float_pixels
from inr_plugins.data.signals.kind import SignalKind, band_names, packed_profile, profile_of
from inr_plugins.data.signals.large_tiff import LargeTiff, large_tiff
from inr_plugins.data.signals.opencv_file import decoded
from inr_plugins.data.signals.tiff_file import TIFF_ENDINGS, check_numbers, colours_of_planes, grey_with_opacity
from inr_plugins.errors import InputError
from inr_plugins.files import shown, why_unreadable

_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_GREY_16 = ("I;16", "I;16B", "I;16L", "I;16N")
_TAKEN_AS = {"1": "L", "L": "L", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA", "P": "RGB", "PA": "RGBA"}
"""Pillow's modes of eight bits or fewer, and what they are read as."""
VIDEO_ENDINGS = (
    *(".mp4", ".m4v", ".mkv", ".mov", ".avi", ".webm", ".mpg", ".mpeg", ".ts", ".y4m"),
    *(".mjpeg", ".mjpg", ".wmv", ".flv", ".ogv", ".3gp", ".mts"),
)
"""Of files that Pillow does not read, or of which it reads the first frame alone."""
_ANIMATIONS = ("GIF", "PNG")
"""Pillow's formats of them that FFmpeg reads."""
_KINDS = "8- or 16-bit grey, RGB or RGBA"
_FLOAT_KINDS = f"{', '.join(TIFF_ENDINGS)} or {EXR_ENDING}"
_OTHERS = {
    "CMYK": "the inks of a printer (CMYK)",
    "I": "32-bit numbers",
    "LAB": "CIELAB colours",
    "HSV": "HSV colours",
    "YCbCr": "YCbCr colours",
    "La": "a grey that is multiplied by its opacity",
}
_DEEP_FORMATS = ("PNG", "TIFF", "PPM", "JPEG2000")
"""Pillow's formats of which OpenCV reads 16 bits of a channel."""
_PNG_GREY_ALPHA = 4
"""The type of colours in the header of a PNG."""


@dataclass(frozen=True, eq=False)
class SignalImage:
    """An image as its file has it, upright.

    Attributes:
        path: the file.
        pixels: grey, grey and alpha, RGB or RGB and alpha, straight; as stored, without any change of colour space:
            uint8, uint16 or float32. Of a video (`SignalVideo`) there is an axis of frames before the others.
        profile: the ICC profile of its colours; None: it has none.
        bands: names of channels that are neither colours nor an opacity (see `SignalKind`).
        is_planar: whether the file has those one after the other.
    """

    path: Path
    pixels: Shaped[np.ndarray, "*frames height width channels"]
    profile: bytes | None = None
    bands: tuple[str, ...] = field(default=(), kw_only=True)
    is_planar: bool = field(default=False, kw_only=True)

    @cached_property
    def kind(self) -> SignalKind:
        """All of it but its pixels."""
        height, width, channels = self.pixels.shape
        low, high = _range_of(self.pixels)
        kind = SignalKind(width, height, channels, self.bits, *packed_profile(self.profile), low=low, high=high)
        return replace(kind, bands=self.bands, is_planar=self.is_planar)

    @property
    def bits(self) -> int:
        """Of a channel: 8, 16, or 32 of floating-point numbers."""
        return 8 * self.pixels.dtype.itemsize

    @property
    def flat(self) -> Shaped[np.ndarray, "n channels"]:
        """The pixels in the order of their numbers (see `signal_grid`)."""
        return self.pixels.reshape(-1, self.pixels.shape[-1])

    def picture(self, frame: int) -> Shaped[np.ndarray, "height width channels"]:
        """The image, or one frame of a video, from 0."""
        return self.pixels[frame] if self.pixels.ndim == 4 else self.pixels

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what is odd in the file."""
        return ()

    def values(self) -> Float[np.ndarray, "*frames height width channels"]:
        """The same in float32, 0 to 1."""
        return self.kind.values(self.pixels)


def _range_of(pixels: Shaped[np.ndarray, "*n"]) -> tuple[float, float]:
    """The least and the greatest of floating-point numbers, which differ; 0 and 1 of whole ones."""
    if pixels.dtype.kind != "f":
        return 0.0, 1.0
    low, high = float(pixels.min()), float(pixels.max())
    # Of an image of one colour any range will do.
    return low, high if high > low else low + 1.0


def kind_of(
    path: Path, *, most_bytes: float = math.inf, bands: bool = False, channel_axis: ChannelAxis | None = None
) -> SignalKind:
    """What kind of image a file has; as `read_image`, and of a large TIFF file without decoding it."""
    large = _large(path, most_bytes, bands, channel_axis)
    if large is None:
        return read_image(path, most_bytes=most_bytes, bands=bands, channel_axis=channel_axis).kind
    (height, width, channels), bits, profile = large.shape, 8 * large.dtype.itemsize, packed_profile(large.profile)
    return SignalKind(width, height, channels, bits, *profile, bands=large.bands, is_planar=_is_planar(large))


def read_image(
    path: Path, *, most_bytes: float = math.inf, bands: bool = False, channel_axis: ChannelAxis | None = None
) -> SignalImage:
    """Read an image file, turned as EXIF says; a palette becomes the colours in it, and floats of any width float32.

    Args:
        path: of the file.
        most_bytes: a TIFF file whose pixels take more is read tile by tile, and its pixels are in a file.
        bands: read what `read_bands` does, too: channels that are neither colours nor an opacity.
        channel_axis: of such a file; see there.

    Raises:
        InputError: it does not decode, has several frames, or has pixels of another kind; the sentence says what to do.
    """
    problem = why_unreadable(path)
    if problem is not None:
        raise InputError(f"--data {shown(path)} {problem}: give an image file.")
    if path.suffix.lower() in VIDEO_ENDINGS:
        raise InputError(
            f"--data {shown(path)} is a video by its name: learn it with ns-train diner-video or finer-video, or give "
            "an image."
        )
    large = _large(path, most_bytes, bands, channel_axis)
    if large is not None:
        return SignalImage(path, large.pixels(), large.profile, bands=large.bands, is_planar=_is_planar(large))
    found = read_bands(path, channel_axis=channel_axis, most_bytes=most_bytes) if bands else None
    if found is not None:
        return SignalImage(path, found.pixels, bands=band_names(found.pixels.shape[-1]), is_planar=found.is_planar)
    check_numbers(path)
    floats = float_pixels(path)
    if floats is not None:
        return SignalImage(path, floats)
    return _by_pillow(path)


def _by_pillow(path: Path) -> SignalImage:
    """What is no TIFF file of floats, nor one that is too large."""
    try:
        with warnings.catch_warnings():
            # Of damage Pillow warns first, and then it is an error.
            warnings.simplefilter("ignore")
            return _decoded(path)
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(
            f"--data {shown(path)} has more pixels than are read at once: save it as a TIFF file of tiles, and give "
            "--pipeline.datamanager.dataparser.memory-gigabytes less than its pixels take."
        ) from error
    except UNREADABLE as error:
        unknown = grey_with_opacity(path) if isinstance(error, UnidentifiedImageError) else None
        if unknown is not None:
            return SignalImage(path, unknown)
        reason = str(error).split(" '")[0].split(": '")[0] or type(error).__name__
        another = "a PNG, JPEG, TIFF or OpenEXR" if isinstance(error, UnidentifiedImageError) else "another"
        raise InputError(
            f"--data {shown(path)} is no image that can be read ({reason}): give {another} file."
        ) from error


def _decoded(path: Path) -> SignalImage:
    with Image.open(path) as image:
        _check_frames(path, image)
        header, bits, profile = header_of(image), stored_bits(path, image), profile_of(image)
        # Of a portable map's 16 bits Pillow makes 32.
        if bits > 8 and (image.mode in _TAKEN_AS or (image.mode, image.format) == ("I", "PPM")):
            pixels = _deep_colours(path, header, bits, str(image.format))
        else:
            pixels = _pixels(path, image, header)
    return SignalImage(path, np.ascontiguousarray(pixels), profile)


def pages_of(path: Path) -> int:
    """How many pictures are in a file as Pillow has it, where FFmpeg reads no more than one of them; else 1."""
    try:
        with Image.open(path) as image:
            is_read = image.format in (*_ANIMATIONS, "MPO")
            return 1 if is_read else int(getattr(image, "n_frames", 1))
    except UNREADABLE:
        return 1


def _large(path: Path, most_bytes: float, bands: bool, channel_axis: ChannelAxis | None) -> LargeTiff | None:
    is_read = most_bytes == math.inf or why_unreadable(path) is not None
    found = None if is_read else large_tiff(path, most_bytes, bands=bands)
    if found is not None:
        check_no_axis(path, channel_axis)
    return found


def _is_planar(large: LargeTiff) -> bool:
    """Whether it has bands one after the other."""
    return bool(large.bands) and large.is_planar


def _check_frames(path: Path, image: Image.Image) -> None:
    frames = getattr(image, "n_frames", 1)
    # The further frames of an MPO, as telephones write them, are previews and depth.
    if frames > 1 and image.format != "MPO":
        learn = "learn it with ns-train diner-video"
        if image.format not in _ANIMATIONS:
            learn = "learn its frames with ns-train diner-video, from a folder of numbered pictures"
        raise InputError(
            f"--data {shown(path)} has {frames} frames, as an animation or pages: give one image, or {learn}."
        )


def _pixels(path: Path, image: Image.Image, header: Header) -> npt.NDArray[Any]:
    """What Pillow reads without loss."""
    if image.mode not in _TAKEN_AS and image.mode not in _GREY_16:
        if image.mode == "F":
            raise InputError(
                f"--data {shown(path)} has floating-point numbers, which are read of {_FLOAT_KINDS}: convert it."
            )
        what = _OTHERS.get(image.mode, f"Pillow's mode {image.mode}")
        raise InputError(f"--data {shown(path)} has pixels of {what}: convert it to {_KINDS}.")
    found = turned_like(as_stored(image), header, header.upright)
    if found.mode in _GREY_16:
        grey = np.asarray(found).astype(np.uint16)[..., None]
        # Of eight bits, Pillow turns a negative by itself.
        is_negative = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
        return np.iinfo(np.uint16).max - grey if is_negative else grey
    mode = _TAKEN_AS[found.mode]
    if "transparency" in image.info and "A" not in mode:
        mode += "A"
    # Pillow makes L of one bit without dithering, and has no way from a palette's grey to LA but through RGBA.
    pixels = np.asarray(found if found.mode == mode else found.convert(mode))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _deep_colours(path: Path, header: Header, bits: int, form: str) -> npt.NDArray[np.uint16]:
    """Numbers of 16 bits, which Pillow would cut down to eight."""
    import cv2

    if bits != 16 or form not in _DEEP_FORMATS:
        raise InputError(
            f"--data {shown(path)} is {form} of {bits}-bit numbers: convert it to {_KINDS}, in PNG or TIFF."
        )
    is_tiff = form == "TIFF"
    if is_tiff and header.orientation != 1:
        raise InputError(
            f"--data {shown(path)} has colours of 16 bits and EXIF orientation {header.orientation}, which cannot be "
            "read together: save it turned upright, without that tag."
        )
    planes = colours_of_planes(path) if is_tiff else None
    if planes is not None:
        return planes
    found = decoded(path)
    if found is None or found.dtype != np.uint16:
        raise InputError(f"--data {shown(path)} has 16-bit pixels that cannot be read: give a whole file, of {_KINDS}.")
    if found.ndim == 2:
        return found[..., None]
    colours = cv2.cvtColor(found, cv2.COLOR_BGRA2RGBA if found.shape[-1] == 4 else cv2.COLOR_BGR2RGB)
    if form == "PNG" and _png_colours(path) == _PNG_GREY_ALPHA:
        colours = colours[..., [0, 3]]
    height, width = colours.shape[:2]
    numbers = Image.fromarray(np.arange(height * width, dtype=np.int32).reshape(height, width))
    order = np.asarray(turned_like(numbers, header, header.upright))
    return colours.reshape(height * width, -1)[order]


def _png_colours(path: Path) -> int:
    with path.open("rb") as file:
        return file.read(26)[25]
