"""Libraries that take over what a signal does, and do not give it back."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def sigterm_kept() -> Iterator[None]:
    """What SIGTERM does is at the end what it was at the start: pycolmap changes it when imported, Ray when begun."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        # Only the main thread may say what a signal does; None is what Python did not set.
        if threading.current_thread() is threading.main_thread() and before is not None:
            signal.signal(signal.SIGTERM, before)
