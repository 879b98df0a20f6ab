"""What TIFF files can hold that would be read as something else: numbers of other kinds, planes, negatives."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from inr_plugins.errors import InputError
from inr_plugins.files import shown

# Whoever reads a file says what is wrong with it; tifffile's own words go to those who have set up a log alone.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

TIFF_ENDINGS = (".tif", ".tiff")
_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""What TIFF files and large ones begin with, in either order of bytes."""
_MOST_BITS = 16
"""Of whole numbers that are read."""
_UNSPECIFIED, _MULTIPLIED = 0, 1
"""Of the tag ExtraSamples: nobody says what a channel is; an opacity that the colours are multiplied by."""
_OPACITIES = (1, 2)
"""Of the same tag: an opacity, multiplied by or not."""
_ORIENTATION, _BLACK_IS_ZERO = 274, 1
_COLOURS_OF = {1: 1, 2: 3}
"""Samples that are a colour, by PhotometricInterpretation: grey from black on, and RGB."""
_SEPARATE = 2
"""Of the tag PlanarConfiguration: each colour in a plane of its own."""


def is_tiff(path: Path) -> bool:
    """Whether a file is TIFF by how it begins, whatever it is called; False where it cannot be opened."""
    try:
        with path.open("rb") as file:
            return file.read(4) in _MAGIC
    except OSError:
        return False


def check_numbers(path: Path) -> None:
    """Refuse a TIFF file whose numbers would be read as others; nothing where it is no TIFF file.

    Pillow reads signed bytes as bytes from 0 on, and few of the other kinds.

    Raises:
        InputError: they are signed, complex, or have more than 16 bits; a channel is neither a colour nor an opacity;
            or the first image is a preview.
    """
    page = _first_page(path) if is_tiff(path) else None
    words = None if page is None else why_unread(page)
    if words is not None:
        raise InputError(f"--data {shown(path)} {words}.")


def has_bands(page: Any) -> bool:
    """Whether the samples of a page of tifffile's are not all colours and an opacity, by its tags.

    One further sample of which nobody says what it is (no tag ExtraSamples at all) is an opacity, as programs have it.
    """
    colours = None if page.photometric is None else _COLOURS_OF.get(int(page.photometric))
    if colours is None or page.axes not in ("YXS", "SYX"):
        return False
    further, extra = int(page.samplesperpixel) - colours, tuple(page.extrasamples)
    return further > 1 or (further == 1 and bool(extra) and extra[0] not in _OPACITIES)


def is_turned(page: Any) -> bool:
    """Whether a page of tifffile's is to be turned before it is shown."""
    orientation = page.tags.get(_ORIENTATION)
    return orientation is not None and int(orientation.value) != 1


def planes_last(page: Any, pixels: Shaped[np.ndarray, "a b c"]) -> Shaped[np.ndarray, "height width channels"]:
    """The pixels of a page of tifffile's with samples, each of which may have a plane of its own, side by side."""
    return np.moveaxis(pixels, 0, -1) if page.axes == "SYX" else pixels


def why_unread(page: Any, *, bands: bool = False) -> str | None:
    """Why the numbers of a page of tifffile's are not read as they are, as the end of a sentence; None: they are.

    Args:
        page: the first of the file.
        bands: channels may be neither colours nor an opacity, and then none of them is one.
    """
    if page.dtype is None:
        return None
    kind, bits = page.dtype.kind, 8 * page.dtype.itemsize
    signed = f"signed {bits}-bit numbers" if kind == "i" else ""
    wide = f"{bits}-bit numbers" if kind == "u" and bits > _MOST_BITS else ""
    what = signed or wide or ("complex numbers" if kind == "c" else "")
    if what:
        return f"has {what}: convert them to floating-point numbers, or to 8- or 16-bit ones from 0 on"
    if page.is_reduced and page.subifds:
        return "has a preview in front, as cameras' raw files have: develop it, to a TIFF file of 16 bits for instance"
    extra = tuple(page.extrasamples)
    if bands and has_bands(page):
        if not any(each in _OPACITIES for each in extra):
            return None
        return (
            f"has an opacity among its {page.samplesperpixel} channels, by the tag ExtraSamples: save it without, or "
            "with RGB alone"
        )
    others = [each for each in extra if each == _UNSPECIFIED] or list(extra[1:])
    if others:
        what = f"{len(others)} channels that are" if len(others) > 1 else "a channel that is"
        return f"has {what} neither a colour nor its opacity, by the tag ExtraSamples: save it as grey, RGB or RGBA"
    if is_multiplied(page) and kind == "u" and bits == _MOST_BITS:
        return "has 16-bit colours that are multiplied by their opacity: save them straight"
    return None


def is_multiplied(page: Any) -> bool:
    """Whether the colours of a page of tifffile's are multiplied by their opacity."""
    return _MULTIPLIED in tuple(page.extrasamples)


def colours_of_planes(path: Path) -> Shaped[np.ndarray, "height width channels"] | None:
    """The colours of a TIFF file that has each of them in a plane of its own, which OpenCV takes for pixels in a row.

    Returns:
        None where it has them pixel by pixel, or is no TIFF file.

    Raises:
        InputError: they do not decode.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            page: Any = tiff.pages[0]
            if int(page.planarconfig or 0) != _SEPARATE or len(page.shape) != 3:
                return None
            return np.ascontiguousarray(np.moveaxis(page.asarray(), 0, -1))
    except tifffile.TiffFileError:
        return None
    except (OSError, ValueError, RuntimeError, ImportError, LookupError) as error:
        raise InputError(
            f"--data {shown(path)} has its colours in separate planes, which do not decode "
            f"({' '.join(str(error).split())[:200]}): save them pixel by pixel."
        ) from error


def grey_with_opacity(path: Path) -> Shaped[np.ndarray, "height width 2"] | None:
    """Grey and opacity of 8 or 16 bits of a TIFF file, which Pillow reads in eight bits alone; None: it has others.

    Raises:
        InputError: they do not decode, or are turned.
    """
    import tifffile

    page = _first_page(path) if is_tiff(path) else None
    if page is None:
        return None
    is_grey = page.photometric is not None and int(page.photometric) == _BLACK_IS_ZERO
    if not is_grey or page.axes not in ("YXS", "SYX") or page.samplesperpixel != 2 or page.dtype.kind != "u":
        return None
    if is_turned(page):
        raise InputError(f"--data {shown(path)} is turned by its orientation tag: save it upright.")
    try:
        found = tifffile.imread(path, key=0)
    except (OSError, ValueError, RuntimeError, ImportError, LookupError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"--data {shown(path)} is no image that can be read ({reason}): give another file.") from error
    return np.ascontiguousarray(found if page.axes == "YXS" else np.moveaxis(found, 0, -1))


def _first_page(path: Path) -> Any:
    """tifffile's first page, with its file closed; None where it is none."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            return tiff.pages[0]
    except (tifffile.TiffFileError, OSError, ValueError, LookupError):
        # Whoever decodes it says what is wrong.
        return None
