"""The .inr file: what is written is read, and every damage is a sentence."""

from __future__ import annotations

import pytest

from inr_plugins.codecs.container import MAGIC, VERSION, read_container, write_container
from inr_plugins.codecs.entropy import pack, unpack
from inr_plugins.errors import InputError

HEADER = {"signal": "image", "size": [3, 2]}
BLOCKS = [b"first" * 40, b"", b"third"]
FILE = write_container(HEADER, BLOCKS)


def test_what_is_written_is_read():
    found = read_container(FILE, "a.inr")
    assert found.header == HEADER
    assert found.blocks == tuple(BLOCKS)


def test_a_file_cut_short_anywhere_is_refused():
    for length in range(len(FILE)):
        with pytest.raises(InputError, match=r"^a\.inr (is cut short|is no \.inr file)"):
            read_container(FILE[:length], "a.inr")


def test_each_bit_is_looked_after():
    for place in range(len(FILE)):
        for bit in range(8):
            changed = bytearray(FILE)
            changed[place] ^= 1 << bit
            with pytest.raises(InputError, match=r"^a\.inr (is damaged|is cut|is no \.inr|is of version|goes on)"):
                read_container(bytes(changed), "a.inr")


def test_newer_versions_other_files_and_what_follows_are_refused():
    newer = MAGIC + bytes([VERSION + 1]) + FILE[len(MAGIC) + 1 :]
    for data, words in (
        (newer, f"is of version {VERSION + 1} of the format, and this program reads up to {VERSION}"),
        (b"\x89PNG\r\n", "is no .inr file"),
        (b"", "is no .inr file"),
        (FILE + b"x", "goes on behind its last block"),
    ):
        with pytest.raises(InputError, match=words):
            read_container(data, "a.inr")


def test_packed_bytes_take_about_their_entropy():
    # Half of them 0, a quarter 1, and so on: 1.98 bits each, which Huffman's codes reach exactly.
    symbols = b"".join(bytes([value]) * 2 ** (9 - value) for value in range(9))
    mixed = bytes(symbols[(place * 421) % len(symbols)] for place in range(len(symbols)))
    packed = pack([("0.weight", mixed)])
    assert len(packed) < 1.98 * len(mixed) / 8 + 30
    assert unpack(packed, len(mixed)) == mixed


def test_streams_that_are_none_are_refused():
    packed = pack([("0.weight", b"abc" * 50), ("0.bias", b"de"), ("1.bias", b"fgh" * 30)])
    assert unpack(packed, 1000) == b"abc" * 50 + b"de" + b"fgh" * 30
    for data, most in ((packed[:-1], 1000), (packed, 241), (packed + b"x", 1000), (b"\xff\xff", 10)):
        with pytest.raises(ValueError, match=r"length|Error"):
            unpack(data, most)
