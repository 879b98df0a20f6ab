"""The line that says how far a benchmark is: job, training, elapsed time and what is left."""

from __future__ import annotations

import statistics
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from inr_plugins.bench.plan import Job
from inr_plugins.bench.record import FINISHED, Record
from inr_plugins.progress import Pace

_START_UP_SECONDS = 20.0
_EVALUATION_SHARE = 0.3


def clock_text(seconds: float) -> str:
    """Hours, minutes and seconds."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


@dataclass
class _Running:
    """A job that runs."""

    job: Job
    number: int
    begun: float
    pace: Pace
    state: str = "starting"


class ProgressLine:
    """One line on standard error that is rewritten while jobs run, and one that stays for each that has ended.

    Jobs may run in several threads at once.

    Args:
        total: jobs in all.
        console: where it is shown; on what is no terminal, a line now and then.
        abreast: jobs that run at once, for the estimate of what is left.
    """

    def __init__(self, total: int, console: Console | None = None, *, abreast: int = 1) -> None:
        self._total, self._abreast = total, abreast
        self._console = console or Console(stderr=True, highlight=False)
        self._status: Status | None = None
        self._lock = threading.RLock()
        self._begin = time.monotonic()
        self._done = 0
        self._skipped = 0
        self._has_waited, self._waits = False, Pace()
        self._running: dict[str, _Running] = {}
        self._took: dict[str, list[float]] = {}
        self._waiting: dict[str, Job] = {}

    def __enter__(self) -> ProgressLine:
        self._begin = time.monotonic()
        if self._console.is_terminal:
            self._status = self._console.status("starting")
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def expect(self, jobs: list[Job]) -> None:
        """Say what is to be run, for the estimate of what is left."""
        # By key, which takes a moment to make: a benchmark may have thousands of jobs.
        self._waiting = {job.key: job for job in jobs}

    def skip(self, job: Job) -> None:
        """A job that was finished before, or elsewhere meanwhile."""
        with self._lock:
            self._done += 1
            self._skipped += 1
            self._waiting.pop(job.key, None)

    def begin(self, job: Job) -> None:
        """A job that starts now."""
        with self._lock:
            self._tell_skipped()
            key = job.key
            self._waiting.pop(key, None)
            number = self._done + len(self._running) + 1
            self._running[key] = _Running(job, number, time.monotonic(), Pace())
            if self._status is None:
                self._console.print(escape(f"{self._title(self._running[key])}: started"), soft_wrap=True)
        self.show(job, None)

    def _tell_skipped(self) -> None:
        if self._skipped:
            self._console.print(f"{self._skipped} finished before and skipped.")
            self._skipped = 0

    def show(self, job: Job, progress: dict[str, Any] | None) -> None:
        """Rewrite the line, or now and then print one; `progress` is what the job's process said of itself."""
        with self._lock:
            running = self._running.get(job.key)
            if running is None:
                return
            running.state = _state(job, progress)
            if self._status is None:
                if running.pace.is_due():
                    self._console.print(escape(self._text([running])), soft_wrap=True)
            else:
                self._status.update(escape(self._text([*self._running.values()])))

    def wait_for_others(self, count: int) -> None:
        """Only trainings that other processes are at are left."""
        with self._lock:
            if self._running:
                return
            these = "A training is" if count == 1 else f"{count} trainings are"
            line = f"{these} being run elsewhere: waiting · {self._times()}"
            if self._status is not None:
                self._status.update(line)
            elif not self._has_waited or self._waits.is_due():
                self._console.print(line, soft_wrap=True)
            self._has_waited = True

    def _text(self, shown: list[_Running]) -> str:
        jobs = " | ".join(f"{self._title(each)} · {each.state}" for each in shown)
        return f"{jobs} · {self._times()}"

    def _title(self, running: _Running) -> str:
        job = running.job
        return f"job {running.number} of {self._total}  {job.label} on {job.scene.name}, seed {job.seed}"

    def _times(self) -> str:
        left = self._seconds_left()
        ending = "" if left is None else f", about {clock_text(left)} left"
        return f"{clock_text(time.monotonic() - self._begin)} elapsed{ending}"

    def _seconds_left(self) -> float | None:
        """An estimate from jobs of the same method, else of all, else from the budgets; None without any of these."""
        total = 0.0
        for job, begun in (
            *((each.job, each.begun) for each in self._running.values()),
            *((job, None) for job in self._waiting.values()),
        ):
            expected = self._expected(job)
            if expected is None:
                return None
            total += expected if begun is None else max(0.0, expected - (time.monotonic() - begun))
        return total / self._abreast

    def _expected(self, job: Job) -> float | None:
        if job.label in self._took:
            return statistics.fmean(self._took[job.label])
        if job.protocol.unit == "seconds":
            return _START_UP_SECONDS + (1 + _EVALUATION_SHARE) * job.protocol.budgets[-1]
        every = [seconds for each in self._took.values() for seconds in each]
        return statistics.fmean(every) if every else None

    def end(self, job: Job, record: Record) -> None:
        """A job that has ended: its line stays."""
        with self._lock:
            running = self._running.pop(job.key)
            taken = time.monotonic() - running.begun
            if record["status"] == FINISHED:
                self._took.setdefault(job.label, []).append(taken)
                results = record["measured"]["results"]
                told = ", ".join(result_text(each, unit=job.protocol.unit) for each in results)
            else:
                told = "FAILED: " + str(record["error"]).splitlines()[-1]
            self._console.print(escape(f"{self._title(running)}: {told} ({clock_text(taken)})"), soft_wrap=True)
            self._done += 1


def _state(job: Job, progress: dict[str, Any] | None) -> str:
    if not progress:
        return "starting"
    protocol = job.protocol
    last = protocol.budgets[-1]
    parts = [str(progress.get("phase", ""))]
    seconds, steps, psnr = (progress.get(name) for name in ("seconds", "steps", "psnr"))
    if seconds is not None:
        parts.append(f"{seconds:.0f} of {last:.0f} s" if protocol.unit == "seconds" else f"{seconds:.0f} s")
    if steps is not None:
        parts.append(f"step {steps}" + (f" of {last:.0f}" if protocol.unit == "steps" else ""))
    if psnr is not None:
        parts.append(f"{psnr:.2f} dB")
    return ", ".join(parts)


def result_text(result: dict[str, Any], *, unit: str) -> str:
    """A budget and its PSNR, for people."""
    psnr = "no PSNR" if result["psnr"] is None else f"{result['psnr']:.2f} dB"
    return f"{psnr} at {result['budget']:g} {'s' if unit == 'seconds' else unit}"
