"""Clouds in text files: rows of numbers as scanners, CloudCompare and Metashape write them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.cloud_columns import Table, is_header

# What begins a line that is no row; "//" is CloudCompare's.
_COMMENTS = ("//", "#", "%", "!")
_SEPARATORS = re.compile(r"[,;\s]+")
# Names may have units: "X [m]".
_UNITS = re.compile(r"[\[(].*?[\])]")
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+([eE][-+]?\d+)?")
# How programs of the Microsoft run time write NaN and infinity, which no reader of numbers takes.
_MICROSOFT = (
    (re.compile(r"[-+]?(?:nan\([a-z]*\)|1\.#(?:QNAN|SNAN|IND)\d*)", re.IGNORECASE), "nan"),
    (re.compile(r"1\.#INF\d*", re.IGNORECASE), "inf"),
)
# Lines before the first row: comments, names, a count.
_MOST_LINES_BEFORE = 1000
_SHOWN = 40


@dataclass(frozen=True)
class _Layout:
    """What stands before the rows, and what separates their values.

    Attributes:
        skipped: lines before the first row.
        delimiter: between values; None: blanks.
        names: of the columns, or None.
        names_line: number of the line that has them.
        announced: rows that a line with nothing but a count promises, or None.
    """

    skipped: int
    delimiter: str | None
    names: tuple[str, ...] | None
    names_line: int
    announced: int | None


def read_text_rows(path: Path) -> Table:
    """The rows of a text file, with the names of their columns where it has any.

    Values are separated by blanks, tabs, commas or semicolons. Before the rows there may be comments (//, #, %, !), a
    line with the names of the columns, as a comment or not, and a line with their number, as in .pts files.

    Raises:
        InputError: no rows, a line that is none, decimal commas, or another number of rows than the file announces.
    """
    layout = _layout(path)
    try:
        # One call in C: a cloud of ten million points takes no Python objects.
        rows = _load(path, layout)
    except ValueError:
        rows = _load_slowly(path, layout)
    if layout.announced is not None and layout.announced != len(rows):
        less = len(rows) < layout.announced
        raise InputError(
            f"{path} announces {layout.announced} points and has {len(rows)}: it "
            f"{'is cut short' if less else 'was put together from several'}; write it again."
        )
    return Table(rows, layout.names, f"line {layout.names_line}")


def _load(path: Path, layout: _Layout) -> np.ndarray:
    return np.loadtxt(
        path, ndmin=2, delimiter=layout.delimiter, skiprows=layout.skipped, comments=None, encoding="utf-8-sig"
    )


def _load_slowly(path: Path, layout: _Layout) -> np.ndarray:
    """The rows where comments stand among them, or numbers written in a way of their own."""
    with path.open(encoding="utf-8-sig") as file:
        lines = (_mended(line) for _, line in _data_lines(file, skipped=layout.skipped))
        try:
            return np.loadtxt(lines, ndmin=2, delimiter=layout.delimiter, comments=None)
        except ValueError as error:
            _complain(path, layout)
            raise InputError(f"{path} cannot be read as rows of numbers ({error}).") from error


def _mended(line: str) -> str:
    for pattern, word in _MICROSOFT:
        line = pattern.sub(word, line)
    return line


def _data_lines(file: Any, *, skipped: int) -> Iterator[tuple[int, str]]:
    """Lines that ought to be rows, with their numbers from 1."""
    for number, line in enumerate(file, start=1):
        text = line.strip()
        if number > skipped and text and not text.startswith(_COMMENTS):
            yield number, text


def _layout(path: Path) -> _Layout:
    names, names_line, announced = None, 0, None
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                text = line.strip()
                words = _words(text)
                if text.startswith(_COMMENTS) or not words or is_header(words):
                    if names is None and is_header(words):
                        names, names_line = tuple(words), number
                elif announced is None and len(words) == 1 and words[0].isdigit():
                    announced = int(words[0])
                elif _is_number(words[0]):
                    return _Layout(number - 1, _delimiter(path, number, text), names, names_line, announced)
                else:
                    raise InputError(
                        f"Line {number} of {path} ({_cut(text)!r}) is neither numbers nor names of columns; the file "
                        "must have rows x y z, with or without more columns, below a line with their names or none."
                    )
                if number > _MOST_LINES_BEFORE:
                    break
    except UnicodeDecodeError as error:
        raise InputError(f"{path} cannot be read as text ({error}); write it as ASCII or UTF-8.") from error
    raise InputError(f"{path} has no points, or is cut short; write it again, or give another file.")


def _words(text: str) -> list[str]:
    """The words of a line, without what makes it a comment."""
    return [word.strip("\"'") for word in _SEPARATORS.split(_UNITS.sub("", text.lstrip("/#%! \t"))) if word]


def _delimiter(path: Path, number: int, row: str) -> str | None:
    """What separates the values, told from the first row."""
    delimiter = ";" if ";" in row else "," if "," in row else None
    apart = [word.strip() for word in row.split(";")] if delimiter == ";" else row.split()
    if delimiter and len(apart) > 1 and all(_DECIMAL_COMMA.fullmatch(word) or word.isdigit() for word in apart if word):
        commas = any("," in word for word in apart)
        if commas:
            raise InputError(
                f"Line {number} of {path} ({_cut(row)!r}) has decimal commas; write the numbers with decimal points."
            )
    return delimiter


def _complain(path: Path, layout: _Layout) -> None:
    """Raise InputError for the first line that is no row like the first one."""
    expected = 0
    with path.open(encoding="utf-8-sig") as file:
        for number, line in _data_lines(file, skipped=layout.skipped):
            words = [word.strip() for word in _mended(line).split(layout.delimiter)]
            expected = expected or len(words)
            wrong = next((word for word in words if not _is_number(word)), None)
            if len(words) != expected:
                raise InputError(
                    f"Line {number} of {path} ({_cut(line)!r}) has {len(words)} values and not {expected} as the first "
                    "row has; the file may be cut short there, or put together from several."
                )
            if wrong is not None:
                raise InputError(
                    f"Line {number} of {path} ({_cut(line)!r}) has {_cut(wrong)!r} where a number must stand; write "
                    "numbers with decimal points, separated by blanks, commas or semicolons."
                )


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
