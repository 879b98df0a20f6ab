"""The process of one job: started as the leader of a group of its own, so that it can be ended with all it started."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_GRACE_SECONDS = 3.0
_LINES = 15
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class JobProcess:
    """A process that runs, and the files that it writes its output to.

    Attributes:
        child: the process.
        stdout: file of its standard output.
        stderr: file of its standard error.
    """

    child: subprocess.Popen[bytes]
    stdout: Path
    stderr: Path


def start(command: Sequence[str], folder: Path, *, device: str | None = None) -> JobProcess:
    """Start `command`; its output goes to files in `folder`, and Ctrl-C at the terminal does not reach it.

    Args:
        command: words.
        folder: for its output.
        device: the one of this process's CUDA devices that it is to see, by number; all of them by default.
    """
    stdout, stderr = folder / "stdout.txt", folder / "stderr.txt"
    with stdout.open("wb") as out, stderr.open("wb") as errors:
        child = subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=out, stderr=errors, start_new_session=True,
            env=None if device is None else {**os.environ, "CUDA_VISIBLE_DEVICES": _visible(device)},
        )  # fmt: skip
    return JobProcess(child, stdout, stderr)


def _visible(device: str) -> str:
    """As the driver counts: this process may itself see only some of the machine's devices."""
    seen = [each for each in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if each]
    return seen[int(device)] if seen else device


def has_ended(process: JobProcess) -> bool:
    """Whether the process has ended. It is not reaped, so that its number, which is its group's, stays taken."""
    if process.child.returncode is not None:
        return True
    return os.waitid(os.P_PID, process.child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def end(process: JobProcess) -> int:
    """End the process, if it runs, and every process of its group, politely, then for good; returns its exit status."""
    if process.child.returncode is not None:
        return process.child.returncode
    if not has_ended(process):
        _signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_SECONDS
        while not has_ended(process) and time.monotonic() < deadline:
            time.sleep(0.05)
    # Also when it has ended by itself: data loaders can outlive it.
    _signal_group(process, signal.SIGKILL)
    return process.child.wait()


def _signal_group(process: JobProcess, number: signal.Signals) -> None:
    try:
        os.killpg(process.child.pid, number)
    except (ProcessLookupError, PermissionError):
        return


def last_words(process: JobProcess) -> str:
    """The end of what the process wrote to standard error, or else to standard output, without control characters."""
    for file in (process.stderr, process.stdout):
        text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        lines = [_CONTROL.sub("", line).rstrip() for line in text.splitlines()]
        lines = [line for line in lines if line]
        if lines:
            return "\n".join(lines[-_LINES:])
    return ""


def how_it_ended(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"ended with status {status}"
    if -status == signal.SIGKILL:
        return "was killed (signal 9), perhaps for want of memory"
    return f"was ended by signal {-status}"
