"""Threads that draw one frame together: what somebody waits for who has stopped moving the camera."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from inr_plugins.viewer.budget import settle_thread
from inr_plugins.viewer.frames import Frame

_MOST = 4
_LOOK_AGAIN = 0.5

Piece = tuple[int, float]
"""Rays that have been drawn, and the seconds that took by some clock."""
Hold = Callable[[], AbstractContextManager[object]]
Clock = Callable[[], float]


def usual_size() -> int:
    """Threads for a frame on the processors that this process may use."""
    able = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(_MOST, able)


class Share:
    """A frame that several threads draw, piece by piece."""

    def __init__(self, frame: Frame, rays_at_once: Callable[[], int], hold: Hold, clock: Clock) -> None:
        """
        Args:
            frame: what is drawn.
            rays_at_once: asked for the size of each piece.
            hold: held by a thread while it draws a piece.
            clock: read by a thread before a piece and after it.
        """
        self._frame, self._rays_at_once, self._hold, self._clock = frame, rays_at_once, hold, clock
        self._drawn: queue.SimpleQueue[Piece | Exception] = queue.SimpleQueue()
        self._is_wanted, self._left = True, len(frame)

    def pieces(self) -> Iterator[Piece]:
        """Draw in the calling thread, and yield each piece that has been drawn."""
        while self._is_wanted:
            clock = self._clock()
            with self._hold():
                rays = self._frame.fill(self._rays_at_once())
            if rays == 0:
                return
            yield rays, self._clock() - clock

    def work(self) -> None:
        """Draw, for somebody who awaits it."""
        try:
            for piece in self.pieces():
                self._drawn.put(piece)
        except Exception as error:
            self._drawn.put(error)

    def awaited(self, is_there: Callable[[], bool]) -> Iterator[Piece]:
        """Each piece that others have drawn, until the frame is whole; raises what they could not draw for.

        Args:
            is_there: whether anybody draws at all; looked at where nothing comes.
        """
        try:
            while self._left > 0:
                try:
                    found = self._drawn.get(timeout=_LOOK_AGAIN)
                except queue.Empty:
                    if is_there():
                        continue
                    return
                if isinstance(found, Exception):
                    raise found
                self._left -= found[0]
                yield found
        finally:
            self._is_wanted = False


class Crew:
    """Some threads that draw with one processor each, and do not give way to training as a page's own thread does.

    A frame for which they have no time is drawn by the thread that wants it.
    """

    def __init__(self, size: int) -> None:
        """
        Args:
            size: number of threads; with one or none, the thread that wants a frame draws it.
        """
        self._jobs: queue.SimpleQueue[Share | None] = queue.SimpleQueue()
        self._lent, self._starting = threading.Lock(), threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, name=f"viewer crew {number}", daemon=True)
            for number in range(size if size > 1 else 0)
        ]
        self._running = True

    def start(self) -> None:
        """Have the threads wait for frames; again does nothing.

        They are as nice as the thread that calls this: one that draws for a page has given way already.
        """
        with self._starting:
            if self._running and self._threads and self._threads[0].ident is None:
                for thread in self._threads:
                    thread.start()

    def draw(self, share: Share) -> Iterator[Piece]:
        """Each piece of a frame that has been drawn, by whom it may be; ends early where the crew has ended."""
        if not self._is_there() or not self._lent.acquire(blocking=False):
            yield from share.pieces()
            return
        try:
            for _ in self._threads:
                self._jobs.put(share)
            yield from share.awaited(self._is_there)
        finally:
            self._lent.release()

    def _is_there(self) -> bool:
        return self._running and any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        settle_thread(gives_way=False)
        while True:
            share = self._jobs.get()
            if share is None:
                return
            share.work()

    def close(self) -> list[threading.Thread]:
        """End them after the pieces at hand; the threads to wait for."""
        with self._starting:
            self._running = False
        for _ in self._threads:
            self._jobs.put(None)
        return [thread for thread in self._threads if thread.ident is not None]
