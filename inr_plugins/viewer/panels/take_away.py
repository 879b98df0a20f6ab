"""The panel "Take away": commands for what is seen, and the camera paths that they need."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from inr_plugins.errors import InputError
from inr_plugins.meshing.settings import DEFAULT_RESOLUTION
from inr_plugins.meshing.shapes import find_shape, frame_of
from inr_plugins.viewer.panel import Panel
from inr_plugins.viewer.panels.camera_paths import camera_of, camera_path, crop_entry, turn, write_path
from inr_plugins.viewer.panels.commands import (
    eval_command,
    mesh_command,
    render_command,
    signal_command,
    straight_box,
)
from inr_plugins.viewer.panels.mesh_work import crop_of
from inr_plugins.viewer.panels.render_name import keep_in_run_folder, stop_playing

_FRAMES_A_SECOND = 24
_UNGUARDED = (
    "This viser or nerfstudio keeps its Render tab elsewhere: whoever opens the page can have camera paths written to "
    "any folder by its Render name."
)
IMAGE: Mapping[str, str | None] = {"image.png": None}
"""Where an image is read out to, which has no parts."""
_NOTE = 8_000
"""Milliseconds that a notification stays."""


class TakeAwayPanel(Panel):
    """Writes camera paths into the run folder, and the commands that make something of them."""

    title = "Take away"

    def __init__(
        self,
        resolution: Callable[[], int] | None = lambda: DEFAULT_RESOLUTION,
        *,
        read_out: Mapping[str, str | None] = IMAGE,
    ) -> None:
        """
        Args:
            resolution: of meshes, asked when a command is written; None: an image is learnt, which is read out instead.
            read_out: names of the files that it is read out to, and the part that each is of; None: it has no parts.
        """
        self._resolution, self._read_out = resolution, read_out

    def build(self) -> None:
        """Add the controls."""
        gui = self.gui
        self._folder = Path(self.live.viewer.log_filename).resolve().parent
        self._config = self._folder / "config.yml"
        if not keep_in_run_folder(self.live.viewer.viser_server, self._folder):
            self.live.log_once(_UNGUARDED)
        self._script = ""
        self._lock = threading.Lock()
        self._width = gui.add_number("Width", 640, min=64, max=4096, step=2, hint="Of rendered frames, in pixels.")
        self._seconds = gui.add_number("Seconds", 4.0, min=0.5, max=60.0, step=0.5, hint="How long one turn takes.")
        self._turn = gui.add_button(
            "Turntable", hint="A path once around what the camera turns about, at the distance that is seen."
        )
        self._still = gui.add_button("This view", hint="A path of one frame: what is seen now.")
        self._text = gui.add_markdown("Both write a camera path into the run folder, and the commands to use it.")
        self._download = gui.add_button(
            "Download commands", visible=False, hint="The commands above as a shell script, take_away.sh."
        )
        self._turn.on_click(self.safely(lambda event: self._write(event, is_still=False)))
        self._still.on_click(self.safely(lambda event: self._write(event, is_still=True)))
        self._download.on_click(self.safely(self._send))

    def close(self) -> None:
        """End what plays in the Render tab."""
        stop_playing(self.live.viewer.viser_server)

    # -- camera paths --------------------------------------------------------------------------------------------------

    def _write(self, event: Any, *, is_still: bool) -> None:
        if event.client is None:
            raise InputError("The page that asked has gone.")
        camera = event.client.camera
        pose, centre, axis = camera_of(camera)
        seconds = 1.0 if is_still else float(self._seconds.value)
        count = 1 if is_still else max(2, round(_FRAMES_A_SECOND * seconds))
        path = camera_path(
            turn(pose, centre, axis, count), fov=float(np.degrees(camera.fov)), size=self._size(camera.aspect),
            seconds=seconds, crop=crop_entry(self.live.panel),
        )  # fmt: skip
        with self._lock:
            name = f"{'view' if is_still else 'turntable'}_{time.strftime('%m%d-%H%M%S')}"
            file = write_path(self._folder, name, path)
            self._show(file, is_still=is_still)
        if hasattr(event.client, "add_notification"):
            event.client.add_notification(self.title, f"Camera path: {file}", auto_close=_NOTE)

    def _size(self, aspect: float) -> tuple[int, int]:
        """Width and height of frames, even, as videos want them."""
        width = int(self._width.value) // 2 * 2
        return width, max(2, round(width / aspect / 2) * 2)

    # -- commands ------------------------------------------------------------------------------------------------------

    def _show(self, path: Path, *, is_still: bool) -> None:
        crop, shape, notes = self._crop_and_shape()
        if not any((self._folder / "nerfstudio_models").glob("*.ckpt")):
            notes.append("There is no checkpoint yet, which all commands need: press Save now.")
        commands = {
            "Picture" if is_still else "Video": render_command(self._config, path, is_still=is_still),
            **self._whole(crop, shape),
            "Figures": eval_command(self._config, shape=shape),
        }
        self._script = "\n\n".join(["#!/bin/sh", *(f"# {title}\n{each}" for title, each in commands.items())]) + "\n"
        blocks = [f"**{title}**\n\n```\n{each}\n```" for title, each in commands.items()]
        load = "Load Path in the Render tab shows it." if not is_still else ""
        self._text.content = "\n\n".join([f"Camera path {path.name} is in the run folder. {load}", *notes, *blocks])
        self._download.visible = True

    def _whole(self, crop: Any, shape: int | None) -> dict[str, str]:
        """The command for all of what is learnt, whatever is seen of it."""
        if self._resolution is None:
            return {
                f"Read out {part or ''}".strip(): signal_command(self._config, self._folder / name, part=part)
                for name, part in self._read_out.items()
            }
        return {"Mesh": mesh_command(self._config, resolution=self._resolution(), crop=crop, shape=shape)}

    def _crop_and_shape(self) -> tuple[Any, int | None, list[str]]:
        """The viewport's box in the frame of the dataset, the number of the shape that is seen, and what to say."""
        pipeline = self.live.viewer.pipeline
        model = self.live.get_model()
        manager = pipeline.datamanager
        run: Any = SimpleNamespace(
            pipeline=SimpleNamespace(model=model, datamanager=manager),
            config=SimpleNamespace(pipeline=getattr(pipeline, "config", None)),
            dataparser_outputs=getattr(manager, "train_dataparser_outputs", None),
        )
        shape = find_shape(cast(Any, run), None)
        number = shape.number if shape is not None and shape.count > 1 else None
        turned = crop_of(self.live.panel)
        if turned is None:
            return None, number, []
        box, is_larger = straight_box(turned, frame_of(run, shape))
        note = "The mesh's box is along the dataset's axes, around the viewport's, which is turned in it."
        return box, number, [note] if is_larger else []

    def _send(self, event: Any) -> None:
        if event.client is None:
            raise InputError("The page that asked has gone.")
        with self._lock:
            script = self._script
        event.client.send_file_download("take_away.sh", script.encode())
