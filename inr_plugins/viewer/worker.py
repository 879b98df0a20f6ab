"""A thread that does one thing whenever it is asked to: what panels have done beside training and drawing."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable

from inr_plugins.viewer.budget import settle_thread


class Worker(threading.Thread):
    """Calls a function after each time that it was asked; once, where it was asked several times meanwhile.

    It starts when it is first asked, sleeps until then, and ends with `close`.
    """

    def __init__(
        self, call: Callable[[], None], *, fail: Callable[[str, str], None], name: str, every: float = 0.0
    ) -> None:
        """
        Args:
            call: what it does.
            fail: is given the sentence of an exception, and its traceback; the thread goes on.
            name: of the thread.
            every: seconds between two calls, at the least.
        """
        super().__init__(name=f"viewer {name}", daemon=True)
        self._call, self._fail, self._every = call, fail, every
        self._asked = threading.Event()
        self._starting = threading.Lock()
        self._running = True

    def ask(self) -> None:
        """Have it done soon; returns at once."""
        self._asked.set()
        with self._starting:
            if self.ident is None and self._running:
                self.start()

    def run(self) -> None:
        """Wait to be asked, until closed."""
        settle_thread()
        while True:
            self._asked.wait()
            if not self._running:
                return
            self._asked.clear()
            begun = time.monotonic()
            try:
                self._call()
            except Exception as error:
                self._fail(f"{type(error).__name__}: {error}", traceback.format_exc())
            left = begun + self._every - time.monotonic()
            while left > 0 and self._running:
                time.sleep(min(0.1, left))
                left = begun + self._every - time.monotonic()

    def close(self) -> None:
        """End it after what it is doing; does not wait for more than two seconds."""
        with self._starting:
            self._running = False
        self._asked.set()
        if self.is_alive() and threading.current_thread() is not self:
            self.join(2.0)
