"""Threads that run the jobs of a plan between them, one on each device, beside other processes in the same folder."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from inr_plugins.bench.claims import ClaimedError, claimed
from inr_plugins.bench.plan import Job

_LOOK_EVERY = 1.0
"""Seconds between two looks at jobs that another process is at."""


class Crew:
    """Runs each job once: under its claim, and unless it turns out to have been finished by then.

    What another process is at is put aside; when nothing else is left, it is waited for, and run here if that process
    ends without a record of it.
    """

    def __init__(
        self,
        output: Path,
        jobs: Sequence[Job],
        *,
        run: Callable[[Job, str | None, threading.Event], None],
        is_done: Callable[[Job], bool],
        wait: Callable[[int], None] = lambda count: None,
    ) -> None:
        """
        Args:
            output: folder of the benchmark.
            jobs: in the order to begin them in.
            run: runs a job on a device, and ends soon once the event is set.
            is_done: whether a job needs not be run by now; notes it if so. Asked under the job's claim.
            wait: is told how many jobs are only waited for.
        """
        self._output, self._run, self._is_done, self._wait = output, run, is_done, wait
        self._todo, self._aside = deque(jobs), deque[Job]()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._error: BaseException | None = None

    def work(self, devices: Sequence[str | None]) -> None:
        """Run all jobs, on each device one at a time.

        Raises:
            BaseException: what the first thread to fail has raised, or Ctrl-C; all jobs at hand have been ended.
        """
        # Not Thread.join: in Pythons before 3.13, Ctrl-C in it has a thread that runs count as one that has ended.
        ended = [threading.Event() for _ in devices]
        for device, event in zip(devices, ended, strict=True):
            threading.Thread(target=self._serve, args=(device, event), daemon=True).start()
        try:
            for event in ended:
                while not event.wait(0.1):
                    pass
        except BaseException:
            self._stop.set()
            for event in ended:
                event.wait()
            raise
        if self._error is not None:
            raise self._error

    def _serve(self, device: str | None, ended: threading.Event) -> None:
        try:
            while not self._stop.is_set():
                job = self._next()
                if job is None:
                    return
                try:
                    with claimed(self._output, job.key, device=device):
                        if not self._is_done(job):
                            self._run(job, device, self._stop)
                except ClaimedError:
                    with self._lock:
                        self._aside.append(job)
        except BaseException as error:
            with self._lock:
                self._error = self._error or error
            self._stop.set()
        finally:
            ended.set()

    def _next(self) -> Job | None:
        with self._lock:
            if self._todo:
                return self._todo.popleft()
            if not self._aside:
                return None
            waiting = len(self._aside)
            job = self._aside.popleft()
        self._wait(waiting)
        self._stop.wait(_LOOK_EVERY)
        return job
