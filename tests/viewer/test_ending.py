"""What still draws when a process ends is told to end, and waited for."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import pytest
from long_form import long_form
from viewer.fake_viewer import Ball, FakePage, FakeViewer
from viewer.served import eventually

from inr_plugins.viewer import budget, ending
from inr_plugins.viewer import live as live_module
from inr_plugins.viewer.budget import settle_thread, wait_for_threads
from inr_plugins.viewer.live import attach


@pytest.fixture
def at_exit(monkeypatch):
    """What is to be called when the process ends, with what."""
    called = []
    monkeypatch.setattr(ending.atexit, "register", lambda *what: called.append(what))
    monkeypatch.setattr(live_module, "_SECONDS_TO_CLOSE", 0.05)
    return called


@long_form
@pytest.mark.parametrize("case", ["a page open", "a page gone", "closed in vain"])
def test_no_thread_draws_any_more_when_the_process_ends(at_exit, case):
    model = Ball()
    model.slowness = 0.4
    viewer = FakeViewer(model)
    live, page = attach(viewer), FakePage()
    renderer = viewer.open(page)
    viewer.update_scene(0)
    assert page.wait(lambda _: len(live.snapshot.model.modes) > 0)
    if case == "a page gone":
        viewer.render_statemachines.pop(0).running = False
    if case == "closed in vain":
        live.close()
    threads = [each for each in (renderer, *live.source.close()) if each.is_alive()]
    assert threads
    ((function, *arguments),) = at_exit
    function(*arguments)
    assert not any(each.is_alive() for each in threads)


def test_a_viewer_is_not_kept_for_the_end(at_exit):
    live = attach(FakeViewer(Ball()))
    gone = weakref.ref(live)
    live.close()
    del live
    gc.collect()
    assert gone() is None
    ((function, *arguments),) = at_exit
    function(*arguments)


def test_who_does_not_end_is_waited_for_once():
    """However many viewers there were: each has this done when the process ends."""
    go_on = threading.Event()
    endless = threading.Thread(target=lambda: (settle_thread(), go_on.wait(30)), daemon=True)
    endless.start()
    assert eventually(lambda: endless in budget._drawing)
    begun = time.monotonic()
    for _ in range(100):
        wait_for_threads(0.1)
    assert 0.1 <= time.monotonic() - begun < 5
    go_on.set()
    endless.join()
