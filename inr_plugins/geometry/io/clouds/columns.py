"""Which columns of a table of points are positions, which are normals, and which are something else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inr_plugins.errors import InputError

_POSITION = ("x", "y", "z")
_NORMAL = ("nx", "ny", "nz")
# Other names of the same columns, after everything but letters and digits is left out.
_SAME = {
    "normalx": "nx",
    "normaly": "ny",
    "normalz": "nz",
    "xnormal": "nx",
    "ynormal": "ny",
    "znormal": "nz",
    "posx": "x",
    "posy": "y",
    "posz": "z",
    "easting": "x",
    "northing": "y",
    "elevation": "z",
    "height": "z",
    "altitude": "z",
}
_UNIT_LENGTH = 1e-2
_LARGEST_COLOUR = 65535
_TOLD = 6


@dataclass(frozen=True)
class Table:
    """Rows of numbers from a file.

    Attributes:
        rows: (n, columns), one row a point.
        names: of the columns, or None.
        where: the place in the file that has the names, in words.
        ignored: names of further columns that the rows were read without.
    """

    rows: np.ndarray
    names: tuple[str, ...] | None = None
    where: str = "the header"
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class Columns:
    """What the columns of a table were taken for.

    Attributes:
        points: numbers of the columns x y z.
        normals: numbers of the columns nx ny nz, or None.
        note: what was taken for what, in words; empty where there was no choice.
    """

    points: tuple[int, int, int]
    normals: tuple[int, int, int] | None
    note: str


class AmbiguousColumns(InputError):
    """Columns that may be normals and may be something else."""


def is_header(words: Sequence[str]) -> bool:
    """Whether a line's words name the columns of positions."""
    return {plain_name(word) for word in words}.issuperset(_POSITION)


def name_columns(table: Table, *, file: str, normals: bool = True) -> Columns:
    """What the columns are: by their names where there are any, else by their values.

    Without names the first three are x y z. Of the others three in a row whose length is 1 everywhere, or 0 here and
    there, are normals; three in a row that are whole numbers up to 65,535, or lie between 0 and 1, are colours;
    what is left is something else, such as an intensity.

    Args:
        table: rows of a file.
        file: its name, for sentences.
        normals: whether normals are wanted; without, nothing but positions is looked for, and nothing else refused.

    Raises:
        AmbiguousColumns: unnamed columns that could be normals of other lengths than 1.
        InputError: fewer than three columns, names that are not as many as columns, or no x, y and z among them.
    """
    count = table.rows.shape[1]
    if table.names is not None:
        return _by_names(table, table.names, file, normals=normals)
    if count < 3:
        raise InputError(f"{file} has {count} columns; rows must be x y z, with or without more columns.")
    if count > 3 and _counts_rows(table.rows[:, 0]):
        raise InputError(
            f"Column 1 of {file} counts the points, so that x y z may be columns 2 to 4; name the columns in a first "
            "line such as # n x y z, or leave the count out."
        )
    return _by_values(table.rows, file, normals=normals)


def plain_name(name: str) -> str:
    """A column's name in small letters and digits alone, synonyms of x, y, z, nx, ny and nz as these."""
    plain = _letters(name)
    return _SAME.get(plain, plain)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def places_of(names: Sequence[str], wanted: Sequence[str]) -> tuple[int | None, ...]:
    """Where each wanted name stands among the names, in whatever case; synonyms count where the name itself is not.

    None: it stands nowhere, or more than once.
    """
    exact, plain = [_letters(name) for name in names], [plain_name(name) for name in names]
    lists = [exact if name in exact else plain for name in wanted]
    return tuple(each.index(name) if each.count(name) == 1 else None for each, name in zip(lists, wanted, strict=True))


def _by_names(table: Table, names: tuple[str, ...], file: str, *, normals: bool) -> Columns:
    count = table.rows.shape[1]
    if len(names) != count:
        raise InputError(
            f"{file} names {len(names)} columns in {table.where} ({_listed(names)}), but its rows have {count}; give "
            "every column a name without blanks."
        )
    points = places_of(names, _POSITION)
    if None in points:
        raise InputError(
            f"{file} names no single column {_POSITION[points.index(None)]} in {table.where} "
            f"({_listed([*names, *table.ignored])}); name the positions x y z."
        )
    found = places_of(names, _NORMAL) if normals else (None,)
    chosen = None if None in found else found
    used = {*points, *(chosen or ())}
    ignored = [name for number, name in enumerate(names) if number not in used] + list(table.ignored)
    return Columns(points, chosen, f"ignored {_listed(ignored)}" if ignored else "")  # type: ignore[arg-type]


def _listed(names: Sequence[str]) -> str:
    names = [name or "a column without a name" for name in names]
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return ", ".join(names[:_TOLD]) + more


def _by_values(rows: np.ndarray, file: str, *, normals: bool) -> Columns:
    count = rows.shape[1]
    start, found, words, unknown = 3, None, [], []
    while start < count:
        triple = rows[:, start : start + 3]
        whole = triple.shape[1] == 3
        if whole and found is None and _are_unit(triple):
            found = (start, start + 1, start + 2)
            words.append(f"columns {start + 1} to {start + 3} taken for normals")
        elif whole and _are_colours(triple) and not (start + 3 < count and _are_unit(rows[:, start + 1 : start + 4])):
            words.append(f"columns {start + 1} to {start + 3} taken for colours and ignored")
        else:
            unknown.append(start)
            start += 1
            continue
        start += 3
    for first in unknown if normals and found is None else ():
        if {first, first + 1, first + 2} <= set(unknown) and _may_be_directions(rows[:, first : first + 3]):
            raise AmbiguousColumns(
                f"Columns {first + 1} to {first + 3} of {file} may be normals, but their lengths run from "
                f"{_lengths(rows[:, first : first + 3])}; name the columns in a first line such as # x y z nx ny nz, "
                "or leave these out."
            )
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        words.append(f"column{plural} {', '.join(str(number + 1) for number in unknown)} ignored")
    return Columns((0, 1, 2), found if normals else None, ", ".join(words))


def _counts_rows(column: np.ndarray) -> bool:
    first = column[0]
    return len(column) > 1 and first in (0, 1) and bool((column == first + np.arange(len(column))).all())


def _are_unit(triple: np.ndarray) -> bool:
    """Whether some rows have length 1 and all others length 0 or NaN."""
    length = np.linalg.norm(triple, axis=1)
    unit = np.abs(length - 1) <= _UNIT_LENGTH
    return bool(unit.any()) and bool((unit | (length == 0) | np.isnan(length)).all())


def _are_colours(triple: np.ndarray) -> bool:
    """Whether all are whole numbers of 8 or 16 bits, or lie between 0 and 1; normals that are all zero are, too."""
    low, high = float(triple.min()), float(triple.max())
    if not low >= 0:
        return False
    return high <= 1 or (high <= _LARGEST_COLOUR and bool((triple == np.rint(triple)).all()))


def _may_be_directions(triple: np.ndarray) -> bool:
    """Whether values of both signs stand in all columns, or in one of them and the rows are about equally long."""
    triple = triple[np.isfinite(triple).all(axis=1)]
    if len(triple) == 0 or triple.min() >= 0:
        return False
    length = np.linalg.norm(triple, axis=1)
    both = (triple.min(axis=0) < 0) & (triple.max(axis=0) > 0)
    return bool(both.all()) or bool(length.std() <= _UNIT_LENGTH * length.mean())


def _lengths(triple: np.ndarray) -> str:
    length = np.linalg.norm(triple, axis=1)
    return f"{np.nanmin(length):.3g} to {np.nanmax(length):.3g}"
