"""What is sent to a page arrives in the order in which it was sent: viser's own queue lets late messages overtake.

viser (0.2.7, which nerfstudio pins) sends a message at once where nobody else is sending, and has it sent by another
thread where somebody is. A later message of the same thread may then go first, and as messages of one control replace
each other, the older one stays: a panel says "The target is being made ready." for ever.
"""

from __future__ import annotations

from collections import deque
from typing import Any

_NEEDED = ("_atomic_lock", "_record_handle", "_thread_executor", "unsafe_send_message", "on_client_connect")
"""What viser's server must have for this module to attach to it."""


def keep_order(server: Any) -> None:
    """Have a server, and each page that opens from now on, send in order; what is not viser's server is left alone."""
    handler: Any = getattr(server, "_websock_server", None)
    if not all(hasattr(handler, name) for name in _NEEDED):
        return
    _send_in_order(handler)
    handler.on_client_connect(_send_in_order)


def _send_in_order(handler: Any) -> None:
    """Give a handler one line to wait in, whoever sends; messages inside of `atomic` wait for its end as before."""
    waiting: deque[Any] = deque()

    def send_all(*, wait: bool) -> bool:
        if not handler._atomic_lock.acquire(blocking=wait):
            return False
        try:
            # Only who holds the lock takes from the line, so that what was put there first goes first.
            while waiting:
                handler.unsafe_send_message(waiting.popleft())
        finally:
            handler._atomic_lock.release()
        return True

    def queue_message(message: Any) -> None:
        if handler._record_handle is not None:
            handler._record_handle._insert_message(message)
        waiting.append(message)
        if not send_all(wait=False):
            handler._thread_executor.submit(send_all, wait=True)

    handler.queue_message = queue_message
