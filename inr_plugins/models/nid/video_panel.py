"""The panel of a video in parts: background, foreground or mask, and how much of a frame moves."""

from __future__ import annotations

from typing import Any

import torch

from inr_plugins.fields.image_views import stands_before
from inr_plugins.models.signals.panels import FIT, ImagePanel
from inr_plugins.viewer.snapshot import Snapshot

_JUDGED = 1 << 16
"""Pixels that a frame is judged by, at the most; spread evenly over it."""
_LEAST_ERROR = 1e-12


class VideoPartsPanel(ImagePanel):
    """As that of all videos, with the part that stands for the fit; words on the frame in place of the fit's PSNR."""

    def build(self) -> None:
        """See Panel."""
        self._which: Any = None
        if self._problem() is None:
            self._which = self.gui.add_dropdown(
                "Part",
                self.model.parts,
                hint="What is drawn as the fit: the background, which is learnt; the video's own pixels where they "
                "differ from it; or where that is, in white.",
            )
            self._which.on_update(self.safely(lambda _: self.live.edit()))
            # Before what puts file or error in the place of the fit.
            self.live.edits.append(self._choose)
        super().build()

    def _choose(self, model: Any) -> None:
        part = model.parts.index(self._which.value)
        if part > 0 and self._shown.value == FIT:
            model.field = model.part_of(part, self._file(model.device))

    @torch.no_grad()
    def _judge(self, snapshot: Snapshot) -> None:
        """How much of the frame is foreground, and how near the background is elsewhere."""
        model = (snapshot.source or snapshot).model
        grid, stored = model.grid, self._file(model.device)
        frame = 0 if self._frame is None else int(self._frame.value)
        size = grid.width * grid.height
        count = min(size, _JUDGED)
        places = frame * size + (torch.arange(count, device=model.device) * size) // count
        with self.live.source.drawing(snapshot):
            background, video = model.field.at(grid.indices(places).double()).clamp(0, 1), stored(places)
        moves = stands_before(background, video, model.config.threshold)[:, 0]
        error = (background - video)[~moves].square()
        near = f"{-10 * float(error.mean().clamp(min=_LEAST_ERROR).log10()):.2f} dB" if len(error) else "nowhere"
        share = 100 * float(moves.float().mean())
        self._words.content = (
            f"Frame {frame}: {share:.1f} % of it is foreground, and elsewhere the background is **{near}**, "
            f"step {snapshot.step:,}."
        )
