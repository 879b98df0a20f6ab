"""What a panel does for each new snapshot, in a thread of its own, for as long as somebody wants to see it."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Any

from inr_plugins.viewer.budget import settle_thread
from inr_plugins.viewer.snapshot import Snapshot


class Follower:
    """Calls `update(snapshot)` for the newest snapshot while it is on; off, there is no thread and nothing is spent.

    An update that fails is named in the terminal once and told to `fail`; the next snapshot is tried again.
    """

    def __init__(
        self,
        live: Any,
        update: Callable[[Snapshot], None],
        *,
        fail: Callable[[Exception], None],
        name: str,
        seconds: float = 1.0,
    ) -> None:
        """
        Args:
            live: the LiveViewer whose snapshots are followed.
            update: what is done for each; one at a time.
            fail: is given what an update raises.
            name: of the thread.
            seconds: between two updates, at the least.
        """
        self._live, self._update, self._fail, self._name, self._seconds = live, update, fail, name, seconds
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._again = threading.Event()
        self._lock = threading.Lock()

    def switch(self, on: bool) -> None:
        """Begin or end to follow; the last snapshot is taken up at once, anew if it was on already."""
        with self._lock:
            if not on:
                self._stop.set()
                self._again.set()
                self._thread = None
            elif self._thread is not None and self._thread.is_alive():
                self._again.set()
            else:
                self._stop, self._again = threading.Event(), threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(self._stop, self._again), name=f"viewer panel {self._name}", daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """End the thread; takes two seconds at the most."""
        thread = self._thread
        self.switch(False)
        if thread is not None and thread is not threading.current_thread():
            thread.join(2.0)

    def _run(self, stop: threading.Event, again: threading.Event) -> None:
        settle_thread()
        last: Snapshot | None = None
        while not stop.is_set():
            snapshot = self._live.snapshot
            # What panels have changed of a snapshot for drawing is the same one to those who read it.
            source = None if snapshot is None else snapshot.source or snapshot
            if source is not None and (source is not last or again.is_set()):
                again.clear()
                last = source
                self._try(source)
            again.wait(self._seconds)

    def _try(self, snapshot: Snapshot) -> None:
        try:
            self._update(snapshot)
        except Exception as error:
            self._live.log_once(f"{self._name}: {error}", traceback.format_exc())
            self._fail(error)
