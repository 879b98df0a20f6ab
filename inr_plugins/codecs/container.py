"""The .inr file: what it is, in JSON, and blocks of bytes, each behind its length and before its checksum.

    magic "INR" 0x1A | version (1 byte) | length, header | checksum | length, block | checksum | length, block | ...

The header is JSON, deflated, and says how many blocks there are. Lengths are LEB128 numbers; checksums are CRC-32,
little-endian, of all bytes since the one before, so that no byte is without one. What was cut off behind a block has
all that is before it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from inr_plugins.errors import InputError

MAGIC = b"INR\x1a"
VERSION = 1
"""Of the files that are written, and the newest that can be read."""

_CHECKSUM = 4
_LONGEST_LENGTH = 5
_LARGEST_HEADER = 1 << 20
_COUNT = "blocks"


class CutShortError(InputError):
    """A file ends before the part that is asked for does, or the length of that part is damaged."""


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
    return b"".join(_parts(header, blocks))


def prefix_sizes(header: Mapping[str, Any], blocks: Sequence[bytes]) -> list[int]:
    """Bytes of a file up to the end of each block."""
    return list(accumulate(map(len, _parts(header, blocks))))[1:]


def _parts(header: Mapping[str, Any], blocks: Sequence[bytes]) -> list[bytes]:
    text = json.dumps({**header, _COUNT: len(blocks)}, separators=(",", ":"), allow_nan=False)
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    parts = [MAGIC + bytes([VERSION]) + _framed(packed.compress(text.encode()) + packed.flush())]
    parts += [_framed(block) for block in blocks]
    return [part + zlib.crc32(part).to_bytes(_CHECKSUM, "little") for part in parts]


def read_container(data: bytes, name: str) -> Container:
    """What a file holds.

    Args:
        data: all of its bytes.
        name: what it is called, for what is said of it.

    Raises:
        InputError: it is no such file, of a newer version, cut short or damaged.
    """
    file = ContainerFile(data, name)
    return Container(file.header, tuple(file.rest()))


class ContainerFile:
    """A file of which the header has been read, and of which one block after another can be."""

    def __init__(self, data: bytes, name: str) -> None:
        """
        Args:
            data: all bytes that there are.
            name: what it is called, for what is said of it.

        Raises:
            InputError: it is no such file, of a newer version, cut short in its header, or damaged there.
        """
        if data[: len(MAGIC)] != MAGIC[: len(data)] or not data:
            raise InputError(f"{name} is no .inr file: give one that inr-compress has written.")
        if len(data) > len(MAGIC) and data[len(MAGIC)] > VERSION:
            raise InputError(
                f"{name} is of version {data[len(MAGIC)]} of the format, and this program reads up to {VERSION}: "
                "install a newer inr-plugins."
            )
        self._reader, self._read = _Reader(data, name), 0
        packed = self._reader.part("its header", behind=len(MAGIC) + 1)
        try:
            unpacker = zlib.decompressobj(-15)
            header = json.loads(unpacker.decompress(packed, _LARGEST_HEADER))
            self.count = int(header.pop(_COUNT))
        except (zlib.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{name} is damaged (its header): take it again from where it came.") from error
        self.header: Mapping[str, Any] = header
        """JSON."""

    def block(self) -> bytes:
        """The next block.

        Raises:
            CutShortError: the file ends before it does.
            InputError: it is damaged.
        """
        self._read += 1
        return self._reader.part(f"block {self._read} of {self.count}")

    def rest(self) -> list[bytes]:
        """All blocks that have not been read, behind which the file has to end; InputError as `block`."""
        found = [self.block() for _ in range(self.count - self._read)]
        if self._reader.place != len(self._reader.data):
            raise InputError(f"{self._reader.name} goes on behind its last block: take it again from where it came.")
        return found


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
                self._refuse("cut short", what, CutShortError)
            length |= (self.data[place] & 127) << (7 * digit)
            place += 1
            if self.data[place - 1] < 128:
                break
        end = place + length
        if end + _CHECKSUM > len(self.data):
            self._refuse("cut short or damaged", what, CutShortError)
        if zlib.crc32(self.data[begin:end]) != int.from_bytes(self.data[end : end + _CHECKSUM], "little"):
            self._refuse("damaged", what)
        self.place = end + _CHECKSUM
        return self.data[place:end]

    def _refuse(self, how: str, what: str, kind: type[InputError] = InputError) -> None:
        raise kind(f"{self.name} is {how} ({what}): take it again from where it came.")
