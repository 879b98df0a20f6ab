"""Whether a run goes on with the data that it has learnt from, whatever that is called and wherever it lies by now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

TOLERANCE = 0.01
"""Numbers of two fingerprints that differ by less are the same; they are of the order of 1."""

Fingerprint = Mapping[str, Sequence[float]]


@runtime_checkable
class KnownData(Protocol):
    """A datamanager whose data can be known again."""

    def data_fingerprint(self) -> dict[str, list[float]]:
        """Numbers that follow from what the data shows, by what they are about; "count" must be equal, not close."""


@runtime_checkable
class AskingData(Protocol):
    """A datamanager that asks whether its data is that of the run, when it reads it."""

    def ask_of_data(self, check: Callable[[Fingerprint], None]) -> None:
        """Have `check` raise InputError for numbers of other data (see KnownData), before anything is compared."""


def what_differs(saved: Fingerprint, present: Fingerprint) -> str | None:
    """How the data at hand differs from what a checkpoint was trained on, in a few words; None if it is the same."""
    if saved.keys() != present.keys():
        return f"it was trained on {_list(saved)}, and these are {_list(present)}"
    (then,), (now,) = saved.get("count", [0]), present.get("count", [0])
    if then != now:
        what = next(name for name in saved if name != "count")
        return f"there were {then:g} {what if what == 'surfaces' else 'pictures'}, and here are {now:g}"
    for name in saved:
        pairs = list(zip(saved[name], present[name], strict=False))
        if len(saved[name]) != len(present[name]) or any(not abs(a - b) <= TOLERANCE for a, b in pairs):
            return f"its {name} are others"
    return None


def _list(fingerprint: Fingerprint) -> str:
    return " and ".join(sorted(name for name in fingerprint if name != "count"))
