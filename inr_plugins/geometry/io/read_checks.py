"""What the readers of every format check, and how they refuse."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from inr_plugins.errors import InputError
from inr_plugins.files import shown, why_unreadable
from inr_plugins.geometry.io.formats.text_lines import NotANumber
from inr_plugins.geometry.io.other_formats import what_to_do

_SHOWN = 40
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?")
# Lines that hold names and no numbers.
_NAMING = (
    *("#", "g ", "o ", "s ", "usemtl", "mtllib", "solid", "endsolid"),
    *("comment", "obj_info", "property", "element", "format"),
)
# Formats that hold no text, or may begin with anything.
_BINARY = (".glb", ".npy", ".stl")

# Python's own name of a thing, with its place in memory, which says nothing to a person.
_OBJECT = re.compile(r"<[\w.]*?(\w+) object at 0x[0-9a-f]+>")


def check_file(path: Path, suffixes: tuple[str, ...], *, kind: str) -> None:
    problem = why_unreadable(path)
    if problem is not None and problem != "does not exist":
        raise InputError(f"{shown(path)} {problem}; give a {kind} file.")
    if path.suffix.lower() not in suffixes:
        known = ", ".join(sorted(set(suffixes)))
        advice = what_to_do(path)
        it_is = f" (it is {advice})" if advice else ""
        raise InputError(f"{path} is no {kind} by its name; the extension must be one of {known}{it_is}.")
    if problem is not None:
        raise InputError(f"{path} {problem}; give a {kind} file.")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is an empty file; write it again.")
    if path.suffix.lower() not in _BINARY:
        check_encoding(path)


def check_encoding(path: Path) -> None:
    """Refuse text in UTF-16, as some editors save it, where text of one byte a letter is read; InputError."""
    with path.open("rb") as file:
        head = file.read(64)
    even, odd = head[0::2], head[1::2]
    wide = any(zeros.count(0) == len(zeros) > 3 and 0 not in letters for zeros, letters in ((odd, even), (even, odd)))
    if wide or head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path} is text in UTF-16; save it as UTF-8 or ASCII.")


def guarded(path: Path, load: Callable[[Path], Any]) -> Any:
    """What `load` makes of the file. Readers meet broken files with any kind of exception."""
    try:
        return load(path)
    except InputError:
        raise
    except NotANumber as error:
        raise InputError(_no_number(path, error.word)) from error
    except Exception as error:
        reason = _OBJECT.sub(r"\1", f"{type(error).__name__}: {error}".splitlines()[0])
        raise InputError(f"{path} cannot be read; it may be cut short or of another format ({reason}).") from error


def _no_number(path: Path, word: str) -> str:
    """The sentence on a word where a number must stand, with the first line that has it."""
    place = f"{path}"
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if word in line and word in re.split(r"[\s/]+", line) and not line.lstrip().startswith(_NAMING):
                place = f"Line {number} of {path} ({cut(line.strip())!r})"
                break
    return f"{place} has {cut(word)!r} where a number must stand; {number_advice(word)}."


def number_advice(word: str) -> str:
    """What to do about a word that is no number."""
    if _DECIMAL_COMMA.fullmatch(word):
        return "write numbers with decimal points and not with commas"
    return "write numbers with decimal points, nothing between thousands and no other words"


def cut(text: str) -> str:
    """A text, shortened for a sentence."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def counted(count: int, one: str, many: str = "") -> str:
    """A number with its word: "1 face", "2,000 faces"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def check_finite(points: np.ndarray, path: Path, *, what: str) -> None:
    broken = int((~np.isfinite(points).all(axis=1)).sum())
    if broken:
        raise InputError(f"{path} has {broken} of {len(points)} {what} that are NaN or infinite; fix or drop them.")
