"""A fake viewer with a real server of viser's, a page that is no browser, and what a person does with its controls."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import viser
from page_client import PageClient
from viewer.fake_viewer import FakePage, FakeViewer

from inr_plugins.viewer import background
from inr_plugins.viewer.live import LiveViewer
from inr_plugins.viewer.panel import Panel


class ServedPage:
    """A page in which a panel stands."""

    def __init__(self, viewer: FakeViewer, live: LiveViewer, page: PageClient) -> None:
        self.viewer, self.live, self.page = viewer, live, page

    def control(self, label: str) -> dict[str, Any]:
        """The newest message that made a control of that label."""
        assert self.page.wait(lambda: any(each.get("label") == label for each in self.page.others)), label
        return next(each for each in reversed(self.page.others) if each.get("label") == label)

    def set(self, label: str, value: Any) -> None:
        """As somebody who moves a slider, chooses or clicks (True)."""
        self.page.send(type="GuiUpdateMessage", id=self.control(label)["id"], updates={"value": value})

    def says(self, text: str, seconds: float = 30.0) -> bool:
        """Whether the page is sent something that holds a text."""
        return self.page.wait(lambda: any(text in str(each) for each in self.page.others), seconds)


@contextmanager
def served_page(model: Any, panel: Panel, **of_the_data: Any) -> Iterator[ServedPage]:
    """A page of a model with one panel; its first snapshot has been taken."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    viewer = FakeViewer(model)
    # Nothing is drawn: snapshots are taken, and tests ask those.
    viewer.ready = False
    vars(viewer.pipeline.datamanager).update(of_the_data)
    viewer.viser_server = _server(port)
    live = LiveViewer(viewer)
    with mock.patch.object(background, "FOLLOWED_EVERY", 0.1):
        panel.install(live, order=-1.0)
    try:
        with PageClient(port) as page:
            viewer.open(FakePage())
            viewer.update_scene(0)
            yield ServedPage(viewer, live, page)
    finally:
        live.close()
        viewer.viser_server.stop()


def _server(port: int) -> viser.ViserServer:
    while True:
        try:
            return viser.ViserServer(host="127.0.0.1", port=port, verbose=False)
        except Exception as error:
            # viser looks at all processes of the machine (psutil), of which one may have ended meanwhile.
            if type(error).__name__ != "NoSuchProcess":
                raise
