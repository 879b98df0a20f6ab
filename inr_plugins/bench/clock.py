"""When to look at a training: a clock that stands still while it is looked at, and the moments to look.

Nothing here knows of nerfstudio or torch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

Unit = Literal["seconds", "steps"]

_FIRST_POINT = 1 / 50
"""The curve begins at this part of the last budget."""
_TOO_NEAR = 1.15
"""A point of the curve by less than this factor from a budget is left out: the budget is a point itself."""


class TrainingClock:
    """Seconds spent training: from :meth:`start` on, less what was spent inside :meth:`paused`.

    Args:
        now: the time in seconds, from any beginning.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._begin: float | None = None
        self._left_out = 0.0
        self._paused_at: float | None = None

    @property
    def is_started(self) -> bool:
        """Whether :meth:`start` was called."""
        return self._begin is not None

    def start(self, at: float = 0.0) -> None:
        """Begin, as if `at` seconds of training had passed."""
        self._begin = self._now() - at
        self._left_out = 0.0

    @property
    def seconds(self) -> float:
        """Seconds of training so far; 0 before the start."""
        if self._begin is None:
            return 0.0
        now = self._now() if self._paused_at is None else self._paused_at
        return now - self._begin - self._left_out

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time that the body takes out of the count."""
        self._paused_at = self._now()
        try:
            yield
        finally:
            self._left_out += self._now() - self._paused_at
            self._paused_at = None


@dataclass(frozen=True)
class Moment:
    """A point of a training at which quality is measured.

    Attributes:
        at: seconds or steps since the start.
        is_budget: whether it is one of the budgets, measured on all evaluation views, and not just a point of the
            curve.
    """

    at: float
    is_budget: bool


def moments(budgets: Sequence[float], *, unit: Unit, curve_points: int) -> tuple[Moment, ...]:
    """The budgets, and between them points for the curve, evenly spaced in the logarithm of time; in ascending order.

    Args:
        budgets: at least one, all above 0.
        unit: what budgets are in; steps are whole numbers.
        curve_points: points from a fiftieth of the last budget up to it, that one included. Those close to a budget
            are left out.
    """
    last = max(budgets)
    found = {float(budget) for budget in budgets}
    points = []
    for index in range(curve_points - 1):
        point = last * _FIRST_POINT ** (1 - index / max(curve_points - 1, 1))
        point = float(max(1, round(point))) if unit == "steps" else point
        if point not in found and all(abs(math.log(point / each)) >= math.log(_TOO_NEAR) for each in budgets):
            points.append(Moment(point, is_budget=False))
            found.add(point)
    everything = [*points, *(Moment(float(budget), is_budget=True) for budget in set(budgets))]
    return tuple(sorted(everything, key=lambda moment: moment.at))


class Schedule:
    """Moments that are still to come.

    Args:
        moments: all of them, in any order.
    """

    def __init__(self, moments: Sequence[Moment]) -> None:
        self._left = sorted(moments, key=lambda moment: moment.at)

    @property
    def is_over(self) -> bool:
        """Whether no moment is left."""
        return not self._left

    def reached(self, value: float) -> list[Moment]:
        """Take out and return the moments up to `value`: several if a single step went past them."""
        count = sum(moment.at <= value for moment in self._left)
        reached, self._left = self._left[:count], self._left[count:]
        return reached

    def rest(self) -> list[Moment]:
        """Take out and return all that are left."""
        rest, self._left = self._left, []
        return rest
