"""How long a run is, where nobody says, and how long it will take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nerfstudio.utils import comms
from nerfstudio.utils.rich_utils import CONSOLE

from inr_plugins.engine.defaults import choose_device_type
from inr_plugins.engine.trainer import InrTrainerConfig

PUBLISHED_STEPS = 300_000
"""NeuS's."""
CPU_STEPS = 20_000
_SKIPPED, _TIMED = 5, 20
"""Steps of a training that are not timed, since they are slower, and that are."""
_AGAIN, _OTHERWISE = 200, 0.25
"""Steps after which time is told again, if it has changed by this part: a step looks at more of a surface that is young
and blurred."""
_SHORT = 60.0
"""Seconds of a run about which nothing is said."""


@dataclass
class NeusTrainerConfig(InrTrainerConfig):
    """Training settings of cn-neus and its kin."""

    # None is for the machine to settle, when training starts.
    max_num_iterations: int | None = None  # type: ignore[assignment]
    """Number of steps; None: 300,000, which are NeuS's, and 20,000 on a CPU, which end within a day."""

    def set_timestamp(self) -> None:
        """As the base class; before that, the number of steps is settled, and which run a surface starts from."""
        self.settle()
        super().set_timestamp()

    def setup(self, **kwargs: Any) -> Any:
        """As the base class."""
        self.settle()
        return super().setup(**kwargs)

    def settle(self) -> None:
        """Settle what depends on the machine and on where the command was typed.

        Raises:
            InputError: there is no such device.
        """
        if self.max_num_iterations is None:
            on_cpu = choose_device_type(self.machine.device_type) == "cpu"
            self.max_num_iterations = CPU_STEPS if on_cpu else PUBLISHED_STEPS
        model: Any = self.pipeline.model
        if model.start is not None:
            model.start = Path(model.start).absolute()


class HowLong:
    """Says after a few steps how long a run will take, and once more after 200, if that has changed."""

    def __init__(self, first: int, end: int, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            first: step that training begins with.
            end: step that it ends before.
            clock: seconds.
        """
        self._first, self._end, self._clock = first, end, clock
        self._since, self._said = 0.0, 0.0

    def after_step(self, step: int) -> None:
        """To be called after every training step."""
        done = step + 1 - self._first
        if done in (_SKIPPED, _AGAIN - _TIMED):
            self._since = self._clock()
        elif done in (_SKIPPED + _TIMED, _AGAIN):
            self._tell((self._clock() - self._since) / _TIMED, self._end - step - 1)

    def _tell(self, each: float, left: int) -> None:
        """Say what so many steps of so many seconds come to, if that is news."""
        is_news = abs(each - self._said) > _OTHERWISE * self._said
        if each * left <= _SHORT or not is_news or not comms.is_main_process():
            return
        begin = f"A step takes {each:.2g} s" + (f", no longer {self._said:.2g}" if self._said else "")
        self._said = each
        CONSOLE.print(
            f"{begin}: the {left:,} that are left take about {in_words(each * left)}; --max-num-iterations sets how "
            "many there are.",
            soft_wrap=True,
            highlight=False,
        )


def in_words(seconds: float) -> str:
    """A length of time, to two of days, hours and minutes."""
    minutes = max(1, round(seconds / 60))
    days, hours, minutes = minutes // 1440, minutes % 1440 // 60, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
