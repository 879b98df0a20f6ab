"""Which of its files a command has written, told from the files themselves: true whenever it is stopped."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


class OutputFiles:
    """The files that a command means to write. Each is written whole, under another name first, and then renamed."""

    def __init__(self) -> None:
        self._before: dict[Path, tuple[int, ...] | None] = {}

    def expect(self, paths: Iterable[Path]) -> None:
        """Files that will be written from now on, and may be there already."""
        self._before |= {path: _identity(path) for path in paths}

    def written(self) -> list[Path]:
        """Those that have been written since."""
        return [path for path, before in self._before.items() if _identity(path) not in (None, before)]

    def in_words(self) -> str:
        """What is written and what is not, as the end of a sentence."""
        written = self.written()
        missing = [path for path in self._before if path not in written]
        if not written:
            return "nothing was written"
        return _counted(written, "written") + (f", {_counted(missing, 'not')}" if missing else "")


def _identity(path: Path) -> tuple[int, ...] | None:
    """What a rename onto this path changes; None where there is nothing."""
    with suppress(OSError):
        found = os.stat(path)
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
    return None


def _counted(paths: list[Path], what: str) -> str:
    return f"{' and '.join(map(str, paths))} {'is' if len(paths) == 1 else 'are'} {what}"
