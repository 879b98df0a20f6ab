"""Images that are written row by row, so that they need not fit into memory: PNG and TIFF."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Shaped

from inr_plugins.files import replacing

LARGE = 1 << 28
"""Bytes of pixels from which on an image is written so."""
_PNG, _TIFFS = ".png", (".tif", ".tiff")
_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}
"""The type of colours in the header of a PNG, by channels."""
_UP = 2
"""PNG's filter that has the row above taken off."""
_AT_ONCE = 1 << 20
_STRIP = 1 << 22
"""Bytes of a strip of a TIFF file, about."""
_LARGEST_PLAIN_TIFF = (1 << 32) - (1 << 26)
"""Bytes; what may have more is a BigTIFF."""

Rows = Iterable[Shaped[np.ndarray, "rows width channels"]]


def can_write_rows(path: Path) -> bool:
    """Whether files of this ending are written row by row."""
    return path.suffix.lower() in (_PNG, *_TIFFS)


def write_rows(
    path: Path,
    rows: Rows,
    *,
    size: tuple[int, int],
    channels: int,
    dtype: np.dtype[Any],
    profile: bytes | None = None,
    has_bands: bool = False,
) -> None:
    """Write an image, whole or not at all; `image_output.check_image_output` says what can be.

    Args:
        path: .png or .tif.
        rows: of it, some after the others.
        size: width and height.
        channels: grey, grey and alpha, RGB or RGB and alpha; any number of bands.
        dtype: uint8 or uint16, of a TIFF file also float32.
        profile: the ICC profile of its colours; None: sRGB, of which nothing is written.
        has_bands: the channels are neither colours nor an opacity, and are written pixel by pixel.

    Raises:
        OSError: it cannot be written.
    """
    with replacing(path) as partial, partial.open("wb") as file:
        if path.suffix.lower() == _PNG:
            _write_png(file, rows, size, channels, dtype, profile)
        else:
            _write_tiff(file, rows, size, channels, dtype, profile, has_bands)


def extra_samples(channels: int, *, has_bands: bool = False) -> list[str] | None:
    """TIFF's tag ExtraSamples: what channels are that are no colours; None where there are none."""
    if has_bands:
        return ["unspecified"] * (channels - 1) or None
    return ["unassalpha"] if channels in (2, 4) else None


def png_chunk(name: bytes, data: bytes) -> bytes:
    """A part of a PNG, with its length before it and its checksum behind."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def profile_chunk(profile: bytes) -> bytes:
    """The part of a PNG that has the profile of its colours."""
    return png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile, 9))


def _write_png(
    file: IO[bytes], rows: Rows, size: tuple[int, int], channels: int, dtype: np.dtype[Any], profile: bytes | None
) -> None:
    header = struct.pack(">IIBBBBB", *size, 8 * dtype.itemsize, _COLOURS[channels], 0, 0, 0)
    file.write(b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header))
    if profile is not None:
        file.write(profile_chunk(profile))
    packer, waiting = zlib.compressobj(6), bytearray()
    above = np.zeros((1, size[0] * channels * dtype.itemsize), dtype=np.uint8)
    for block in rows:
        numbers = np.ascontiguousarray(block, dtype=dtype.newbyteorder(">"))
        lines = numbers.view(np.uint8).reshape(len(block), -1)
        # Modulo 256, as the filter is.
        differences = lines - np.concatenate([above, lines[:-1]])
        above = lines[-1:].copy()
        waiting += packer.compress(np.pad(differences, ((0, 0), (1, 0)), constant_values=_UP).tobytes())
        if len(waiting) > _AT_ONCE:
            file.write(png_chunk(b"IDAT", bytes(waiting)))
            waiting.clear()
    file.write(png_chunk(b"IDAT", bytes(waiting) + packer.flush()) + png_chunk(b"IEND", b""))


def _write_tiff(
    file: IO[bytes],
    rows: Rows,
    size: tuple[int, int],
    channels: int,
    dtype: np.dtype[Any],
    profile: bytes | None,
    has_bands: bool,
) -> None:
    import tifffile

    width, height = size
    line = width * channels * dtype.itemsize
    count = max(1, min(height, _STRIP // line))
    tifffile.imwrite(
        file,
        # Strips that are packed already: of others tifffile wants all at once.
        _strips(rows, count, dtype.newbyteorder("<")),
        shape=(height, width, channels) if channels > 1 else (height, width),
        dtype=dtype,
        photometric="rgb" if channels > 2 and not has_bands else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=extra_samples(channels, has_bands=has_bands),
        rowsperstrip=count,
        compression="zlib",
        metadata=None,
        iccprofile=profile,
        byteorder="<",
        bigtiff=height * line > _LARGEST_PLAIN_TIFF,
        maxworkers=1,
    )


def _strips(rows: Rows, count: int, dtype: np.dtype[Any]) -> Iterator[bytes]:
    """The same rows, so many at a time and packed; the last ones may be fewer."""
    waiting: list[np.ndarray] = []
    for block in rows:
        waiting.append(block)
        if sum(map(len, waiting)) >= count:
            whole = np.concatenate(waiting)
            full = len(whole) // count * count
            for first in range(0, full, count):
                yield zlib.compress(np.ascontiguousarray(whole[first : first + count], dtype=dtype).tobytes())
            waiting = [whole[full:]]
    last = np.concatenate(waiting)
    if len(last):
        yield zlib.compress(np.ascontiguousarray(last, dtype=dtype).tobytes())
