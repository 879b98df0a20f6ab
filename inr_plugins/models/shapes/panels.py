"""The panel of all models of shapes: the surface that is learnt from, over the fit or beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from inr_plugins.viewer.background import Worker
from inr_plugins.viewer.client_view import beside, look_from, stepped_back, view_of
from inr_plugins.viewer.panel import Panel
from inr_plugins.viewer.scene_surface import show_points, show_triangles, thinned_faces, thinned_points

_HIDDEN, _OVER, _BESIDE = "hidden", "over the fit", "beside the fit"
_SEE_THROUGH, _SOLID, _WIRES = "see-through", "solid", "wireframe"
_NODE = "/target"


class TargetPanel(Panel):
    """Shows the mesh or the points that a shape is learnt from, those of the shape that is shown."""

    title = "Target"

    def build(self) -> None:
        """See Panel."""
        self.place = self.gui.add_dropdown(
            "Show",
            (_HIDDEN, _OVER, _BESIDE),
            hint="The mesh or the points that the shape is learnt from, over the fit or to its right.",
        )
        self.look = self.gui.add_dropdown(
            "Surface", (_SEE_THROUGH, _SOLID, _WIRES), hint="How a mesh is drawn; points are points."
        )
        self.words = self.gui.add_markdown("")
        self._worker = Worker(self.live, self._show, fail=self._tell, name=self.title)
        self._node: Any = None
        self._made: tuple[int, Any, str] | None = None
        self._shown_shape: int | None = None
        self._right = np.array([1.0, 0.0, 0.0])
        self._asked_by: Any = None
        self.place.on_update(self.safely(self._place))
        self.look.on_update(self.safely(lambda _: self._worker.ask()))
        if len(self.model.names) > 1:
            self.live.edits.append(self._follow)

    def close(self) -> None:
        """See Panel."""
        self._worker.close()

    def _follow(self, model: Any) -> None:
        """Change nothing: only see which shape is drawn now."""
        if model.shown_shape != self._shown_shape:
            self._shown_shape = model.shown_shape
            if self.place.value != _HIDDEN:
                self._worker.ask()

    def _place(self, event: Any) -> None:
        self._asked_by = event.client if self.place.value == _BESIDE else None
        self._worker.ask()

    def _tell(self, sentence: str) -> None:
        self.words.content = sentence

    def _show(self) -> None:
        """What the controls say by now; in the worker's thread."""
        if self._node is not None:
            self._node.remove()
            self._node = None
        place, look = self.place.value, self.look.value
        if place == _HIDDEN:
            self.words.content = ""
            return
        surface, words = self._surface()
        at = self._beside(surface) if place == _BESIDE else np.zeros(3)
        scene = self.live.viewer.viser_server.scene
        if hasattr(surface, "faces"):
            opacity = 0.45 if look == _SEE_THROUGH else None
            self._node = show_triangles(scene, _NODE, surface, at=at, opacity=opacity, wireframe=look == _WIRES)
        else:
            self._node = show_points(scene, _NODE, surface, at=at)
        self.words.content = words

    def _surface(self) -> tuple[Any, str]:
        """What is shown of the target, made once for each shape, and a sentence about it."""
        number = self.model.shown_shape
        if self._made is None or self._made[0] != number:
            self.words.content = "The target is being made ready."
            manager = self.live.viewer.pipeline.datamanager
            whole = manager.shape_surface(number)
            name = self.model.names[number]
            self._made = (number, *_for_the_page(whole, name))
        return self._made[1:]

    def _beside(self, surface: Any) -> Float[np.ndarray, " 3"]:
        """How far to the right; as somebody sees it who has just asked, and who then steps back to see both."""
        points = surface.vertices if hasattr(surface, "faces") else surface
        client, self._asked_by = self._asked_by, None
        if client is None:
            return beside(points, self._right)
        view = view_of(client)
        self._right = view.right
        at = beside(points, self._right)
        look_from(client, stepped_back(view, points, at))
        return at


def _for_the_page(whole: Any, name: str) -> tuple[Any, str]:
    """A mesh, or the positions of a cloud's points, and a sentence that says how many of them are shown."""
    if hasattr(whole, "faces"):
        mesh = thinned_faces(whole)
        fewer = "" if mesh is whole else f", thinned out to {len(mesh.faces):,} for the page"
        return mesh, f"{name}: {len(whole.faces):,} faces{fewer}."
    points = thinned_points(whole.points)
    fewer = "" if len(points) == len(whole.points) else f", of which {len(points):,} are shown"
    return points, f"{name}: {len(whole.points):,} points{fewer}."
