"""Which of several shapes is meant: by its name or by its number."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence

from inr_plugins.errors import InputError

SHAPE_VARIABLE = "INR_SHAPE"
"""Environment variable that says which shape of a run is shown, for commands that cannot be told (ns-render)."""

# Names told in an error message.
_NAMES = 8


def number_of_shape(wanted: str, names: Sequence[str], *, given_by: str) -> int:
    """The number, counted from 0, of the shape that `wanted` names.

    Args:
        wanted: a name, or else a number.
        names: of all shapes.
        given_by: what `wanted` was given as, for the sentence.

    Raises:
        InputError: no such shape.
    """
    if wanted in names:
        return list(names).index(wanted)
    if wanted.isdecimal() and int(wanted) < len(names):
        return int(wanted)
    nearest = difflib.get_close_matches(wanted, names, n=_NAMES, cutoff=0.5)
    listed = list(dict.fromkeys([*nearest, *names]))
    some = ", ".join(listed[:_NAMES]) + (", ..." if len(names) > _NAMES else "")
    numbers = "number 0" if len(names) == 1 else f"numbers 0 to {len(names) - 1}"
    raise InputError(f"{given_by} is none of the run's shapes: give a name ({some}) or one of {numbers}.")


def first_shown_shape(names: Sequence[str]) -> int:
    """The shape that the environment asks for, else the first.

    Raises:
        InputError: it asks for one that is not there.
    """
    wanted = os.environ.get(SHAPE_VARIABLE)
    return number_of_shape(wanted, names, given_by=f"{SHAPE_VARIABLE} {wanted}") if wanted else 0
