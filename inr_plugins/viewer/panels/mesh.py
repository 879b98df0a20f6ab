"""The panel "Mesh": the surface as it is by now, shown over the picture and downloaded in the dataset's units."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from inr_plugins.errors import InputError
from inr_plugins.geometry.io.mesh_io import WRITERS
from inr_plugins.geometry.mesh import Mesh
from inr_plugins.meshing.settings import DEFAULT_RESOLUTION, MeshSettings
from inr_plugins.viewer.panel import Panel
from inr_plugins.viewer.panels.mesh_work import MOST_FACES_OF_WIRE, Cancelled, MadeMesh, Worker, crop_of, make_mesh

_NODE = "/inr_mesh"
_SCENE_UNITS = 10.0
"""Of nerfstudio's page in a normalised unit."""
_FINEST, _COARSEST, _RESOLUTION_STEP = 768, 32, 32
_GREY, _LINES = (200, 200, 205), (90, 200, 255)
_BEHIND = 0.02
"""Part of the mesh's size by which pictures stand back while it is shown."""
_FORMATS = ("PLY", "GLB", "OBJ")
_WIRE_HINT = f"Edges of the mesh thinned out to {MOST_FACES_OF_WIRE:,} faces, so that they can be told apart."
_NOTE = 6_000
"""Milliseconds that a notification stays."""
_NOTHING_DRAWN = "There is no picture yet: extract when the page shows the model."


class MeshPanel(Panel):
    """Extracts in the background from what the page shows; one mesh at a time, the same for all who look."""

    title = "Mesh"

    def build(self) -> None:
        """Add the controls; those of a mesh can be seen once there is one."""
        self._worker: Worker | None = None
        self._made: MadeMesh | None = None
        self._node: Any = None
        self._lock = threading.RLock()
        gui = self.gui
        self._resolution = gui.add_slider(
            "Resolution", min=_COARSEST, max=_FINEST, step=_RESOLUTION_STEP, initial_value=DEFAULT_RESOLUTION,
            hint="Samples along the longest side of the box; time grows with their square.",
        )  # fmt: skip
        self._crops = gui.add_checkbox(
            "Crop", initial_value=True, hint="Extract only what lies in the box of Crop Viewport, while that is on."
        )
        self._extract = gui.add_button("Extract", hint="Extract the surface of what the page shows, in the background.")
        self._cancel = gui.add_button("Cancel", visible=False, hint="End the extraction; the last mesh stays.")
        self._bar = gui.add_progress_bar(0.0, visible=False, animated=True)
        self._text = gui.add_markdown("")
        self._shows = gui.add_checkbox(
            "Show mesh", initial_value=True, visible=False, hint="Over the picture; off hides it."
        )
        self._wires = gui.add_checkbox("Wireframe", initial_value=False, visible=False, hint=_WIRE_HINT)
        # viser's group of buttons hears no second click on one of them.
        hint = "All faces, in the dataset's frame and units, as inr-mesh writes them."
        self._downloads = [gui.add_button(f"Download {kind}", visible=False, hint=hint) for kind in _FORMATS]
        self._extract.on_click(self.safely(self._start))
        self._cancel.on_click(self.safely(self._stop))
        self._shows.on_update(self.safely(lambda _: self._show()))
        self._wires.on_update(self.safely(lambda _: self._show()))
        for kind, button in zip(_FORMATS, self._downloads, strict=True):
            button.on_click(self.safely(partial(self._send, kind)))

    @property
    def resolution(self) -> int:
        """Samples along the longest side of the box, as the slider says."""
        return int(self._resolution.value)

    def close(self) -> None:
        """End the work, if there is any."""
        with self._lock:
            worker = self._worker
        if worker is not None:
            worker.cancel(wait=True)

    # -- extracting ----------------------------------------------------------------------------------------------------

    def _start(self, event: Any) -> None:
        with self._lock:
            if self._worker is not None:
                raise InputError("A mesh is being extracted already: wait for it, or press Cancel.")
            snapshot = self.live.snapshot or self.live.snapshot_to_draw()
            if snapshot is None:
                raise InputError(_NOTHING_DRAWN)
            settings = MeshSettings(resolution=int(self._resolution.value))
            crop = crop_of(self.live.panel) if self._crops.value else None
            client = getattr(event, "client", None)
            self._worker = Worker(
                self.live,
                lambda bar: make_mesh(self.live, snapshot, settings, crop, bar),
                tell=self._tell,
                done=lambda result: self._done(result, client),
            )
            self._bar.value, self._bar.visible, self._cancel.visible = 0.0, True, True
            self._text.content = f"Looking where the surface of step {snapshot.step:,} is"
            self._worker.start()

    def _stop(self, _: Any) -> None:
        with self._lock:
            if self._worker is not None:
                self._text.content = "Ending"
                self._worker.cancel()

    def _tell(self, name: str, done: int, total: int) -> None:
        share = min(1.0, done / max(total, 1))
        self._bar.value = 100.0 * share
        self._text.content = f"{name}: {share:.0%}" if 0 < share < 1 else name

    def _done(self, result: MadeMesh | Exception, client: Any) -> None:
        with self._lock:
            self._worker = None
            self._bar.visible = self._cancel.visible = False
            if isinstance(result, MadeMesh):
                self._made = result
                self._text.content = described(result)
                for each in (self._shows, self._wires, *self._downloads):
                    each.visible = True
                self._show()
            elif isinstance(result, Cancelled):
                self._text.content = "Cancelled." if self._made is None else f"Cancelled.\n\n{described(self._made)}"
            else:
                self._text.content = f"No mesh: {result}"
        if isinstance(result, MadeMesh):
            _note(client, f"{len(result.mesh.faces):,} faces of step {result.step:,}, in {result.seconds:.0f} s.")
        elif not isinstance(result, Cancelled):
            _note(client, str(result), color="red")

    # -- what there is -------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        """Bring what is in the page into line with the controls."""
        with self._lock:
            if self._node is not None:
                self._node.remove()
                self._node = None
            mesh = None
            if self._made is not None and self._shows.value:
                mesh = self._made.wires if self._wires.value else self._made.shown
            if mesh is not None:
                self._node = self._add(mesh)
            self.live.stand_back = 0.0 if mesh is None else _BEHIND * float(np.linalg.norm(np.ptp(mesh.bounds, axis=0)))
        self.live.redraw()

    def _add(self, mesh: Mesh) -> Any:
        scene = self.live.viewer.viser_server.scene
        if mesh.colours is not None and not self._wires.value:
            data = b"".join(WRITERS[".glb"](replace(mesh, normals=None)))
            return scene.add_glb(_NODE, data, scale=_SCENE_UNITS)
        options = {"color": _LINES if self._wires.value else _GREY, "wireframe": bool(self._wires.value)}
        vertices = (_SCENE_UNITS * mesh.vertices).astype("float32")
        return scene.add_mesh_simple(_NODE, vertices, mesh.faces.astype("uint32"), side="double", **options)

    def _send(self, kind: str, event: Any) -> None:
        with self._lock:
            made = self._made
        if made is None:
            raise InputError("There is no mesh yet: press Extract.")
        client = event.client
        if client is None:
            raise InputError("The page that asked has gone.")
        name = f"{made.name}.{kind.lower()}"
        data = b"".join(WRITERS[f".{kind.lower()}"](made.mesh))
        _note(client, f"{name}, {len(data) / 1e6:.1f} MB, goes to the downloads of this browser.")
        client.send_file_download(name, data)


def described(made: MadeMesh) -> str:
    """What a mesh is like, in markdown."""
    low, high = made.mesh.bounds
    size = " × ".join(f"{side:.4g}" for side in high - low)
    lines = [
        f"**Step {made.step:,}**, in {made.seconds:.1f} s",
        f"{len(made.mesh.faces):,} faces, {len(made.mesh.vertices):,} vertices",
        f"{size} {made.units}",
    ]
    if len(made.shown.faces) < len(made.mesh.faces):
        lines.append(f"{len(made.shown.faces):,} faces in the page; all in downloads")
    return "  \n".join(lines)


def _note(client: Any, sentence: str, **options: Any) -> None:
    if client is not None and hasattr(client, "add_notification"):
        client.add_notification(MeshPanel.title, sentence, auto_close=_NOTE, **options)
