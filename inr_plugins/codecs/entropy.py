"""Bytes of which some values are more frequent than others, coded by their frequencies: Huffman codes of DEFLATE.

constriction, whose range coder is 1 to 2 % smaller for networks of some thousand weights, has no wheels for Linux on
Arm; zlib is a part of Python, and decodes to the same bytes everywhere.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import pairwise

_RAW = -15


def pack(parts: Sequence[tuple[str, bytes]]) -> bytes:
    """Parts as one DEFLATE stream, the smallest of several.

    A new table of codes costs some 60 bytes and pays where frequencies change: streams with none, with one for each
    kind of part, and with one for each part are tried.

    Args:
        parts: bytes by name; a name's kind is what is behind its last dot.
    """
    kinds = [name.rpartition(".")[2] for name, _ in parts]
    changes = [True, *(a != b for a, b in pairwise(kinds))]
    first_vector = next((place for place, kind in enumerate(kinds) if kind == "bias"), len(kinds))
    patterns = (
        [False] * len(parts),
        changes,
        [place == first_vector for place in range(len(parts))],
        [True] * len(parts),
        [change or kind == "weight" for change, kind in zip(changes, kinds, strict=True)],
    )
    found = [
        _stream(parts, cuts, strategy)
        for cuts in patterns
        for strategy in (zlib.Z_HUFFMAN_ONLY, zlib.Z_DEFAULT_STRATEGY)
    ]
    return min(found, key=len)


def unpack(data: bytes, most: int) -> bytes:
    """What was packed; ValueError where that is no such stream, goes on behind its end, or is longer than `most`."""
    unpacker = zlib.decompressobj(_RAW)
    try:
        found = unpacker.decompress(data, most + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not unpacker.eof or unpacker.unused_data or len(found) > most:
        raise ValueError("the stream has another length")
    return found


def _stream(parts: Sequence[tuple[str, bytes]], cuts: Sequence[bool], strategy: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, _RAW, 9, strategy)
    found = []
    for (_, part), cut in zip(parts, cuts, strict=True):
        if cut:
            found.append(packer.flush(zlib.Z_BLOCK))
        found.append(packer.compress(part))
    return b"".join([*found, packer.flush()])
