"""Clouds in text files: rows of numbers as scanners, CloudCompare and Metashape write them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.clouds.columns import Table, is_header
from inr_plugins.geometry.io.formats.text_lines import is_number, respelled
from inr_plugins.geometry.io.read_checks import cut, number_advice

# What begins a line that is no row; "//" is CloudCompare's.
_COMMENTS = ("//", "#", "%", "!")
_SEPARATORS = re.compile(r"[,;\s]+")
# Names may have units: "X [m]".
_UNITS = re.compile(r"[\[(].*?[\])]")
# numpy's words.
_UNCONVERTED = re.compile(r"could not convert string '(.*?)' to float")
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+([eE][-+]?\d+)?")
# Lines before the first row: comments, names, a count.
_MOST_LINES_BEFORE = 1000
# Rows that are looked at for decimal commas beside commas as separators.
_ROWS_LOOKED_AT = 200
# Whole numbers are not written with a 0 in front, nor with a sign before 0.
_NO_WHOLE_NUMBER = re.compile(r"[-+]?0\d+|-0")
# What thousands are set apart with; numpy would take them for blanks between two numbers.
_NARROW_BLANKS = re.compile("[\u00a0\u2009\u202f]")


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
        path,
        ndmin=2,
        delimiter=layout.delimiter,
        skiprows=layout.skipped,
        comments=None,
        quotechar='"',
        encoding="utf-8-sig",
    )


def _load_slowly(path: Path, layout: _Layout) -> np.ndarray:
    """The rows where comments stand among them, or numbers written in a way of their own."""
    with path.open(encoding="utf-8-sig") as file:
        lines = (_repaired(line, layout) for _, line in _data_lines(file, skipped=layout.skipped))
        try:
            return np.loadtxt(lines, ndmin=2, delimiter=layout.delimiter, comments=None, quotechar='"')
        except ValueError as error:
            _complain(path, layout)
            if (word := _UNCONVERTED.search(str(error))) is not None:
                raise InputError(
                    f"{path} has {cut(word[1])!r} where a number must stand; {number_advice(word[1])}."
                ) from error
            raise InputError(f"{path} cannot be read as rows of numbers ({error}).") from error


def _repaired(line: str, layout: _Layout) -> str:
    """A row with its numbers spelled as numpy reads them, and without a separator at its end."""
    return respelled(line.rstrip(layout.delimiter) if layout.delimiter else line)


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
                        names, names_line = _names(text), number
                elif announced is None and len(words) == 1 and words[0].isdigit():
                    announced = int(words[0])
                elif is_number(respelled(words[0])):
                    delimiter = _delimiter(path, number, text)
                    if delimiter == ",":
                        _check_commas(path, number, [text, *islice(file, _ROWS_LOOKED_AT)])
                    return _Layout(number - 1, delimiter, names, names_line, announced)
                else:
                    raise InputError(
                        f"Line {number} of {path} ({cut(text)!r}) is neither numbers nor names of columns; the file "
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


def _names(text: str) -> tuple[str, ...]:
    """The names in a line of names; a column between two commas or semicolons may have none, as pandas' index."""
    text = _UNITS.sub("", text.lstrip("/#%! \t"))
    delimiter = ";" if ";" in text else "," if "," in text else None
    return tuple(word.strip().strip("\"'") for word in text.rstrip(delimiter or " ").split(delimiter))


def _delimiter(path: Path, number: int, row: str) -> str | None:
    """What separates the values, told from the first row."""
    if _NARROW_BLANKS.search(row):
        raise InputError(
            f"Line {number} of {path} ({cut(row)!r}) has narrow or no-break spaces, as they set thousands apart; write "
            "the numbers without them."
        )
    delimiter = ";" if ";" in row else "," if "," in row else None
    apart = [word.strip(' \t",') for word in (row.split(";") if delimiter == ";" else row.split())]
    if delimiter and len(apart) > 1 and all(_DECIMAL_COMMA.fullmatch(word) or word.isdigit() for word in apart if word):
        commas = any("," in word for word in apart)
        if commas:
            raise InputError(
                f"Line {number} of {path} ({cut(row)!r}) has decimal commas; write the numbers with decimal points."
            )
    return delimiter


def _check_commas(path: Path, number: int, rows: Sequence[str]) -> None:
    """Refuse rows in which commas separate values and stand for decimal points too, such as 0,25,-1,05,0,75.

    Raises:
        InputError: no row has a point, and what is between two commas is written as no whole number is.
    """
    if any("." in row for row in rows):
        return
    for at, row in enumerate(rows, start=number):
        words = [word.strip(' \t"') for word in row.strip().split(",")]
        if len(words) >= 6 and len(words) % 2 == 0 and any(_NO_WHOLE_NUMBER.fullmatch(word) for word in words):
            raise InputError(
                f"Line {at} of {path} ({cut(row.strip())!r}) has decimal commas, and commas between the numbers too; "
                "write the numbers with decimal points."
            )


def _complain(path: Path, layout: _Layout) -> None:
    """Raise InputError for the first line that is no row like the first one."""
    expected = 0
    with path.open(encoding="utf-8-sig") as file:
        for number, line in _data_lines(file, skipped=layout.skipped):
            words = [word.strip() for word in _repaired(line, layout).split(layout.delimiter)]
            words = [word.strip('"') for word in words]
            expected = expected or len(words)
            wrong = next((word for word in words if not is_number(word)), None)
            if len(words) != expected:
                raise InputError(
                    f"Line {number} of {path} ({cut(line)!r}) has {len(words)} values and not {expected} as the first "
                    "row has; the file may be cut short there, or put together from several."
                )
            if wrong is not None:
                raise InputError(
                    f"Line {number} of {path} ({cut(line)!r}) has {cut(wrong)!r} where a number must stand; "
                    f"{number_advice(wrong)}, separated by blanks, commas or semicolons."
                )
