"""The work behind the panel "Mesh": a snapshot's surface, extracted in a thread that gives way to training."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from inr_plugins.errors import InputError
from inr_plugins.geometry.frames import Similarity
from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.repair.cleaning import thin_out_quickly
from inr_plugins.meshing.extracted import extract_mesh
from inr_plugins.meshing.region import TurnedBox
from inr_plugins.meshing.settings import MeshSettings
from inr_plugins.progress import Bar
from inr_plugins.viewer.budget import settle_thread
from inr_plugins.viewer.live import LiveViewer
from inr_plugins.viewer.snapshot import Snapshot, edited, take_snapshot

MOST_FACES_SHOWN = 100_000
"""More make a page slow, and the messages that bring them long."""
MOST_FACES_OF_WIRE = 6_000
_POINTS_AT_ONCE = 1 << 14
"""Of the field: a fraction of a second even of large networks, after which training has its turn."""
_TELL_EVERY = 0.2
_SECONDS_TO_END = 2.0
_SHARE_NOTHING = 1 << 62


@dataclass(frozen=True)
class MadeMesh:
    """An extracted mesh.

    Attributes:
        mesh: all of it, in the dataset's frame and units, as inr-mesh writes it.
        shown: the same in the normalised frame, with few enough faces for a page.
        wires: the same again, with so few that their edges can be told apart.
        step: of the snapshot.
        name: of files, without an extension.
        units: of `mesh`, in words.
        seconds: that it took.
    """

    mesh: Mesh
    shown: Mesh
    wires: Mesh
    step: int
    name: str
    units: str
    seconds: float


class Cancelled(Exception):
    """The work is no longer wanted."""


def make_mesh(
    live: LiveViewer, snapshot: Snapshot, settings: MeshSettings, crop: TurnedBox | None, bar: Bar
) -> MadeMesh:
    """Extract the surface of a snapshot.

    Args:
        live: whose viewer has the data that the snapshot's model was trained on.
        snapshot: whose surface; where it shares tensors with a model that is trained, one that shares none is taken in
            its place, which takes the trainer's lock.
        settings: as for inr-mesh.
        crop: look only into this.
        bar: told how far it is.

    Raises:
        InputError: the field has no surface, or none in the crop.
    """
    begin = time.monotonic()
    if snapshot.is_shared and live.is_learning:
        with live.train_lock:
            snapshot = take_snapshot(live.viewer.pipeline.model, live.status.step, share_from=_SHARE_NOTHING)
        snapshot = edited(snapshot, live.edits)
    # inr-mesh asks an open run for no more than this.
    pipeline = live.viewer.pipeline
    manager = pipeline.datamanager
    run: Any = SimpleNamespace(
        pipeline=SimpleNamespace(model=snapshot.model, device=snapshot.model.device, datamanager=manager),
        config=SimpleNamespace(pipeline=getattr(pipeline, "config", None)),
        config_path=Path(),
        step=snapshot.step,
        dataparser_outputs=getattr(manager, "train_dataparser_outputs", None),
    )
    made = extract_mesh(cast(Any, run), settings, turned=crop, at_once=_POINTS_AT_ONCE, bar=bar)
    bar("Thinning out for the page", 0, 1)
    shown = thin_out_quickly(replace(made.found.mesh, normals=None), max_faces=MOST_FACES_SHOWN)
    wires = thin_out_quickly(shown, max_faces=MOST_FACES_OF_WIRE)
    what = "mesh" if made.shape is None else Path(made.shape.name).name
    name = f"{what}_step_{snapshot.step}"
    return MadeMesh(made.mesh, shown, wires, snapshot.step, name, made.description["units"], time.monotonic() - begin)


def crop_of(panel: Any) -> TurnedBox | None:
    """The box of nerfstudio's "Crop Viewport", None where that is off.

    Args:
        panel: nerfstudio's ControlPanel; its box is of the normalised frame, and may be turned.

    Raises:
        InputError: the box has no volume.
    """
    if not panel.crop_viewport:
        return None
    found = panel.crop_obb
    rotation, middle, sides = (each.detach().cpu().double().numpy() for each in (found.R, found.T, found.S))
    sides = sides.reshape(3)
    if not (sides > 0).all():
        raise InputError("The crop box has a side without length; give it a larger Crop scale.")
    # Of float32: the nearest rotation.
    left, _, right = np.linalg.svd(rotation.reshape(3, 3))
    return TurnedBox(np.stack([-sides / 2, sides / 2]), Similarity(left @ right, 1.0, middle.reshape(3)))


class Worker(threading.Thread):
    """Does one piece of work with a part of one processor, and says how far it is and how it ended."""

    def __init__(
        self,
        live: LiveViewer,
        work: Callable[[Bar], MadeMesh],
        *,
        tell: Bar,
        done: Callable[[MadeMesh | Exception], None],
    ) -> None:
        """
        Args:
            live: whose budget counts.
            work: given a bar to tell.
            tell: told a few times a second how far it is.
            done: given what came of it, in this thread: the mesh, or what went wrong.
        """
        super().__init__(name="viewer mesh", daemon=True)
        self._live, self._work, self._tell, self._done = live, work, tell, done
        self._told_at, self._told = float("-inf"), ""
        self._cancelled = threading.Event()

    def cancel(self, *, wait: bool = False) -> None:
        """Have it end soon: before the next piece, of seconds at most where the field is slow."""
        self._cancelled.set()
        if wait and self.is_alive():
            self.join(_SECONDS_TO_END)

    def run(self) -> None:
        """Do the work."""
        settle_thread()
        self._clock = self._live.source.clock()
        result: MadeMesh | Exception
        try:
            result = self._work(self._pace)
        except (InputError, Cancelled) as error:
            result = error
        except Exception as error:
            self._live.log_once(f"Mesh: {error}", traceback.format_exc())
            result = error
        self._done(result)

    def _pace(self, name: str, done: int, total: int) -> None:
        """Pay for the piece that has just been done by waiting."""
        used = self._live.source.clock() - self._clock
        until = time.monotonic() + self._live.budget.spend(used, "errand", took=used)
        if name != self._told or time.monotonic() - self._told_at > _TELL_EVERY:
            self._told, self._told_at = name, time.monotonic()
            self._tell(name, done, total)
        if self._cancelled.wait(max(0.0, until - time.monotonic())):
            raise Cancelled
        self._clock = self._live.source.clock()
