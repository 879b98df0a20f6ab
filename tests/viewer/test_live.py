"""Pages draw while training goes on, from what training was at some step, and neither waits for the other."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from long_form import long_form
from nerfstudio.data.scene_box import OrientedBox
from nerfstudio.model_components import renderers
from viewer.fake_viewer import Ball, FakePage, FakeViewer

from inr_plugins.rendering.crop import cuts_off
from inr_plugins.viewer import live as module
from inr_plugins.viewer.live import attach
from inr_plugins.viewer.snapshot import generic_copy


@pytest.fixture
def opened():
    """A function that opens a page on a model; what it opens is closed in the end."""
    lives = []

    def open_page(model=None, **options):
        viewer = FakeViewer(model or Ball(), **options)
        live = attach(viewer)
        lives.append(live)
        page = FakePage()
        viewer.open(page)
        return viewer, live, page

    yield open_page
    for live in lives:
        live.close()


def is_sharp(page: FakePage) -> bool:
    return bool(page.frames) and page.frames[-1]["rgb"].shape[1] == 96


def test_a_frame_is_the_picture_of_the_model(opened):
    """A ball of radius 1/2 at distance 3, seen at 60 degrees, covers a disc of a radius that is known."""
    viewer, _, page = opened()
    viewer.update_scene(0)
    assert page.wait(is_sharp)
    outputs = page.frames[-1]
    seen = outputs["accumulation"][..., 0] > 0.5
    assert float(seen.sum()) == pytest.approx(disc(0.5), rel=0.03)
    torch.testing.assert_close(outputs["rgb"][48, 48], torch.tensor([0.8, 0.2, 0.1]))
    torch.testing.assert_close(outputs["rgb"][0, 0], torch.ones(3))
    # Along the axis the ball is 2.5 away; what is not hit lies behind the box, and hides nothing else that is shown.
    assert float(outputs["gl_z_buf_depth"][48, 48]) == pytest.approx(2.5, abs=0.01)
    assert float(outputs["gl_z_buf_depth"][0, 0]) > 100
    assert float(outputs["depth"][0, 0]) > 3 + 1


def test_training_is_seen_and_not_touched(opened):
    viewer, live, page = opened()
    model = viewer.pipeline.model.train()
    viewer.update_scene(0)
    assert page.wait(is_sharp)
    with torch.no_grad():
        model.colour.copy_(torch.tensor([0.0, 1.0, 0.0]))
    time.sleep(0.1)
    torch.testing.assert_close(page.frames[-1]["rgb"][48, 48], torch.tensor([0.8, 0.2, 0.1]))
    live.pace.taken_at -= 10
    viewer.update_scene(1)
    assert page.wait(lambda page: bool(page.frames[-1]["rgb"][48, 48, 1] > 0.9))
    assert model.training
    assert model.modes == []
    assert "Step: 1" in viewer.make_stats_markdown(None, None)


@long_form
def test_training_waits_for_no_frame(opened):
    viewer, live, page = opened(Ball())
    viewer.pipeline.model.slowness = 1.0
    viewer.update_scene(0)
    assert page.wait(lambda page: live.source._preparer._count > 0)
    live.pace.taken_at -= 10
    begin = time.monotonic()
    with viewer.train_lock:
        pass
    viewer.update_scene(1)
    assert time.monotonic() - begin < 0.8


def test_a_step_that_runs_is_not_copied(opened):
    """Copies are made by the thread that trains, or under its lock."""
    viewer, live, _ = opened()
    held = threading.Event()

    def retake() -> None:
        live.retake()
        held.set()

    with viewer.train_lock:
        threading.Thread(target=retake, daemon=True).start()
        assert not held.wait(0.1)
    assert held.wait(30)


def test_every_copy_is_made_under_the_trainers_lock_and_waited_for_by_nobody():
    held = []

    class Watched(Ball):
        def viewer_copy(self):
            held.append(viewer.train_lock.locked())
            return generic_copy(self)

    viewer = FakeViewer(Watched())
    # Nothing is drawn, so that no page asks for a copy of its own.
    viewer.ready, viewer.init_scene = False, lambda: None
    live = attach(viewer)

    def pause() -> None:
        viewer.trainer.training_state, live.status.step = "paused", 7
        assert live.snapshot_to_draw() is None
        assert live.snapshot.step == 7

    try:
        # For nobody to see.
        viewer.init_scene()
        viewer.update_scene(0)
        assert held == []
        viewer.open(FakePage())
        for number, copy in enumerate((viewer.init_scene, live.retake, viewer.training_complete, pause)):
            live.budget.spend(9.0, "refresh", took=0.0)
            copy()
            assert held == [True] * (number + 1)
            assert live.budget.owed == 0 or copy not in (live.retake, viewer.training_complete)
        live.pace.taken_at -= 10
        viewer.update_scene(8)
        assert held == [True] * 5
        # Soon enough is soon enough.
        viewer.update_scene(9)
        assert len(held) == 5
        # As nerfstudio does when a browser goes.
        viewer.render_statemachines.pop(0).running = False
        viewer.update_scene(10)
        assert live.snapshot is None
    finally:
        live.close()


def test_what_shares_tensors_with_training_is_drawn_between_its_steps(monkeypatch, opened):
    monkeypatch.setattr(module, "SHARED_FROM", 1)
    held = []

    class Watched(Ball):
        def forward(self, ray_bundle):
            held.append(viewer.train_lock.locked())
            return super().forward(ray_bundle)

    viewer, _, page = opened(Watched())
    viewer.update_scene(0)
    assert page.wait(is_sharp)
    assert len(held) > 2
    assert all(held)


def test_a_viewer_without_a_trainers_lock_draws(opened):
    viewer = FakeViewer(Ball(), trainer=None)
    viewer.train_lock = None
    live, page = attach(viewer), FakePage()
    try:
        viewer.open(page)
        assert page.wait(is_sharp)
        live.retake()
    finally:
        live.close()


def test_what_a_control_changes_is_drawn(opened):
    viewer = FakeViewer(Ball(), trainer=None)
    model = viewer.pipeline.model
    element = SimpleNamespace(cb_hook=lambda _: setattr(model, "radius", 0.25))
    viewer.viewer_elements = [("shape", element)]
    live = attach(viewer)
    page = FakePage()
    viewer.open(page)
    try:
        assert page.wait(is_sharp)
        before = float(page.frames[-1]["accumulation"].sum())
        element.cb_hook(element)
        assert page.wait(lambda page: is_sharp(page) and float(page.frames[-1]["accumulation"].sum()) < 0.3 * before)
    finally:
        live.close()


def test_what_a_panel_edits_is_drawn_at_once_and_in_snapshots_to_come_and_not_trained(opened):
    viewer, live, page = opened()
    wanted = {}
    live.edits.append(lambda model: vars(model).update(wanted))
    viewer.update_scene(0)
    assert page.wait(is_sharp)
    with viewer.train_lock:
        # A step is running.
        wanted["radius"] = 0.8
        live.edit()
        assert page.wait(lambda page: is_sharp(page) and covered(page) == pytest.approx(disc(0.8), rel=0.03))
    viewer.update_scene(1)
    live.retake()
    assert live.snapshot.step == 1
    assert live.snapshot.model.radius == 0.8
    assert viewer.pipeline.model.radius == 0.5
    wanted.update(radius=0.5)
    live.edit()
    assert page.wait(lambda page: is_sharp(page) and covered(page) == pytest.approx(disc(0.5), rel=0.03))


def test_an_edit_that_fails_is_left_out_and_named(opened, capsys):
    viewer, live, page = opened()
    live.edits.append(lambda model: model.nothing)
    viewer.update_scene(0)
    assert page.wait(is_sharp)
    assert "nothing" in capsys.readouterr().out


def covered(page: FakePage) -> float:
    return float((page.frames[-1]["accumulation"] > 0.5).float().sum())


def disc(radius: float) -> float:
    """Pixels of 96 x 96 that a ball covers at distance 3, seen at 60 degrees."""
    return float(np.pi * (np.tan(np.arcsin(radius / 3)) / np.tan(np.radians(30)) * 48) ** 2)


def test_a_model_that_fails_is_told_in_the_page_and_drawn_again_when_it_does_not(opened, capsys):
    model = Ball()
    model.fails = "The table has no rows."
    viewer, live, page = opened(model)
    other = FakePage(1)
    viewer.open(other)
    viewer.update_scene(0)
    assert page.wait(lambda page: bool(page.notes))
    assert other.wait(lambda page: bool(page.notes))
    asked = len(model.modes)
    live.pace.taken_at -= 10
    viewer.update_scene(1)
    assert page.wait(lambda _: len(viewer.pipeline.model.modes) >= asked)
    time.sleep(0.3)
    assert page.notes == ["The table has no rows."]
    assert capsys.readouterr().out.count("The page: The table has no rows.") == 1
    model.fails = ""
    live.pace.taken_at -= 10
    viewer.update_scene(1)
    assert page.wait(lambda page: bool(page.frames))


def test_the_crops_colour_lies_behind_this_page_and_nowhere_else(opened):
    """nerfstudio sets it for the whole process, where a training step reads it as its background."""
    seen = []

    class Watching(Ball):
        def forward(self, ray_bundle):
            seen.append(renderers.BACKGROUND_COLOR_OVERRIDE)
            return super().forward(ray_bundle)

    viewer, _, page = opened(Watching())
    panel = viewer.control_panel
    panel.crop_viewport, panel.background_color = True, (0, 128, 255)
    panel.crop_obb = OrientedBox(R=torch.eye(3), T=torch.zeros(3), S=torch.full((3,), 2.0))
    viewer.update_scene(0)
    assert page.wait(is_sharp)
    torch.testing.assert_close(page.frames[-1]["rgb"][0, 0], torch.tensor([0, 128, 255]) / 255)
    torch.testing.assert_close(page.frames[-1]["rgb"][48, 48], torch.tensor([0.8, 0.2, 0.1]))
    assert set(seen) == {None}


def test_the_crops_colour_takes_the_place_of_the_scenery_too(opened):
    """What no box cuts out of it is not to be seen outside of one."""

    class InAPark(Ball):
        def forward(self, ray_bundle):
            outputs, far = super().forward(ray_bundle), (ray_bundle.directions + 1) / 2
            hit = outputs["accumulation"]
            outputs["rgb"] = outputs["rgb"] * hit + (1 - hit) * (1.0 if cuts_off(ray_bundle) else far)
            return outputs

    viewer, _, page = opened(InAPark())
    viewer.update_scene(0)
    assert page.wait(is_sharp)
    assert page.frames[-1]["rgb"][0].std(0).max() > 0.05
    panel, count = viewer.control_panel, len(page.frames)
    panel.background_color, panel.crop_viewport = (0, 128, 255), True
    panel.crop_obb = OrientedBox(R=torch.eye(3), T=torch.zeros(3), S=torch.full((3,), 2.0))
    viewer.live.redraw()
    assert page.wait(lambda page: len(page.frames) > count and is_sharp(page))
    torch.testing.assert_close(page.frames[-1]["rgb"][0], (torch.tensor([0, 128, 255]) / 255).expand(96, 3))
    torch.testing.assert_close(page.frames[-1]["rgb"][48, 48], torch.tensor([0.8, 0.2, 0.1]))


def test_a_view_that_is_to_be_drawn_anew_is_not_sharp(opened):
    viewer, live, page = opened()
    viewer.update_scene(0)
    assert page.wait(lambda _: live.pages[0].is_sharp)
    # Nothing sharp is drawn before the camera has stood still for a while.
    live.redraw()
    assert not live.pages[0].is_sharp
    assert page.wait(lambda _: live.pages[0].is_sharp)


def test_two_pages_come_and_go(opened):
    viewer, _live, page = opened()
    other = FakePage(1)
    viewer.open(other)
    viewer.update_scene(0)
    assert page.wait(is_sharp)
    assert other.wait(is_sharp)
    # As nerfstudio does when a browser goes.
    gone = viewer.render_statemachines[0]
    gone.running = False
    viewer.render_statemachines.pop(0)
    gone.join(30)
    assert not gone.is_alive()
    count = len(other.frames)
    viewer.distance = 2.0
    viewer.render_statemachines[1].redraw()
    assert other.wait(lambda page: len(page.frames) > count)
    # A message of a page that has gone is no error.
    viewer.render_statemachines[0].action(None)


def test_a_page_that_came_while_the_viewer_was_built_is_drawn():
    viewer, page = FakeViewer(Ball()), FakePage()
    viewer.render_statemachines = {0: page}
    live = attach(viewer)
    try:
        # nerfstudio's thread of it is to end.
        assert not page.running
        viewer.update_scene(0)
        assert page.wait(is_sharp)
        # What can be chosen is as it was when another comes.
        page.output_keys, other = {"rgb", "depth"}, FakePage(1)
        viewer.open(other)
        assert other.output_keys == {"rgb", "depth"}
        # A page that has gone twice is no error.
        assert viewer.render_statemachines.pop(7) is None
        assert viewer.render_statemachines.pop(7, "another") == "another"
    finally:
        live.close()


def test_the_last_step_is_drawn_sharply_once(opened):
    viewer, _, page = opened()
    viewer.update_scene(0)
    assert page.wait(is_sharp)
    with torch.no_grad():
        viewer.pipeline.model.colour.copy_(torch.tensor([0.0, 0.0, 1.0]))
    viewer.trainer.training_state = "completed"
    viewer.training_complete()
    assert page.wait(lambda page: is_sharp(page) and bool(page.frames[-1]["rgb"][48, 48, 2] > 0.9))
    assert not viewer.pause_train.visible


def test_status_is_of_now(opened):
    viewer, live, _page = opened()
    for step in range(3):
        viewer.update_scene(step)
        time.sleep(0.01)
    live._told_at -= 1
    viewer.update_scene(3)
    assert viewer.stats_markdown.content.startswith("Step: 3  \n")
    assert "steps/s" in viewer.stats_markdown.content
    assert "PSNR of the last batch: 21.2 dB" in viewer.stats_markdown.content


def test_closing_ends_the_threads(opened):
    viewer, live, page = opened()
    viewer.update_scene(0)
    assert page.wait(is_sharp)
    threads = live.pages
    live.close()
    assert not any(each.is_alive() for each in threads)
    live.close()


def test_a_viewer_of_another_kind_is_left_alone():
    other = SimpleNamespace(viser_server=None)
    assert attach(other) is None
    assert not hasattr(other, "live")


@pytest.mark.parametrize("is_trained", [True, False])
def test_how_fast_to_train_is_asked_only_where_something_is_trained(is_trained):
    viewer = FakeViewer(Ball(), trainer="training" if is_trained else None)
    hidden = []
    viewer.control_panel._train_util = SimpleNamespace(gui_handle=object(), set_hidden=hidden.append)
    live = attach(viewer)
    live.close()
    assert hidden == ([] if is_trained else [True])


def test_a_run_that_is_gone_on_from_says_its_step_before_the_first():
    viewer = FakeViewer(Ball(), trainer="paused")
    viewer.trainer._start_step = 50
    viewer.init_scene = lambda: None
    live = attach(viewer)
    page = FakePage()
    try:
        viewer.open(page)
        viewer.init_scene()
        assert live.snapshot.step == 49
        assert live.status.text().startswith("Step: 49")
    finally:
        live.close()
