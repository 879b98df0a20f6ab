"""Settings of the C library's allocator that make training on a CPU faster."""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from functools import cache

from inr_plugins.machine import resident_bytes

ALLOCATOR_VARIABLE = "INR_ALLOCATOR"
"""Environment variable; the value "system" leaves the allocator alone."""

# Parameters of mallopt, from glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_MAX = -4
_TOP_PAD_BYTES = 256 << 20


@cache
def tune_allocator() -> bool:
    """Let glibc keep freed memory for the next step instead of handing it back to the system; once a process.

    By default each large tensor is a mapping of its own, and every step pays for the page faults of mapping it again:
    a quarter of the time of a method made of large layers. With these settings large blocks come from the heap and
    stay there. The price is a higher peak: memory that is free inside the heap still counts as used by the process,
    which `HeapWatch` undoes now and then. Where memory matters more, the environment variable
    INR_ALLOCATOR=system leaves all as it is.

    Returns:
        Whether the settings were made; False on other C libraries and systems, where nothing is done.
    """
    if os.environ.get(ALLOCATOR_VARIABLE) == "system" or not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    # musl has neither of the two, so this also tells the C libraries apart.
    if not hasattr(library, "gnu_get_libc_version") or not hasattr(library, "mallopt"):
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1), (_M_TOP_PAD, _TOP_PAD_BYTES))
    return all(library.mallopt(ctypes.c_int(name), ctypes.c_int(value)) == 1 for name, value in settings)


def release_free_memory() -> None:
    """Hand what is free inside the heap back to the system, if `tune_allocator` lets it pile up there."""
    if tune_allocator():
        ctypes.CDLL(None).malloc_trim(0)


@dataclass
class HeapWatch:
    """Hands free memory back when it has grown well beyond what a step needs, and no sooner.

    Tensors whose size changes from step to step leave holes that nothing fits into: without this a run of diner grows
    from 3 to 7 GB. But the pages that are handed back have to be mapped again: doing so every 5 steps took a quarter
    of the time of a step.

    Attributes:
        growth: memory is handed back when the process holds this many times what it held after the first step that
            followed the last time.
    """

    growth: float = 1.25
    _base: int | None = None

    def after_step(self) -> bool:
        """Look at the process's memory after a step; whether free memory was handed back."""
        held = resident_bytes()
        if self._base is None:
            self._base = held
            return False
        if held <= self.growth * self._base:
            return False
        release_free_memory()
        self._base = None
        return True
