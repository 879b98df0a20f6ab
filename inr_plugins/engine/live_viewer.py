"""nerfstudio's live viewer beside a training: it lets go of a training that is told to stop, and its threads end.

With a page open, its threads render in torch. A training waits for them, for ever while somebody moves the camera; and
Python, when it ends around them, dies of `terminate called without an active exception`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from nerfstudio.viewer import viewer as stock
from nerfstudio.viewer.viewer import Viewer

_SECONDS_TO_END = 5.0
_LOOKS = 5


@contextmanager
def while_others_end() -> Iterator[None]:
    """Have viser start in the body although other processes of the machine end meanwhile.

    It looks through all of them for its developers' own server, and lets the error of one that has just gone end the
    training, or whatever else was to have a page.
    """
    module = getattr(getattr(stock, "viser", None), "_client_autobuild", None)
    look = getattr(module, "_check_viser_yarn_running", None)
    if module is None or look is None:
        yield
        return

    def look_again() -> bool:
        for _ in range(_LOOKS):
            try:
                return bool(look())
            except Exception as error:
                # psutil's, which is viser's and not ours.
                if type(error).__name__ != "NoSuchProcess":
                    raise
        return False

    module._check_viser_yarn_running = look_again
    try:
        yield
    finally:
        module._check_viser_yarn_running = look


def let_go(viewer: Any) -> None:
    """Have the pages draw no more, and what they are drawing stop; may be called from a signal handler.

    Args:
        viewer: nerfstudio's viewer; anything else, such as none or its legacy viewer, is left alone.
    """
    if not isinstance(viewer, Viewer):
        return
    # Pages that move are not listened to, and nobody waits until they have moved.
    viewer.ready = False
    viewer.last_move_time = 0
    for renderer in list(viewer.render_statemachines.values()):
        renderer.interrupt_render_flag = True


def end_viewer(viewer: Any, *, seconds: float = _SECONDS_TO_END) -> None:
    """Close the pages' connections, give the port back, and wait for the threads that render.

    Args:
        viewer: nerfstudio's viewer; anything else is left alone.
        seconds: to wait for each of the two at most.
    """
    if not isinstance(viewer, Viewer):
        return
    let_go(viewer)
    close = getattr(viewer, "close", None)
    if close is not None:
        # What has attached itself to the viewer (inr_plugins.viewer.live) ends first.
        close()
    renderers = list(viewer.render_statemachines.values())
    for renderer in renderers:
        renderer.running = False
    end_server(viewer.viser_server._websock_server, seconds)
    latest = time.monotonic() + seconds
    for renderer in renderers:
        # One that has left its drawing and looks at the flag again takes it for the next.
        renderer.interrupt_render_flag = True
        renderer.join(max(latest - time.monotonic(), 0.0))


def end_server(server: Any, seconds: float) -> None:
    """Close viser's server from inside its event loop, which its own stop() reaches into from outside.

    That one also lets messages of open pages in when there are no threads left to take them.
    """
    listening, server._ws_server = server._ws_server, None
    if listening is None:
        return

    async def close() -> None:
        listening.close()
        try:
            await asyncio.wait_for(asyncio.shield(listening.wait_closed()), seconds)
        except asyncio.TimeoutError:
            # Pages that do not answer, or not in time, are left as they are, and not listened to.
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=1.0)

    with suppress(concurrent.futures.TimeoutError):
        asyncio.run_coroutine_threadsafe(close(), server._broadcast_buffer.event_loop).result(seconds + 2.0)
    # Those that are at work end by themselves.
    server._thread_executor.shutdown(wait=False, cancel_futures=True)
