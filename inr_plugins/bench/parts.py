"""The parts of a training that was stopped in the middle and went on: when each began, where, and how long it took."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from inr_plugins import files, machine
from inr_plugins.bench.record import read_json
from inr_plugins.bench.resume_points import ResumePoint, last_point, points

_FILE = "parts.json"
POINTS = "points"
"""Folder of resume points in that of a job at hand."""


@dataclass(frozen=True)
class Part:
    """A part of a training, from its start or from a checkpoint until it was stopped.

    Attributes:
        host: name of the machine.
        date: when it began, UTC.
        begun: the same as Unix time.
        from_step: steps that were behind it.
        seconds: how long it took, start-up and what was lost included; None while it runs.
    """

    host: str
    date: str
    begun: float
    from_step: int
    seconds: float | None = None


@dataclass(frozen=True)
class Attempt:
    """A training that begins or goes on now.

    Attributes:
        parts: all of it so far, the one that begins now last.
        point: where it goes on; None at the start.
    """

    parts: tuple[Part, ...]
    point: ResumePoint | None

    def described(self) -> dict[str, Any] | None:
        """For the record: the parts and their seconds together; None where there was one part only."""
        if len(self.parts) < 2:
            return None
        parts = [{name: value for name, value in asdict(part).items() if name != "begun"} for part in self.parts]
        seconds = [part.seconds for part in self.parts if part.seconds is not None]
        return {"parts": parts, "seconds": round(sum(seconds), 1)}


def _kind_of_machine(device: str) -> dict[str, Any]:
    found = machine.hardware(device=device)
    return {name: found[name] for name in ("cpu", "cores", "gpus")}


def begin_part(folder: Path, *, device: str, versions: dict[str, str], anew: bool = False) -> Attempt:
    """Begin or go on with the training whose files are in `folder`, which is made ready for it.

    It goes on only with the code, the versions and the kind of machine that its parts so far had: else some of its
    steps would be another program's, and its seconds those of two machines.

    Args:
        folder: of the job at hand, which this process has claimed.
        device: cpu or cuda.
        versions: see rules.versions_now.
        anew: never go on.
    """
    alike = {"versions": versions, "machine": _kind_of_machine(device)}
    parts, point = _parts_so_far(folder, alike), None
    if parts and not anew:
        point = last_point(folder / POINTS)
    if point is None:
        parts = ()
        shutil.rmtree(folder, ignore_errors=True)
    else:
        last = parts[-1]
        if last.seconds is None:
            parts = (*parts[:-1], replace(last, seconds=round(max(0.0, _last_sign(folder) - last.begun), 1)))
        _remove_newer(point)
        for path in folder.iterdir():
            if path.is_file() and path.name != _FILE:
                path.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    steps = 0 if point is None else int(point.measured["steps"])
    attempt = Attempt((*parts, Part(platform.node(), now, time.time(), steps)), point)
    _write(folder, attempt.parts, alike)
    return attempt


def end_part(folder: Path, attempt: Attempt) -> Attempt:
    """The attempt with how long its last part took, which is noted in the folder if it is still there."""
    *before, last = attempt.parts
    ended = replace(attempt, parts=(*before, replace(last, seconds=round(time.time() - last.begun, 1))))
    said = read_json(folder / _FILE)
    if isinstance(said, dict):
        _write(folder, ended.parts, {name: said.get(name) for name in ("versions", "machine")})
    return ended


def can_go_on(folder: Path, versions: dict[str, str]) -> bool:
    """Whether the training in `folder` may be one that goes on, by this code on some machine."""
    said = read_json(folder / _FILE)
    return isinstance(said, dict) and said.get("versions") == versions and any(points(folder / POINTS))


def _parts_so_far(folder: Path, alike: dict[str, Any]) -> tuple[Part, ...]:
    said: Any = read_json(folder / _FILE)
    try:
        if any(said[name] != value for name, value in alike.items()):
            return ()
        return tuple(Part(**part) for part in said["parts"])
    except (TypeError, KeyError):
        return ()


def _write(folder: Path, parts: Sequence[Part], alike: dict[str, Any]) -> None:
    files.write_json(folder / _FILE, {**alike, "parts": [asdict(part) for part in parts]})


def _last_sign(folder: Path) -> float:
    """When a killed training last wrote anything, Unix time: it says every half second how far it is."""
    times = [path.stat().st_mtime for path in (*folder.iterdir(), *(folder / POINTS).glob("*")) if path.is_file()]
    return max(times, default=0.0)


def _remove_newer(point: ResumePoint) -> None:
    """Remove checkpoints that the kill has left half-written, and any that is newer than the point."""
    for path in point.checkpoint.parent.glob("step-*.ckpt"):
        if path.name > point.checkpoint.name:
            path.unlink()
