"""Panels on a real viser server: folders, controls, clicks, and errors as sentences."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest
import viser
from page_client import PageClient
from viewer.fake_viewer import Ball, FakeViewer

from inr_plugins.errors import InputError
from inr_plugins.viewer.live import LiveViewer
from inr_plugins.viewer.panel import Panel


class Doubler(Panel):
    """Doubles numbers, and does not know those above ten."""

    title = "Doubling"

    def build(self) -> None:
        self.number = self.gui.add_slider("Number", min=0, max=20, step=1, initial_value=3, hint="What is doubled.")
        self.result = self.gui.add_markdown("")
        self.button = self.gui.add_button("Double")
        self.button.on_click(self.safely(self._double))

    def close(self) -> None:
        self.number.visible = False

    def _double(self, _) -> None:
        if self.number.value > 10:
            raise ValueError("Numbers go to ten.")
        self.result.content = f"Result: {2 * self.number.value}"


@pytest.fixture
def served():
    """A fake viewer with a real server, and its panel."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    viewer = FakeViewer(Ball())
    viewer.viser_server = viser.ViserServer(host="127.0.0.1", port=port, verbose=False)
    viewer.viser_server.gui.add_button("nerfstudio's own")
    live, panel = LiveViewer(viewer), Doubler()
    panel.install(live, order=-1.0)
    with PageClient(port) as page:
        yield panel, page
    live.close()
    viewer.viser_server.stop()


def control(page: PageClient, label: str) -> dict:
    """The message that made a control or a folder."""
    assert page.wait(lambda: any(each.get("label") == label for each in page.others)), label
    return next(each for each in page.others if each.get("label") == label)


def test_a_panel_stands_above_nerfstudios_controls_and_its_callbacks_run(served):
    panel, page = served
    folder, own = control(page, "Doubling"), control(page, "nerfstudio's own")
    assert folder["order"] < own["order"]
    assert not folder["expand_by_default"]
    assert control(page, "Double")["container_id"] == control(page, "Number")["container_id"] == folder["id"]
    page.send(type="GuiUpdateMessage", id=control(page, "Number")["id"], updates={"value": 7})
    assert page.wait(lambda: panel.number.value == 7)
    page.send(type="GuiUpdateMessage", id=control(page, "Double")["id"], updates={"value": True})
    assert page.wait(lambda: any("Result: 14" in str(each) for each in page.others))


def test_an_error_is_a_sentence_in_the_page_that_asked_and_once_in_the_terminal(served, capsys):
    panel, page = served
    page.send(type="GuiUpdateMessage", id=control(page, "Number")["id"], updates={"value": 11})
    assert page.wait(lambda: panel.number.value == 11)
    page.send(type="GuiUpdateMessage", id=control(page, "Double")["id"], updates={"value": True})
    assert page.wait(lambda: bool(page.notes))
    assert (page.notes[0]["title"], page.notes[0]["body"]) == ("Doubling", "Numbers go to ten.")

    def refuse(_):
        raise InputError("Say a number.")

    notes, double = [], panel.safely(panel._double)
    client = SimpleNamespace(add_notification=lambda title, body, **_: notes.append(body))
    for event in (SimpleNamespace(client=None), SimpleNamespace(client=client)):
        double(event)
        panel.safely(refuse)(event)
    assert notes == ["Numbers go to ten.", "Say a number."]
    said = capsys.readouterr().out
    assert said.count("Doubling: Numbers go to ten.") == said.count("Traceback") == 1
    # What says what to do is for who asked.
    assert "Say a number" not in said


def test_a_panel_is_closed_with_its_page(served):
    panel, _ = served
    assert panel.number.visible
    panel.live.close()
    assert not panel.number.visible
