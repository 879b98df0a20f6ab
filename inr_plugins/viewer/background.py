"""What panels have done beside training and drawing, each in a thread of its own: when asked, or for each snapshot."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from inr_plugins.errors import InputError
from inr_plugins.viewer.budget import settle_thread
from inr_plugins.viewer.snapshot import Snapshot

FOLLOWED_EVERY = 2.0
"""Seconds between two updates of what follows snapshots, at the least."""


class Worker(threading.Thread):
    """Calls a function after each time that it was asked; once, where it was asked several times meanwhile.

    It starts when it is first asked, sleeps until then, and ends with `close`. What the function raises is told to
    `fail` and, once, in the terminal; the thread goes on.
    """

    def __init__(
        self, live: Any, call: Callable[[], None], *, fail: Callable[[str], None], name: str, every: float = 0.0
    ) -> None:
        """
        Args:
            live: the LiveViewer that tells the terminal.
            call: what it does.
            fail: is given a sentence for each exception.
            name: of the thread, and of who is in trouble.
            every: seconds between two calls, at the least.
        """
        super().__init__(name=f"viewer {name}", daemon=True)
        self._live, self._call, self._fail, self._who, self._every = live, call, fail, name, every
        self._asked, self._hurries = threading.Event(), threading.Event()
        self._starting = threading.Lock()
        self._running = True

    def ask(self, *, at_once: bool = False) -> None:
        """Have it done soon, or now, however short a time ago it was done last; does not wait for it."""
        self._asked.set()
        if at_once:
            self._hurries.set()
        with self._starting:
            if self.ident is None and self._running:
                self.start()

    def run(self) -> None:
        """Wait to be asked, until closed."""
        settle_thread()
        while True:
            self._asked.wait()
            # In this order: what is asked for after the second is done by the next call, and a hurry of it remembered.
            self._hurries.clear()
            self._asked.clear()
            if not self._running:
                return
            begun = time.monotonic()
            try:
                self._call()
            except Exception as error:
                self._tell(error)
            self._hurries.wait(max(0.0, begun + self._every - time.monotonic()))

    def _tell(self, error: Exception) -> None:
        # What is no sentence, such as the key of a KeyError, says nothing without its kind.
        sentence = str(error) if str(error).endswith(".") else f"{type(error).__name__}: {error}"
        self._live.log_once(f"{self._who}: {sentence}", "" if isinstance(error, InputError) else traceback.format_exc())
        self._fail(sentence)

    def close(self) -> None:
        """End it after what it is doing; does not wait for more than two seconds."""
        with self._starting:
            self._running = False
        self._asked.set()
        self._hurries.set()
        if self.is_alive() and threading.current_thread() is not self:
            self.join(2.0)


class Follower:
    """Calls `update(snapshot)` for the newest snapshot while it is on; nothing is spent while it is off.

    What panels have changed of a snapshot for drawing is the same snapshot to those who follow. An update that fails is
    tried again with the next one.
    """

    def __init__(
        self,
        live: Any,
        update: Callable[[Snapshot], None],
        *,
        fail: Callable[[str], None],
        name: str,
        seconds: float | None = None,
    ) -> None:
        """
        Args:
            live: the LiveViewer whose snapshots are followed.
            update: what is done for each; one at a time.
            fail: is given a sentence for what an update raises.
            name: of the thread, and of who is in trouble.
            seconds: between two updates, at the least; None: `FOLLOWED_EVERY`.
        """
        self._live, self._update, self._is_on = live, update, False
        every = FOLLOWED_EVERY if seconds is None else seconds
        self._worker = Worker(live, self._look, fail=fail, name=name, every=every)
        live.after_snapshot.append(self._follow)

    def switch(self, on: bool) -> None:
        """Begin or end to follow; the last snapshot is taken up at once, anew if it was on already."""
        self._is_on = on
        if on:
            self._worker.ask(at_once=True)

    def close(self) -> None:
        """End the thread; takes two seconds at the most."""
        self._is_on = False
        self._worker.close()

    def _follow(self) -> None:
        if self._is_on:
            self._worker.ask()

    def _look(self) -> None:
        snapshot = self._live.snapshot
        if self._is_on and snapshot is not None:
            self._update(snapshot.source or snapshot)
