"""Frames that several threads draw: every ray once, in its place, and what goes wrong reaches the one who waits."""

from __future__ import annotations

import os
import threading
import time
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from nerfstudio.cameras.cameras import Cameras

from inr_plugins.viewer.crew import Crew, Share
from inr_plugins.viewer.frames import Frame
from inr_plugins.viewer.snapshot import Snapshot
from inr_plugins.viewer.source import FrameSource

PIECE = 17


class Ball:
    """Answers with where rays go to, and notes who asked and for which."""

    device = torch.device("cpu")
    scene_box = SimpleNamespace(aabb=torch.tensor([[-1.0] * 3, [1.0] * 3]))

    def __init__(self):
        self.asked, self.by, self.threads, self.niceness = [], set(), set(), set()

    def forward(self, ray_bundle):
        self.asked += ray_bundle.directions.tolist()
        self.by.add(threading.current_thread().name)
        self.threads.add(torch.get_num_threads())
        self.niceness.add(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        time.sleep(0.002)
        return {"rgb": ray_bundle.directions.abs()}


def frame_of(model):
    camera = Cameras(torch.eye(4)[None, :3], fx=20.0, fy=20.0, cx=10.0, cy=8.0, width=20, height=16)
    return Frame(model, camera)


def share_of(frame):
    return Share(frame, lambda: PIECE, nullcontext, time.thread_time)


@pytest.fixture
def two_threads():
    """What torch gives each thread that says nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def crew(two_threads):
    crew = Crew(3)
    crew.start()
    yield crew
    for thread in crew.close():
        thread.join(30)
        assert not thread.is_alive()


def test_a_crew_draws_what_one_thread_draws_each_ray_once(crew):
    model, alone = Ball(), frame_of(Ball())
    while alone.fill(1000):
        pass
    frame = frame_of(model)
    pieces = list(crew.draw(share_of(frame)))
    assert sum(rays for rays, _ in pieces) == len(frame) == frame.done == 320
    assert max(rays for rays, _ in pieces) == PIECE
    assert all(0 <= seconds < 1 for _, seconds in pieces)
    assert torch.equal(frame.outputs["rgb"], alone.outputs["rgb"])
    assert sorted(model.asked) == sorted(frame.rays.directions.reshape(-1, 3).tolist())
    assert len(model.by) > 1
    assert all(name.startswith("viewer crew") for name in model.by)
    # One processor each, for which they do not give way to training.
    assert model.threads == {1}
    assert model.niceness == {os.getpriority(os.PRIO_PROCESS, 0)}
    again = Ball()
    list(crew.draw(share_of(frame_of(again))))
    assert all(name.startswith("viewer crew") for name in again.by)


def test_what_one_of_them_cannot_draw_is_raised_where_the_frame_is_wanted_and_the_next_is_drawn(crew):
    model = Ball()
    model.forward = lambda ray_bundle: 1 / 0
    with pytest.raises(ZeroDivisionError):
        list(crew.draw(share_of(frame_of(model))))
    frame = frame_of(Ball())
    list(crew.draw(share_of(frame)))
    assert frame.done == len(frame)


def test_a_frame_that_nobody_wants_any_more_is_left(crew):
    model = Ball()
    frame = frame_of(model)
    pieces = crew.draw(share_of(frame))
    next(pieces)
    pieces.close()
    time.sleep(0.05)
    asked = len(model.asked)
    time.sleep(0.05)
    assert len(model.asked) == asked < len(frame)
    other = frame_of(Ball())
    list(crew.draw(share_of(other)))
    assert other.done == len(other)


def test_who_finds_the_crew_at_work_draws_alone(crew):
    first = crew.draw(share_of(frame_of(Ball())))
    next(first)
    model = Ball()
    frame = frame_of(model)
    list(crew.draw(share_of(frame)))
    assert frame.done == len(frame)
    assert model.by == {threading.current_thread().name}
    first.close()


@pytest.mark.parametrize("size", [0, 1, 2])
def test_without_a_crew_frames_are_drawn_all_the_same(size):
    crew, model = Crew(size), Ball()
    if size < 2:
        crew.start()
    frame = frame_of(model)
    list(crew.draw(share_of(frame)))
    assert frame.done == len(frame)
    assert model.by == {threading.current_thread().name}
    assert crew.close() == []


def test_what_nobody_draws_is_not_awaited_for_ever():
    looks = iter([True, False])
    begin = time.monotonic()
    assert list(share_of(frame_of(Ball())).awaited(lambda: next(looks))) == []
    assert 0.5 < time.monotonic() - begin < 30


@pytest.fixture
def source(monkeypatch):
    """The frame source of a viewer whose training goes on, with a crew of two."""
    monkeypatch.setattr("inr_plugins.viewer.source.usual_size", lambda: 2)
    pipeline = SimpleNamespace(model=Ball())
    viewer = SimpleNamespace(config=SimpleNamespace(num_rays_per_chunk=PIECE), pipeline=pipeline)
    source = FrameSource(SimpleNamespace(viewer=viewer, train_lock=threading.Lock(), is_learning=True))
    # It would look for pages.
    monkeypatch.setattr(source._preparer, "run", lambda: None)
    source.wake()
    yield source
    for thread in source.close()[1:]:
        thread.join(30)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    ("kind", "is_shared", "device", "has_crew"),
    [
        ("sharp", False, "cpu", True),
        ("moving", False, "cpu", False),
        ("refresh", False, "cpu", False),
        ("sharp", True, "cpu", False),
        ("sharp", False, "cuda", False),
    ],
)
def test_a_crew_draws_what_is_waited_for_from_a_copy_on_a_cpu(source, kind, is_shared, device, has_crew):
    model, lock, locked = Ball(), source._live.train_lock, set()
    usual = model.forward

    def forward(ray_bundle):
        locked.add(lock.locked())
        return usual(ray_bundle)

    model.forward = forward
    source._live.viewer.pipeline.model.device = device
    frame = frame_of(model)
    list(source.pieces(frame, Snapshot(model, 0, is_shared=is_shared), kind))
    assert frame.done == len(frame)
    assert all(name.startswith("viewer crew") is has_crew for name in model.by)
    assert locked == {is_shared}


def test_a_sources_crew_ends_with_it(source):
    crew = source.close()[1:]
    assert len(crew) == 2
    for thread in crew:
        thread.join(30)
        assert not thread.is_alive()


def test_a_crew_that_ends_leaves_nobody_waiting():
    crew, model, goes_on = Crew(2), Ball(), threading.Event()
    crew.start()
    usual = model.forward

    def forward(ray_bundle):
        goes_on.wait(30)
        return usual(ray_bundle)

    model.forward = forward
    frame = frame_of(model)
    pieces = crew.draw(share_of(frame))
    waiting = threading.Thread(target=lambda: list(pieces))
    waiting.start()
    time.sleep(0.05)
    threads = crew.close()
    assert len(threads) == 2
    goes_on.set()
    waiting.join(30)
    assert not waiting.is_alive()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
