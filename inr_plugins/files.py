"""Files that are whole or not there: written beside their place under a hidden name, then renamed onto it.

A process that is killed at any moment leaves each file as it was before or complete, and at most one hidden file or
folder, which the next writer in that place clears away, as :func:`sweep` does on demand; see
:mod:`inr_plugins.leftovers`. A link is followed: what it points at is replaced, wherever that lies, and the link stays.
What cannot be renamed, such as a pipe or /dev/stdout, is written to directly.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from inr_plugins.leftovers import hidden_file, hidden_folder, sweep, sweep_temporary, temporary_folder
from inr_plugins.locks import locked, take_lock

__all__ = [
    "cache_folder",
    "check_takes_files",
    "hidden_file",
    "hidden_folder",
    "locked",
    "move",
    "nameless_file",
    "replacing",
    "replacing_all",
    "replacing_folder",
    "shown",
    "sweep",
    "sweep_temporary",
    "sync",
    "take_lock",
    "temporary_folder",
    "why_unreadable",
    "write_bytes",
    "write_json",
    "write_link",
    "write_text",
]


# -- files -----------------------------------------------------------------------------------------------------------


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write `data` so that at every moment `path` is absent, as it was before, or complete; see :func:`replacing`."""
    with replacing(path, durable=durable) as partial:
        partial.write_bytes(data)


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """As :func:`write_bytes`, in UTF-8, with lines ended as they are in `text`."""
    write_bytes(path, text.encode("utf-8"), durable=durable)


def write_json(path: Path, content: Any, *, indent: int = 1, durable: bool = True) -> None:
    """As :func:`write_text`, JSON that every reader takes.

    Raises:
        OSError: the disk is full or not writable; `path` is then as it was.
        ValueError: a number that JSON does not have (NaN, infinity); nothing is written.
    """
    write_text(path, json.dumps(content, indent=indent, allow_nan=False) + "\n", durable=durable)


@contextmanager
def replacing(path: Path, *, durable: bool = True, beside: Path | None = None) -> Iterator[Path]:
    """An empty hidden file to write to, which takes the place of `path` when the block ends well.

    A new file gets the permissions that the process gives to new files; one that is replaced keeps its own.

    Args:
        path: the file to write; folders above it are made. A link is followed.
        durable: wait until the content and the name are on the disk, so that this holds through a power cut too.
        beside: folder for the hidden file, on the same disk; by default that of the file itself.

    Raises:
        OSError: the disk is full or not writable, or a folder stands there. `path` is then as it was, and nothing is
            left behind.
    """
    with replacing_all([path], durable=durable, beside=beside) as (partial,):
        yield partial


@contextmanager
def replacing_all(
    paths: Sequence[Path], *, durable: bool = True, beside: Path | None = None
) -> Iterator[tuple[Path, ...]]:
    """As :func:`replacing`, for files that belong together: all are complete before any gets its name."""
    targets = [Path(os.path.realpath(path)) for path in paths]
    with ExitStack() as stack:
        partials = [stack.enter_context(_hidden(target, beside)) for target in targets]
        yield tuple(partials)
        moves = [(partial, target) for partial, target in zip(partials, targets, strict=True) if partial != target]
        for partial, target in moves:
            if target.exists():
                partial.chmod(stat.S_IMODE(target.stat().st_mode))
            if durable:
                sync(partial)
        # One after the other without a pause: a process that is stopped in between leaves files that do not match.
        for partial, target in moves:
            os.replace(partial, target)
        for folder in {target.parent for _, target in moves if durable}:
            sync(folder)


@contextmanager
def _hidden(target: Path, beside: Path | None) -> Iterator[Path]:
    """A hidden file for `target`, removed if it is still there when the block ends; a pipe or a device itself."""
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if target.exists() and not target.is_file():
        yield target
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with hidden_file(target.parent if beside is None else beside, target.name) as partial:
        yield partial


def move(source: Path, target: Path) -> None:
    """Give a finished file or folder another place, also on another disk; a link is followed.

    A file takes the place of one that is there, a folder that of an empty one.
    """
    real = Path(os.path.realpath(target))
    real.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.replace(source, real)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        if source.is_dir():
            with replacing_folder(real, over=False) as folder:
                shutil.copytree(source, folder, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(source)
            return
        with replacing(real, durable=False) as partial:
            shutil.copyfile(source, partial)
        source.unlink()


def write_link(path: Path, target: Path) -> None:
    """Make `path` a link to `target`, in place of the file or the link that is there: that is not followed.

    Raises:
        OSError: the folder is not writable, or a folder stands there.
    """
    with hidden_folder(path.parent, path.name) as folder:
        made = folder / path.name
        made.symlink_to(target)
        os.replace(made, path)


def nameless_file(folder: Path | None = None) -> IO[bytes]:
    """A file for this process alone, open for reading and writing without a buffer; it is gone when it is closed.

    Args:
        folder: on whose disk it lies; by default the system's place for temporary files.

    Raises:
        OSError: it cannot be made.
    """
    return tempfile.TemporaryFile(dir=folder, buffering=0)


def check_takes_files(folder: Path) -> None:
    """Make a file in `folder` and let it go; OSError says why that cannot be."""
    nameless_file(folder).close()


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk, where the system can tell.

    Raises:
        OSError: what was written to the file could not be kept; a disk may say so only now.
    """
    if path.is_dir() and os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that cannot be asked
            raise
    finally:
        os.close(handle)


# -- reading -----------------------------------------------------------------------------------------------------------

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_LARGEST_LFS_POINTER = 1024
_NO_NAMES = {errno.ELOOP: "is a link that leads back to itself", errno.ENAMETOOLONG: "is too long for a name"}


def why_unreadable(path: Path, *, folders: bool = False) -> str | None:
    """Why there is nothing to read at `path`, as the end of a sentence; None if there is a file.

    Looking at a pipe is harmless, while opening one waits until somebody writes to it.

    Args:
        path: of any length and with any characters.
        folders: whether a folder will do too.
    """
    try:
        found = os.stat(path)
        mode, size = found.st_mode, found.st_size
    except ValueError:
        return "is no name that a file can have"
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return "does not exist"
        return _NO_NAMES.get(error.errno or 0, f"cannot be looked at ({error.strerror})")
    if stat.S_ISDIR(mode):
        return None if folders else "is a folder"
    if not stat.S_ISREG(mode):
        return "is a pipe or a device, and no file"
    return "stands for a file that Git LFS has yet to fetch (git lfs pull)" if _is_lfs_pointer(path, size) else None


def _is_lfs_pointer(path: Path, size: int) -> bool:
    """Whether a file is the few lines that a repository has in place of one that Git LFS keeps."""
    if size > _LARGEST_LFS_POINTER:
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(_LFS_POINTER)) == _LFS_POINTER
    except OSError:
        return False


def shown(path: Path) -> str:
    """A path for a sentence, its middle left out where it is very long."""
    text = str(path).replace("\0", "\\0")
    return text if len(text) <= 300 else f"{text[:100]}...{text[-100:]}"


# -- folders -----------------------------------------------------------------------------------------------------------


class KeptBesideError(OSError):
    """Another folder has come to where a new one was to go; `place` is where the new one is instead."""

    def __init__(self, target: Path, place: Path) -> None:
        super().__init__(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        self.place = place


@contextmanager
def replacing_folder(folder: Path, *, over: bool = True) -> Iterator[Path]:
    """A new empty folder that takes the place of `folder` when the block ends well, and is removed when not.

    The old folder keeps its name until the new one is complete; if the last rename fails, it gets it back. A folder
    that is a disk of its own cannot be renamed, and the one that this process works in should not: there the new files
    take the places of the old ones one after another.

    Args:
        folder: absent, empty, or what is to be replaced.
        over: False lets the new folder take the place of nothing but an empty one.

    Raises:
        KeptBesideError: another process has written the folder since; both are there.
        OSError: the disk is full or not writable.
    """
    target = Path(os.path.realpath(folder))
    stays = target.is_dir() and (os.path.ismount(target) or Path(os.getcwd()).is_relative_to(target))
    around = target if stays else target.parent
    with hidden_folder(around, target.name) as partial:
        before = _contents(target, without=[partial]) if over else frozenset()
        yield partial
        with hidden_folder(around, f"{target.name}.old") as old:
            if _contents(target, without=[partial, old]) != before:
                _keep_beside(partial, target, around)
            if stays:
                _exchange(_entries(target, without=(partial, old)), old, back=target)
                _exchange(list(partial.iterdir()), target, back=partial)
            elif target.exists():
                partial.chmod(stat.S_IMODE(target.stat().st_mode))
                os.rename(target, old / "old")
                try:
                    if _contents(old / "old") == before:
                        os.rename(partial, target)
                except BaseException:
                    os.rename(old / "old", target)
                    raise
                if partial.exists():
                    os.rename(old / "old", target)
                    _keep_beside(partial, target, around)
            else:
                try:
                    os.rename(partial, target)
                except OSError as error:
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
                    _keep_beside(partial, target, around)


def _contents(folder: Path, *, without: Sequence[Path] = ()) -> frozenset[tuple[str, int, int]]:
    """What tells whether a folder is as it was: what is in it, and when that was made; nothing where there is none."""
    if not folder.is_dir():
        return frozenset()
    states = [(entry.name, entry.lstat()) for entry in _entries(folder, without=without)]
    return frozenset((name, state.st_ino, state.st_mtime_ns) for name, state in states)


def _keep_beside(partial: Path, target: Path, around: Path) -> None:
    """Give a new folder the first free name like that of `target`; KeptBesideError says which."""
    for number in itertools.count(2):
        place = around / f"{target.name}-{number}"
        if not os.path.lexists(place):
            os.rename(partial, place)
            raise KeptBesideError(target, place)


def _entries(folder: Path, *, without: Sequence[Path]) -> list[Path]:
    # lost+found and its like are the system's, not part of anything that was written.
    return [entry for entry in folder.iterdir() if entry not in without and entry.name != "lost+found"]


def _exchange(entries: Sequence[Path], place: Path, *, back: Path) -> None:
    """Move `entries` into the folder `place`; all go back to `back` if one cannot."""
    moved: list[Path] = []
    try:
        for entry in entries:
            os.rename(entry, place / entry.name)
            moved.append(place / entry.name)
    except BaseException:
        for entry in moved:
            os.rename(entry, back / entry.name)
        raise


# -- the user's cache --------------------------------------------------------------------------------------------------


def cache_folder() -> Path:
    """The folder of this package in the user's cache, made if it is missing.

    A user without a home, or with one that takes no files, as in many containers, gets a folder in the system's place
    for temporary files that nobody else can write to.

    Raises:
        OSError: there is no place for it.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    # Without HOME and without an entry among the system's users, "~" stays as it is.
    if os.path.isabs(base):
        folder = Path(base) / "inr-plugins"
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK | os.X_OK):
                return folder
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"inr-plugins-{user}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or (user != "user" and found.st_uid != user) or found.st_mode & 0o022:
        # Somebody else's: code is loaded from here.
        return Path(tempfile.mkdtemp(prefix="inr-plugins-"))
    return folder
