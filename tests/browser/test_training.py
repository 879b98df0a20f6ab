"""Small trainings of shipped presets with a page open: what the page shows, and that training is none the worse."""

from __future__ import annotations

import socket
import threading
import time

import pytest
import torch
from integration.small_methods import small_diner
from page_client import PageClient

from inr_plugins.engine.rng import seed_all
from inr_plugins.engine.runs import checkpoints

STEPS = 240
"""Some ten seconds: pages are drawn anew every few."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Watcher(threading.Thread):
    """Opens a page as soon as there is a server, moves its camera now and then, and keeps what it saw."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port, self.enough = port, threading.Event()
        self.page = PageClient(port)

    def run(self) -> None:
        with self.page as page:
            while not self.enough.wait(0.1) and page.is_open:
                page.orbit(3)


def train(config, steps: int, *, watched: bool):
    """The trainer, and its watcher if there is one."""
    config.max_num_iterations, config.final_eval_images, config.machine.device_type = steps, 0, "cpu"
    config.vis = "viewer+tensorboard" if watched else "tensorboard"
    config.viewer.websocket_port, config.viewer.quit_on_train_completion = free_port(), True
    config.set_timestamp()
    config.save_config()
    seed_all(0)
    watcher = Watcher(config.viewer.websocket_port) if watched else None
    if watcher is not None:
        watcher.start()
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    assert not watched or trainer.viewer_state.live is not None
    if watcher is not None:
        assert watcher.page.wait(lambda: watcher.page.is_open, 10)
    trainer.train()
    if watcher is not None:
        watcher.enough.set()
        watcher.join(10)
    return trainer, watcher


@pytest.fixture(scope="module")
def two_runs(knot, tmp_path_factory):
    """The same training, alone and under a page that moves."""
    others = set(threading.enumerate())
    folders = [tmp_path_factory.mktemp(name) for name in ("alone", "watched")]
    alone, _ = train(small_diner(knot, folders[0]), STEPS, watched=False)
    watched, watcher = train(small_diner(knot, folders[1]), STEPS, watched=True)
    return alone, watched, watcher, others


def test_a_page_changes_no_bit_of_what_is_learnt(two_runs):
    alone, watched, *_ = two_runs
    expected, actual = (checkpoints.read_newest_checkpoint(each.checkpoint_dir)[0] for each in (alone, watched))
    assert expected["step"] == actual["step"] == STEPS - 1
    for name, value in expected["pipeline"].items():
        assert torch.equal(value, actual["pipeline"][name]), name


def test_the_page_has_seen_the_training(two_runs):
    _, _, watcher, _ = two_runs
    page = watcher.page
    assert page.notes == []
    assert len(page.frames) >= 3
    # A shape has come up where there was nothing.
    assert max(frame.image.std() for frame in page.frames) > 10
    steps = [int(text.split("\n")[0].split(": ")[1]) for _, text in page.texts]
    assert steps == sorted(steps)
    assert steps[-1] > 20


def test_all_threads_have_ended(two_runs):
    *_, others = two_runs

    def left() -> list[str]:
        return [each.name for each in threading.enumerate() if each.name.startswith("viewer") and each not in others]

    deadline = time.monotonic() + 5
    while left() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left() == []
