"""A training with a page of the viewer open that moves all the time, as a websocket client: it ends when it is told."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
import threading
import time

import msgspec
import pytest
import viser
import websockets
from long_form import long_form
from nerfstudio.viewer.render_state_machine import RenderStateMachine
from tiny_method import tiny_config
from viser.infra import Message, WebsockServer

from inr_plugins.engine.live_viewer import end_server, end_viewer, let_go, while_others_end
from inr_plugins.engine.rng import seed_all
from inr_plugins.engine.runs import checkpoints

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
# Four bytes as a binary frame under a mask of zeros: {"type": ...} is not asked of a server that does not listen.
SOME_FRAME = b"\x82\x84\x00\x00\x00\x00\x81\xa1a\x01"


class Page(threading.Thread):
    """A page whose camera goes round and round, until the server closes the connection.

    Attributes:
        moves: how often it has moved.
        ended: how the connection ended.
    """

    def __init__(self, port: int, when_moving) -> None:
        super().__init__(daemon=True)
        self.port, self.moves, self.ended, self.when_moving = port, 0, None, when_moving

    def run(self) -> None:
        asyncio.run(self._be())

    async def _be(self) -> None:
        async with websockets.connect(f"ws://127.0.0.1:{self.port}", max_size=None) as page:
            try:
                await asyncio.gather(self._move(page), self._read(page))
            except websockets.exceptions.ConnectionClosed as end:
                self.ended = type(end).__name__

    async def _move(self, page) -> None:
        while True:
            turn = self.moves / 20
            message = {"type": "ViewerCameraMessage", "wxyz": (math.cos(turn), 0.0, math.sin(turn), 0.0)}
            message |= {"position": (0.0, 0.0, 3.0), "look_at": (0.0, 0.0, 0.0), "up_direction": (0.0, 0.0, 1.0)}
            await page.send(msgspec.msgpack.encode({**message, "fov": 0.8, "aspect": 1.5}))
            self.moves += 1
            self.when_moving()
            await asyncio.sleep(0.01)

    async def _read(self, page) -> None:
        while True:
            await page.recv()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def train_with_a_page(scene, folder, *, steps, when_moving):
    """Train under a page; returns the trainer, the page and what training ended with."""
    config = tiny_config(scene, folder, vis="viewer+tensorboard", max_num_iterations=steps)
    config.steps_per_eval_batch = config.steps_per_eval_image = 0
    config.viewer.websocket_port, config.viewer.quit_on_train_completion = free_port(), True
    config.set_timestamp()
    config.save_config()
    seed_all(0)
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    page = Page(config.viewer.websocket_port, lambda: when_moving(trainer))
    page.start()
    latest = time.monotonic() + 60
    while not trainer.viewer_state.render_statemachines and time.monotonic() < latest:
        time.sleep(0.01)
    try:
        trainer.train()
    except SystemExit as stop:
        return trainer, page, stop.code
    return trainer, page, None


def assert_all_has_ended(trainer, page) -> None:
    page.join(60)
    assert page.ended == "ConnectionClosedOK"
    assert not [each for each in threading.enumerate() if isinstance(each, RenderStateMachine)]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", page.port), timeout=10).close()


@long_form
def test_sigterm_ends_a_training_whose_page_is_moved_without_end(scene, tmp_path):
    told = []

    def tell(trainer) -> None:
        if trainer.training_state == "training" and page_has_moved(trainer) and not told:
            told.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGTERM)

    def page_has_moved(trainer) -> bool:
        # nerfstudio holds the training while a camera moves; by then this one is held.
        return trainer._trained_step is not None and time.monotonic() - begin > 1.0

    begin = time.monotonic()
    trainer, page, code = train_with_a_page(scene, tmp_path, steps=10**6, when_moving=tell)
    assert time.monotonic() - told[0] < 60
    assert code == 143
    assert checkpoints.checkpoint_steps(trainer.checkpoint_dir) == [trainer._trained_step]
    assert_all_has_ended(trainer, page)


@long_form
def test_a_page_leaves_the_model_alone_during_the_last_evaluation(scene, tmp_path, monkeypatch):
    trainers, taken = [], []

    def evaluate(pipeline, *_, **__):
        latest = time.monotonic() + 0.3
        while time.monotonic() < latest:
            # What a page's thread does before it touches the model.
            if trainers[0].train_lock.acquire(blocking=False):
                taken.append(time.monotonic())
                trainers[0].train_lock.release()
            time.sleep(0.001)
        return {}, ""

    monkeypatch.setattr("inr_plugins.engine.trainer.evaluate_views", evaluate)

    def meet(trainer) -> None:
        trainers.append(trainer)
        trainer.viewer_state.last_move_time = 0.0

    trainer, page, code = train_with_a_page(scene, tmp_path, steps=3, when_moving=meet)
    assert code is None
    assert taken == []
    assert_all_has_ended(trainer, page)


@long_form
def test_a_page_that_does_not_answer_is_not_waited_for(capfd):
    heard = []
    server = WebsockServer("127.0.0.1", free_port(), Message, verbose=False)
    server.start()
    server._handle_incoming_message = lambda *message: heard.append(message)
    # A page that says that it goes on, and never that it has heard of the end.
    with socket.create_connection(("127.0.0.1", server._port), timeout=10) as page:
        page.sendall(UPGRADE)
        assert b"101 Switching" in page.recv(1000)
        end_server(server, 0.3)
        page.sendall(SOME_FRAME)
        time.sleep(0.2)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server._port), timeout=10).close()
    assert "Traceback" not in "".join(capfd.readouterr())


def test_other_viewers_are_left_alone():
    let_go(None)
    end_viewer(None)


def test_a_viewer_starts_while_another_process_ends(monkeypatch):
    """viser asks every process for its folder, and one has gone between being listed and being asked."""

    class NoSuchProcess(Exception):
        pass

    looks = [NoSuchProcess(), NoSuchProcess(), False, NoSuchProcess(), OSError("no rights")]

    def look() -> bool:
        found = looks.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(viser._client_autobuild, "_check_viser_yarn_running", look)
    with while_others_end():
        viser.ViserServer(host="127.0.0.1", port=free_port(), verbose=False).stop()
    assert len(looks) == 2
    with pytest.raises(NoSuchProcess):
        viser.ViserServer(host="127.0.0.1", port=free_port(), verbose=False)
    with while_others_end(), pytest.raises(OSError, match="no rights"):
        viser.ViserServer(host="127.0.0.1", port=free_port(), verbose=False)
