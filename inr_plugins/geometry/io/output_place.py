"""Whether a file can be written where it is wanted, asked before the work that makes it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from inr_plugins.errors import InputError
from inr_plugins.files import check_takes_files, sweep


def check_place(path: Path) -> None:
    """Refuse a path whose folder, or the nearest one above it that exists, takes no new file; nothing is left behind.

    What killed commands of this package have left there is cleared away.

    Raises:
        InputError: a file stands where a folder is needed, the name is none that the system takes, or it refuses to
            write there; it says why.
    """
    try:
        _check_place(path)
    except OSError as error:
        raise InputError(f"{path} could not be written ({error.strerror}); give another place.") from error


def _check_place(path: Path) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        path.stat()  # a name too long, or a loop of links
    # A link is followed, as it is when the file is written.
    above = next(parent for parent in Path(os.path.realpath(path)).parents if parent.exists())
    if not above.is_dir():
        raise InputError(f"{path} could not be written, since {above} is a file; give another place.")
    sweep(above)
    try:
        check_takes_files(above)
    except OSError as error:
        raise InputError(f"{path} could not be written in {above} ({error.strerror}); give another place.") from error
