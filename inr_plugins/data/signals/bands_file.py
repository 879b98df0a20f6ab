"""Images of channels that are neither colours nor an opacity: TIFF of many samples or of a page each, and arrays."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Shaped

from inr_plugins.data.signals.array_file import ARRAY_ENDINGS, read_array
from inr_plugins.data.signals.float_file import as_float32, refuse_where
from inr_plugins.data.signals.tiff_file import TIFF_ENDINGS, has_bands, is_tiff, is_turned, planes_last, why_unread
from inr_plugins.errors import InputError
from inr_plugins.files import shown

ChannelAxis = Literal["first", "last"]
CHANNEL_AXIS = "--pipeline.datamanager.dataparser.channel-axis"
MOST_CHANNELS = 1024
"""What has more is rather something else, whose axes are in another order."""
PLAIN_ARRAYS = tuple(each for each in ARRAY_ENDINGS if each not in TIFF_ENDINGS)
_PAGES, _SLICES, _TIMES, _CHANNELS = "IQYX", "Z", "T", "C"
_NO_DATA = 42113
"""GDAL's tag of the number that stands for none."""


@dataclass(frozen=True, eq=False)
class BandPixels:
    """What was read.

    Attributes:
        pixels: uint8, uint16 or float32; of a single channel grey.
        is_planar: whether the file has the channels one after the other.
    """

    pixels: Shaped[np.ndarray, "height width channels"]
    is_planar: bool


def read_bands(
    path: Path, *, channel_axis: ChannelAxis | None = None, most_bytes: float = math.inf
) -> BandPixels | None:
    """Read a file whose channels are neither colours nor an opacity, by what it says; None: it is no such file.

    These are TIFF files with further samples that are no opacity (ExtraSamples), or with samples and no colours
    (PhotometricInterpretation); TIFF files of which ImageJ's or OME's metadata say that each page is a channel; and
    arrays: of two axes grey, of three (rows, columns, channels) where the last is the shortest.

    Args:
        path: of a file that can be opened.
        channel_axis: which axis has the channels of an array, or of the pages of a TIFF file, which are its first.
        most_bytes: an .npy file with more is looked up where it is, and not read.

    Raises:
        InputError: it cannot be told which axis has the channels, there is an opacity among them, or it cannot be read.
    """
    if path.suffix.lower() in PLAIN_ARRAYS and not is_tiff(path):
        found: BandPixels | None = _of_array(path, channel_axis, most_bytes)
    else:
        found = _of_tiff(path, channel_axis, most_bytes) if is_tiff(path) else None
    if found is None:
        check_no_axis(path, channel_axis)
        return None
    count = found.pixels.shape[-1]
    if count > MOST_CHANNELS:
        raise InputError(
            f"--data {shown(path)} would have {count:,} channels, of which {MOST_CHANNELS:,} are learnt at the most: "
            f"give fewer, or {CHANNEL_AXIS} if another axis has them."
        )
    if found.pixels.dtype.kind != "f":
        return found
    return BandPixels(as_float32(path, found.pixels), found.is_planar)


def check_no_axis(path: Path, channel_axis: ChannelAxis | None) -> None:
    """Refuse an axis that was given for a file that says itself where its channels are."""
    if channel_axis is not None:
        raise InputError(
            f"{CHANNEL_AXIS} is for arrays and for the pages of a TIFF file, and --data {shown(path)} says itself "
            "where its channels are: leave it out."
        )


def _of_array(path: Path, axis: ChannelAxis | None, most_bytes: float) -> BandPixels:
    numbers = read_array(path, "image", what="an image", most_bytes=most_bytes)
    what = _other_numbers(numbers.dtype)
    if what is not None:
        raise InputError(
            f"--data {shown(path)} has {what}: convert them to floating-point numbers, or to 8- or 16-bit ones from 0 "
            "on."
        )
    numbers = numbers.astype(numbers.dtype.newbyteorder("="), copy=False)
    shape = " x ".join(f"{each:,}" for each in numbers.shape)
    if numbers.ndim == 2:
        if axis is not None:
            raise InputError(
                f"--data {shown(path)} has rows and columns ({shape}), and no axis of channels: leave {CHANNEL_AXIS} "
                "out."
            )
        return BandPixels(numbers[..., None], is_planar=False)
    if numbers.ndim != 3:
        raise InputError(
            f"--data {shown(path)} has the shape {shape}, and an image has rows, columns and channels: save one alone."
        )
    if axis is None and numbers.shape[2] >= min(numbers.shape[:2]):
        raise InputError(
            f"--data {shown(path)} has the shape {shape}, which does not say which axis has the channels: give "
            f"{CHANNEL_AXIS} last for (rows, columns, channels), or first for (channels, rows, columns)."
        )
    if axis != "first":
        return BandPixels(numbers, is_planar=False)
    if numbers.nbytes > most_bytes:
        raise InputError(
            f"--data {shown(path)} is too large to be turned, {numbers.nbytes / 1e9:.1f} GB: save it as (rows, "
            "columns, channels), or give --pipeline.datamanager.dataparser.memory-gigabytes more."
        )
    return BandPixels(np.ascontiguousarray(np.moveaxis(numbers, 0, -1)), is_planar=True)


def _other_numbers(dtype: np.dtype[Any]) -> str | None:
    """What numbers are that are not learnt as they are; None: they are."""
    bits = 8 * dtype.itemsize
    if dtype.kind == "i":
        return f"signed {bits}-bit numbers"
    return f"{bits}-bit numbers" if dtype.kind == "u" and bits > 16 else None


def _of_tiff(path: Path, axis: ChannelAxis | None, most_bytes: float) -> BandPixels | None:
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            page: Any = tiff.pages[0]
            if page.dtype is None:
                return None
            axes = _stack_axes(tiff)
            if axes is not None:
                return _of_pages(path, tiff, axes, axis, most_bytes)
            if not has_bands(page):
                return None
            check_no_axis(path, axis)
            return _of_samples(path, tiff)
    except InputError:
        raise
    except tifffile.TiffFileError:
        # Pillow says what is wrong with it.
        return None
    except (OSError, ValueError, RuntimeError, ImportError, LookupError, zlib.error) as error:
        reason = " ".join(str(error).split())[:200]
        mend = "save it without compression, or by deflate" if "imagecodecs" in reason else "give another file"
        raise InputError(f"--data {shown(path)} is no image that can be read ({reason}): {mend}.") from error


def _stack_axes(tiff: Any) -> str | None:
    """tifffile's letters of the axes of a file with several pages of one size; None: of others."""
    page, series = tiff.pages[0], _series_of(tiff)
    if series is not None:
        # Of ImageJ's large stacks the first page alone is listed.
        return str(series.axes)
    alike = sum((each.shape, each.dtype) == (page.shape, page.dtype) and not _is_beside(each) for each in tiff.pages)
    return f"I{page.axes}" if alike > 1 else None


def _series_of(tiff: Any) -> Any:
    """tifffile's series of the first page, where it has more axes than that; None where not, or nobody knows."""
    try:
        found = tiff.series[0]
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError):
        # Metadata that are damaged say nothing of the page.
        return None
    return found if len(found.shape) > len(tiff.pages[0].shape) else None


def _is_beside(page: Any) -> bool:
    """Whether a page is a smaller copy, or a mask of valid pixels."""
    return bool(page.is_reduced or page.is_mask)


def _of_pages(path: Path, tiff: Any, axes: str, axis: ChannelAxis | None, most_bytes: float) -> BandPixels | None:
    page, series = tiff.pages[0], _series_of(tiff)
    if len(page.shape) != 2:
        # Pages of colours; Pillow says how many there are.
        return None
    lead = axes.removesuffix("YX")
    shape = (len(tiff.pages), *page.shape) if series is None else series.shape
    if axis is None and lead != _CHANNELS:
        raise _unclear(path, lead, shape)
    if len(lead) != 1:
        raise InputError(
            f"--data {shown(path)} has pages along {len(lead)} axes ({' x '.join(map(str, shape[:-2]))}), and an image "
            "has one of channels: save one of them alone."
        )
    words = why_unread(page)
    if words is not None:
        raise InputError(f"--data {shown(path)} {words}.")
    if is_turned(page):
        raise InputError(f"--data {shown(path)} is turned by its orientation tag: save it upright.")
    if math.prod(shape) * page.dtype.itemsize > most_bytes:
        raise InputError(
            f"--data {shown(path)} has too many pages to be read at once: save them as samples of one page, or give "
            "--pipeline.datamanager.dataparser.memory-gigabytes more."
        )
    found = np.asarray(tiff.asarray(key=slice(None)) if series is None else series.asarray())
    return _judged(path, page, np.moveaxis(found, 0, -1) if axis != "last" else found, is_planar=axis != "last")


def _unclear(path: Path, lead: str, shape: tuple[int, ...]) -> InputError:
    """The sentence on pages of which it is not known, or known, that they are no channels."""
    count = math.prod(shape[:-2])
    kinds = {_SLICES: "slices of a volume", _TIMES: "frames of an animation"}
    named = [words for letter, words in kinds.items() if letter in lead]
    if named:
        what = f"has {count:,} pages, which are {' and '.join(named)} by its metadata"
        return InputError(
            f"--data {shown(path)} {what}: give one of them, or {CHANNEL_AXIS} first if each is a channel all the same."
        )
    return InputError(
        f"--data {shown(path)} has {count:,} pages of one size, which may be channels, slices or frames: give "
        f"{CHANNEL_AXIS} first if each is a channel (last if each is a row), or else one of them; frames are learnt "
        "with ns-train diner-video, from a folder of numbered pictures."
    )


def _of_samples(path: Path, tiff: Any) -> BandPixels:
    page = tiff.pages[0]
    others = [each for each in tiff.pages[1:] if not _is_beside(each)]
    if others:
        raise InputError(f"--data {shown(path)} has {1 + len(others)} pages of different sizes: give one image.")
    words = why_unread(page, bands=True)
    if words is not None:
        raise InputError(f"--data {shown(path)} {words}.")
    if is_turned(page):
        raise InputError(f"--data {shown(path)} is turned by its orientation tag: save it upright.")
    return _judged(path, page, planes_last(page, page.asarray()), is_planar=page.axes == "SYX")


def _judged(
    path: Path, page: Any, pixels: Shaped[np.ndarray, "height width channels"], *, is_planar: bool
) -> BandPixels:
    """What was decoded, unless some of it stands for nothing."""
    tag = page.tags.get(_NO_DATA)
    if tag is not None and pixels.dtype.kind == "f":
        try:
            none = float(str(tag.value).strip("\0 "))
        except ValueError:
            none = math.nan
        refuse_where(path, pixels == none, f"no data ({none:g})", "put numbers there")
    return BandPixels(np.ascontiguousarray(pixels), is_planar)
