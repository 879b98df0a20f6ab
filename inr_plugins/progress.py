"""How far a long piece of work is, for whoever waits: a bar on a terminal, elsewhere a line now and then.

Libraries are given a function to tell, and print nothing themselves.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

Bar = Callable[[str, int, int], None]
"""Told (what is being done, how much is done, how much there is)."""

_FIRST_SECONDS = 10.0
_SHARE = 0.1
# Larger numbers are counts of points, which are nothing to people.
_MOST_COUNTED = 9999


def silent(name: str, done: int, total: int) -> None:
    """Tell nobody."""


class Pace:
    """When to say something again: when a tenth more time has gone by, and ten seconds at least.

    Of a minute come six lines, of a day eighty.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begin = self._said = clock()

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._begin

    def is_due(self) -> bool:
        """Whether it is time; then the time starts again."""
        now = self._clock()
        if now - self._said < max(_FIRST_SECONDS, _SHARE * (now - self._begin)):
            return False
        self._said = now
        return True


class Lines:
    """Plain lines that say how far it is, at the pace of `Pace`; the end of what has had a line has one too."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._pace, self._open = stream, Pace(clock), set[str]()

    def tell(self, name: str, done: int, total: int) -> None:
        """As `Bar`."""
        ended = done >= total
        if not (self._pace.is_due() or (ended and name in self._open)):
            return
        self._open = self._open - {name} if ended else self._open | {name}
        share = f"{done} of {total}" if total <= _MOST_COUNTED else f"{100 * done // max(total, 1)} %"
        print(f"{name}: {share} after {self._pace.elapsed:.0f} s", file=self._stream, flush=True)


@contextmanager
def progress(*, quiet: bool = False, stream: TextIO | None = None) -> Iterator[Bar]:
    """What is told how far it is shows it on standard error; nothing appears before something is told.

    Args:
        quiet: show nothing.
        stream: in place of standard error.
    """
    stream = stream or sys.stderr
    if quiet or stream is None:
        yield silent
    elif not stream.isatty():
        yield Lines(stream).tell
    else:
        with _bar_on(stream) as bar:
            yield bar


@contextmanager
def _bar_on(terminal: TextIO) -> Iterator[Bar]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskID,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    # The seconds that run show that it is alive: a view of a slow method takes minutes.
    times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    columns = (
        TextColumn("{task.description:<22}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[count]}"),
        *times,
    )
    shown = Progress(*columns, console=Console(file=terminal), transient=True)
    tasks: dict[str, TaskID] = {}

    def bar(name: str, done: int, total: int) -> None:
        counted = f"{done}/{total}" if total <= _MOST_COUNTED else ""
        if name not in tasks:
            shown.start()
            tasks[name] = shown.add_task(name, total=total, count=counted)
        # The total grows where the surface leads on into places that nobody expected.
        shown.update(tasks[name], completed=done, total=total, count=counted)

    try:
        yield bar
    finally:
        if tasks:
            shown.stop()
