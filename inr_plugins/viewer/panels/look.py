"""The panel "Look": cut the field open, draw another level of it, see where it is dense, see form without colours."""

from __future__ import annotations

import math
import threading
import time
import traceback
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from inr_plugins.errors import InputError
from inr_plugins.meshing.extracted import find_place
from inr_plugins.meshing.settings import MeshSettings
from inr_plugins.viewer.budget import settle_thread
from inr_plugins.viewer.frames import Frame
from inr_plugins.viewer.panel import Panel
from inr_plugins.viewer.panels import look_work as work
from inr_plugins.viewer.snapshot import Snapshot

_SLICE, _CLOUD = "/inr_slice", "/inr_cloud"
_SCENE_UNITS = 10.0
"""Of nerfstudio's page in a normalised unit."""
_COARSE, _FINE = 48, 256
"""Pixels along a side of the slice, while it is dragged and when it stands still."""
_STILL = 0.4
_REFRESH = 4.0
"""Seconds: after the last movement the slice is fine; so often it follows training."""
_CLOUD_SECONDS = 1.5
_COLOURS, _GREY, _NORMALS = "colours", "grey", "normals"
_ACROSS = {"x": [0.0, math.pi / 2, 0.0], "y": [-math.pi / 2, 0.0, 0.0], "z": [0.0, 0.0, 0.0]}
"""How the slice is turned so that it lies across an axis."""


class LookPanel(Panel):
    """For surfaces a slice and the level, for densities a cloud; for all the shading. Nothing of it is trained."""

    title = "Look"

    def build(self) -> None:
        """Add the controls of what the model's field answers."""
        self._kind = getattr(self.model, "later_kind", None) or work.kind_of(getattr(self.model, "field", None))
        self._level = 0.0 if self._kind == "distance" else 0.5
        self._gizmo: Any = None
        self._image: Any = None
        self._points: Any = None
        self._wanted = threading.Event()
        self._moved_at = float("-inf")
        self._done: tuple[Any, ...] | None = None
        self._cloud_done: tuple[Any, ...] | None = None
        self._ended = self._pays_later = False
        self._thread: threading.Thread | None = None
        self._lock = threading.RLock()
        self._scale: tuple[float, str] | None = None
        self._shading = self.gui.add_dropdown(
            "Shading", [_COLOURS, _GREY, _NORMALS], initial_value=_COLOURS,
            hint="The picture in the field's own colours, in grey lit from the eye, or its normals as colours.",
        )  # fmt: skip
        self._shading.on_update(self.safely(lambda _: self.live.redraw()))
        self.live.shades.append(self._shade)
        if self._kind in ("distance", "occupancy"):
            self._build_surface()
        elif self._kind == "density":
            self._build_density()
        self._text = self.gui.add_markdown("")

    def _build_surface(self) -> None:
        side = float((work.box_of(self.model)[1] - work.box_of(self.model)[0]).max())
        if self._kind == "distance":
            # Of a distance that is known around the surface only, other levels cannot be drawn.
            reach = min(side / 8, getattr(self.model.field, "level_reach", math.inf))
            limits = {"min": -reach, "max": reach, "step": reach / 100}
            hint = "Draw the surface where the distance is this, in normalised units: below 0 inside. Not trained."
        else:
            limits = {"min": 0.01, "max": 0.99, "step": 0.01}
            hint = "Draw the surface where the probability of being inside is this. Not trained."
        # viser would write whole numbers at the ends.
        marks = tuple((limits[end], f"{limits[end]:.3g}") for end in ("min", "max"))
        self._slider = self.gui.add_slider("Level", initial_value=self._level, marks=marks, hint=hint, **limits)
        self._shows = self.gui.add_checkbox(
            "Slice", initial_value=False, hint="A plane through the field, to drag by its handles: blue is inside."
        )
        self._across = self.gui.add_dropdown(
            "Across", list(_ACROSS), initial_value="y", hint="Put the slice across this axis, in the box's middle."
        )
        self.live.edits.append(self._edit)
        self._slider.on_update(self.safely(self._set_level))
        self._shows.on_update(self.safely(lambda _: self._show_slice()))
        self._across.on_update(self.safely(lambda _: self._place_slice()))

    def _build_density(self) -> None:
        level = self.model.surface_level() if hasattr(self.model, "surface_level") else 10.0
        start = round(min(max(math.log10(max(level, 1e-2)), -2.0), 4.0), 2)
        self._shows = self.gui.add_checkbox(
            "Dense points", initial_value=False, hint="Points of a lattice at which the density is above the threshold."
        )
        self._slider = self.gui.add_slider(
            "Threshold", min=-2.0, max=4.0, step=0.05, initial_value=start,
            hint="Logarithm to base 10 of the density, in 1 / normalised unit, above which points are shown.",
        )  # fmt: skip
        self._shows.on_update(self.safely(lambda _: self._show_cloud()))
        self._slider.on_update(self.safely(lambda _: self._wanted.set()))

    def close(self) -> None:
        """End the thread."""
        self._ended = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(2.0)

    # -- the picture ---------------------------------------------------------------------------------------------------

    def _shade(self, frame: Frame, outputs: dict[str, torch.Tensor]) -> None:
        if self._shading.value == _COLOURS:
            return
        behind = frame.colours_behind().mean(0)
        grey = self._shading.value == _GREY
        if not work.shade_anew(outputs, frame.rays.directions, behind, grey=grey):
            self._text.content = "Frames of this model have no normals to shade by."

    def _edit(self, model: Any) -> None:
        moved = self._kind is not None and self._level != (0.0 if self._kind == "distance" else 0.5)
        if moved and self._is_there(model):
            work.move_level(model, self._level)

    def _is_there(self, model: Any) -> bool:
        """Whether a model's field is of the panel's kind by now."""
        return work.kind_of(getattr(model, "field", None)) == self._kind

    def _set_level(self, _: Any) -> None:
        self._level = float(self._slider.value)
        self.live.edit()
        self._wanted.set()

    # -- the slice -----------------------------------------------------------------------------------------------------

    @property
    def _scene(self) -> Any:
        return self.live.viewer.viser_server.scene

    def _show_slice(self) -> None:
        with self._lock:
            if self._shows.value and self._gizmo is None:
                self._gizmo = self._scene.add_transform_controls(_SLICE, scale=0.35 * _SCENE_UNITS * self._side())
                self._gizmo.on_update(self.safely(self._dragged))
                self._place_slice()
                self._start()
            elif not self._shows.value and self._gizmo is not None:
                for node in (self._image, self._gizmo):
                    if node is not None:
                        node.remove()
                self._gizmo = self._image = self._done = None
                self._text.content = ""

    def _place_slice(self) -> None:
        with self._lock:
            if self._gizmo is None:
                return
            x, y, z, w = Rotation.from_euler("xyz", _ACROSS[self._across.value]).as_quat()
            self._gizmo.wxyz = np.array([w, x, y, z])
            self._gizmo.position = _SCENE_UNITS * work.box_of(self.model).mean(0).cpu().numpy()
        self._wanted.set()

    def _dragged(self, _: Any) -> None:
        self._moved_at = time.monotonic()
        self._wanted.set()

    def _side(self) -> float:
        box = work.box_of(self.model)
        return float((box[1] - box[0]).max())

    def _units(self, snapshot: Snapshot) -> tuple[float, str]:
        """The length of a normalised unit in the dataset's, and that in words."""
        if self._scale is None:
            self._scale = units_of(self.live.viewer.pipeline, snapshot)
        return self._scale

    def _draw_slice(self, snapshot: Snapshot) -> None:
        with self._lock:
            if self._gizmo is None:
                return
            place, turn = np.array(self._gizmo.position), np.array(self._gizmo.wxyz)
        pixels = _COARSE if time.monotonic() - self._moved_at < _STILL else _FINE
        key = (snapshot, self._level, tuple(place), tuple(turn), pixels)
        if key == self._done:
            return
        side = self._side()
        axes = Rotation.from_quat(turn[[1, 2, 3, 0]]).as_matrix()
        points = work.slice_points(place / _SCENE_UNITS, axes, side, pixels)
        values = work.slice_values(snapshot.model, points, self._pause).reshape(pixels, pixels)
        factor, units = self._units(snapshot) if self._kind == "distance" else (1.0, "of probability")
        spacing = work.spacing_of(factor * side / 4 if self._kind == "distance" else 0.5)
        image = work.colour_slice(values * factor, spacing=spacing)
        with self._lock:
            if self._gizmo is None:
                return
            self._image = self._scene.add_image(
                f"{_SLICE}/image", image, _SCENE_UNITS * side, _SCENE_UNITS * side, format="png"
            )
            self._done = key
            self._text.content = f"Step {snapshot.step:,}: contours every {spacing:g} {units}; blue is inside"

    # -- the cloud -----------------------------------------------------------------------------------------------------

    def _show_cloud(self) -> None:
        with self._lock:
            if not self._shows.value and self._points is not None:
                self._points.remove()
                self._points = self._cloud_done = None
        self._text.content = "Looking where it is dense" if self._shows.value else ""
        self._start()
        self._wanted.set()

    def _draw_cloud(self, snapshot: Snapshot) -> None:
        key = (snapshot, self._slider.value)
        if key == self._cloud_done:
            return
        cloud = work.cloud_of(snapshot.model, 10.0 ** key[1], seconds=_CLOUD_SECONDS, pause=self._pause)
        with self._lock:
            if not self._shows.value:
                return
            if self._points is not None:
                self._points.remove()
                self._points = None
            if len(cloud.points):
                self._points = self._scene.add_point_cloud(
                    _CLOUD, _SCENE_UNITS * cloud.points, cloud.colours, point_size=0.3 * _SCENE_UNITS * cloud.edge
                )
            self._cloud_done = key
            density = f"{10.0 ** key[1]:.3g}"
            self._text.content = f"Step {snapshot.step:,}: {len(cloud.points):,} points shown, density above {density}"

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="viewer look", daemon=True)
                self._thread.start()
        self._wanted.set()

    def _run(self) -> None:
        settle_thread()
        drawn_at, used = float("-inf"), None
        while not self._ended:
            asked = self._wanted.wait(_STILL)
            self._wanted.clear()
            snapshot = self.live.snapshot if self._shows.value else None
            if snapshot is None:
                continue
            is_still = self._done is not None and self._done[-1] == _COARSE
            if not asked and snapshot is used and not is_still:
                continue
            if not asked and not is_still and time.monotonic() - drawn_at < _REFRESH:
                continue
            try:
                if not self._is_there(snapshot.model):
                    self._text.content = "There is no surface yet."
                    continue
                # Nobody is to wait for the trainer's lock while this thread pays.
                self._pays_later = snapshot.is_shared and self.live.is_learning
                with self.live.source.drawing(snapshot):
                    (self._draw_cloud if self._kind == "density" else self._draw_slice)(snapshot)
                self._pays_later = False
                self._pause(0.0)
            except _Ended:
                return
            except Exception as error:
                self._done = None
                self._text.content = f"Not shown: {error}"
                self.live.log_once(f"{self.title}: {error}", traceback.format_exc())
            drawn_at, used = time.monotonic(), snapshot

    def _pause(self, seconds: float) -> None:
        if self._ended:
            raise _Ended
        wait = self.live.budget.spend(seconds, "errand", took=seconds)
        if not self._pays_later:
            time.sleep(min(1.0, wait))


class _Ended(Exception):
    pass


def units_of(pipeline: Any, snapshot: Snapshot) -> tuple[float, str]:
    """The length of a normalised unit in the dataset's units, and what those are; of normalised ones if none is known.

    Args:
        pipeline: whose data is meant.
        snapshot: which shape of it is shown.
    """
    manager = pipeline.datamanager
    run: Any = SimpleNamespace(
        pipeline=SimpleNamespace(model=snapshot.model, datamanager=manager),
        config=SimpleNamespace(pipeline=getattr(pipeline, "config", None)),
        dataparser_outputs=getattr(manager, "train_dataparser_outputs", None),
    )
    try:
        place = find_place(cast(Any, run), MeshSettings())
    except (InputError, AttributeError):
        return 1.0, "normalised units"
    name = "units of the input camera poses" if place.shape is None else f"units of {place.shape.file.name}"
    return place.to_output.scale, name
