"""How torch's threads wait for one another on a CPU that other programs use too."""

from __future__ import annotations

import os
import sys
import threading
from functools import cache

import torch

WAIT_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""Environment variables that decide how threads wait; where one is set, nothing is done here."""
_PARALLEL = 1 << 20
"""Elements that torch does not leave to one thread."""


@cache
def wait_without_spinning() -> bool:
    """Let torch's threads give the processor away while they wait, if all processors are theirs; once a process.

    torch's wheels for Linux bring GNU's OpenMP, whose threads spin for about a millisecond at the end of each parallel
    operation. When another program (a browser with the viewer, a second training) keeps one of two processors, the
    threads take turns at spinning for one another, and steps become five to ten times slower rather than two. What
    decides it is read from the environment before any code of ours runs. But GNU's OpenMP spins a three-hundredth as
    long when it has made more threads than there are processors: a second team, made here by a thread that then
    sleeps for good, is all it takes. The price is the cost of waking a thread, see docs/measurements.md.

    Returns:
        Whether that was done. Not where the environment decides, not on other systems, and not where torch leaves
        processors free, as it does on those with two threads a core.
    """
    if any(os.environ.get(name) for name in WAIT_VARIABLES) or not sys.platform.startswith("linux"):
        return False
    if not 1 < len(os.sched_getaffinity(0)) == torch.get_num_threads():
        return False
    made = threading.Event()

    def sleep_with_a_team() -> None:
        torch.ones(_PARALLEL).add_(1)
        made.set()
        threading.Event().wait()

    threading.Thread(target=sleep_with_a_team, name="idle OpenMP team", daemon=True).start()
    made.wait()
    return True
