"""A run folder belongs to one training at a time: the process that makes it, or goes on in it, holds its lock file.

nerfstudio names run folders by the second, so trainings started together would write into one. The lock goes with the
process, however that ends. Where the file system has no locks, a new folder is still nobody else's, because it is made
by one process alone.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import socket
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from inr_plugins.errors import InputError
from inr_plugins.files import sweep, take_lock
from inr_plugins.leftovers import is_left_over, this_system

LOCK_FILE = ".training.lock"


class FolderInUse(InputError):
    """Another process is training in the run folder."""


@dataclass
class _Held:
    handle: int
    made: list[Path]
    """The folder and those above it, innermost first, that this process has made."""
    started: bool = False


_held: dict[Path, _Held] = {}
_BEFORE_SETUP = {LOCK_FILE, "config.yml"}
_BEFORE_THE_FIRST_STEP = re.compile(r"events\.out\.tfevents\..*|dataparser_transforms\.json|viewer_log_filename\.txt")


def reserve_new(folder: Path) -> Path:
    """Make and hold a run folder that nobody has: `folder`, or that name with _2, _3 and so on.

    What killed trainings have left beside it is cleared away: hidden files of half a checkpoint, and the folders of
    those that had not begun.

    Raises:
        OSError: it cannot be made.
    """
    _clear_up(folder.parent)
    for number in count(1):
        candidate = folder if number == 1 else folder.with_name(f"{folder.name}_{number}")
        try:
            _hold(candidate, _make(candidate))
        except (FileExistsError, FolderInUse):
            continue
        return candidate
    raise AssertionError


def hold(folder: Path) -> None:
    """Hold a run folder, which is made if it is missing, until :func:`release` or the end of this process.

    Raises:
        FolderInUse: another process holds it.
        OSError: it cannot be made or written to.
    """
    try:
        made = _make(folder)
    except FileExistsError:
        made = []
    _hold(folder, made)


def _make(folder: Path) -> list[Path]:
    """Make a folder that is not there, and those above it; returns those that were made, innermost first."""
    missing = [parent for parent in folder.parents if not parent.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir()
    return [folder.resolve(), *(parent.resolve() for parent in missing)]


def _hold(folder: Path, made: list[Path]) -> None:
    place = folder.resolve()
    if place in _held:
        return
    try:
        handle = take_lock(place / LOCK_FILE)
    except BlockingIOError as error:
        raise FolderInUse(
            f"Another training is under way in {folder}{_holder(place)}: give another --timestamp, or wait for its end."
        ) from error
    _held[place] = _Held(handle, made)
    with suppress(OSError):  # Only for sentences and tidiness: a full disk may lack it.
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n{this_system()}\n".encode())


def _holder(folder: Path) -> str:
    try:
        name, *_ = (folder / LOCK_FILE).read_text(encoding="utf8").splitlines()
    except (OSError, ValueError):
        return ""
    return f" ({name})"


def note_start(folder: Path) -> None:
    """Training has begun in a folder, which stays from now on whatever becomes of it."""
    held = _held.get(folder.resolve())
    if held is not None:
        held.started = True


def release(folder: Path) -> None:
    """Let others train in a folder; nothing if it is not held.

    A folder that this process made, and in which no training has begun, goes, with those above it that were made for
    it and hold nothing else: nerfstudio writes config.yml before it looks at the data.
    """
    place = folder.resolve()
    held = _held.pop(place, None)
    if held is None:
        return
    with suppress(OSError):
        if held.made and not _has_begun(place, logs_count=held.started):
            shutil.rmtree(place)
            for above in held.made[1:]:
                above.rmdir()
        else:
            (place / LOCK_FILE).unlink()
    os.close(held.handle)


def _has_begun(folder: Path, *, logs_count: bool) -> bool:
    """Whether there is anything in a run folder that a training writes after its first step."""
    names = {path.name for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()} - _BEFORE_SETUP
    return any(logs_count or not _BEFORE_THE_FIRST_STEP.fullmatch(name) for name in names)


def _clear_up(runs: Path) -> None:
    """Clear away what killed trainings have left in a folder of runs."""
    with suppress(OSError):
        folders = [entry for entry in runs.iterdir() if entry.is_dir() and not entry.is_symlink()]
        sweep(*folders)
        for folder in folders:
            _remove_unstarted(folder)


def _remove_unstarted(folder: Path) -> None:
    """Remove a run folder in which a process was killed before it began to train."""
    with suppress(OSError, ValueError):
        handle = os.open(folder / LOCK_FILE, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        try:
            system = (folder / LOCK_FILE).read_text(encoding="utf8").splitlines()[1:]
            if is_left_over(handle, folder, from_here=system == [this_system()]) and not _has_begun(
                folder, logs_count=True
            ):
                shutil.rmtree(folder)
        finally:
            os.close(handle)


@atexit.register
def _release_all() -> None:
    for folder in list(_held):
        release(folder)


def _forget() -> None:
    """A forked child holds nothing: a data loader that outlives its training must not keep the folder locked."""
    for held in _held.values():
        with suppress(OSError):
            os.close(held.handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
