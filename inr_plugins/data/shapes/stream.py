"""Batches made ahead of training by a background thread, and handed out by the number of their step."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

# A batch is made in well under a second; a thread that takes longer to stop is left to the interpreter.
_JOIN_SECONDS = 10.0


class SampleStream(Generic[T]):
    """What `make` gives for steps 0, 1, 2, ..., made ahead while the caller does something else.

    What :meth:`get` returns depends on the step alone, never on timing or on what was asked for before. The thread
    starts with the first :meth:`get`, and ends with :meth:`close`, when the stream is let go of, or when Python exits,
    whichever comes first: a thread that is inside a library while the interpreter goes away can crash it.

    Args:
        make: gives the batch of a step. It runs in the thread, one call at a time, and must not hold the stream.
        ahead: most batches kept ready, at least 1.

    Attributes:
        waits: times that :meth:`get` had to wait for a step that follows the one before; the first step of all, and one
            after a jump, cannot have been made ahead.
        waited_seconds: how long it waited those times, together.

    Raises:
        ValueError: `ahead` below 1.
    """

    def __init__(self, make: Callable[[int], T], *, ahead: int) -> None:
        if ahead < 1:
            raise ValueError(f"ahead is {ahead}; at least 1 batch must be made ahead.")
        self.waits = 0
        self.waited_seconds = 0.0
        self._expected: int | None = None
        self._worker = _Worker(make, ahead)
        # Holds the worker and not the stream, so that letting go of the stream ends the thread.
        self._finalizer = weakref.finalize(self, self._worker.close)

    def get(self, step: int) -> T:
        """The batch of `step`. After a jump the batches made ahead are thrown away, and made from there on.

        Raises:
            RuntimeError: the stream is closed.
            Exception: what `make` raised for this step; the next call tries again.
        """
        start = time.perf_counter()
        batch, had_to_wait = self._worker.take(step)
        if had_to_wait and step == self._expected:
            self.waits += 1
            self.waited_seconds += time.perf_counter() - start
        self._expected = step + 1
        return batch

    def close(self) -> None:
        """End the thread; batches made ahead are thrown away. Closing twice does nothing."""
        self._finalizer()


class _Worker(Generic[T]):
    """The thread and what it shares with the stream; all of it is touched under `_changed` only.

    `_ready` holds the batches of the steps `_first`, `_first` + 1, ...; a jump empties it and counts `_jumps` up, by
    which the thread knows that what it is making is no longer wanted.
    """

    def __init__(self, make: Callable[[int], T], ahead: int) -> None:
        self._make, self._ahead = make, ahead
        self._changed = threading.Condition()
        self._ready: list[T] = []
        self._first = 0
        self._jumps = 0
        self._error: BaseException | None = None
        self._closed = False
        self._thread: threading.Thread | None = None

    def take(self, step: int) -> tuple[T, bool]:
        """The batch of `step`, and whether it had to be waited for."""
        with self._changed:
            if self._closed:
                raise RuntimeError("The stream is closed, so there are no more batches.")
            self._aim(step)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sample-stream", daemon=True)
                self._thread.start()
            had_to_wait = not self._ready
            self._changed.wait_for(lambda: self._ready or self._error is not None or self._closed)
            if self._ready:
                batch = self._ready.pop(0)
                self._first += 1
                self._changed.notify_all()
                return batch, had_to_wait
            error, self._error = self._error, None
            self._changed.notify_all()
            raise error or RuntimeError("The stream was closed while a batch was waited for.")

    def _aim(self, step: int) -> None:
        """Make `step` the first of the batches in hand, or else the next to be made."""
        behind = step - self._first
        if 0 <= behind <= len(self._ready):
            # A short way ahead, as when one step is left out: what is ready, or in the making, is not wasted.
            del self._ready[:behind]
        else:
            self._ready.clear()
            self._error = None
            self._jumps += 1
        self._first = step
        self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or (self._error is None and len(self._ready) < self._ahead))
                if self._closed:
                    return
                step, jumps = self._first + len(self._ready), self._jumps
            batch: list[T] = []
            error: BaseException | None = None
            try:
                batch.append(self._make(step))
            except BaseException as raised:  # whatever it is, it belongs to whoever asks for the batch
                error = raised
            with self._changed:
                if jumps == self._jumps and not self._closed:
                    self._ready += batch
                    self._error = error
                    self._changed.notify_all()

    def close(self) -> None:
        """End the thread, unless this is it: the garbage collector may run anywhere."""
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_JOIN_SECONDS)
