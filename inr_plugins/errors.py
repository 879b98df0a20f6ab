"""The one exception for mistakes that the user can fix, and the kinds of errors that are nobody's mistake in the code.

Every layer may import this module.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable

_OUT_OF_MEMORY = (
    *("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "bad_alloc"),
    # What is beyond any memory has other words, numpy's and torch's.
    *("array is too big", "storage size calculation overflowed"),
)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


# Characters that no sentence has: around the name of a setting, and between it and its value.
_EDGE, _MIDDLE = "\x1f", "\x1e"
_SETTING = re.compile(f"{_EDGE}([a-z_.]+)(?:{_MIDDLE}([^{_EDGE}{_MIDDLE}]*){_MIDDLE}([^{_EDGE}{_MIDDLE}]*))?{_EDGE}")


def setting(name: str, value: object = None) -> str:
    """A setting in the sentence of an InputError, for Python and for the command line at once.

    `setting("voxel_size")` is `voxel_size` in Python and --voxel-size on the command line, `setting("colour", "views")`
    is colour='views' and --colour views, `setting("closed", False)` is closed=False and --no-closed.

    Args:
        name: as it is called in Python.
        value: what it has, or should have.
    """
    if value is None:
        return f"{_EDGE}{name}{_EDGE}"
    return f"{_EDGE}{name}{_MIDDLE}{value!r}{_MIDDLE}{value}{_EDGE}"


class InputError(ValueError):
    """Bad input or a bad option: one sentence that names the file or setting and says what to do.

    Commands turn it into that sentence on standard error and a non-zero exit; Python callers catch it as a ValueError.
    What is named by `setting` has its name in Python in `str(error)`, and is an option in `on_command_line`.
    """

    def __str__(self) -> str:
        return self._worded(lambda name, shown, _: f"`{name}`" if shown is None else f"{name}={shown}")

    @property
    def on_command_line(self) -> str:
        """The sentence with settings as options."""
        return self._worded(_option)

    @property
    def settings(self) -> list[str]:
        """The names of the settings in the sentence, each once."""
        return list(dict.fromkeys(found[1] for found in _SETTING.finditer(self.marked)))

    @property
    def marked(self) -> str:
        """The sentence with its settings marked, to make another one of."""
        return str(self.args[0]) if self.args else ""

    def _worded(self, word: Callable[[str, str | None, str | None], str]) -> str:
        return _SETTING.sub(lambda found: word(found[1], found[2], found[3]), self.marked)


def _option(name: str, _: str | None, value: str | None) -> str:
    option = name.replace("_", "-")
    if value == "False":
        return f"--no-{option}"
    return f"--{option}" if value in (None, "True") else f"--{option} {value}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory of the machine or of a device did not suffice: Python's, numpy's and torch's errors say so."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, InputError):
        return False
    # torch's own class is another in each of its versions, and on a CPU it is a plain RuntimeError.
    return isinstance(error, RuntimeError | ValueError) and any(word in str(error).lower() for word in _OUT_OF_MEMORY)


def is_out_of_room(error: BaseException) -> bool:
    """Whether a disk took no more: full, over a quota or a file's limit, or for reading only."""
    return isinstance(error, OSError) and error.errno in _NO_ROOM


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no further word")
