"""What frames are drawn from, what they cost, and which methods' rays are so expensive that a bake stands in."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

from nerfstudio.cameras.cameras import Cameras

from inr_plugins.viewer.baker import Guided, Preparer
from inr_plugins.viewer.baker import quick as quick_look
from inr_plugins.viewer.budget import Cost, PieceSize
from inr_plugins.viewer.crew import Crew, Piece, Share, usual_size
from inr_plugins.viewer.frames import Frame
from inr_plugins.viewer.snapshot import Snapshot

_WARM_UP_WIDTH = 2
_TRIAL_SECONDS, _TRIAL_WIDTHS = 0.15, (16, 128)
_SURELY = 1.5
_EXPENSIVE_RAYS, _EXPENSIVE_SECONDS = 128 * 72, 0.2
"""A frame of so many rays that takes longer than this is too slow for a camera that moves: there are to be four a
second, from a part of one processor."""
_HOPEFUL = 4.0
_CREW_PIECE = 0.15
"""Seconds of a piece that a crew draws: a page whose camera moves does not wait for it, and fewer take less in all."""


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
        self.may_become_cheap = False
        """Whether they cost so little more that it is worth looking again soon."""
        self.overhead = 0.0
        """Processor seconds that the last snapshot took before it could be drawn."""
        self._preparer, self._starting = Preparer(live), threading.Lock()
        self._crew = Crew(usual_size())
        # Of the model itself, and of its bake.
        self._costs = Cost(), Cost()
        self._pieces = {
            **{who: PieceSize(self._most_rays) for who in ("page", "bake")},
            "crew": PieceSize(self._most_rays, seconds=_CREW_PIECE),
        }

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

    def pieces(self, frame: Frame, snapshot: Snapshot, kind: str) -> Iterator[Piece]:
        """Draw a frame, and yield each piece that has been drawn, with the processor seconds that it took.

        A "sharp" one is what somebody waits for, so that all processors draw it.
        """
        share = Share(frame, self.piece_of(snapshot, kind).rays, lambda: self.drawing(snapshot), self.clock)
        return self._crew.draw(share) if self._wants_crew(snapshot, kind) else share.pieces()

    def _wants_crew(self, snapshot: Snapshot, kind: str) -> bool:
        is_on_cpu = str(self._live.viewer.pipeline.model.device) == "cpu"
        return kind == "sharp" and is_on_cpu and not snapshot.is_shared

    def cost_of(self, kind: str) -> Cost:
        """What frames of a kind cost."""
        return self._costs[self.is_expensive and kind != "sharp"]

    def piece_of(self, snapshot: Snapshot, kind: str) -> PieceSize:
        """How many rays of a kind of frame are drawn at once."""
        if self._wants_crew(snapshot, kind):
            return self._pieces["crew"]
        return self._pieces["bake" if self.is_expensive and kind != "sharp" else "page"]

    @property
    def drawable(self) -> Snapshot | None:
        """The newest snapshot that is ready; None before the first."""
        return self._preparer.whole

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

    def warm(self, snapshot: Snapshot) -> None:
        """Have the model make what it makes once, such as diner's table of colours, outside of what frames cost."""
        self._draw(snapshot, self._small_frame(snapshot, _WARM_UP_WIDTH))

    def judge(self, snapshot: Snapshot) -> None:
        """Find out what rays cost, and from that whether bakes have to stand in for them."""
        cost, width = Cost(), _TRIAL_WIDTHS[0]
        while True:
            frame, clock = self._small_frame(snapshot, width), self.clock()
            self._draw(snapshot, frame)
            seconds = self.clock() - clock
            cost.note(len(frame), seconds)
            if seconds > _TRIAL_SECONDS or width >= _TRIAL_WIDTHS[1]:
                break
            width *= 2
        seconds = cost.of(_EXPENSIVE_RAYS)
        # Not to and fro: a bake is given up only where it is not needed by far.
        was_expensive, self.may_become_cheap = self.is_expensive, seconds < _HOPEFUL * _EXPENSIVE_SECONDS
        self.is_expensive = seconds > (0.5 if was_expensive else 1.0) * _EXPENSIVE_SECONDS
        if was_expensive or not self._costs[0].is_known:
            # Else what frames have taken is known better.
            self._costs = (cost, self._costs[1])

    @property
    def became_expensive(self) -> bool:
        """Whether frames have come to take far too long for rays that were judged cheap."""
        return not self.is_expensive and self._costs[0].of(_EXPENSIVE_RAYS) > _SURELY * _EXPENSIVE_SECONDS

    def _small_frame(self, snapshot: Snapshot, width: int) -> Frame:
        """Of what a page sees: rays that meet something cost more than others, and it has both."""
        return Frame(snapshot.model, self._live.pages[0].camera(width))

    def _draw(self, snapshot: Snapshot, frame: Frame) -> None:
        """For nobody to see."""
        with self.drawing(snapshot):
            frame.draw(0, len(frame))

    def wake(self) -> None:
        """There is a new snapshot."""
        self._crew.start()
        with self._starting:
            if self._preparer.ident is None and self._preparer.running:
                self._preparer.start()
        self._preparer.wake()

    def close(self) -> list[threading.Thread]:
        """End what works in the background; the threads to wait for."""
        with self._starting:
            self._preparer.running = False
        self._preparer.wake()
        return [self._preparer, *self._crew.close()]
