"""The one exception for mistakes that the user can mend, and the kinds of errors that are nobody's mistake in the code.

Every layer may import this module.
"""

from __future__ import annotations

import errno

_OUT_OF_MEMORY = (
    *("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "bad_alloc"),
    # What is beyond any memory has other words, numpy's and torch's.
    *("array is too big", "storage size calculation overflowed"),
)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


class InputError(ValueError):
    """Bad input or a bad option: one sentence that names the file or option and says what to do.

    Commands turn it into that sentence on standard error and a non-zero exit; Python callers catch it as a ValueError.
    """


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
