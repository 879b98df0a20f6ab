"""What the readers of every format check, and how they refuse."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from inr_plugins.errors import InputError
from inr_plugins.files import shown, why_unreadable

# Python's own name of a thing, with its place in memory, which says nothing to a person.
_OBJECT = re.compile(r"<[\w.]*?(\w+) object at 0x[0-9a-f]+>")


def check_file(path: Path, suffixes: tuple[str, ...], *, kind: str) -> None:
    problem = why_unreadable(path)
    if problem is not None and problem != "does not exist":
        raise InputError(f"{shown(path)} {problem}; give a {kind} file.")
    if path.suffix.lower() not in suffixes:
        known = ", ".join(sorted(set(suffixes)))
        raise InputError(f"{path} is no {kind} by its name; the extension must be one of {known}.")
    if problem is not None:
        raise InputError(f"{path} {problem}; give a {kind} file.")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is an empty file; write it again.")


def guarded(path: Path, load: Callable[[Path], Any]) -> Any:
    """What `load` makes of the file. Readers meet broken files with any kind of exception."""
    try:
        return load(path)
    except InputError:
        raise
    except Exception as error:
        reason = _OBJECT.sub(r"\1", f"{type(error).__name__}: {error}".splitlines()[0])
        raise InputError(f"{path} cannot be read; it may be cut short or of another format ({reason}).") from error


def counted(count: int, one: str, many: str = "") -> str:
    """A number with its word: "1 face", "2,000 faces"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def check_finite(points: np.ndarray, path: Path, *, what: str) -> None:
    broken = int((~np.isfinite(points).all(axis=1)).sum())
    if broken:
        raise InputError(f"{path} has {broken} of {len(points)} {what} that are NaN or infinite; mend or drop them.")
