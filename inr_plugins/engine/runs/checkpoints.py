"""Checkpoint files: written whole or not at all, checked before they are believed.

nerfstudio parses the name of *every* file in the checkpoint folder, so nothing but finished checkpoints may ever lie
there. A checkpoint is therefore written beside that folder, in the run folder (same file system), flushed to the disk,
moved into place in one step, and only then are older ones removed. A process killed at any moment leaves the newest
finished checkpoint and at most one partial file, which the next run in that folder clears away.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from nerfstudio.utils.rich_utils import CONSOLE

from inr_plugins.engine.divergence import TrainingDivergedError, require_finite
from inr_plugins.errors import InputError
from inr_plugins.files import replacing, sweep

_NAME = re.compile(r"step-([0-9]{9,18})\.ckpt")


class BrokenCheckpointError(InputError):
    """A checkpoint file is cut short, damaged or of another kind."""


def checkpoint_path(folder: Path, step: int) -> Path:
    """Path of the checkpoint of `step` in `folder`, as nerfstudio names it."""
    return folder / f"step-{step:09d}.ckpt"


def checkpoint_steps(folder: Path) -> list[int]:
    """Steps of the checkpoints in `folder`, newest first; empty if there is no such folder.

    What stands there by the name of a checkpoint counts, whatever it is.
    """
    if not folder.is_dir():
        return []
    steps = [int(match[1]) for match in map(_NAME.fullmatch, os.listdir(folder)) if match]
    return sorted((step for step in steps if os.path.lexists(checkpoint_path(folder, step))), reverse=True)


def how_to_go_on(folder: Path) -> str:
    """What the user can do with the checkpoints in `folder`, as a part of a sentence."""
    steps = checkpoint_steps(folder)
    if not steps:
        return "train again (there is no checkpoint yet)"
    return f"go on from the last good checkpoint, step {steps[0]}, with --load-dir {folder}"


def write_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write `state` to `path` so that at every moment `path` is absent, as it was before, or complete.

    Raises:
        OSError: the disk is full or not writable. `path` is then as it was and nothing is left behind.
    """
    try:
        with replacing(path, beside=_folder_beside(path)) as partial, partial.open("wb") as file:
            torch.save(state, file)
    except BaseException as error:
        # torch tries to finish its archive after a failed write, and reports that instead of what the system said.
        reason = _system_error(error)
        if reason is None or reason is error:
            raise
        raise reason from None


def _folder_beside(path: Path) -> Path:
    """The folder above that of the checkpoint `path`, if a file can be renamed from there, else the same."""
    folder = Path(os.path.realpath(path.parent))
    folder.mkdir(parents=True, exist_ok=True)
    return folder if os.path.ismount(folder) else folder.parent


def _system_error(error: BaseException | None) -> OSError | None:
    """The first OSError among `error` and what it was raised during."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


def remove_checkpoints(folder: Path, steps: Iterable[int]) -> None:
    """Remove the checkpoints of these steps in `folder`, as far as they are there."""
    for step in steps:
        checkpoint_path(folder, step).unlink(missing_ok=True)


def clear_partial_files(run_folder: Path) -> None:
    """Remove what killed writers left in `run_folder` and where its checkpoints really lie; see files.sweep."""
    folders = {os.path.realpath(run_folder)}
    for folder in run_folder.glob("*/"):
        # A folder of checkpoints may be a link to another disk, or one itself.
        if folder.is_symlink() or os.path.ismount(folder):
            folders |= {os.path.realpath(folder), os.path.dirname(os.path.realpath(folder))}
    sweep(*map(Path, folders))


def check_checkpoint(path: Path) -> None:
    """Check that `path` is a whole checkpoint: torch reads a damaged tensor without a word, so the sums are compared.

    Raises:
        BrokenCheckpointError: it is not.
    """
    if os.path.lexists(path) and not path.is_file():
        raise BrokenCheckpointError(f"{path} is a folder, a link to nothing or a device, not a checkpoint.")
    try:
        with zipfile.ZipFile(path) as archive:
            packed = next((each.filename for each in archive.infolist() if each.compress_type), None)
            # What is packed may be a thousand times as large, and is nothing that torch writes.
            damaged = archive.testzip() if packed is None else None
    except Exception as error:
        # An encrypted archive, a broken stream and an unknown way of packing each raise something of their own.
        raise BrokenCheckpointError(f"Checkpoint {path} is cut short or damaged ({error}).") from error
    if packed is not None:
        raise BrokenCheckpointError(f"{path} is not a checkpoint that torch wrote: its part {packed} is compressed.")
    if damaged is not None:
        raise BrokenCheckpointError(f"Checkpoint {path} is damaged: its part {damaged} does not match its checksum.")


def is_sound(path: Path) -> bool:
    """Whether there is a whole checkpoint at `path`, see :func:`check_checkpoint`."""
    try:
        check_checkpoint(path)
    except BrokenCheckpointError:
        return False
    return True


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read one checkpoint onto the CPU, as plain data only (weights_only).

    Raises:
        InputError: there is no such file.
        BrokenCheckpointError: it is cut short, damaged, or no checkpoint of nerfstudio.
    """
    if not os.path.lexists(path):
        raise InputError(f"There is no checkpoint {path}: give an existing one.")
    check_checkpoint(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:
        # What stands in a pickle decides what is raised when it makes no sense.
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        raise BrokenCheckpointError(f"Checkpoint {path} cannot be read ({first_line}).") from error
    if not isinstance(state, dict) or not {"step", "pipeline"} <= state.keys():
        raise BrokenCheckpointError(f"{path} is not a nerfstudio checkpoint.")
    step, weights = state["step"], state["pipeline"]
    if type(step) is not int or step < 0 or not isinstance(weights, Mapping) or not weights:
        raise BrokenCheckpointError(f"Checkpoint {path} holds no weights, or does not say of which step.")
    if not all(isinstance(name, str) for name in weights):
        raise BrokenCheckpointError(f"Checkpoint {path} has weights whose names are no text.")
    named = _NAME.fullmatch(path.name)
    if named is not None and int(named[1]) != step:
        raise BrokenCheckpointError(f"Checkpoint {path} says that it is of step {step}.")
    try:
        require_finite(weights)
    except TrainingDivergedError as error:
        raise BrokenCheckpointError(f"Checkpoint {path} is of no use: {str(error).rstrip('.')}.") from error
    return state


def newest_sound_step(folder: Path) -> int:
    """Step of the newest checkpoint in `folder` that can be read; says so when it is not the last.

    Raises:
        InputError: there is none.
    """
    return _read_newest(folder)[0]


def read_newest_checkpoint(folder: Path, *, step: int | None = None) -> tuple[dict[str, Any], Path]:
    """Read the checkpoint of `step`, or without it the newest one in `folder` that opens.

    Returns:
        The state and the file it came from.

    Raises:
        InputError: there is no such folder, no such step, or no checkpoint that opens.
        BrokenCheckpointError: `step` was asked for and its file is damaged.
    """
    check_folder(folder)
    if step is not None:
        path = checkpoint_path(folder, step)
        return read_checkpoint(path), path
    newest, state = _read_newest(folder)
    return state, checkpoint_path(folder, newest)


def check_folder(folder: Path) -> None:
    """See that there is a folder for the checkpoints of a run; InputError if not."""
    if folder.is_dir():
        return
    if (folder.parent / "config.yml").is_file():
        raise InputError(
            f"The run {folder.parent} has no checkpoint: it ended before its first one, or its folder {folder.name} "
            "is gone. Train anew; --steps-per-save says how often one is saved, and so does Ctrl-C, before it ends."
        )
    raise InputError(f"There is no checkpoint folder {folder}: --load-dir wants a run's nerfstudio_models folder.")


def _read_newest(folder: Path) -> tuple[int, dict[str, Any]]:
    """Step and content of the newest checkpoint that opens; says which ones do not."""
    for step in checkpoint_steps(folder):
        try:
            return step, read_checkpoint(checkpoint_path(folder, step))
        except BrokenCheckpointError as error:
            CONSOLE.print(f"[bold yellow]{error} Trying the one before it.")
    raise InputError(f"No usable checkpoint in {folder}: train first, or give the folder of another run.")
