"""How many bits an image file has of a channel: Pillow gives eight of colours, however many there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from PIL import Image

from inr_plugins.errors import InputError
from inr_plugins.files import shown

_BITS_PER_SAMPLE = 258
_DEEP = 16
_COMMENT = re.compile(rb"#[^\r\n]*")
_HEAD = 1 << 20
"""Bytes of a file in which its header is."""
_CODESTREAM, _PRECISION = b"\xff\x4f\xff\x51", 42
"""What begins a JPEG 2000 codestream (the markers SOC and SIZ), and where behind that the bits of a channel stand."""
_PIXEL_INFORMATION = b"pixi"
"""The box of AVIF with them: its name, four bytes, the number of channels, and the bits of each."""


def stored_bits(path: Path, image: Image.Image) -> int:
    """Bits of a channel in a file that Pillow has opened; 8 where its format has no more.

    Raises:
        InputError: numbers of a portable map go up to something that is neither 255 nor 65,535, nor below 255.
    """
    if image.format == "TIFF":
        bits: Any = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, 8)
        return max(bits) if isinstance(bits, tuple) else int(bits)
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if image.format == "PNG":
        return head[24]  # the header's, which every PNG begins with
    if image.format == "PPM":
        return _of_map(path, head)
    if image.format == "JPEG2000":
        begin = head.find(_CODESTREAM)
        return 8 if begin < 0 else (head[begin + _PRECISION] & 127) + 1
    if image.format == "SGI":
        return 8 * head[3]
    if image.format == "AVIF":
        begin = head.find(_PIXEL_INFORMATION)
        return 8 if begin < 0 else max(head[begin + 9 : begin + 9 + head[begin + 8]], default=8)
    return 8


def _of_map(path: Path, head: bytes) -> int:
    """Of PGM and PPM, whose header says which number is white."""
    words = _COMMENT.sub(b"", head[:4096]).split(maxsplit=4)
    if words[0] not in (b"P2", b"P3", b"P5", b"P6") or not words[3].isdigit():
        return 8
    white = int(words[3])
    if 255 < white < (1 << _DEEP) - 1:
        raise InputError(f"--data {shown(path)} has numbers up to {white:,}: write them up to 255 or 65,535.")
    return _DEEP if white > 255 else 8
