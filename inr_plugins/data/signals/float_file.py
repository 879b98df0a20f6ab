"""Image files of floating-point numbers: TIFF, by tifffile or OpenCV, and OpenEXR, by OpenCV."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Shaped

from inr_plugins.data.signals.opencv_file import decoded, with_exr
from inr_plugins.data.signals.tiff_file import is_tiff
from inr_plugins.errors import InputError
from inr_plugins.files import shown

EXR_ENDING = ".exr"
FLOAT_BITS = 32
"""Of a channel; whatever the file has."""
_COLOUR_AXES = ("YX", "YXS", "SYX")
_EXR_BEGINS, _EXR_HEADER = b"\x76\x2f\x31\x01", 1 << 20
_EXR_COLOURS = ({"R", "G", "B"}, {"Y"}, {"Y", "RY", "BY"})
"""Channels of OpenEXR files that OpenCV reads all of, but for an opacity A; the last ones are luminance and chroma."""


def float_pixels(path: Path) -> Float32[np.ndarray, "height width channels"] | None:
    """The pixels of a file of floating-point numbers, as stored, in float32: grey or RGB. None: it is no such file.

    Args:
        path: of a file that can be opened.

    Raises:
        InputError: it is, and does not decode, has several pages, an opacity or other channels, or numbers that are
            none.
    """
    ending = path.suffix.lower()
    if is_tiff(path):
        found = _of_tiff(path)
    elif ending == EXR_ENDING:
        found = _of_exr(path)
    else:
        return None
    return None if found is None else _checked(path, found)


def encoded_exr(pixels: Float32[np.ndarray, "height width channels"]) -> bytes:
    """An OpenEXR file of grey or RGB, 32 bits a channel."""
    import cv2

    with_exr()
    ordered = np.ascontiguousarray(pixels[..., ::-1])
    return cv2.imencode(EXR_ENDING, ordered, [cv2.IMWRITE_EXR_TYPE, cv2.IMWRITE_EXR_TYPE_FLOAT])[1].tobytes()


def _of_tiff(path: Path) -> Shaped[np.ndarray, "height width channels"] | None:
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            if len(tiff.pages) == 0:
                return None
            page: Any = tiff.pages[0]
            if page.dtype is None or page.dtype.kind != "f":
                return None
            if len(tiff.pages) > 1:
                raise InputError(f"--data {shown(path)} has {len(tiff.pages)} pages: give one image.")
            orientation = page.tags.get("Orientation")
            if orientation is not None and int(orientation.value) != 1:
                raise InputError(f"--data {shown(path)} is turned by its orientation tag: save it upright.")
            if page.axes not in _COLOUR_AXES:
                raise _other_channels(path, "other axes than those of an image")
            found = _decoded(path, page)
            return found.reshape(*found.shape[:2], -1)
    except InputError:
        raise
    except tifffile.TiffFileError:
        # Pillow says what is wrong with it.
        return None
    except (OSError, ValueError, RuntimeError, ImportError, LookupError, zlib.error) as error:
        raise _undecodable(path, " ".join(str(error).split())[:200]) from error


def _decoded(path: Path, page: Any) -> np.ndarray:
    """Rows, columns and channels; by OpenCV where tifffile lacks a codec (floating-point predictors, for instance)."""
    try:
        found: np.ndarray = page.asarray()
    except (KeyError, ValueError) as error:
        try:
            return _by_opencv(path)
        except InputError:
            raise error from None
    return np.moveaxis(found, 0, -1) if page.axes == "SYX" else found


def _of_exr(path: Path) -> Shaped[np.ndarray, "height width channels"]:
    names = _exr_channels(path)
    if names and set(names) - {"A"} not in _EXR_COLOURS:
        # OpenCV would read red, green and blue, and leave the others out.
        told = f"{', '.join(names[:9])}{' and others' if len(names) > 9 else ''}"
        raise InputError(
            f"--data {shown(path)} has the channels {told}: save grey or RGB alone, or all of them as a TIFF of "
            "floating-point numbers."
        )
    with_exr()
    return _by_opencv(path)


def _exr_channels(path: Path) -> list[str]:
    """Names of the channels in the header of an OpenEXR file (its first part); none where it is no such file."""
    with path.open("rb") as file:
        head = file.read(_EXR_HEADER)
    if not head.startswith(_EXR_BEGINS):
        return []
    place = 2 * len(_EXR_BEGINS)
    # Attributes: a name, a type, the bytes of the value, the value; an empty name ends them.
    while place < len(head) and head[place] != 0:
        name, kind, rest = head[place:].split(b"\0", 2) if head.count(b"\0", place) > 1 else (b"", b"", b"")
        size = int.from_bytes(rest[:4], "little")
        if name == b"channels" and kind == b"chlist":
            return _names_of(rest[4 : 4 + size])
        place += len(name) + len(kind) + 6 + size
    return []


def _names_of(channels: bytes) -> list[str]:
    """Names in a list of channels, each of which 16 bytes are behind."""
    names = []
    while channels and channels[0] != 0:
        name, _, rest = channels.partition(b"\0")
        names.append(name.decode("latin-1"))
        channels = rest[16:]
    return names


def _by_opencv(path: Path) -> Shaped[np.ndarray, "height width channels"]:
    found = decoded(path)
    if found is None:
        raise _undecodable(path, "it does not decode")
    pixels: np.ndarray = found.reshape(*found.shape[:2], -1)
    return pixels[..., ::-1] if pixels.shape[-1] == 3 else pixels


def _checked(path: Path, pixels: Shaped[np.ndarray, "height width channels"]) -> Float32[np.ndarray, "h w c"]:
    if pixels.shape[-1] not in (1, 3):
        what = "an opacity of floating-point numbers" if pixels.shape[-1] in (2, 4) else f"{pixels.shape[-1]} channels"
        raise _other_channels(path, what)
    return as_float32(path, pixels)


def as_float32(path: Path, pixels: Shaped[np.ndarray, "height width channels"]) -> Float32[np.ndarray, "h w c"]:
    """Floating-point numbers of any width in float32.

    Raises:
        InputError: some are no numbers, too large or all too small.
    """
    with np.errstate(over="ignore", under="ignore"):
        found = np.ascontiguousarray(pixels.astype(np.float32))
    refuse_where(path, ~np.isfinite(pixels), "NaN or infinity", "put numbers there")
    refuse_where(path, ~np.isfinite(found), "numbers that are too large for 32 bits", "give them another unit")
    # Trainings take them for 0 (see `defaults`), and what a file has is to be the same in each place that it is read.
    found[np.abs(found) < np.finfo(np.float32).tiny] = 0
    if pixels.any() and not found.any():
        raise InputError(f"--data {shown(path)} has numbers that are too small for 32 bits: give them another unit.")
    return found


def refuse_where(path: Path, wrong: Bool[np.ndarray, "height width channels"], what: str, do: str) -> None:
    """Raise InputError where something is wrong in any pixel: it has `what` there, and `do` mends it."""
    places = np.argwhere(wrong.any(-1))
    if len(places):
        row, column = places[0].tolist()
        raise InputError(
            f"--data {shown(path)} has {what} in {len(places):,} of its pixels, the first in row {row:,} and column "
            f"{column:,} (from 0): {do}."
        )


def _other_channels(path: Path, what: str) -> InputError:
    return InputError(f"--data {shown(path)} has {what}: save it as grey or RGB alone.")


def _undecodable(path: Path, reason: str) -> InputError:
    return InputError(f"--data {shown(path)} is no image that can be read ({reason}): give another file.")
