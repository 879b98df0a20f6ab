"""Where a training of a benchmark that was killed goes on: its newest checkpoint, and what was measured until then.

A point is a JSON file, NAME of its step, which is written before the checkpoint of that step. So the newest sound
checkpoint always has its point, whenever the process is killed, and a point without a checkpoint is none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inr_plugins import files
from inr_plugins.bench.record import read_json

_RESUMING = ("--load-dir", "--load-step", "--load-checkpoint", "--max-num-iterations")


@dataclass(frozen=True)
class ResumePoint:
    """A training after a step.

    Attributes:
        step: as its trainer counts, from 0.
        end_step: the step that the training would end before by itself.
        checkpoint: its file.
        measured: see `Measurement.state`.
    """

    step: int
    end_step: int
    checkpoint: Path
    measured: dict[str, Any]


def write_point(folder: Path, point: ResumePoint) -> None:
    """Write a point, before its checkpoint is written.

    Raises:
        OSError: the disk is full or not writable.
    """
    content = {"step": point.step, "end_step": point.end_step, "measured": point.measured}
    # Machines that share a disk may see it at different paths.
    content["checkpoint"] = os.path.relpath(point.checkpoint.resolve(), folder.parent.resolve())
    files.write_json(_path(folder, point.step), content)


def keep_only(folder: Path, step: int) -> None:
    """Remove all points but that of `step`, whose checkpoint is written."""
    for path in folder.glob("*.json"):
        if path != _path(folder, step):
            path.unlink(missing_ok=True)


def last_point(folder: Path) -> ResumePoint | None:
    """The newest point whose checkpoint is whole; None without one."""
    return next((point for point in points(folder) if _is_sound(point.checkpoint)), None)


def points(folder: Path) -> Iterator[ResumePoint]:
    """Points whose checkpoints are there, whole or not, newest first."""
    for path in sorted(folder.glob("*.json"), reverse=True):
        point = _read(path)
        if point is not None and point.checkpoint.is_file():
            yield point


def _path(folder: Path, step: int) -> Path:
    return folder / f"{step:09d}.json"


def _read(path: Path) -> ResumePoint | None:
    content: Any = read_json(path)
    try:
        checkpoint = path.parent.parent / content["checkpoint"]
        return ResumePoint(int(content["step"]), int(content["end_step"]), checkpoint, dict(content["measured"]))
    except (TypeError, KeyError, ValueError):
        return None


def _is_sound(checkpoint: Path) -> bool:
    # It imports torch, which takes seconds.
    from inr_plugins.engine.runs.checkpoints import is_sound

    return is_sound(checkpoint)


def resuming_arguments(arguments: Sequence[str], point: ResumePoint) -> list[str]:
    """Arguments of ns-train that have a training go on from a point and end where it would have ended.

    Args:
        arguments: of the training from its start, the method first.
        point: where it goes on.
    """
    method, *rest = arguments
    kept: list[str] = []
    skips = False
    for word in rest:
        name, equals, _ = word.partition("=")
        is_replaced = word.startswith("--") and name.replace("_", "-") in _RESUMING
        if not is_replaced and not skips:
            kept.append(word)
        skips = is_replaced and not equals
    left = point.end_step - point.step - 1
    resuming = ["--load-dir", str(point.checkpoint.parent), "--load-step", str(point.step)]
    return [method, *resuming, "--max-num-iterations", str(left), *kept]
