"""The line that says how far a benchmark is: job, training, elapsed time and what is left."""

from __future__ import annotations

import statistics
import time
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


class ProgressLine:
    """One line on standard error that is rewritten while a job runs, and one that stays when it has ended.

    Args:
        total: jobs in all.
        console: where it is shown; on what is no terminal, a line now and then.
    """

    def __init__(self, total: int, console: Console | None = None) -> None:
        self._total = total
        self._console = console or Console(stderr=True, highlight=False)
        self._status: Status | None = None
        self._begin = time.monotonic()
        self._done = 0
        self._skipped = 0
        self._job: Job | None = None
        self._job_begin = 0.0
        self._pace = Pace()
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
        """A job that was finished before."""
        self._done += 1
        self._skipped += 1
        self._forget(job)

    def begin(self, job: Job) -> None:
        """A job that starts now."""
        if self._skipped:
            self._console.print(f"{self._skipped} finished before and skipped.")
            self._skipped = 0
        self._forget(job)
        self._job, self._job_begin, self._pace = job, time.monotonic(), Pace()
        if self._status is None:
            self._console.print(escape(f"{self._title()}: started"), soft_wrap=True)
        self.show(None)

    def _forget(self, job: Job) -> None:
        self._waiting.pop(job.key, None)

    def show(self, progress: dict[str, Any] | None) -> None:
        """Rewrite the line, or now and then print one; `progress` is what the job's process said of itself."""
        if self._job is None or (self._status is None and not self._pace.is_due()):
            return
        line = escape(f"{self._title()} · {self._state(progress)} · {self._times()}")
        if self._status is None:
            self._console.print(line, soft_wrap=True)
        else:
            self._status.update(line)

    def _title(self) -> str:
        job = self._job
        assert job is not None
        return f"job {self._done + 1} of {self._total}  {job.label} on {job.scene.name}, seed {job.seed}"

    def _state(self, progress: dict[str, Any] | None) -> str:
        assert self._job is not None
        if not progress:
            return "starting"
        protocol = self._job.protocol
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

    def _times(self) -> str:
        left = self._seconds_left()
        ending = "" if left is None else f", about {clock_text(left)} left"
        return f"{clock_text(time.monotonic() - self._begin)} elapsed{ending}"

    def _seconds_left(self) -> float | None:
        """An estimate from jobs of the same method, else of all, else from the budgets; None without any of these."""
        assert self._job is not None
        estimates = [self._expected(job) for job in (self._job, *self._waiting.values())]
        if any(estimate is None for estimate in estimates):
            return None
        spent = time.monotonic() - self._job_begin
        return max(0.0, (estimates[0] or 0.0) - spent) + sum(each or 0.0 for each in estimates[1:])

    def _expected(self, job: Job) -> float | None:
        if job.label in self._took:
            return statistics.fmean(self._took[job.label])
        if job.protocol.unit == "seconds":
            return _START_UP_SECONDS + (1 + _EVALUATION_SHARE) * job.protocol.budgets[-1]
        every = [seconds for each in self._took.values() for seconds in each]
        return statistics.fmean(every) if every else None

    def end(self, record: Record) -> None:
        """A job that has ended: its line stays."""
        taken = time.monotonic() - self._job_begin
        assert self._job is not None
        if record["status"] == FINISHED:
            self._took.setdefault(self._job.label, []).append(taken)
            results = record["measured"]["results"]
            told = ", ".join(result_text(each, unit=self._job.protocol.unit) for each in results)
        else:
            told = "FAILED: " + str(record["error"]).splitlines()[-1]
        self._console.print(escape(f"{self._title()}: {told} ({clock_text(taken)})"), soft_wrap=True)
        self._done += 1


def result_text(result: dict[str, Any], *, unit: str) -> str:
    """A budget and its PSNR, for people."""
    psnr = "no PSNR" if result["psnr"] is None else f"{result['psnr']:.2f} dB"
    return f"{psnr} at {result['budget']:g} {'s' if unit == 'seconds' else unit}"
