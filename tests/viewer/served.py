"""A panel of a model on a real viser server, without nerfstudio's viewer around it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import viser
from viewer.fake_viewer import FakePage, FakeViewer

from inr_plugins.viewer import background
from inr_plugins.viewer.live import LiveViewer
from inr_plugins.viewer.panel import Panel


class Served:
    """The panel, what is around it, and what the server has been told to show."""

    def __init__(self, model: Any, panel: Panel, *, trainer: Any = "training", datamanager: Any = None) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.viewer = FakeViewer(model, trainer=trainer)
        if datamanager is not None:
            self.viewer.pipeline.datamanager = datamanager
        self.viewer.viser_server = viser.ViserServer(host="127.0.0.1", port=self.port, verbose=False)
        self.live, self.panel, self.points = LiveViewer(self.viewer), panel, {}
        scene = self.viewer.viser_server.scene
        add = scene.add_point_cloud

        def add_point_cloud(name: str, points: Any, colors: Any, **options: Any) -> Any:
            self.points[name] = (points, colors)
            handle = add(name, points, colors, **options)
            remove = handle.remove
            handle.remove = lambda: (self.points.pop(name), remove())
            return handle

        scene.add_point_cloud = add_point_cloud
        with mock.patch.object(background, "FOLLOWED_EVERY", 0.1):
            panel.install(self.live, order=-1.0)

    def open(self, page: FakePage | None = None) -> FakePage:
        """A page without a browser; frames of it come to its `frames`."""
        page = page or FakePage(0)
        self.viewer.open(page)
        return page


@contextmanager
def served(model: Any, panel: Panel, *, trainer: Any = "training", datamanager: Any = None) -> Iterator[Served]:
    """A panel while its server runs."""
    made = Served(model, panel, trainer=trainer, datamanager=datamanager)
    try:
        yield made
    finally:
        made.live.close()
        made.viewer.viser_server.stop()


def eventually(condition: Any, seconds: float = 30.0) -> bool:
    """Whether a condition comes true in time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True
