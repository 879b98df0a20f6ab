"""What a process that trains tells the one that has started it; nothing where it was not started for that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

Kind = Literal["started", "released", "sentence", "lost", "trace"]


class Report(NamedTuple):
    """What a process says.

    Attributes:
        rank: its number among all.
        kind: training has begun; nothing more will be written; or how it failed: by a mistake of the user's, as one
            that others have left, or by an error, with its trace.
        text: the sentence or the trace.
    """

    rank: int
    kind: Kind
    text: str = ""


_send: Callable[[Kind, str], None] | None = None


def send_by(send: Callable[[Kind, str], None] | None) -> None:
    """Have :func:`tell` call `send`."""
    global _send
    _send = send


def tell(kind: Kind, text: str = "") -> None:
    """Tell the process that has started this one, if there is one."""
    if _send is not None:
        _send(kind, text)
