"""diner's own panel: the lattice from stage to stage, and what keys and harmonics hold."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import torch

from inr_plugins.fields.recoloured import KeyColours, RecolouredField, degree_0_logits
from inr_plugins.fields.voxel_sh import VoxelSHField
from inr_plugins.models.diner.lattice_history import Cells, LatticeHistory, middles, shell, some
from inr_plugins.viewer.background import Follower
from inr_plugins.viewer.panel import Panel
from inr_plugins.viewer.snapshot import Snapshot

AS_LEARNT, DEGREE_0, KEYS = "As learnt", "Harmonics of degree 0", "Keys"
HIDDEN, KEPT, PRUNED = "Hidden", "Kept", "Pruned"
NOW = "Now"
_MOST_POINTS = 40_000
_POINT = 0.18
"""Size of a point in cells: what is behind shows between points."""
_NO_POINTS = np.zeros((0, 3))
_SCENE_UNITS = 10.0
"""Of nerfstudio's page in a normalised unit."""
_SEEN, _UNSEEN, _GONE = (70, 160, 110), (235, 150, 50), (205, 60, 60)
NODE = "/diner/cells"
"""Of the scene, in which the cells are."""


class LatticePanel(Panel):
    """Cells by stage as points in the scene, and colours of the snapshot that show keys or leave out the view."""

    title = "Lattice and keys"

    def build(self) -> None:
        gui, config = self.gui, self.model.config
        self._history, self._key_colours = LatticeHistory(), KeyColours()
        self._num_coarse = len(config.coarse_voxels)
        self._colour = gui.add_dropdown(
            "Colour",
            (AS_LEARNT, DEGREE_0, KEYS),
            hint="Degree 0: the part of the colour that is the same from all sides. "
            "Keys: each vertex's key, its three largest principal components as red, green and blue.",
        )
        self._colour.on_update(self.safely(lambda _: self._recolour()))
        self._cells = gui.add_dropdown(
            "Cells",
            (HIDDEN, KEPT, PRUNED),
            hint="The lattice's cells as points, of many the outer ones. Green: some training ray has seen it; orange: "
            "none yet, so that it is dropped next unless a neighbour is seen; red: dropped in this stage.",
        )
        stages = [str(number + 1) for number in range(self._num_coarse)]
        self._stage = gui.add_dropdown("Stage", (NOW, *stages, "keys"), hint="Whose cells are shown.")
        for control in (self._cells, self._stage):
            control.on_update(self.safely(lambda _: self._show_cells()))
        self._text = gui.add_markdown("")
        self._note = gui.add_markdown("", visible=False)
        self._follower = Follower(self.live, self._draw_cells, fail=self._tell, name=self.title)
        self._sent = (_NO_POINTS, _NO_POINTS)
        self._node: Any = None
        self._putting = threading.Lock()
        self._history.begin(self.model, self.live.status.step)
        self.live.after_step.append(self._after_step)
        self.live.edits.append(self._edit)
        self._tell_stages()

    def close(self) -> None:
        """End the thread that draws cells."""
        self._follower.close()

    # -- stages --------------------------------------------------------------------------------------------------------

    def _after_step(self, step: int) -> None:
        if self._history.note(self.model, step):
            self._tell_stages()

    def _tell_stages(self) -> None:
        field = self._history.stages[max(self._history.stages)][1]
        if field.stage < self._num_coarse:
            end = sum(self.model.config.coarse_steps)
            rows = f"Density and colour at {field.vertices:,} vertices; keys follow at step {end:,}."
        else:
            rows = f"{field.vertices:,} keys of {self.model.config.key_width} numbers."
        self._text.content = f"{self._history.table(self._num_coarse)}\n\n{rows}"

    # -- colours -------------------------------------------------------------------------------------------------------

    def _recolour(self) -> None:
        self.live.edit()
        snapshot = self.live.snapshot
        if snapshot is not None and self._colour.value == KEYS and self._is_coarse(snapshot):
            end = sum(self.model.config.coarse_steps)
            raise ValueError(f"There are no keys yet: they follow the coarse stages, at step {end:,}.")

    def _is_coarse(self, snapshot: Snapshot) -> bool:
        return bool((snapshot.source or snapshot).model.is_coarse)

    def _edit(self, model: Any) -> None:
        """Give a copy that is to be drawn the colours that were chosen; they are made when it is drawn."""
        field, wanted = model.field, self._colour.value
        if wanted == AS_LEARNT or not isinstance(field, VoxelSHField):
            return
        if wanted == KEYS:
            model.field = RecolouredField(field, lambda: self._key_colours(field.table.keys))
        else:
            model.field = RecolouredField(field, lambda: degree_0_logits(field))

    # -- cells ---------------------------------------------------------------------------------------------------------

    def _show_cells(self) -> None:
        wanted = self._cells.value != HIDDEN
        self._follower.switch(wanted)
        if not wanted:
            with self._putting:
                self._put(_NO_POINTS, _NO_POINTS, 0.1)
            self._note.visible = False

    def _tell(self, words: str) -> None:
        self._note.content = words
        self._note.visible = True

    def _chosen(self) -> tuple[Cells, Cells] | None:
        stages, name = self._history.stages, self._stage.value
        if name == NOW:
            return stages[max(stages)]
        return stages.get(self._num_coarse if name == "keys" else int(name) - 1)

    def _draw_cells(self, snapshot: Snapshot) -> None:
        chosen, model, kind = self._chosen(), snapshot.model, self._cells.value
        if chosen is None:
            self._put(_NO_POINTS, _NO_POINTS, 0.1)
            self._tell("This stage has not been, or was before this page's time.")
            return
        first, now = chosen
        if kind == PRUNED:
            mask = first.occupied & ~now.occupied if first.shape == now.shape else torch.zeros_like(now.occupied)
        else:
            mask = now.occupied
        cells = some(shell(mask), _MOST_POINTS)
        points = middles(cells, now, model.field.contraction)
        colours = self._colours(cells, now, model, kind)
        whole = int(mask.sum())
        shown = "" if whole <= len(cells) else f", {len(cells):,} of them shown"
        self._tell(f"{whole:,} cells {'pruned' if kind == PRUNED else 'kept'} in stage {self._name(now)}{shown}.")
        with self._putting:
            if self._cells.value != HIDDEN:
                self._put(points.numpy() * _SCENE_UNITS, colours, now.edge * _SCENE_UNITS * _POINT)

    def _name(self, cells: Cells) -> str:
        return str(cells.stage + 1) if cells.stage < self._num_coarse else "keys"

    def _colours(self, cells: torch.Tensor, now: Cells, model: Any, kind: str) -> np.ndarray:
        colours = np.tile(np.array(_GONE if kind == PRUNED else _SEEN, dtype=np.float64), (len(cells), 1))
        lattice = model.field.lattice
        if kind == KEPT and now.stage == int(model.stage) and lattice.shape == now.shape:
            seen = model.seen_cells().cpu()[cells[:, 0], cells[:, 1], cells[:, 2]].numpy()
            colours[~seen] = _UNSEEN
        if len(cells):
            # Lighter towards the top, so that the shape of one colour can be made out.
            height = cells[:, 2].double().numpy()
            colours *= (0.65 + 0.35 * (height - height.min()) / max(1.0, np.ptp(height)))[:, None]
        return colours

    def _put(self, points: np.ndarray, colours: np.ndarray, size: float) -> None:
        if np.array_equal(points, self._sent[0]) and np.array_equal(colours, self._sent[1]):
            return
        self._sent = (points, colours)
        if len(points):
            self._node = self.live.viewer.viser_server.scene.add_point_cloud(
                NODE, points.astype(np.float32), colours.astype(np.uint8), point_size=float(size)
            )
        elif self._node is not None:
            self._node.remove()
            self._node = None
