"""A training in this process, in a thread of its own, whose page is open to a browser and whose model to the test."""

from __future__ import annotations

import io
import socket
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np
import torch
from browser.chromium import PATIENCE, SCENE_UNITS, OpenPage, Shown
from nerfstudio.data.scene_box import OrientedBox
from PIL import Image, JpegImagePlugin
from viser._messages import BackgroundImageMessage
from viser.infra import WebsockClientConnection, WebsockMessageHandler

from inr_plugins.engine.rng import seed_all
from inr_plugins.viewer.start_view import camera_to_start_from, view_from

THE_MODEL, NOT_THE_MODEL = 40.0, 25.0
"""dB: the model's own picture comes nearer than the first to what it becomes on its way to a page, but for rounding; no
other picture comes as near as the second."""


class Wire:
    """What passes between the process at hand and its pages: the newest picture queued for each of them, and how many
    of their messages have been dealt with."""

    def __init__(self) -> None:
        self.newest: dict[int, bytes] = {}
        """By the identity of the connection."""
        self.heard: Counter[int] = Counter()
        """By the number of the client: each message is counted twice, for viser hands it to the server and to the
        connection."""
        self._counting = threading.Lock()
        # Where all messages to one page come by, in the order in which they are sent (inr_plugins.viewer.ordered).
        self._queue = WebsockClientConnection.unsafe_send_message
        self._handle = WebsockMessageHandler._handle_incoming_message

    def watch(self) -> None:
        queue, newest, handle = self._queue, self.newest, self._handle

        def noting(connection: Any, message: Any) -> None:
            if isinstance(message, BackgroundImageMessage):
                newest[id(connection)] = message.rgb_bytes
            queue(connection, message)

        def counting(receiver: Any, client: int, message: Any) -> None:
            try:
                handle(receiver, client, message)
            finally:
                with self._counting:
                    self.heard[client] += 1

        WebsockClientConnection.unsafe_send_message = noting  # type: ignore[method-assign]
        WebsockMessageHandler._handle_incoming_message = counting  # type: ignore[method-assign]

    def end(self) -> None:
        WebsockClientConnection.unsafe_send_message = self._queue  # type: ignore[method-assign]
        WebsockMessageHandler._handle_incoming_message = self._handle  # type: ignore[method-assign]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class LiveTraining:
    """Trains until it is told to end, or for so many steps."""

    def __init__(self, config: Any, *, steps: int = 100_000) -> None:
        config.max_num_iterations, config.final_eval_images, config.machine.device_type = steps, 0, "cpu"
        config.viewer.websocket_port, config.viewer.quit_on_train_completion = free_port(), True
        self.config, self.port = config, config.viewer.websocket_port
        self.trainer: Any = None
        self.trouble = ""
        self._wire = Wire()
        self._is_set_up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self.config.set_timestamp()
            self.config.save_config()
            seed_all(0)
            self.trainer = self.config.setup(local_rank=0, world_size=1)
            self.trainer.setup()
            self._is_set_up.set()
            self.trainer.train()
        except BaseException:
            self.trouble = traceback.format_exc()
            raise
        finally:
            self._is_set_up.set()

    def __enter__(self) -> LiveTraining:
        self._wire.watch()
        self._thread.start()
        assert self._is_set_up.wait(60)
        assert not self.trouble, self.trouble
        assert self.live is not None
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._wire.end()
        self.end()

    def end(self) -> None:
        """Stop after the step at hand."""
        self.trainer.training_state = "training"
        self.trainer.stop_training = True
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert not self.trouble, self.trouble

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def live(self) -> Any:
        """The LiveViewer."""
        return self.trainer.viewer_state.live

    @property
    def model(self) -> Any:
        return self.trainer.pipeline.model

    @property
    def step(self) -> int:
        return self.trainer.step

    def wait(self, condition: Callable[[], Any], seconds: float = 20.0) -> bool:
        """Whether a condition comes true, where no page is to be kept going meanwhile."""
        until = time.monotonic() + PATIENCE * seconds
        while not condition() and time.monotonic() < until:
            time.sleep(0.02)
        return bool(condition())

    def place(self, page: OpenPage, seconds: float = 30.0) -> None:
        """Wait until a page that was opened stands where the server sends it: what is dragged before is undone then."""
        cameras = self.trainer.pipeline.datamanager.train_dataset.cameras
        poses = cameras.camera_to_worlds.cpu().double().numpy()
        start, _ = view_from(poses[camera_to_start_from(poses)])

        def is_placed() -> bool:
            return bool(page.camera) and np.allclose(page.camera["position"], SCENE_UNITS * start, atol=1e-3)

        assert page.wait(is_placed, seconds), f"the page has not come to {SCENE_UNITS * start}: {page.camera}"
        self.hear(page)

    def hear(self, page: OpenPage, seconds: float = 30.0) -> None:
        """Wait until all that was done to a page has been dealt with here."""
        # A field says its last value 50 ms later, by a timer of the page, which may be busy: this one ends after that.
        page.raw.evaluate("() => new Promise(done => setTimeout(done, 100))")
        page.raw.wait_for_timeout(50)

        def has_heard() -> bool:
            return any(heard == 2 * page.said for heard in self._wire.heard.values())

        assert page.wait(has_heard, seconds), f"{page.said} messages were sent, twice as many heard: {self._wire.heard}"

    def sharp_frame(self, page: OpenPage, seconds: float = 60.0) -> Shown:
        """What a page shows once training stands still and all that is to be seen of it has been drawn."""

        def is_drawn() -> bool:
            newest = self.live.snapshot
            is_last = newest is not None and newest.step == self.live.status.step
            return is_last and all(each.is_sharp and each.drawn[0] is newest for each in self.live.pages)

        def has_come() -> bool:
            is_last = bool(page.frames) and page.frames[-1].jpeg in self._wire.newest.values()
            return self._stands_still() and is_drawn() and is_last

        assert page.wait(self._stands_still)
        self.hear(page)
        while True:
            assert page.wait(has_come, seconds), f"no sharp frame within {seconds} s; {page.notes}; {self._state()}"
            shown = page.still_frame(quiet=0.3)
            if has_come():
                return shown

    def _stands_still(self) -> bool:
        """Whether training does, and the step that was running when it was stopped has ended and is known to pages."""
        lock = self.trainer.train_lock
        if self.trainer.training_state == "training" or not lock.acquire(blocking=False):
            return False
        lock.release()
        return self.trainer._trained_step in (None, self.live.status.step)

    def _state(self) -> str:
        newest, pages = self.live.snapshot, self.live.pages
        drawn = [(each.is_sharp, each.drawn[0] and each.drawn[0].step, *each.drawn[1:]) for each in pages]
        return (
            f"step {self.live.status.step}, snapshot {newest and newest.step}, pages (sharp, step, view, width) {drawn}"
        )

    def picture(self, shown: Shown, output: str = "rgb", *, crop: OrientedBox | None = None) -> np.ndarray:
        """What the trained model itself renders from where a picture was taken, (height, width, channels), float."""
        with self.trainer.train_lock, torch.random.fork_rng(devices=[]):
            was_training = self.model.training
            self.model.eval()
            try:
                with torch.no_grad():
                    outputs = self.model.get_outputs_for_camera(shown.rays_from.to(self.model.device), crop)
            finally:
                self.model.train(was_training)
        return outputs[output].cpu().numpy()


def psnr(shown: np.ndarray, picture: np.ndarray) -> float:
    """Of a picture of 8 bits, in dB, against one in [0, 1]."""
    difference = shown.astype(float) / 255 - np.clip(picture, 0, 1)
    return float(-10 * np.log10(np.square(difference).mean() + 1e-12))


def as_sent(picture: np.ndarray, shown: Shown) -> np.ndarray:
    """A picture in [0, 1], compressed by the very tables of one that a page was sent: how much is lost depends on what
    there is to be seen, a young model's grain most of all."""
    sent, stored = Image.open(io.BytesIO(shown.jpeg)), io.BytesIO()
    tables = {"qtables": sent.quantization, "subsampling": JpegImagePlugin.get_sampling(sent)}
    Image.fromarray((picture.clip(0, 1) * 255).astype(np.uint8)).save(stored, "jpeg", **tables)
    return np.asarray(Image.open(stored)) / 255


def likeness(shown: Shown, picture: np.ndarray) -> float:
    """Of what a page shows, in dB, with a picture in [0, 1] that would have come to it the same way."""
    return psnr(shown.image, as_sent(picture, shown))
