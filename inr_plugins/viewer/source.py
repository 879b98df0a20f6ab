"""What frames are drawn from, what they cost, and which methods' rays are so expensive that a bake stands in."""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
from typing import Any

from nerfstudio.cameras.cameras import Cameras

from inr_plugins.viewer.baker import Baker, Guided
from inr_plugins.viewer.baker import quick as quick_look
from inr_plugins.viewer.budget import Cost, PieceSize
from inr_plugins.viewer.frames import Frame
from inr_plugins.viewer.snapshot import Snapshot

_WARM_UP_RAYS = 4
_TRIAL_SECONDS = 0.25
_EXPENSIVE_RAYS, _EXPENSIVE_SECONDS = 128 * 72, 0.8
"""A frame of so many rays that takes longer than this is too slow for a camera that moves."""


class FrameSource:
    """Frames of the live viewer's snapshots, or of what they were baked into, for the threads of all pages."""

    def __init__(self, live: Any) -> None:
        """
        Args:
            live: the LiveViewer (inr_plugins.viewer.live) whose snapshots are drawn.
        """
        self._live = live
        self.is_expensive = False
        """Whether rays cost so much that moving frames are drawn from a bake."""
        self.overhead = 0.0
        """Processor seconds that a snapshot takes before it can be drawn: tables that a model makes, or the bake."""
        self._baker: Baker | None = None
        # Of the model itself, and of its bake.
        self._costs, self._pieces = (Cost(), Cost()), (PieceSize(self._most_rays), PieceSize(self._most_rays))
        self._warm: Snapshot | None = None
        self._warm_lock = threading.Lock()

    def _most_rays(self) -> int:
        """Rays that are drawn at once, at the most."""
        most = int(self._live.viewer.config.num_rays_per_chunk)
        return most if most > 0 else 1 << 15

    def clock(self) -> float:
        """Seconds of processor that the calling thread has used, of the time that has passed on another device."""
        model = self._live.viewer.pipeline.model
        return time.thread_time() if str(model.device) == "cpu" else time.monotonic()

    def drawing(self, snapshot: Snapshot) -> Any:
        """To be held while a piece is drawn: the trainer's lock where the copy shares tensors with the model."""
        return self._live.train_lock if snapshot.is_shared and self._live.is_learning else nullcontext()

    def cost_of(self, kind: str) -> Cost:
        """What frames of a kind cost."""
        return self._costs[self.is_expensive and kind != "sharp"]

    def piece_of(self, kind: str) -> PieceSize:
        """How many rays of a kind of frame are drawn at once."""
        return self._pieces[self.is_expensive and kind != "sharp"]

    def drawable(self, newest: Snapshot | None) -> Snapshot | None:
        """The snapshot to draw, of which `newest` is the last: that of the last whole bake, where there are bakes."""
        return newest if self._baker is None else self._baker.whole

    def new_frame(self, snapshot: Snapshot, camera: Cameras, *, quick: bool) -> Frame:
        """An empty frame of what is drawn, cropped as the page says.

        Args:
            snapshot: what is drawn.
            camera: from where.
            quick: whether a bake will do, where rays are expensive.
        """
        panel = self._live.panel
        crop = panel.crop_obb if panel.crop_viewport else None
        baked = quick_look(snapshot)
        model = snapshot.model if baked is None else baked if quick else Guided(snapshot.model, baked)
        return Frame(model, camera, crop=crop)

    def prepare(self, snapshot: Snapshot, camera: Cameras) -> bool:
        """Have the model make what it makes once, such as diner's table of colours, outside of what frames cost.

        At first, also find out what rays cost; where they are expensive, the baker begins.

        Returns:
            Whether the snapshot can be drawn by now.
        """
        with self._warm_lock:
            if self._warm is snapshot or self._baker is not None:
                return self._baker is None or quick_look(snapshot) is not None
            frame, clock = Frame(snapshot.model, camera), self.clock()
            self._draw_some(snapshot, frame, _WARM_UP_RAYS)
            self._warm = snapshot
            self.overhead = self.clock() - clock
            if not self._costs[0].is_known:
                self._learn_cost(snapshot, frame)
                self.is_expensive = self._costs[0].of(_EXPENSIVE_RAYS) > _EXPENSIVE_SECONDS
            if not self.is_expensive:
                return True
            self._baker = Baker(self._live)
            self._baker.start()
            return False

    def _learn_cost(self, snapshot: Snapshot, frame: Frame) -> None:
        rays = _WARM_UP_RAYS
        while True:
            clock = self.clock()
            self._draw_some(snapshot, frame, rays)
            seconds = self.clock() - clock
            self._costs[0].note(rays, seconds)
            if seconds > _TRIAL_SECONDS or rays >= len(frame):
                return
            rays = min(4 * rays, len(frame))

    def _draw_some(self, snapshot: Snapshot, frame: Frame, rays: int) -> None:
        """Draw rays in the middle of a frame, for nobody to see."""
        first = max(0, len(frame) // 2 - rays // 2)
        with self.drawing(snapshot):
            frame.draw(first, min(len(frame), first + rays))

    def wake(self) -> None:
        """There is a new snapshot."""
        if self._baker is not None:
            self._baker.wake()

    def close(self) -> list[threading.Thread]:
        """End what works in the background; the threads to wait for."""
        if self._baker is None:
            return []
        self._baker.running = False
        self._baker.wake()
        return [self._baker]
