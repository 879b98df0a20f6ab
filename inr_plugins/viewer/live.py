"""The live viewer: nerfstudio's page, drawn from snapshots, so that training and drawing never wait for each other."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from nerfstudio.utils.rich_utils import CONSOLE

from inr_plugins.viewer.budget import Budget
from inr_plugins.viewer.drawing import PageRenderer
from inr_plugins.viewer.ending import end_with_process
from inr_plugins.viewer.frames import Frame, paint_behind
from inr_plugins.viewer.ordered import keep_order
from inr_plugins.viewer.pace import Pace
from inr_plugins.viewer.pages import Pages
from inr_plugins.viewer.snapshot import SHARED_FROM, Snapshot, edited, take_snapshot
from inr_plugins.viewer.source import FrameSource
from inr_plugins.viewer.status import Status

NEEDED = ("viser_server", "render_statemachines", "control_panel", "pipeline", "update_scene", "get_camera_state")
"""What a viewer must have for this module to attach to it: that of nerfstudio 1.1.4 and later has."""

_STATUS_EVERY = 0.5
_SECONDS_TO_CLOSE = 2.0


class LiveViewer:
    """Attached to an instance of nerfstudio's Viewer: no class is patched, and what is not there is left alone.

    The training thread, between two steps (`update_scene`), copies the model when the pages have drawn what they had;
    threads of the pages (`PageRenderer`) draw from the copy. The trained model is not touched by drawing: neither its
    mode nor its tensors, nor the random generators that training draws from.
    """

    def __init__(self, viewer: Any) -> None:
        """
        Args:
            viewer: nerfstudio's Viewer, at the end of its construction or later.
        """
        self.viewer = viewer
        self.panel = viewer.control_panel
        self.status = Status()
        self.budget = Budget(lambda: float(self.panel.train_util) if self.is_learning else 0.0)
        self.source = FrameSource(self)
        self.pace = Pace(self.budget, self.source)
        self.after_step: list[Callable[[int], None]] = []
        """Called in the training thread between steps, with the last one; panels that plot put themselves here."""
        self.after_snapshot: list[Callable[[], None]] = []
        """Called when one has been taken; may run in the training thread, so it takes no time."""
        self.at_close: list[Callable[[], None]] = []
        """Called when the viewer ends."""
        self.edits: list[Callable[[Any], None]] = []
        """What panels change of every snapshot (see `edited`); may run in the training thread, so it takes no time."""
        self.stand_back = 0.0
        """Normalised length by which pictures lie behind where they are, so that a mesh of the same surface is seen."""
        self.shades: list[Callable[[Frame, dict[str, torch.Tensor]], None]] = []
        """What panels change of every frame's outputs on their way to a page; runs in the pages' threads."""
        self._snapshot: Snapshot | None = None
        self._snapshot_lock = threading.Lock()
        self._told_at = float("-inf")
        self._logged: set[str] = set()
        self._is_closed = False
        self._attach()
        end_with_process(self)

    # -- attaching -----------------------------------------------------------------------------------------------------

    def _attach(self) -> None:
        viewer = self.viewer
        viewer.live = self
        keep_order(viewer.viser_server)
        viewer.render_statemachines = Pages(self, viewer.render_statemachines)
        viewer.update_scene = self.update_scene
        if hasattr(viewer, "init_scene"):
            viewer.init_scene = self._before_training(viewer.init_scene)
        viewer.update_step = self._set_step
        viewer.make_stats_markdown = self._stats
        viewer.get_model = self.get_model
        viewer.training_complete = self.training_complete
        viewer.close = self.close
        for _, element in getattr(viewer, "viewer_elements", ()):
            self._follow(element)
        if not viewer.trainer:
            self._hide_training_controls()

    def _before_training(self, init_scene: Callable[..., None]) -> Callable[..., None]:
        """nerfstudio calls it last before the first step: what the model is then is there to be seen."""

        def init(*args: Any, **options: Any) -> None:
            init_scene(*args, **options)
            # A run that is gone on from has been trained, though no step has come by.
            self.status.step = max(self.status.step, getattr(self.viewer.trainer, "_start_step", 0) - 1)
            if self.pages and self.viewer.trainer is not None:
                with self.train_lock:
                    self._take()

        return init

    def _follow(self, element: Any) -> None:
        """Draw what a control of the model has changed: nerfstudio runs its callback under the trainer's lock."""
        callback = element.cb_hook

        def changed(*args: Any) -> None:
            callback(*args)
            self.retake()

        element.cb_hook = changed

    def _hide_training_controls(self) -> None:
        """What says how training and drawing share the processors, where nothing is trained."""
        self._hide_training_buttons()
        for name in ("_train_speed", "_train_util"):
            element = getattr(self.panel, name, None)
            if element is not None and getattr(element, "gui_handle", None) is not None:
                element.set_hidden(True)

    def _hide_training_buttons(self) -> None:
        for name in ("pause_train", "resume_train"):
            if hasattr(self.viewer, name):
                getattr(self.viewer, name).visible = False

    # -- what is drawn -------------------------------------------------------------------------------------------------

    @property
    def pages(self) -> list[PageRenderer]:
        """Of the browsers that look at this moment."""
        return list(self.viewer.render_statemachines.values())

    @property
    def is_ready(self) -> bool:
        """Whether the viewer has been built."""
        return bool(self.viewer.ready) and not self._is_closed

    @property
    def is_learning(self) -> bool:
        """Whether training goes on, and is neither paused nor done."""
        trainer = self.viewer.trainer
        return trainer is not None and trainer.training_state == "training"

    @property
    def train_lock(self) -> Any:
        """Held while a step runs; a context manager. Whatever changes or saves the trained model takes it."""
        return self.viewer.train_lock if self.viewer.train_lock is not None else nullcontext()

    @property
    def snapshot(self) -> Snapshot | None:
        """What pages are drawn from; None before the first."""
        return self._snapshot

    def get_model(self) -> Any:
        """The model that is drawn; the trained one where nothing is."""
        return self.viewer.pipeline.model if self._snapshot is None else self._snapshot.model

    def retake(self) -> None:
        """Take a new snapshot now, once the step that is running has ended, and draw it."""
        self.budget.forgive()
        with self.train_lock:
            self._take()
        self.redraw()

    def edit(self) -> None:
        """Draw the last snapshot anew with what `edits` make of it now; waits for no step."""
        with self._snapshot_lock:
            if self._snapshot is None:
                return
            self._snapshot = self._edited(self._snapshot)
        self.source.wake()
        self.redraw()

    def _edited(self, snapshot: Snapshot) -> Snapshot:
        try:
            return edited(snapshot, self.edits)
        except Exception as error:
            # Training is not to end by what a panel cannot do.
            self.log_once(f"{type(error).__name__}: {error}", traceback.format_exc())
            return snapshot.source or snapshot

    def redraw(self) -> None:
        """Draw all pages anew, from the smallest frame on."""
        for page in self.pages:
            page.redraw()

    def _take(self) -> None:
        """Copy the model; no step may run meanwhile."""
        begin = time.thread_time()
        # Where nothing is trained there is nothing to be kept apart from.
        share_from = 0 if self.viewer.trainer is None else SHARED_FROM
        taken = take_snapshot(self.viewer.pipeline.model, self.status.step, share_from=share_from)
        with self._snapshot_lock:
            self._snapshot = self._edited(taken)
        self.pace.note_snapshot(time.thread_time() - begin)
        self.source.wake()
        for call in self.after_snapshot:
            call()
        self.wake_pages()

    def wake_pages(self) -> None:
        """Have all pages look for something to draw."""
        for page in self.pages:
            page.wake()

    def snapshot_to_draw(self) -> Snapshot | None:
        """The newest snapshot; where no training thread takes any, this one does."""
        trainer = self.viewer.trainer
        is_idle = trainer is None or trainer.training_state in ("paused", "completed")
        if is_idle and (self._snapshot is None or self._snapshot.step != self.status.step):
            lock = self.viewer.train_lock or nullcontext()
            with lock:
                if self._snapshot is None or self._snapshot.step != self.status.step:
                    self._take()
        return self.source.drawable

    def has_drawn(self, snapshot: Snapshot) -> None:
        """A page has shown a frame of this snapshot."""
        if snapshot in (self._snapshot, self.source.drawable):
            self.pace.is_drawn = True

    # -- what pages say ------------------------------------------------------------------------------------------------

    def fail(self, error: Exception) -> None:
        """Say in all pages what went wrong, once."""
        for page in self.pages:
            page._tell(error)

    def outputs_of(self, frame: Frame) -> dict[str, Any]:
        """What a frame shows, as nerfstudio's page wants it."""
        outputs = frame.shown(with_z=bool(self.panel.layer_depth))
        if "gl_z_buf_depth" in outputs:
            outputs["gl_z_buf_depth"] = outputs["gl_z_buf_depth"] + self.stand_back
        for shade in self.shades:
            shade(frame, outputs)
        colour = self.panel.background_color
        if frame.is_cropped and colour is not None:
            # nerfstudio would set the colour for the whole process, in which a step may be running.
            paint_behind(outputs, frame.colours_behind(), torch.tensor(colour) / 255)
        return outputs

    def log_once(self, sentence: str, details: str = "") -> None:
        """Say in the terminal what went wrong, each thing once, with the details below it."""
        if sentence not in self._logged:
            self._logged.add(sentence)
            CONSOLE.log(f"The page: {sentence}", markup=False)
            if details:
                CONSOLE.log(details, markup=False)

    # -- the training thread -------------------------------------------------------------------------------------------

    def update_scene(self, step: int, num_rays_per_batch: int | None = None) -> None:
        """Between two steps: copy the model if it is time to. Does not wait for anything."""
        self.viewer.step = step
        self.status.note_step(step)
        self.budget.toll.note_step()
        self.status.is_training = self.is_learning
        for call in self.after_step:
            call(step)
        if not self.pages:
            self._snapshot = None
            return
        if self._snapshot is None or self.pace.is_due:
            with self.train_lock:
                self._take()
        if time.monotonic() - self._told_at > _STATUS_EVERY:
            self._tell_status()

    def _tell_status(self) -> None:
        self._told_at = time.monotonic()
        trainer = self.viewer.trainer
        if trainer is not None:
            self.status.last_step = trainer._start_step + trainer.config.max_num_iterations
            metrics = getattr(trainer, "last_metrics", None) or {}
            if "psnr" in metrics:
                self.status.psnr = float(metrics["psnr"])
        self.viewer.stats_markdown.content = self.status.text()

    def _set_step(self, step: int) -> None:
        self.status.step = int(step)
        self._tell_status()

    def _stats(self, step: int | None, res: str | None) -> str:
        if step is not None:
            self.status.step = step
        if res is not None:
            self.status.resolution = res
        return self.status.text()

    def training_complete(self) -> None:
        """Draw the trained model once more, sharply, and say that it is done."""
        self.viewer.training_state = "completed"
        self.status.is_training = False
        self._hide_training_buttons()
        self.budget.forgive()
        with self.train_lock:
            self._take()
        self._tell_status()

    # -- the end -------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End the threads that draw, and the panels; a second time nothing. Takes seconds at the most."""
        if self._is_closed:
            return
        self._is_closed = True
        pages = self.pages
        for page in pages:
            page.running = False
            page.wake()
        background = self.source.close()
        until = time.monotonic() + _SECONDS_TO_CLOSE
        for thread in [*pages, *background]:
            if thread.is_alive():
                thread.join(max(0.0, until - time.monotonic()))
        for call in self.at_close:
            call()


def attach(viewer: Any) -> LiveViewer | None:
    """Make a viewer of nerfstudio's live; None where it has not what that takes, and then it stays as it was."""
    if not all(hasattr(viewer, name) for name in NEEDED):
        return None
    return LiveViewer(viewer)
