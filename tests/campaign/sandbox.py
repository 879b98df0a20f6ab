"""One attack in a process of its own, forked from one that has imported everything.

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
    """A case that has been started in `folder`, which is the runner's to remove.

    Below `folder`: place/ (the attack's own), here/ (the current folder), home/ and tmp/, in which an attack in process
    may leave nothing; output.txt, what it printed; outcome.json, what it found.
    """

    def __init__(self, case: Case, folder: Path, seed: int, silence: float = SILENCE) -> None:
        self.case, self.folder, self.silence = case, folder, silence
        for name in ("place", "here", "home", "tmp"):
            (folder / name).mkdir(parents=True)
        self.started = self.last_sign = time.monotonic()
        self.signs = (0, 0.0)
        sys.stdout.flush()
        sys.stderr.flush()
        self.process = os.fork()
        if self.process == 0:
            _attack(case, folder, seed)

    def poll(self) -> Outcome | None:
        """The outcome, or None while the case goes on."""
        process, status, usage = os.wait4(self.process, os.WNOHANG)
        now = time.monotonic()
        if process:
            _end_group(self.process)
            return self._ended(status, now - self.started, usage.ru_maxrss >> 10)
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
        os.kill(self.process, signal.SIGUSR1)
        time.sleep(0.2)
        _end_group(self.process)
        _, _, usage = os.wait4(self.process, 0)
        frames = [line for line in self._output() if line.startswith("File ")]
        sentence = f"{fault.sentence}, in {frames[0]}" if frames else fault.sentence
        return Outcome(fault.kind, sentence, time.monotonic() - self.started, usage.ru_maxrss >> 10)

    def _ended(self, status: int, seconds: float, megabytes: int) -> Outcome:
        kind, sentence = "held", ""
        code = os.waitstatus_to_exitcode(status)
        try:
            found = json.loads((self.folder / "outcome.json").read_text(encoding="utf-8"))
            kind, sentence = found["kind"], found["sentence"]
        except (OSError, ValueError):
            died = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
            last = " / ".join(self._output()[-3:])[-300:]
            kind, sentence = "traceback", f"the process ended {died} in the middle of the attack: {last}"
        if kind == "held" and not self.case.processes:
            left = [path for name in ("here", "home", "tmp") for path in sorted((self.folder / name).rglob("*"))]
            if left:
                names = ", ".join(str(path.relative_to(self.folder)) for path in left[:5])
                kind, sentence = "wrong", f"files were left behind: {names}"
        return Outcome(kind, sentence, seconds, megabytes)

    def _output(self) -> list[str]:
        try:
            text = (self.folder / "output.txt").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        return [line.strip() for line in text.split("\n") if line.strip()]


def _attack(case: Case, folder: Path, seed: int) -> NoReturn:
    """What the forked process does; it never returns to the runner's code."""
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        output = os.open(folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(folder / "here")
        os.environ["HOME"] = str(folder / "home")
        os.environ["TMPDIR"] = str(folder / "tmp")
        tempfile.tempdir = None
        faulthandler.enable(file=2)
        faulthandler.register(signal.SIGUSR1, file=2, all_threads=False)
        if not case.processes:
            _bound_memory()
        kind, sentence = _found(case, folder / "place", seed)
        (folder / "outcome.json").write_text(json.dumps({"kind": kind, "sentence": sentence}), encoding="utf-8")
        code = 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Not the handlers at exit of the process that this is a copy of.
        os._exit(code)


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
    resource.setrlimit(resource.RLIMIT_AS, (bound, bound))


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
