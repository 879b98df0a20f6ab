"""How torch's threads wait for one another on a CPU that other programs use too.

torch's wheels for Linux bring GNU's OpenMP, whose threads spin for about a millisecond at the end of each parallel
operation before they give their processor away. On an idle machine that is right: waking a thread costs more. But once
another program (a browser with the viewer, a second training) keeps one of two processors, the threads spin while those
that they wait for want their place, and steps become three to five times slower where they could be 1.5 times.

What decides it is read from the environment before any code of ours runs. But GNU's OpenMP spins a three-hundredth as
long when it has made more threads than there are processors, and a second team of threads, held by a thread that
sleeps, makes them more. So a team is held while others want the processors, and let go when they do not.
Measured by benchmarks/threads.py, see docs/results/diner.md.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Set
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch

WAIT_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""Environment variables that decide how threads wait; where one is set, nothing is done here."""

_STATISTICS = Path("/proc/stat")
_BUSY_COLUMNS = (1, 2, 3, 6, 7, 8)
"""Of a processor's line there: user, nice, system, irq, softirq, steal; not idle, not iowait."""
_FIRST_LOOK, _LOOK_EVERY = 0.2, 1.0
"""Seconds."""
_PARALLEL = 1 << 20
"""Elements that torch does not leave to one thread."""


@cache
def yield_to_neighbours() -> bool:
    """From now on, let torch's threads wait without spinning while other programs want the processors.

    Returns:
        Whether that is watched. Not where the environment decides, not on other systems, and not where torch leaves
        processors free, as it does on those with two threads a core.
    """
    if any(os.environ.get(name) for name in WAIT_VARIABLES):
        return False
    if not sys.platform.startswith("linux") or not _STATISTICS.exists():
        return False
    if not 1 < len(os.sched_getaffinity(0)) == torch.get_num_threads():
        return False
    stop = threading.Event()
    watch = threading.Thread(target=_watch, args=(stop,), name="neighbour watch", daemon=True)
    watch.start()

    def end() -> None:
        # A thread that is inside torch when the interpreter ends would take the process down with it.
        stop.set()
        watch.join()

    atexit.register(end)
    return True


class IdleTeam:
    """A team of OpenMP threads that does nothing, held or not."""

    def __init__(self) -> None:
        self._let_go = threading.Event()
        self._thread: threading.Thread | None = None

    def hold(self) -> None:
        """Have the team, from when this returns; no second one."""
        if self._thread is not None:
            return
        made = threading.Event()
        self._let_go.clear()
        self._thread = threading.Thread(target=self._sleep, args=(made,), name="idle OpenMP team", daemon=True)
        self._thread.start()
        made.wait()

    def release(self) -> None:
        """End the team, if there is one: OpenMP ends it with the thread that it works for."""
        if self._thread is not None:
            self._let_go.set()
            self._thread.join()
            self._thread = None

    def _sleep(self, made: threading.Event) -> None:
        torch.ones(_PARALLEL).add_(1)
        made.set()
        self._let_go.wait()


class Decision:
    """Whether the machine is shared: at once when it is, and no more only after it was not for a while."""

    shared_at: float = 0.25
    """Processors used by others from which on the machine is shared."""
    alone_below: float = 0.1
    """Processors used by others below which it looks as if it were not."""
    patience: int = 5
    """Times that it must look so in a row."""

    def __init__(self) -> None:
        self.shared = False
        self._quiet = 0

    def update(self, used_by_others: float) -> bool:
        """Take in how many processors others use, on average since the last time; return `shared`."""
        self._quiet = self._quiet + 1 if used_by_others < self.alone_below else 0
        if used_by_others >= self.shared_at:
            self.shared = True
        elif self._quiet >= self.patience:
            self.shared = False
        return self.shared


def busy_seconds(statistics: str, processors: Set[int], ticks_per_second: int) -> float:
    """Seconds that `processors`, all taken together, were busy since the machine started; from /proc/stat's text."""
    names = {f"cpu{number}" for number in processors}
    rows = (line.split() for line in statistics.splitlines())
    return sum(int(row[at]) for row in rows if row and row[0] in names for at in _BUSY_COLUMNS) / ticks_per_second


class Reading(NamedTuple):
    """What was used up to a moment, in seconds."""

    moment: float
    machine: float
    """Of all processors together, by everybody."""
    own: float
    """Of them, by this process."""

    def used_by_others_since(self, then: Reading) -> float:
        """Processors that other processes used since `then`, on average."""
        return (self.machine - then.machine - (self.own - then.own)) / (self.moment - then.moment)


def _watch(stop: threading.Event) -> None:
    processors, ticks = os.sched_getaffinity(0), os.sysconf("SC_CLK_TCK")
    team, decision = IdleTeam(), Decision()

    def read() -> Reading:
        machine = busy_seconds(_STATISTICS.read_text(), processors, ticks)
        return Reading(time.monotonic(), machine, time.process_time())

    then, pause = read(), _FIRST_LOOK
    while not stop.wait(pause):
        now = read()
        if decision.update(now.used_by_others_since(then)):
            team.hold()
        else:
            team.release()
        then, pause = now, _LOOK_EVERY
    team.release()
