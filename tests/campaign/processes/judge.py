"""What must hold of a command however it was treated: how it ends, what it says, and what lies under final names."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterable
from pathlib import Path

import torch
from campaign.case import Fault
from campaign.processes.launch import Ended
from campaign.processes.runs import steps_of

from inr_plugins.engine.runs import checkpoints
from inr_plugins.engine.runs.config import read_run_config
from inr_plugins.errors import InputError

_COMPLAINTS = (
    "Traceback (most recent call last)",
    "terminate called",
    "Exception ignored in",
    "Segmentation fault",
    "Fatal Python error",
    "object has no attribute",
)
_SENTENCE = re.compile(r"^(Error|inr-[a-z]+): .{15,}$", re.MULTILINE)


def no_complaints(ended: Ended) -> Ended:
    """Fault where an exception came through, or an interpreter ended badly."""
    found = [each for each in _COMPLAINTS if each in ended.said]
    if found:
        raise Fault("traceback", ended.told())
    if ended.status in (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGFPE):
        raise Fault("traceback", ended.told())
    return ended


def held(ended: Ended) -> Ended:
    """Fault unless the command has done its work."""
    no_complaints(ended)
    if ended.status != 0:
        raise Fault("wrong", ended.told())
    return ended


def refused(ended: Ended, *names: str) -> Ended:
    """Fault unless the command ended with status 1 and a sentence of ours on standard error that has `names` in it."""
    no_complaints(ended)
    sentences = _SENTENCE.findall(ended.err)
    text = " ".join(ended.err.split())
    if ended.status not in (1, 2) or not (sentences or ended.status == 2):
        raise Fault("wrong", f"no refusal in a sentence: {ended.told()}")
    for name in names:
        if name not in text:
            raise Fault("wrong", f"the refusal does not name {name!r}: {ended.told()}")
    return ended


def stopped(ended: Ended, number: int, *, also: Iterable[int] = ()) -> Ended:
    """Fault unless the command ended as one that got this signal should: by it, with 128 + N, or well before it."""
    no_complaints(ended)
    allowed = {-number, 128 + number, 0, *also}
    if number == signal.SIGKILL:
        allowed.discard(128 + number)
    if ended.status not in allowed:
        raise Fault("wrong", f"status {ended.status} after {signal.Signals(number).name}: {ended.told()}")
    return ended


def run_is_sound(folder: Path, *, at_least: int | None = None) -> None:
    """Fault where a file of a run folder is not whole, or a checkpoint that was there is lost.

    Args:
        folder: of the run.
        at_least: step that the newest checkpoint has at least.
    """
    config, frame = folder / "config.yml", folder / "dataparser_transforms.json"
    if config.exists():
        try:
            read_run_config(config)
        except InputError as error:
            raise Fault("loss", f"config.yml is not whole: {error}") from error
    if frame.exists():
        json_is_whole(frame)
    for step in steps_of(folder):
        path = checkpoints.checkpoint_path(folder / "nerfstudio_models", step)
        if not checkpoints.is_sound(path):
            raise Fault("loss", f"{path.name} is not whole")
    found = max(steps_of(folder), default=-1)
    if at_least is not None and found < at_least:
        raise Fault("loss", f"the newest checkpoint is of step {found}, and that of step {at_least} was there")


def json_is_whole(path: Path) -> None:
    """Fault where JSON has been cut."""
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Fault("loss", f"{path.name} is not whole: {error}") from error


def no_litter(folder: Path, *, but: Iterable[str] = (".said", ".lock", ".training.lock")) -> None:
    """Fault where hidden files lie below a folder, but for lock files, which a process that was killed leaves."""
    found = [
        str(path.relative_to(folder))
        for path in folder.rglob(".*")
        if not set(path.relative_to(folder).parts) & set(but)
    ]
    if found:
        raise Fault("wrong", f"left behind: {', '.join(sorted(found)[:5])}")


def same_weights(folder: Path, other: Path) -> None:
    """Fault unless the newest checkpoints of two folders hold the same step and the same bits."""
    first, second = (checkpoints.read_newest_checkpoint(each)[0] for each in (folder, other))
    if first["step"] != second["step"]:
        raise Fault("wrong", f"the run ended with step {first['step']}, a straight one with {second['step']}")
    for part in ("pipeline", "optimizers", "schedulers"):
        difference = _first_difference(first[part], second[part], part)
        if difference is not None:
            raise Fault("wrong", f"not what a straight run comes to: {difference} differs")


def _first_difference(first: object, second: object, name: str) -> str | None:
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        return None if first.shape == second.shape and torch.equal(first, second) else name
    if isinstance(first, dict) and isinstance(second, dict):
        if first.keys() != second.keys():
            return name
        pairs = [(key, first[key], second[key]) for key in first]
    elif isinstance(first, list | tuple) and isinstance(second, list | tuple) and len(first) == len(second):
        pairs = list(zip(range(len(first)), first, second, strict=True))
    else:
        return None if first == second else name
    return next((found for key, a, b in pairs if (found := _first_difference(a, b, f"{name}.{key}"))), None)
