"""How a viewer ends with its process: a thread that comes back from torch to a Python at its end aborts the process.

With `terminate called without an active exception` and SIGABRT, that is, in place of the status that was meant.
"""

from __future__ import annotations

import atexit
import weakref
from typing import Any

from inr_plugins.viewer.budget import wait_for_threads

_SECONDS = 30.0
"""For what draws when the process ends: a piece of a frame, or a bake, on a processor that has much else to do."""


def end_with_process(live: Any) -> None:
    """Close a viewer when the process ends, unless it has been, and wait for what was too busy to end till then.

    ns-viewer closes none; and a page that has just gone, which no viewer knows any more, is drawn for a while yet.

    Args:
        live: the LiveViewer (inr_plugins.viewer.live); it is not kept alive.
    """
    atexit.register(_end, weakref.ref(live))


def _end(live: weakref.ref[Any]) -> None:
    viewer = live()
    if viewer is not None:
        viewer.close()
    wait_for_threads(_SECONDS)
