"""Locks on files: they go with the process that holds them, however that ends, and hold across containers."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there
    fcntl = None  # type: ignore[assignment]

_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.EBADF, errno.EISDIR}
"""What file systems without locks answer; the last two are NFS on what is not open for writing, such as a folder."""


@contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock file `path`, which stays; see :func:`take_lock`."""
    handle = take_lock(path, wait=wait)
    try:
        yield
    finally:
        os.close(handle)


def take_lock(path: Path, *, wait: bool = False) -> int:
    """Lock the file `path`; the lock goes when what is returned is closed, or with the process, however that ends.

    Where the file system has no locks, nothing is locked.

    Args:
        path: a small file, made if it is missing, as its folder is. Only who holds it may remove it.
        wait: wait for another process that holds it.

    Returns:
        The open file.

    Raises:
        BlockingIOError: another process holds it, without `wait`.
        OSError: the file cannot be made.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            lock(handle, wait=wait)
            if is_at(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        # Removed by its holder between the two calls above: somebody else may hold a new one by now.
        os.close(handle)


def lock(handle: int, *, wait: bool = False) -> bool:
    """Lock an open file or folder until it is closed; False where the file system has no locks.

    Raises:
        BlockingIOError: another opening of it holds the lock, without `wait`.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return False
        raise
    return True


def is_at(handle: int, path: Path) -> bool:
    """Whether the open file is what `path` names."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False
