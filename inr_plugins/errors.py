"""The one exception for mistakes that the user can mend. Every layer may import this module."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input or a bad option: one sentence that names the file or option and says what to do.

    Commands turn it into that sentence on standard error and a non-zero exit; Python callers catch it as a ValueError.
    """
