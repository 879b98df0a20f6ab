"""How much of the processors pages may have, and what a frame of some size is going to cost."""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable

import numpy as np
import torch

_NICENESS = 3
"""Of threads that draw: where they and training want the same processor, training has about two thirds."""
_LEAST_SHARE = 0.02
_LEAST_TOLL, _TOLL_OF_ONE = 0.2, 2.5
"""Limits of what is believed of a toll; that of one processor, half of it on two."""
_WINDOWS, _SHORTEST_WINDOW, _LONGEST_WINDOW = 40, 1.0, 20.0
"""Windows of steps that count, and seconds of one: longer ones hold an evaluation or a pause."""
_TRUST = 0.3
"""What the guess of a toll weighs: as much as some ten windows, half of which were drawn in for a third."""
_COUNTED = 0.7
"""Part of what refreshes cost training that is drawing; the rest is copies of the model, and waiting for Python's lock.
Planned without it, 15 % were 27 and 33 (diner, nid-shapes)."""
_MOVING_LOSS, _MOVING_SHARES = 0.5, (0.65, 0.8)
"""Part of its speed that training loses to a moving camera, and the least and the largest share of one processor for
that: with less, pictures of expensive methods come less than four times a second."""
_ERRAND_LOSS, _LEAST_ERRAND_LOSS = 0.5, 0.15
"""Part of its speed that training loses to an errand and to refreshes together, and to the errand alone; 0.6 with what
is not counted, such as waiting for Python's lock."""
_LEAST_PIECE = 256
"""Rays. What each piece costs however few they are, such as the steps of sphere tracing, must not make them fewer."""

_drawing: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def settle_thread(*, gives_way: bool = True) -> None:
    """Have the calling thread draw with one processor, and give way to training where the system knows how.

    torch counts threads per thread, but begins with what any thread was told last; another thread puts that back, so
    that threads which begin later are as they would have been.

    Args:
        gives_way: whether training has more of a processor that both want.
    """
    _drawing.add(threading.current_thread())
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    restorer = threading.Thread(target=torch.set_num_threads, args=(usual,))
    restorer.start()
    restorer.join()
    if gives_way and sys.platform.startswith("linux"):
        # Another program may already have made this process nicer than that, from which there is no way back.
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(19, nice + _NICENESS))


def wait_for_threads(seconds: float) -> None:
    """Wait until all threads that draw have ended, which have been told to; no longer than so many seconds.

    For when the process ends: a thread that comes back from torch to a Python that takes itself apart aborts all.
    """
    until = time.monotonic() + seconds
    for thread in list(_drawing):
        if thread is not threading.current_thread():
            thread.join(max(0.0, until - time.monotonic()))
            # In vain or not, once: each viewer of the process asks for this when it ends.
            _drawing.discard(thread)


class Budget:
    """The processor time of all pages together.

    While training goes on, what is drawn without being waited for (refreshes) may cost training the part of its speed
    that the slider "Train Util" leaves: 0.85, where it stands at first, leaves 15 %. What a second of drawing costs is
    learnt from training's own speed (`Toll`). A moving camera has most of one processor, less where that would cost
    training more than half; the first sharp frame after it has stopped is waited for, and a crew draws it (`Crew`).
    """

    def __init__(self, train_util: Callable[[], float], *, toll: Toll | None = None) -> None:
        """
        Args:
            train_util: the part of its speed that training is to keep, in [0, 1].
            toll: what drawing costs training; a new one by default.
        """
        self._train_util = train_util
        self.toll = Toll() if toll is None else toll
        self._lock = threading.Lock()
        self._free_at: dict[str, float] = {}

    @property
    def still_share(self) -> float:
        """The share of one processor for refreshes."""
        allowed = 1.0 - self._train_util()
        return 1.0 if allowed >= 1 else max(_LEAST_SHARE, min(1.0, _COUNTED * allowed / self.toll.estimate))

    def share(self, kind: str) -> float:
        """The share of one processor for frames that are "moving", "sharp" or "refresh", and for an "errand"."""
        if kind == "errand":
            return self._errand_share
        return max(self.still_share, {"moving": self._moving_share, "sharp": 1.0}.get(kind, 0.0))

    @property
    def _moving_share(self) -> float:
        least, most = _MOVING_SHARES
        return min(max(_MOVING_LOSS / self.toll.estimate, least), most)

    @property
    def _errand_share(self) -> float:
        """For what somebody waits for that takes long, such as a mesh: what refreshes leave of half of training."""
        refreshes = 1.0 - self._train_util()
        loss = max(_ERRAND_LOSS - refreshes, _LEAST_ERRAND_LOSS)
        return 1.0 if refreshes >= 1 else max(_LEAST_SHARE, min(1.0, loss / self.toll.estimate))

    @property
    def owed(self) -> float:
        """Seconds to wait before a refresh may begin."""
        return max(0.0, self._free_at.get("refresh", 0.0) - time.monotonic())

    def forgive(self) -> None:
        """Let the next refresh begin at once: somebody waits for it."""
        with self._lock:
            self._free_at.clear()

    def spend(self, seconds: float, kind: str, *, took: float) -> float:
        """Take note of processor time that was used within the last `took` seconds, and say for how long to wait now.

        What others have used of that time, because they wanted the same processor, has been waited for already.
        """
        now = time.monotonic()
        if kind == "sharp":
            # Several threads draw it, which give way to nobody: what that costs says nothing of other frames.
            self.toll.leave_out()
        else:
            self.toll.note_drawing(seconds)
        with self._lock:
            free_at = max(self._free_at.get(kind, 0.0), now - took) + seconds / self.share(kind)
            if self.share(kind) >= 1:
                free_at = min(free_at, now)
            self._free_at[kind] = free_at
            return max(0.0, free_at - now)


class Toll:
    """What drawing costs training: the part of its speed that is lost while one processor is drawn on all the time.

    Above 1 where training's threads wait for each other, far below where there are many processors. The slope of steps
    a second over the share that is drawn, in windows of a second, by least squares, mixed with a guess.
    """

    def __init__(self, guess: float | None = None) -> None:
        """
        Args:
            guess: before anything has been seen, and to be mixed with that; by default that of so many processors.
        """
        self._guess = min(max(_TOLL_OF_ONE / (os.cpu_count() or 1), _LEAST_TOLL), 0.5 * _TOLL_OF_ONE)
        self._guess = self._guess if guess is None else guess
        self._lock = threading.Lock()
        self._windows: deque[tuple[float, float]] = deque(maxlen=_WINDOWS)
        self._begun: float | None = None
        self._steps, self._drawn = 0, 0.0
        self.estimate = self._guess
        """The newest."""

    def note_drawing(self, seconds: float) -> None:
        """So much processor time has been drawn for."""
        with self._lock:
            self._drawn += seconds

    def leave_out(self) -> None:
        """Training is not as fast as usual: what steps take now is not to count."""
        with self._lock:
            self._begun = None

    def note_step(self, *, at: float | None = None) -> None:
        """Training has done a step, at a time in seconds; now by default."""
        now = time.monotonic() if at is None else at
        with self._lock:
            if self._begun is None or now - self._begun > _LONGEST_WINDOW:
                # Evaluations and pauses are no steps.
                self._begun, self._steps, self._drawn = now, 0, 0.0
                return
            self._steps += 1
            seconds = now - self._begun
            if seconds < _SHORTEST_WINDOW:
                return
            self._windows.append((self._drawn / seconds, self._steps / seconds))
            self._begun, self._steps, self._drawn = now, 0, 0.0
            self.estimate = self._estimate()

    def _estimate(self) -> float:
        share, speed = np.array(self._windows).T
        apart = share - share.mean()
        told = float((apart**2).sum())
        if told <= 0:
            return self._guess
        slope = float((apart * speed).sum()) / told
        alone = float(speed.mean()) - slope * float(share.mean())
        seen = -slope / alone if alone > 0 else self._guess
        seen = min(max(seen, _LEAST_TOLL), _TOLL_OF_ONE)
        return (told * seen + _TRUST * self._guess) / (told + _TRUST)


class PieceSize:
    """How many rays to draw at once: a moved camera waits for a piece of the frame that it has made useless."""

    def __init__(self, most: Callable[[], int], *, seconds: float = 0.06) -> None:
        """
        Args:
            most: rays that memory is there for.
            seconds: that a piece is to take.
        """
        self._most, self._seconds = most, seconds
        self._rays = float(_LEAST_PIECE)

    def rays(self) -> int:
        """For the next piece."""
        return max(1, min(self._most(), round(self._rays)))

    def doubt(self) -> None:
        """Begin with a small one: what is drawn next may be of rays that take much longer than those so far."""
        self._rays = min(self._rays, 2.0 * _LEAST_PIECE)

    def note(self, rays: int, seconds: float) -> None:
        """Take in how long a piece took; what is less than half of a whole one says nothing of larger ones."""
        if rays < self.rays() / 2 and seconds < self._seconds:
            return
        # Down at once: rays of a model that has begun to show something may take a hundred times as long.
        factor = min(self._seconds / max(seconds, 1e-6), 4.0)
        if seconds < 3 * self._seconds:
            # What each piece costs however few its rays are must not keep pieces small: a frame has that many times.
            factor = max(factor, 1.5 if seconds < 1.5 * self._seconds else 1.0)
        self._rays = min(max(rays * factor, float(_LEAST_PIECE)), float(self._most()))


class Cost:
    """What a frame costs: a part that every frame has, and a part for each ray; learnt from the frames drawn."""

    def __init__(self) -> None:
        self._small: tuple[int, float] | None = None
        self._large: tuple[int, float] | None = None

    def note(self, rays: int, seconds: float) -> None:
        """Take in that a frame of so many rays took so long, of which frames of another size are told apart."""
        if rays <= 0:
            return
        if self._small is None or rays <= self._small[0] * 1.5:
            self._small = _mixed(self._small, rays, seconds)
        elif self._large is None or rays >= self._large[0] / 2:
            self._large = _mixed(self._large, rays, seconds)

    def learn_anew(self, rays: int, seconds: float) -> None:
        """Forget what frames have cost: so many rays have taken so long by now."""
        self._small, self._large = (max(1, rays), seconds), None

    @property
    def is_known(self) -> bool:
        """Whether any frame has been drawn."""
        return self._small is not None

    def of(self, rays: int) -> float:
        """Seconds that a frame of so many rays will take; 0 while nothing is known."""
        fixed, each = self._line()
        return fixed + each * rays

    def rays_for(self, seconds: float) -> int:
        """Rays that so many seconds are enough for."""
        fixed, each = self._line()
        return int(max(0.0, seconds - fixed) / each) if each > 0 else 1 << 30

    def _line(self) -> tuple[float, float]:
        if self._small is None:
            return 0.0, 0.0
        (few, short) = self._small
        if self._large is None or self._large[0] < 2 * few:
            return 0.0, short / few
        many, long = self._large
        each = max((long - short) / (many - few), 0.2 * long / many)
        return max(0.0, short - each * few), each


def _mixed(old: tuple[int, float] | None, rays: int, seconds: float) -> tuple[int, float]:
    """The newest size; its time smoothed with that of the old size, in proportion."""
    if old is None or not 0.5 < old[0] / rays < 2:
        return rays, seconds
    return rays, 0.5 * seconds + 0.5 * old[1] * rays / old[0]
