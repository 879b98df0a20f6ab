"""The thread that draws for one page: what next, how large, and for how long it may."""

from __future__ import annotations

import threading
import time
import traceback
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any, Literal

from nerfstudio.cameras.cameras import Cameras
from nerfstudio.utils.rich_utils import CONSOLE
from nerfstudio.viewer.utils import get_camera

from inr_plugins.viewer.budget import settle_thread
from inr_plugins.viewer.comparison import Comparison, DrawnBy
from inr_plugins.viewer.frames import Frame
from inr_plugins.viewer.snapshot import Snapshot
from inr_plugins.viewer.widths import LEAST_WIDTH, Widths

_STILL_AFTER = 0.25
"""Seconds without a movement after which a camera stands still."""
_SHOW_EVERY = 0.8
"""Seconds after which what there is of a slow frame is shown."""
_GIVE_UPS, _GIVE_UP_AFTER = 3, 2.5
"""How many sharp frames a page that has just come gives up for a newer snapshot, and after how many seconds: at the
start of a training a frame would show what has long been learnt better."""
_TOO_LONG = 1.0
"""Processor seconds after which a frame of a moving camera is given up for a smaller one."""
_NO_LIMIT = 1 << 20
Kind = Literal["moving", "sharp", "refresh"]


class Moved(Exception):
    """The page wants something else than what is being drawn."""


@dataclass(frozen=True)
class Plan:
    """What to draw next."""

    kind: Kind
    width: int
    snapshot: Snapshot
    version: int
    view: Comparison | None = None
    """What is seen instead of what the page's own camera sees."""


class PageRenderer(threading.Thread):
    """Draws for one page, from the live viewer's snapshot; takes the place of nerfstudio's RenderStateMachine.

    While the camera moves, frames of a size that the processor manages six times a second; once it stands still, wider
    ones until one is as wide as the page's "Max res" says; then a refresh whenever there is a new snapshot. What goes
    wrong is shown in the page, logged once, and ends neither this thread nor training.
    """

    def __init__(self, live: Any, page: Any) -> None:
        """
        Args:
            live: the LiveViewer (inr_plugins.viewer.live) whose snapshots are drawn.
            page: nerfstudio's RenderStateMachine of the page, which is not started: it shows what is drawn here.
        """
        super().__init__(name=f"viewer page {page.client.client_id}", daemon=True)
        self.live = live
        self.page = page
        self.running = True
        self.drawn: tuple[Snapshot | None, int, int] = (None, -1, 0)
        """Snapshot, version of the view and width of the last whole frame."""
        self._sharpest = 0
        """Width up to which this view has been drawn as sharply as it gets."""
        self._last: Frame | None = None
        self._last_plan: Plan | None = None
        self._give_ups = _GIVE_UPS
        self._refreshes_first = False
        self._widths = Widths(live, page)
        self._version = 0
        self._moved_at = time.monotonic()
        self._is_placed = False
        self._wake = threading.Event()
        self._shown_error = ""
        self.view: Comparison | None = None
        """What the page sees instead of what its own camera does, until that moves."""

    # -- what nerfstudio's viewer calls --------------------------------------------------------------------------------

    def action(self, action: Any) -> None:
        """Take in that the camera has moved, or that what is shown is to be drawn anew."""
        if action.action not in ("move", "rerender"):
            return
        state = action.camera_state
        if self.view is not None and self.view.has_left(state.c2w[:3].cpu().numpy(), float(state.fov)):
            self._end_comparison(self.view)
        self.redraw()

    def _end_comparison(self, view: Comparison) -> None:
        view.told("The camera has been moved: nothing is compared.")
        self.view = None

    def redraw(self) -> None:
        """Draw the view anew, from the smallest frame on."""
        self._version += 1
        self._moved_at = time.monotonic()
        self._is_placed = True
        self._wake.set()

    def show_again(self) -> None:
        """Show the last frame, laid out otherwise."""
        frame, plan = self._last, self._last_plan
        if frame is not None and plan is not None and plan.version == self._version:
            with suppress(Moved):
                self._show(frame, plan)

    def wake(self) -> None:
        """Look again whether there is something to draw."""
        self._wake.set()

    # -- the thread ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Draw until the page has gone."""
        settle_thread()
        while self.running:
            self._wake.clear()
            plan = self._next() if self.live.is_ready else None
            if plan is None:
                self._wake.wait(0.05)
                continue
            try:
                self._draw(plan)
            except Moved:
                continue
            except Exception as error:
                # Not to be tried again before something is different.
                self.drawn, self._sharpest = (plan.snapshot, plan.version, _NO_LIMIT), _NO_LIMIT
                self._tell(error)

    def _next(self) -> Plan | None:
        snapshot = self.live.snapshot_to_draw()
        # A page that has just come is about to be told where its camera stands.
        if snapshot is None or not (self._is_placed or time.monotonic() - self._moved_at > _STILL_AFTER):
            return None
        view = self.view
        if view is not None and view.is_missed:
            self._end_comparison(view)
            self.redraw()
        version = self._version
        drawn, drawn_version, width = self.drawn
        if version != drawn_version:
            self._sharpest = 0
            return Plan("moving", self._widths.moving, snapshot, version, self.view)
        if time.monotonic() - self._moved_at < _STILL_AFTER:
            return None
        if self._refreshes_first and drawn is not snapshot:
            self._refreshes_first = False
            return Plan("refresh", self._widths.refresh, snapshot, version, self.view)
        if not self.is_sharp:
            return Plan("sharp", self._widths.wider(width, sharpest=self._sharpest), snapshot, version, self.view)
        if drawn is snapshot:
            return None
        if not self.live.is_learning:
            return Plan("sharp", self._widths.sharp, snapshot, version, self.view)
        return Plan("refresh", self._widths.refresh, snapshot, version, self.view)

    @property
    def is_sharp(self) -> bool:
        """Whether this view has been drawn as sharply as the page asks for."""
        return self.drawn[1] == self._version and self._sharpest >= self._widths.sharp

    def _draw(self, plan: Plan) -> None:
        live = self.live
        camera = self.camera(plan.width) if plan.view is None else plan.view.camera(plan.width)
        frame = live.source.new_frame(plan.snapshot, camera, quick=plan.kind != "sharp")
        if plan.kind == "sharp" and self._last is not None and self.drawn[1] == plan.version:
            frame.lie_over(self._last)
        started = shown_at = time.monotonic()
        used = 0.0
        cost, size = live.source.cost_of(plan.kind), live.source.piece_of(plan.snapshot, plan.kind)
        if plan.snapshot is not self.drawn[0]:
            size.doubt()
        begin = time.monotonic()
        with closing(live.source.pieces(frame, plan.snapshot, plan.kind)) as pieces:
            for rays, seconds in pieces:
                used += seconds
                size.note(rays, seconds)
                owed = live.budget.spend(seconds, plan.kind, took=time.monotonic() - begin)
                # A refresh is drawn at once; the next snapshot waits for what this one has used.
                self._wait(owed if plan.kind == "moving" else 0.0, plan)
                if plan.kind == "moving" and used > _TOO_LONG and plan.width > LEAST_WIDTH and frame.done < len(frame):
                    # Rays have become far more expensive than they were.
                    cost.learn_anew(frame.done, used)
                    raise Moved
                if self._gives_up(plan, time.monotonic() - started):
                    self._refreshes_first = True
                    raise Moved
                if plan.kind == "sharp" and frame.done < len(frame) and time.monotonic() - shown_at > _SHOW_EVERY:
                    self._show(frame, plan)
                    shown_at = time.monotonic()
                begin = time.monotonic()
        if frame.done < len(frame):
            raise Moved  # the page is about to end
        cost.note(len(frame), used)
        if plan.kind == "moving":
            self._widths.note_moving(time.monotonic() - started, used=used)
        self._show(frame, plan)
        self._last, self._last_plan = frame, plan
        self.drawn = (plan.snapshot, plan.version, plan.width)
        if plan.kind == "sharp" or not live.source.is_expensive:
            self._sharpest = max(self._sharpest, plan.width)
        live.has_drawn(plan.snapshot)

    def _gives_up(self, plan: Plan, seconds: float) -> bool:
        is_old = seconds > _GIVE_UP_AFTER and self.live.snapshot_to_draw() is not plan.snapshot
        if plan.kind != "sharp" or not self._give_ups or not is_old or self.live.source.is_expensive:
            return False
        self._give_ups -= 1
        return True

    def camera(self, width: int) -> Cameras:
        """That of the page, at this moment, with so many columns."""
        viewer = self.live.viewer
        state = viewer.get_camera_state(self.page.client)
        if not viewer.render_tab_state.preview_render and viewer.include_time:
            state.time = viewer.control_panel.time
        height = max(1, round(width / (float(state.aspect) or 1.0)))
        return get_camera(state, height, width)

    def _wait(self, seconds: float, plan: Plan) -> None:
        """Wait, or raise Moved as soon as the frame is of no use: no other frame of this view waits behind it.

        A frame of a moving camera is shown all the same: else nothing would be seen before the camera stands still.
        """
        until = time.monotonic() + seconds
        while True:
            if not self.running or (plan.kind != "moving" and self._version != plan.version):
                raise Moved
            left = until - time.monotonic()
            if left <= 0:
                return
            self._wake.wait(min(left, 0.05))
            self._wake.clear()

    def _show(self, frame: Frame, plan: Plan) -> None:
        if not self.running or plan.view is not self.view:
            raise Moved
        outputs = self.live.outputs_of(frame)
        if plan.view is not None:
            drawn_by, is_edited = self._drawn_by(frame, plan), plan.snapshot.is_edited
            plan.view.lay_over(outputs, frame, self._widths.aspect, drawn_by=drawn_by, is_edited=is_edited)
        self.page._send_output_to_viewer(outputs, static_render=plan.kind != "moving")

    @staticmethod
    def _drawn_by(frame: Frame, plan: Plan) -> DrawnBy:
        if frame.model is plan.snapshot.model:
            return "model"
        return "guided" if plan.kind == "sharp" else "bake"

    def _tell(self, error: Exception) -> None:
        sentence = f"{type(error).__name__}: {error}" if not str(error).endswith(".") else str(error)
        if sentence == self._shown_error:
            return
        self._shown_error = sentence
        self.live.log_once(sentence, traceback.format_exc())
        try:
            self.page.client.add_notification("Cannot draw this", sentence, auto_close=10_000, color="red")
        except Exception as trouble:
            CONSOLE.log(f"The page cannot be told so: {trouble}")
