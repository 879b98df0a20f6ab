"""Text files of numbers, taken apart a block of lines at a time with whole-array operations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

UTF8_MARK = b"\xef\xbb\xbf"
"""What some editors put before text in UTF-8."""

_BLOCK = 1 << 23
_SPACE = 32
# Numbers as Fortran (1.5D+00) and programs of the Microsoft run time (1.#QNAN) write them, which no reader here takes.
_SPELLINGS = (
    (re.compile(r"(?<=[\d.])[dD](?=[-+]?\d)"), "e"),
    (re.compile(r"[-+]?(?:nan\([a-z]*\)|1\.#(?:QNAN|SNAN|IND)\d*)", re.IGNORECASE), "nan"),
    (re.compile(r"1\.#INF\d*", re.IGNORECASE), "inf"),
)


class NotANumber(ValueError):
    """A word stands where a number must.

    Attributes:
        word: as the file has it.
    """

    def __init__(self, word: str) -> None:
        super().__init__(f"{word!r} is no number")
        self.word = word


def blocks_of_lines(path: Path, *, continued: bool = False) -> Iterator[bytes]:
    r"""The file in blocks of whole lines of about 8 MiB, with "\n" alone at the end of every line.

    Args:
        path: file.
        continued: whether a backslash at the end of a line joins it to the next.

    Raises:
        ValueError: the file is no text of one byte a letter.
    """
    rest = b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            if b"\0" in block:
                raise ValueError("it holds bytes that are no text in ASCII or UTF-8")
            # A "\r" at the very end may belong to a "\n" that is not read yet, as may a backslash.
            block = rest + block
            cut = max(block[:-1].rfind(b"\n"), block[:-1].rfind(b"\r")) + 1
            while continued and cut and block[:cut].rstrip(b"\r\n").endswith(b"\\"):
                line = block[:cut].rstrip(b"\r\n")
                cut = max(line.rfind(b"\n"), line.rfind(b"\r")) + 1
            rest = block[cut:]
            if cut:
                yield _clean(block[:cut], continued)
    if rest:
        yield _clean(rest + b"\n", continued)


def _clean(block: bytes, continued: bool) -> bytes:
    block = block.removeprefix(UTF8_MARK)
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if continued and b"\\\n" in block:
        block = block.replace(b"\\\n", b" ")
    # Nothing but a keyword stands at the beginning of a line.
    if block[:1] in b" \t" or b"\n " in block or b"\n\t" in block:
        block = re.sub(rb"(?m)^[ \t]+", b"", block)
    return block


class Block:
    """A block of lines, each known by its first bytes."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.bytes = np.frombuffer(text, dtype=np.uint8)
        self.ends = np.flatnonzero(self.bytes == ord("\n"))
        self.starts = np.concatenate([[0], self.ends[:-1] + 1])

    def begins(self, keyword: bytes) -> Bool[np.ndarray, " lines"]:
        """Which lines begin with the keyword and a space or tab, in whatever case."""
        found = np.ones(len(self.starts), dtype=bool)
        for k, letter in enumerate(keyword.lower()):
            found &= self._at(k) | 32 == letter
        after = self._at(len(keyword))
        return found & ((after == _SPACE) | (after == ord("\t")))

    def is_word(self, word: bytes) -> Bool[np.ndarray, " lines"]:
        """Which lines begin with the word and hold nothing else but spaces."""
        found = self.begins(word)
        for k in np.flatnonzero(self.ends - self.starts == len(word)):
            found[k] = self.text[self.starts[k] : self.ends[k]].lower() == word
        return found

    def _at(self, k: int) -> np.ndarray:
        return self.bytes[np.minimum(self.starts + k, self.ends)]

    def line(self, k: int) -> str:
        """A line as text, without its end."""
        return self.text[self.starts[k] : self.ends[k]].decode("utf-8", errors="replace").strip()

    def take(self, lines: Bool[np.ndarray, " lines"], *, without: int) -> bytes:
        """The chosen lines, without so many bytes at their beginning, nor comments."""
        lengths = self.ends - self.starts + 1
        keep = np.repeat(lines, lengths)
        for k in range(without):
            keep[self.starts[lines] + k] = False
        text = self.bytes[keep].tobytes()
        return re.sub(rb"#[^\n]*", b"", text) if b"#" in text else text


def tokens_in_lines(text: bytes) -> Int[np.ndarray, " lines"]:
    """How many words each line has."""
    space = np.frombuffer(text, dtype=np.uint8) <= _SPACE
    begins = np.flatnonzero(~space & np.concatenate([[True], space[:-1]]))
    ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord("\n"))
    return np.bincount(np.searchsorted(ends, begins), minlength=len(ends))


def numbers(text: bytes, expected: int) -> Float[np.ndarray, " n"]:
    """All the numbers of a text, exponents of Fortran's among them.

    Raises:
        NotANumber: a word is none.
    """
    found = _numbers(text, expected)
    if len(found) != expected:
        found = _numbers(respelled(text.decode("latin-1")).encode("latin-1"), expected)
    if len(found) != expected:
        for word in text.split():
            if not is_number(word.decode("utf-8", errors="replace")):
                raise NotANumber(word.decode("utf-8", errors="replace"))
        raise ValueError(f"{len(found)} numbers where there should be {expected}")
    return found


def _numbers(text: bytes, expected: int) -> np.ndarray:
    """The numbers up to the first word that is none."""
    try:
        return np.fromstring(text, dtype=np.float64, sep=" ") if expected else np.zeros(0)
    except (ValueError, DeprecationWarning):  # the warning where warnings are errors
        return np.zeros(0)


def is_number(word: str) -> bool:
    """Whether a word is a number, as files have them; Python's own "1_000" is none."""
    try:
        float(word)
    except ValueError:
        return False
    return "_" not in word


def respelled(text: str) -> str:
    """A text with the numbers of Fortran and of the Microsoft run time as others write them."""
    for pattern, word in _SPELLINGS:
        text = pattern.sub(word, text)
    return text


def whole(values: Shaped[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """The same numbers as integers.

    Raises:
        ValueError: one is no whole number.
    """
    integers = values.astype(np.int64)
    if values.dtype.kind == "f" and (broken := integers != values).any():
        raise ValueError(f"{values[broken][0]:g} where a whole number should be")
    return integers


def table(text: bytes) -> tuple[Float[np.ndarray, " n"], Int[np.ndarray, " lines"]]:
    """The numbers of a text, and how many of them each of its lines has; lines without any are left out."""
    counts = tokens_in_lines(text)
    return numbers(text, int(counts.sum())), counts[counts > 0]
