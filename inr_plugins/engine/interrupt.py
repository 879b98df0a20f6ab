"""Ctrl-C, and the SIGTERM of schedulers and of `docker stop`, which ends a program in the same orderly way.

Both do their work once: the second signal ends the process at once, as it would without this module. A handler that
somebody else has set for SIGTERM stays, and so does the wish to ignore it.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


class Terminated(KeyboardInterrupt):
    """Raised in the main thread by SIGTERM, within :func:`sigterm_as_ctrl_c`."""


def exit_status(stop: KeyboardInterrupt) -> int:
    """What a command that was stopped returns: 128 and the number of the signal, 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """While the body runs, the first SIGTERM raises :class:`Terminated`, which is a KeyboardInterrupt.

    Does nothing outside the main thread, where signals cannot be handled.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        raise Terminated

    with _handlers([signal.SIGTERM], handle):
        yield


_Handler = Callable[[int, FrameType | None], object]
_USUAL: dict[int, _Handler | signal.Handlers] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}
# What end_when_told has set.
_OURS: dict[int, _Handler] = {}


def end_when_told(sentence: str) -> None:
    """From now on, the first Ctrl-C or SIGTERM says `sentence` and ends the process as `sys.exit` does.

    Until :func:`sigterm_as_ctrl_c` or :func:`on_first_signal` takes over, after which all is as Python has it. A
    handler that somebody has set for either signal stays. Does nothing outside the main thread.

    Args:
        sentence: what to say on standard error.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        _as_python_has_it()
        # The signal may have come in the middle of a print.
        os.write(2, f"{sentence}\n".encode())
        raise SystemExit(128 + number)

    if threading.current_thread() is threading.main_thread():
        for number, usual in _USUAL.items():
            if signal.getsignal(number) == usual:
                _OURS[number] = handle
                signal.signal(number, handle)


def _as_python_has_it() -> None:
    """Take back what :func:`end_when_told` has set."""
    for number, handler in _OURS.items():
        if signal.getsignal(number) is handler:
            signal.signal(number, _USUAL[number])
    _OURS.clear()


@dataclass
class Stop:
    """What :func:`on_first_signal` has seen.

    Attributes:
        number: the signal that came, or None.
    """

    number: signal.Signals | None = None

    @property
    def is_sigterm(self) -> bool:
        """Whether SIGTERM came."""
        return self.number == signal.SIGTERM


@contextmanager
def on_first_signal(stop: Callable[[signal.Signals], None]) -> Iterator[Stop]:
    """While the body runs, the first Ctrl-C or SIGTERM calls `stop` with the signal.

    Does nothing outside the main thread, where signals cannot be handled.
    """
    seen = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        seen.number = signal.Signals(number)
        stop(seen.number)

    with _handlers([signal.SIGINT, signal.SIGTERM], handle):
        yield seen


@contextmanager
def on_each_signal(
    stop: Callable[[signal.Signals], None], numbers: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM)
) -> Iterator[Stop]:
    """While the body runs, each of these signals calls `stop` with it, as often as it comes.

    Does nothing outside the main thread, where signals cannot be handled.
    """
    seen = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return
    _as_python_has_it()
    process = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() == process:
            seen.number = signal.Signals(number)
            stop(seen.number)
        else:
            # A forked child, which has none of the work.
            os._exit(128 + number)

    usual = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield seen
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)


@contextmanager
def _handlers(numbers: list[signal.Signals], handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """While the body runs, `handle` takes the first of these signals; then, and afterwards, all is as it was."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _as_python_has_it()
    process = os.getpid()
    usual = {number: signal.getsignal(number) for number in numbers}
    if usual.get(signal.SIGTERM) not in (None, signal.SIG_DFL):
        del usual[signal.SIGTERM]

    def restore() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    def first(number: int, frame: FrameType | None) -> None:
        restore()
        if os.getpid() != process:
            # A forked child inherits the handler and none of the work; whoever ends it must not wait for it in vain.
            os.kill(os.getpid(), number)
            return
        handle(number, frame)

    for number in usual:
        signal.signal(number, first)
    try:
        yield
    finally:
        restore()
