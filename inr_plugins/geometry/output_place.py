"""Whether a file can be written where it is wanted, asked before the work that makes it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from inr_plugins.errors import InputError


def check_place(path: Path) -> None:
    """Refuse a path whose folder, or the nearest one above it that exists, takes no new file; nothing is left behind.

    Raises:
        InputError: a file stands where a folder is needed, or the system refuses to write there; it says why.
    """
    # A link is followed, as it is when the file is written.
    above = next(parent for parent in Path(os.path.realpath(path)).parents if parent.exists())
    if not above.is_dir():
        raise InputError(f"{path} could not be written, since {above} is a file; give another place.")
    try:
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise InputError(f"{path} could not be written in {above} ({error.strerror}); give another place.") from error
