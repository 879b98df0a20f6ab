"""A run folder belongs to one training at a time: the process that makes it, or goes on in it, holds its lock file.

nerfstudio names run folders by the second, so trainings started together would write into one. The lock goes with the
process, however that ends. Where the file system has no locks, a new folder is still nobody else's, because it is made
by one process alone.
"""

from __future__ import annotations

import atexit
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from inr_plugins.errors import InputError
from inr_plugins.files import take_lock

LOCK_FILE = ".training.lock"


class FolderInUse(InputError):
    """Another process is training in the run folder."""


@dataclass(frozen=True)
class _Held:
    handle: int
    made: bool


_held: dict[Path, _Held] = {}


def reserve_new(folder: Path) -> Path:
    """Make and hold a run folder that nobody has: `folder`, or that name with _2, _3 and so on.

    Raises:
        OSError: it cannot be made.
    """
    for number in count(1):
        candidate = folder if number == 1 else folder.with_name(f"{folder.name}_{number}")
        try:
            candidate.mkdir(parents=True)
            _hold(candidate, made=True)
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
        folder.mkdir(parents=True)
        made = True
    except FileExistsError:
        made = False
    _hold(folder, made=made)


def _hold(folder: Path, *, made: bool) -> None:
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
    with suppress(OSError):  # Only for the sentence above: a full disk may lack it.
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())


def _holder(folder: Path) -> str:
    try:
        name = (folder / LOCK_FILE).read_text(encoding="utf8")
    except (OSError, UnicodeDecodeError):
        name = ""
    return f" ({name})" if name else ""


def was_made(folder: Path) -> bool:
    """Whether this process made the folder, not only went on in it; also if the one that started it holds it."""
    held = _held.get(folder.resolve())
    return held is None or held.made


def release(folder: Path) -> None:
    """Let others train in a folder; nothing if it is not held."""
    held = _held.pop(folder.resolve(), None)
    if held is None:
        return
    with suppress(OSError):
        (folder / LOCK_FILE).unlink()
    os.close(held.handle)


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
