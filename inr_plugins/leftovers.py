"""Files and folders that are not finished yet, under hidden names, and what is left when their writer is killed.

Each is called `.NAME.SYSTEM.TOKEN.partial`: NAME is what it is to become, SYSTEM says which running operating system
its writer belongs to, and TOKEN is random. Its writer holds its lock. Who can take the lock of one knows that its
writer is gone, unless that may run under another system, on another machine that shares the folder: locks need not
reach so far. There, and where the file system has no locks, only what has not changed for a day counts as left over.
Numbers of processes say nothing, since each container counts its own.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from inr_plugins.locks import is_at, lock

_PARTIAL = re.compile(r"\..+?\.(?P<system>[0-9a-f]{12})\.[0-9a-f]{16}\.partial", re.DOTALL)
# Of earlier versions, with the number of a process.
_NUMBERED = re.compile(r"\..+?\.\d+(?:\.[0-9a-f]{8})?\.partial", re.DOTALL)
_NAME_BYTES = 180
"""File systems take names of 255 bytes; what is added to hide one takes up to 45."""
_QUIET_SECONDS = 86400.0
"""What no lock tells of is left over when it has not changed for so long."""


@contextmanager
def hidden_file(folder: Path, name: str) -> Iterator[Path]:
    """A new empty hidden file in `folder` for what is to be called `name`; removed at the end if it is still there.

    What writes to it must not put another file in its place, which would be without the lock.

    Raises:
        OSError: it cannot be made.
    """
    sweep(folder)
    while True:
        partial = _hidden_path(folder, name)
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        if _is_ours(handle, partial):
            break
    try:
        yield partial
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()
        os.close(handle)


@contextmanager
def hidden_folder(around: Path, name: str, *, mode: int = 0o777) -> Iterator[Path]:
    """A new hidden folder in `around`, which is made if it is missing; removed, with all that is in it, at the end.

    Raises:
        OSError: it cannot be made.
    """
    around.mkdir(parents=True, exist_ok=True)
    sweep(around)
    handle: int | None = None
    while True:
        partial = _hidden_path(around, name)
        partial.mkdir(mode=mode)
        if os.name != "posix":  # where folders cannot be opened
            break
        with suppress(FileNotFoundError):
            handle = os.open(partial, os.O_RDONLY)
            if _is_ours(handle, partial):
                break
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if handle is not None:
            os.close(handle)


@contextmanager
def temporary_folder(name: str) -> Iterator[Path]:
    """As :func:`hidden_folder`, in the system's place for temporary files and for this user only."""
    with hidden_folder(Path(tempfile.gettempdir()), f"inr-{name}", mode=0o700) as folder:
        yield folder


def _is_ours(handle: int, path: Path) -> bool:
    """Lock what was just made; False, and closed, if another process has swept it away before it was locked."""
    try:
        lock(handle, wait=True)
        if is_at(handle, path):
            return True
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return False


def _hidden_path(folder: Path, name: str) -> Path:
    encoded = os.fsencode(name)
    short = name if len(encoded) <= _NAME_BYTES else os.fsdecode(encoded[:_NAME_BYTES])
    return folder / f".{short}.{this_system()}.{secrets.token_hex(8)}.partial"


@functools.cache
def this_system() -> str:
    """Which running operating system this process belongs to.

    Twelve hexadecimal digits that all containers of a machine share, until it starts anew; others have others.
    """
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        name = f"{platform.node()} {uuid.getnode()}"
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def sweep(*folders: Path) -> None:
    """Remove the hidden files and folders in each of `folders` whose writers are gone; what cannot be removed stays.

    Args:
        folders: that are looked into as they are, not what is below them; one that is missing is passed over.
    """
    for folder in dict.fromkeys(folders):
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in names:
            match = _PARTIAL.fullmatch(name)
            if match or _NUMBERED.fullmatch(name):
                _remove_left_over(folder / name, from_here=match is not None and match["system"] == this_system())


def sweep_temporary() -> None:
    """As :func:`sweep`, in the system's place for temporary files."""
    sweep(Path(tempfile.gettempdir()))


def _remove_left_over(path: Path, *, from_here: bool) -> None:
    with suppress(OSError):
        found = path.lstat()
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            # A link, which has no lock; opening a pipe would wait.
            if _is_quiet(path):
                path.unlink()
            return
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        try:
            # The lock is kept while the rest goes: one that is made anew has another name.
            if is_left_over(handle, path, from_here=from_here):
                shutil.rmtree(path, ignore_errors=True) if stat.S_ISDIR(found.st_mode) else path.unlink()
        finally:
            os.close(handle)


def is_left_over(handle: int, path: Path, *, from_here: bool) -> bool:
    """Whether nobody writes to `path` any more; then its lock is held until `handle` is closed.

    Args:
        handle: what its writer holds the lock of, open.
        path: a file or a folder.
        from_here: whether its writer belongs to the system of this process, where locks tell.

    Raises:
        OSError: its writer holds the lock, or the path is gone.
    """
    return (lock(handle) and from_here) or _is_quiet(path)


def _is_quiet(path: Path) -> bool:
    """Whether a file, or all that is in a folder, has not changed for a day."""
    latest = path.lstat().st_mtime
    for place, folders, files in os.walk(path):
        for name in (*folders, *files):
            latest = max(latest, os.lstat(os.path.join(place, name)).st_mtime)
    return time.time() - latest > _QUIET_SECONDS
