"""Methods whose rays are expensive: a bake stands in, tells of itself, and is given up once rays have become cheap."""

from __future__ import annotations

import time

import pytest
import torch
from long_form import long_form
from viewer.fake_viewer import Ball, FakePage, FakeViewer

from inr_plugins.viewer.baker import quick
from inr_plugins.viewer.live import attach


class BallDistance:
    def sdf(self, x):
        return x.norm(dim=-1) - 0.5


class SlowBall(Ball):
    """Each ray takes its time; few rays none, so that asking for the colour behind everything is no trial."""

    def __init__(self) -> None:
        super().__init__()
        self.field = BallDistance()
        self.seconds_a_ray = 0.0

    def forward(self, ray_bundle):
        rays = ray_bundle.origins[..., 0].numel()
        time.sleep(self.seconds_a_ray * rays if rays > 8 else 0)
        return super().forward(ray_bundle)


@pytest.fixture
def opened():
    """Viewer, its live part and a page, of a ball whose rays take 0.2 ms."""
    model = SlowBall()
    model.seconds_a_ray = 2e-4
    viewer = FakeViewer(model, max_res=400)
    live = attach(viewer)
    # Sleep is no processor time.
    live.source.clock = time.monotonic
    page = FakePage()
    viewer.open(page)
    viewer.update_scene(0)
    yield viewer, live, page
    live.close()


@long_form
def test_where_rays_are_expensive_the_first_picture_is_the_bakes(opened):
    _, live, page = opened
    assert page.wait(lambda page: bool(page.frames))
    assert live.source.is_expensive
    assert quick(live.source.drawable) is not None
    # Which has normals; the ball itself knows only its colour.
    first = page.frames[0]
    middle = (first["rgb"].shape[0] // 2, first["rgb"].shape[1] // 2)
    torch.testing.assert_close(first["normals"][middle], torch.tensor([0.5, 0.5, 1.0]), atol=0.03, rtol=0)
    assert not torch.allclose(first["rgb"][middle], torch.tensor([0.8, 0.2, 0.1]), atol=0.05)


@long_form
def test_rays_that_have_become_cheap_are_drawn_themselves_as_wide_as_the_page_asks_for(opened):
    viewer, live, page = opened
    assert page.wait(lambda page: bool(page.frames))
    viewer.pipeline.model.seconds_a_ray = 0.0
    # Nobody has moved: the next snapshot alone is the reason.
    live.pace.taken_at -= 10
    live.budget.forgive()
    viewer.update_scene(1)
    assert page.wait(lambda page: page.frames[-1]["rgb"].shape[1] == 400)
    assert not live.source.is_expensive
    assert float(page.frames[-1]["rgb"][200, 200, 0]) == pytest.approx(0.8)


@long_form
def test_rays_that_have_become_expensive_are_noticed_by_what_frames_take(opened):
    """An occupancy that has no surface yet is cheap to march through."""
    viewer, live, page = opened
    viewer.pipeline.model.seconds_a_ray = 0.0
    # Past where every other snapshot is judged anyhow.
    live.source._preparer._count = 100
    live.source.is_expensive = False
    live.retake()
    assert page.wait(lambda page: bool(page.frames) and page.frames[-1]["rgb"].shape[1] == 400)
    viewer.pipeline.model.seconds_a_ray = 2e-4
    for _ in range(2):
        count = len(page.frames)
        live.retake()
        assert page.wait(lambda page, count=count: len(page.frames) > count)
    live.retake()
    assert page.wait(lambda _: live.source.is_expensive)


@long_form
def test_what_a_moving_camera_cannot_wait_for_is_sharp_in_two_steps(opened):
    """9,216 rays in 0.37 s are too slow four times a second; a fifth of 160,000 is worth the wait."""
    viewer, live, page = opened
    assert page.wait(lambda page: bool(page.frames))
    viewer.pipeline.model.seconds_a_ray = 4e-5
    # A page that draws before rays have been judged is at 320 pixels by then, past the first step.
    live.pages[0]._moved_at = time.monotonic() + 30
    live.source.is_expensive, live.source._preparer._count = False, 0
    live.retake()
    assert page.wait(lambda _: live.source.is_expensive)
    page.frames.clear()
    live.pages[0].redraw()
    assert page.wait(lambda page: bool(page.frames) and page.frames[-1]["rgb"].shape[1] == 400)
    assert live.source.is_expensive
    widths = [frame["rgb"].shape[1] for frame in page.frames]
    assert 256 in widths[: widths.index(400)]
    assert page.wait(lambda _: live.pages[0].is_sharp)
    # Of the model itself, at the place where the bake is surest.
    assert float(page.frames[-1]["rgb"][200, 200, 0]) == pytest.approx(0.8)
