"""Claims: who is at work on which training of a benchmark, so that several processes and machines can share its folder.

A claim is a lock on claims/KEY, which goes with the process that holds it, however that ends; what the file says is for
people and for the record. Machines that share a folder need a file system that locks across them, as NFS does.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from inr_plugins.bench.record import read_json
from inr_plugins.locks import take_lock


@dataclass(frozen=True)
class Claim:
    """Who is at work on a training.

    Attributes:
        host: name of the machine.
        pid: number of the process there.
        device: the CUDA device that it has to itself; None without one.
        since: date and time, UTC.
    """

    host: str
    pid: int
    device: str | None
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


class ClaimedError(Exception):
    """Another process is at work on it; `holder` is None where it has not said who it is."""

    def __init__(self, holder: Claim | None) -> None:
        super().__init__("another process" if holder is None else str(holder))
        self.holder = holder


def claims_folder(output: Path) -> Path:
    """Where the claims of a benchmark lie."""
    return output / "claims"


@contextmanager
def claimed(output: Path, key: str, *, device: str | None = None) -> Iterator[None]:
    """Hold the claim on a training of the benchmark in `output`.

    Raises:
        ClaimedError: another process, or another thread of this one, holds it.
        OSError: the folder cannot be written.
    """
    path = claims_folder(output) / key
    try:
        handle = take_lock(path)
    except BlockingIOError as error:
        raise ClaimedError(_holder(path)) from error
    try:
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        claim = Claim(platform.node(), os.getpid(), device, now)
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(asdict(claim)).encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _holder(path: Path) -> Claim | None:
    said = read_json(path)
    try:
        return Claim(**said) if isinstance(said, dict) else None
    except TypeError:
        return None


def neighbours(output: Path, key: str) -> int:
    """How many other trainings of this benchmark this machine is at work on."""
    folder = claims_folder(output)
    others = [_holder(path) for path in folder.iterdir() if path.name != key] if folder.is_dir() else []
    return sum(each is not None and each.host == platform.node() and _is_alive(each.pid) for each in others)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
