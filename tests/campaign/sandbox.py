"""One attack, or several in turn, in a process of its own, forked from one that has imported everything.

What kills the process or hangs in it costs one case. Linux only: processor time is read from /proc.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from campaign.case import Case, Fault

SILENCE = 60.0
"""Seconds without output and without use of the processor after which a case hangs, whatever its own limit is."""
MEMORY = 3 << 30
"""Bytes that an attack in process may ask for beyond what its process has: more is an exception there."""
_NOTHING = 0.05  # Seconds of the processor's that a process which only waits may use between two looks.


@dataclass(frozen=True)
class Outcome:
    """How a case ended: `kind` is "held" or one of case.KINDS."""

    kind: str
    sentence: str
    seconds: float
    megabytes: int


class Running:
    """Cases, one after the other in a process that has been started for them, each in a folder of the runner's.

    Below a case's folder: place/ (the attack's own), here/ (the current folder), home/ and tmp/, in which an attack in
    process may leave nothing; output.txt, what it printed; outcome.json, what it found. A process that dies or hangs
    costs the case that it is in, and leaves the rest of them to be started again.
    """

    def __init__(self, cases: Sequence[Case], folders: Sequence[Path], seed: int, silence: float = SILENCE) -> None:
        self.waiting, self.silence = list(zip(cases, folders, strict=True)), silence
        for folder in folders:
            for name in ("place", "here", "home", "tmp"):
                (folder / name).mkdir(parents=True)
        self.is_alive = True
        self._next()
        sys.stdout.flush()
        sys.stderr.flush()
        self.process = os.fork()
        if self.process == 0:
            _attack([(self.case, self.folder), *self.waiting], seed)

    def _next(self) -> None:
        """Turn to the next case."""
        self.case, self.folder = self.waiting.pop(0)
        self.started = self.last_sign = time.monotonic()
        self.signs = (0, 0.0)

    def next(self) -> bool:
        """Turn to the next case, if this process is to run one."""
        if not self.is_alive or not self.waiting:
            return False
        self._next()
        return True

    def poll(self) -> Outcome | None:
        """The outcome of the case at hand, or None while it goes on."""
        now = time.monotonic()
        if self.waiting and (self.folder / "outcome.json").exists():
            return self._found(now - self.started, _peak(self.process))
        process, status, usage = os.wait4(self.process, os.WNOHANG)
        if process:
            self.is_alive = False
            _end_group(self.process)
            if (self.folder / "outcome.json").exists():
                return self._found(now - self.started, usage.ru_maxrss >> 10)
            return self._died(status, now - self.started, usage.ru_maxrss >> 10)
        if now - self.started > self.case.limit:
            return self.stop(Fault("hang", f"not done after {self.case.limit:g} s"))
        if now - self.last_sign > self.silence / 20:
            signs = (_size(self.folder / "output.txt"), _processor_seconds(self.process))
            if signs[0] != self.signs[0] or signs[1] > self.signs[1] + _NOTHING:
                self.signs, self.last_sign = signs, now
            elif now - self.last_sign > self.silence:
                return self.stop(Fault("hang", f"{self.silence:g} s without output and without use of the processor"))
        return None

    def stop(self, fault: Fault) -> Outcome:
        """End it and what it started; the sentence also says where its main thread was."""
        self.is_alive = False
        os.kill(self.process, signal.SIGUSR1)
        time.sleep(0.2)
        _end_group(self.process)
        _, _, usage = os.wait4(self.process, 0)
        frames = [line for line in self._output() if line.startswith("File ")]
        sentence = f"{fault.sentence}, in {frames[0]}" if frames else fault.sentence
        return Outcome(fault.kind, sentence, time.monotonic() - self.started, usage.ru_maxrss >> 10)

    def _found(self, seconds: float, megabytes: int) -> Outcome:
        """What the case says of itself, and what it has left behind."""
        found = json.loads((self.folder / "outcome.json").read_text(encoding="utf-8"))
        kind, sentence = found["kind"], found["sentence"]
        if kind == "held" and not self.case.processes:
            left = [path for name in ("here", "home", "tmp") for path in sorted((self.folder / name).rglob("*"))]
            if left:
                names = ", ".join(str(path.relative_to(self.folder)) for path in left[:5])
                kind, sentence = "wrong", f"files were left behind: {names}"
        return Outcome(kind, sentence, seconds, megabytes)

    def _died(self, status: int, seconds: float, megabytes: int) -> Outcome:
        """The process has ended before the case had."""
        code = os.waitstatus_to_exitcode(status)
        died = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        last = " / ".join(self._output()[-3:])[-300:]
        sentence = f"the process ended {died} in the middle of the attack: {last}"
        return Outcome("traceback", sentence, seconds, megabytes)

    def _output(self) -> list[str]:
        try:
            text = (self.folder / "output.txt").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        return [line.strip() for line in text.split("\n") if line.strip()]


def _attack(cases: Sequence[tuple[Case, Path]], seed: int) -> NoReturn:
    """What the forked process does; it never returns to the runner's code."""
    code = 1
    try:
        os.setsid()
        for case, folder in cases:
            _settle(folder)
            if not case.processes:
                _bound_memory()
            kind, sentence = _found(case, folder / "place", seed)
            sys.stdout.flush()
            sys.stderr.flush()
            hidden = folder / "outcome.new"
            hidden.write_text(json.dumps({"kind": kind, "sentence": sentence}), encoding="utf-8")
            hidden.rename(folder / "outcome.json")
        code = 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Not the handlers at exit of the process that this is a copy of.
        os._exit(code)


def _settle(folder: Path) -> None:
    """Give this process the streams, folders and signals of a case."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    output = os.open(folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for handle, number in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(handle, number)
    os.close(output)
    os.close(nothing)
    os.chdir(folder / "here")
    os.environ["HOME"] = str(folder / "home")
    os.environ["TMPDIR"] = str(folder / "tmp")
    tempfile.tempdir = None
    faulthandler.enable(file=2)
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=False)


def _found(case: Case, place: Path, seed: int) -> tuple[str, str]:
    try:
        case.attack(place, random.Random(f"{seed}/{case.name}"))
    except Fault as fault:
        return fault.kind, fault.sentence
    except BaseException as error:
        traceback.print_exc()
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        return "traceback", f"{type(error).__name__} at {where}: {str(error)[:300]}"
    return "held", ""


def _bound_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    bound = pages * resource.getpagesize() + MEMORY
    # The hard limit stays: another case in this process may have a higher one.
    resource.setrlimit(resource.RLIMIT_AS, (bound, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _end_group(process: int) -> None:
    """The process led a group and a session of its own, in which everything is that it started."""
    for number in [process, *_session(process)]:
        try:
            os.killpg(number, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def _session(leader: int) -> list[int]:
    """Groups of processes in the session of `leader`."""
    return sorted({fields[2] for fields in _statistics() if fields[3] == leader})


def _processor_seconds(leader: int) -> float:
    """Seconds of the processor's that the session of `leader` has used, of children that have ended too."""
    ticks = sum(sum(fields[11:15]) for fields in _statistics() if fields[3] == leader)
    return ticks / os.sysconf("SC_CLK_TCK")


def _statistics() -> list[list[int]]:
    """The numbers of /proc/PID/stat from the fourth field on, with two before that keep the manual's distances."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        # The name stands in brackets and can have spaces and brackets in it.
        rest = text[text.rindex(")") + 2 :].split()
        found.append([0, int(rest[1]), int(rest[2]), int(rest[3]), *(int(each) for each in rest[4:])])
    return found


def _peak(process: int) -> int:
    """Most memory that a process has had, MB; 0 where it has just ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM")), 0)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def remove(folder: Path) -> None:
    """Remove what a case left, also where it took rights away."""
    if folder.exists():
        for path, _, _ in os.walk(folder):
            os.chmod(path, 0o700)
        shutil.rmtree(folder)
