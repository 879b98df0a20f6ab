"""What TIFF files can hold that would be read as something else: numbers of other kinds, planes, negatives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from inr_plugins.errors import InputError
from inr_plugins.files import shown

TIFF_ENDINGS = (".tif", ".tiff")
_MOST_BITS = 16
"""Of whole numbers that are read."""
_MULTIPLIED = 1
"""Of the tag ExtraSamples: an opacity that the colours are multiplied by."""
_SEPARATE = 2
"""Of the tag PlanarConfiguration: each colour in a plane of its own."""


def check_numbers(path: Path) -> None:
    """Refuse a TIFF file whose numbers would be read as others; nothing where it is no TIFF file.

    Pillow reads signed bytes as bytes from 0 on, and few of the other kinds.

    Raises:
        InputError: they are signed, complex, or have more than 16 bits.
    """
    page = _first_page(path) if path.suffix.lower() in TIFF_ENDINGS else None
    words = None if page is None else why_unread(page)
    if words is not None:
        raise InputError(f"--data {shown(path)} {words}.")


def why_unread(page: Any) -> str | None:
    """Why the numbers of a page of tifffile's are not read as they are, as the end of a sentence; None: they are."""
    if page.dtype is None:
        return None
    kind, bits = page.dtype.kind, 8 * page.dtype.itemsize
    signed = f"signed {bits}-bit numbers" if kind == "i" else ""
    wide = f"{bits}-bit numbers" if kind == "u" and bits > _MOST_BITS else ""
    what = signed or wide or ("complex numbers" if kind == "c" else "")
    if what:
        return f"has {what}: convert them to floating-point numbers, or to 8- or 16-bit ones from 0 on"
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


def _first_page(path: Path) -> Any:
    """tifffile's first page, with its file closed; None where it is none."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            return tiff.pages[0]
    except (tifffile.TiffFileError, OSError, ValueError, LookupError):
        # Whoever decodes it says what is wrong.
        return None
