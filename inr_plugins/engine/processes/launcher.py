"""Starts the processes of a training, passes signals on, and says in one sentence why they failed, if they did."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from copy import copy
from multiprocessing import connection
from typing import Any

from nerfstudio.utils.rich_utils import CONSOLE
from torch import multiprocessing

from inr_plugins.engine.defaults import InrMachineConfig
from inr_plugins.engine.interrupt import on_each_signal
from inr_plugins.engine.processes.meeting import Meeting, hosting
from inr_plugins.engine.processes.reports import Report
from inr_plugins.engine.processes.worker import work
from inr_plugins.engine.runs import checkpoints, reservation
from inr_plugins.errors import InputError

_GRACE = 10.0
"""Seconds that the others have, when one has failed, to notice and to end by themselves."""
_STOPPED = 128


class Launcher:
    """In the place of a trainer: what several processes do, each with a trainer of its own.

    nerfstudio 1.1.5 would start them itself, on CUDA only, and with its own wrapper of a model (see
    inr_plugins.ranks). This process holds the run folder, and the place where they meet.
    """

    def __init__(self, config: Any, machine: InrMachineConfig) -> None:
        """
        Args:
            config: of the training.
            machine: its machine settings, with the numbers of devices and machines that were asked for.
        """
        self._config = copy(config)
        self._config.machine = machine
        self._folder = config.get_base_dir()
        self._processes: list[Any] = []
        self._reports: list[Report] = []
        self._pipes: list[connection.Connection] = []
        self._signal: signal.Signals | None = None
        self._has_begun = self._has_trained = False
        self._killed: dict[int, signal.Signals] = {}

    def setup(self) -> None:
        """Nothing: the processes set up."""

    def train(self) -> None:
        """Start the processes, and wait until all have ended.

        Raises:
            InputError: one of them failed by a mistake that can be put into a sentence, or was killed.
            SystemExit: training was stopped, or failed with an error whose trace has been printed.
        """
        machine = self._config.machine
        device_type = machine.resolve()
        try:
            with hosting(machine, device_type) as meeting, on_each_signal(self._stop):
                self._start(meeting)
                failed = self._watch()
                if failed:
                    self._end_others()
        finally:
            self._kill()
            reservation.release(self._folder)
        if self._signal is not None and not (self._has_trained and self._signal == signal.SIGINT):
            raise SystemExit(_STOPPED + self._signal)
        if failed:
            self._explain(meeting)
        status = max(process.exitcode for process in self._processes)
        if status and self._signal is None:
            raise SystemExit(status)

    def _start(self, meeting: Meeting) -> None:
        pipes = [multiprocessing.get_context("spawn").Pipe(duplex=False) for _ in range(meeting.per_machine)]
        self._pipes = [reader for reader, _ in pipes]
        writers = [writer for _, writer in pipes]
        arguments = (self._config, meeting, writers)
        # What the imports of this process have been warned of already; torch's C++ code warns with its frames.
        os.environ.setdefault("PYTHONWARNINGS", "ignore::FutureWarning")
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        context = multiprocessing.spawn(work, arguments, nprocs=meeting.per_machine, join=False)
        assert context is not None
        self._processes = context.processes
        for writer in writers:
            writer.close()
        if meeting.machine_rank > 0:
            CONSOLE.print(f"Training as machine {meeting.machine_rank} of {meeting.machines}; the first one tells how.")

    # -- waiting -------------------------------------------------------------------------------------------------------

    def _watch(self) -> bool:
        """Wait until all have ended, or one has failed; whether one has."""
        while True:
            self._read()
            codes = [process.exitcode for process in self._processes]
            # A status from 128 on is that of one that was told to stop.
            if any(code is not None and (code < 0 or 0 < code < _STOPPED) for code in codes):
                return self._signal is None
            if all(code is not None for code in codes):
                return False
            self._wait(None)

    def _wait(self, seconds: float | None) -> None:
        alive = [process.sentinel for process in self._processes if process.exitcode is None]
        if alive:
            connection.wait([*self._pipes, *alive], seconds)

    def _read(self) -> None:
        for report in self._received():
            self._reports.append(report)
            if report.kind == "started":
                self._has_begun = True
                reservation.note_start(self._folder)
            elif report.kind == "released":
                self._has_trained = True
                reservation.release(self._folder)

    def _received(self) -> Iterator[Report]:
        for pipe in list(self._pipes):
            try:
                while pipe.poll():
                    yield pipe.recv()
            except (EOFError, OSError):
                # Its process has ended, perhaps in the middle of a word.
                self._pipes.remove(pipe)

    def _end_others(self) -> None:
        """Let those that are left end by themselves, when they miss the one that has failed."""
        end = time.monotonic() + _GRACE
        while any(process.exitcode is None for process in self._processes) and time.monotonic() < end:
            if self._signal is not None:
                break
            self._wait(end - time.monotonic())
            self._read()
        for number, process in enumerate(self._processes):
            if process.exitcode is not None and process.exitcode < 0:
                self._killed[number] = signal.Signals(-process.exitcode)
        self._kill()
        self._read()

    def _kill(self) -> None:
        for process in self._processes:
            if process.exitcode is None:
                process.kill()
        for process in self._processes:
            process.join()

    def _stop(self, number: signal.Signals) -> None:
        """Pass the first signal on; the second ends all at once."""
        if self._signal is not None:
            CONSOLE.print(f"Stopped at once, without saving: {self._how_to_go_on()}.")
            self._kill()
            reservation.release(self._folder)
            raise SystemExit(_STOPPED + number)
        self._signal = number
        if not self._has_begun:
            CONSOLE.print("Stopped before training began.")
        elif not self._has_trained:
            # Else a page is still open, which goes.
            again = (
                "told to end (SIGTERM); a second time stops"
                if number == signal.SIGTERM
                else "press Ctrl+C again to stop"
            )
            CONSOLE.print(f"Stopping after this step; {again} at once, without saving.")
        for process in self._processes:
            process.terminate()

    # -- what went wrong -----------------------------------------------------------------------------------------------

    def _explain(self, meeting: Meeting) -> None:
        """Raise what the first process that failed has to say; the others failed because it did."""
        count = meeting.processes
        for report in self._reports:
            if report.kind == "sentence":
                raise InputError(report.text)
            if report.kind == "trace":
                print(f"Process {report.rank} of {count} failed:\n{report.text}", file=sys.stderr)
                raise SystemExit(1)
        # An abort often follows another process's end: its connections break.
        for local_rank, by in sorted(self._killed.items(), key=lambda ended: ended[1] == signal.SIGABRT):
            raise InputError(
                f"Process {meeting.rank(local_rank)} of {count} was ended by {by.name}, perhaps because the machine "
                f"has no memory left: lower what each process takes, then {self._how_to_go_on()}."
            )
        for report in self._reports:
            if report.kind != "lost":
                continue
            where = "another machine" if meeting.machines > 1 else "another process"
            raise InputError(
                f"Process {report.rank} of {count} has lost the others, because {where} has ended or cannot be reached "
                f"({report.text.strip().splitlines()[-1]}): see what that one says, then {self._how_to_go_on()}."
            )
        codes = [process.exitcode for process in self._processes]
        raise InputError(f"The processes ended without a word, with {codes}: {self._how_to_go_on()}.")

    def _how_to_go_on(self) -> str:
        return checkpoints.how_to_go_on(self._config.get_checkpoint_dir())
