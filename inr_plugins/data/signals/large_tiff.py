"""TIFF files that are too large for memory, read tile by tile into a file beside which little else is held."""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt

from inr_plugins.data.signals.kind import band_names
from inr_plugins.data.signals.tiff_file import has_bands, is_multiplied, is_tiff, is_turned, why_unread
from inr_plugins.errors import InputError, is_out_of_room
from inr_plugins.files import nameless_file, shown

_PROFILE = 34675
_GREY, _COLOURS = 1, 2
_CHANNELS = {_GREY: (1, 2), _COLOURS: (3, 4)}


class LargeTiff:
    """The first image of a TIFF file, of which nothing has been decoded.

    Attributes:
        path: the file.
        shape: height, width, channels.
        dtype: uint8 or uint16.
        profile: ICC profile of its colours.
        bands: names of channels that are neither colours nor an opacity.
        is_planar: whether each channel has a plane of its own.
    """

    def __init__(self, path: Path, page: Any, *, bands: bool = False) -> None:
        """`page` is tifffile's; InputError where its pixels are of a kind that is not read so.

        Channels may be neither colours nor an opacity where `bands` are wanted.
        """
        self.path, self.dtype = path, np.dtype(page.dtype)
        height, width, *rest = page.shape if page.axes != "SYX" else (*page.shape[1:], page.shape[0])
        self.shape, self.is_planar = (int(height), int(width), int(rest[0]) if rest else 1), page.axes == "SYX"
        self.bands = band_names(self.shape[2]) if bands and has_bands(page) else ()
        profile = page.tags.get(_PROFILE)
        self.profile: bytes | None = None if profile is None else bytes(profile.value)
        if is_turned(page):
            self.refuse("is turned by its orientation tag: save it upright")
        unread = why_unread(page, bands=bands)
        if unread is not None:
            self.refuse(unread)
        if is_multiplied(page):
            self.refuse("has colours that are multiplied by their opacity: save them straight")
        is_known = bool(self.bands) or self.shape[2] in _CHANNELS.get(int(page.photometric), ())
        if self.dtype not in (np.uint8, np.uint16) or not is_known:
            self.refuse("has other pixels than 8- or 16-bit grey, RGB or RGBA: convert it")

    def refuse(self, words: str) -> None:
        """Raise InputError with the end of a sentence on why it is not read."""
        raise InputError(f"--data {shown(self.path)} is too large to be read at once, and {words}.")

    def pixels(self) -> UInt[np.ndarray, "height width channels"]:
        """All of them, in a file in the system's place for temporary ones, which is gone when the program ends.

        Raises:
            InputError: it cannot be decoded, or there is no room for the file.
        """
        import tifffile

        try:
            with nameless_file() as file:
                file.truncate(math.prod(self.shape) * self.dtype.itemsize)
                found = np.memmap(file, dtype=self.dtype, mode="r+", shape=self.shape)
            with tifffile.TiffFile(self.path) as tiff:
                for part, (plane, _, row, column, _), _ in tiff.pages[0].segments(maxworkers=1):
                    if part is not None:
                        # Tiles at the edges are filled up.
                        channels = slice(plane, plane + 1) if self.is_planar else slice(None)
                        here = found[row : row + part.shape[1], column : column + part.shape[2], channels]
                        here[:] = part[0, : here.shape[0], : here.shape[1]]
            return found
        except OSError as error:
            if is_out_of_room(error):
                raise InputError(
                    f"There is no room to unpack --data {shown(self.path)}, {math.prod(self.shape) / 1e9:.1f} GB, "
                    "among temporary files: give the environment variable TMPDIR a folder with more."
                ) from error
            raise self._undecodable(error) from error
        except (ValueError, RuntimeError, ImportError, IndexError, zlib.error) as error:
            raise self._undecodable(error) from error

    def _undecodable(self, error: Exception) -> InputError:
        reason = " ".join(str(error).split())[:200]
        return InputError(f"--data {shown(self.path)} is no image that can be read ({reason}): give another file.")


def large_tiff(path: Path, most_bytes: float, *, bands: bool = False) -> LargeTiff | None:
    """The image at a path if that is a TIFF file whose pixels take more than so many bytes.

    Args:
        path: of the file.
        most_bytes: of its first image.
        bands: see `LargeTiff`.

    Raises:
        InputError: it is, and its pixels are of a kind that is not read tile by tile.
    """
    if not is_tiff(path):
        return None
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            page: Any = tiff.pages[0]
            if len(page.shape) not in (2, 3) or math.prod(page.shape) * page.dtype.itemsize <= most_bytes:
                return None
            # Smaller ones are the same image again, or a label.
            alike = sum(each.shape == page.shape for each in tiff.pages)
            if alike > 1 and bands:
                # Whoever reads bands says what the pages may be.
                return None
            found = LargeTiff(path, page, bands=bands)
            if alike > 1:
                found.refuse(f"has {alike} pages of one size: give one image")
            return found
    except InputError:
        raise
    except (tifffile.TiffFileError, OSError, ValueError, IndexError, AttributeError):
        # Pillow says what is wrong with it.
        return None
