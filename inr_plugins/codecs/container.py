"""The .inr file: what it is, in JSON, and blocks of bytes, each behind its length and before its checksum.

    magic "INR" 0x1A | version (1 byte) | length, header | checksum | length, block | checksum | length, block | ...

The header is JSON, deflated, and says how many blocks there are. Lengths are LEB128 numbers; checksums are CRC-32,
little-endian, of all bytes since the one before, so that no byte is without one.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inr_plugins.errors import InputError

MAGIC = b"INR\x1a"
VERSION = 1
"""Of the files that are written, and the newest that can be read."""

_CHECKSUM = 4
_LONGEST_LENGTH = 5
_LARGEST_HEADER = 1 << 20
_COUNT = "blocks"


@dataclass(frozen=True)
class Container:
    """What a file holds.

    Attributes:
        header: JSON.
        blocks: bytes, whose meaning the header tells.
    """

    header: Mapping[str, Any]
    blocks: tuple[bytes, ...]


def write_container(header: Mapping[str, Any], blocks: Sequence[bytes]) -> bytes:
    """The bytes of a file."""
    text = json.dumps({**header, _COUNT: len(blocks)}, separators=(",", ":"), allow_nan=False)
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    parts = [MAGIC + bytes([VERSION]) + _framed(packed.compress(text.encode()) + packed.flush())]
    parts += [_framed(block) for block in blocks]
    return b"".join(part + zlib.crc32(part).to_bytes(_CHECKSUM, "little") for part in parts)


def read_container(data: bytes, name: str) -> Container:
    """What a file holds.

    Args:
        data: all of its bytes.
        name: what it is called, for what is said of it.

    Raises:
        InputError: it is no such file, of a newer version, cut short or damaged.
    """
    if data[: len(MAGIC)] != MAGIC[: len(data)] or not data:
        raise InputError(f"{name} is no .inr file: give one that inr-compress has written.")
    if len(data) > len(MAGIC) and data[len(MAGIC)] > VERSION:
        raise InputError(
            f"{name} is of version {data[len(MAGIC)]} of the format, and this program reads up to {VERSION}: install a "
            "newer inr-plugins."
        )
    reader = _Reader(data, name)
    packed = reader.part("its header", behind=len(MAGIC) + 1)
    try:
        unpacker = zlib.decompressobj(-15)
        header = json.loads(unpacker.decompress(packed, _LARGEST_HEADER))
        count = int(header.pop(_COUNT))
    except (zlib.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{name} is damaged (its header): take it again from where it came.") from error
    blocks = tuple(reader.part(f"block {number} of {count}") for number in range(1, count + 1))
    if reader.place != len(data):
        raise InputError(f"{name} goes on behind its last block: take it again from where it came.")
    return Container(header, blocks)


def _framed(data: bytes) -> bytes:
    length, digits = len(data), bytearray()
    while length >= 128:
        digits.append(length & 127 | 128)
        length >>= 7
    return bytes([*digits, length]) + data


class _Reader:
    """Parts of a file, one after the other."""

    def __init__(self, data: bytes, name: str) -> None:
        self.data, self.name, self.place = data, name, 0

    def part(self, what: str, *, behind: int = 0) -> bytes:
        """The next part, whose length stands `behind` bytes after its beginning, if its checksum is right."""
        begin, place, length = self.place, self.place + behind, 0
        for digit in range(_LONGEST_LENGTH):
            if place >= len(self.data):
                self._refuse("cut short", what)
            length |= (self.data[place] & 127) << (7 * digit)
            place += 1
            if self.data[place - 1] < 128:
                break
        end = place + length
        if end + _CHECKSUM > len(self.data):
            self._refuse("cut short or damaged", what)
        if zlib.crc32(self.data[begin:end]) != int.from_bytes(self.data[end : end + _CHECKSUM], "little"):
            self._refuse("damaged", what)
        self.place = end + _CHECKSUM
        return self.data[place:end]

    def _refuse(self, how: str, what: str) -> None:
        raise InputError(f"{self.name} is {how} ({what}): take it again from where it came.")
