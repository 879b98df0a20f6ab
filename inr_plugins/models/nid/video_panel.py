"""The panel of a video in parts: background, foreground or mask, and how much of a frame moves."""

from __future__ import annotations

import torch

from inr_plugins.fields.image_views import stands_before
from inr_plugins.models.signals.panels import PartsPanel
from inr_plugins.viewer.snapshot import Snapshot

_LEAST_ERROR = 1e-12
_HINT = (
    "What is drawn as the fit: the background, which is learnt; the video's own pixels where they differ from it; or "
    "where that is, in white."
)


class VideoPartsPanel(PartsPanel):
    """As that of all parts; words on the frame in place of the fit's PSNR."""

    def __init__(self, *, frames: int) -> None:
        """
        Args:
            frames: of the video.
        """
        super().__init__(hint=_HINT, frames=frames)

    @torch.no_grad()
    def _judge(self, snapshot: Snapshot) -> None:
        """How much of the frame is foreground, and how near the background is elsewhere."""
        model = (snapshot.source or snapshot).model
        stored = self._file(model.device)
        frame, places = self._judged(model)
        with self.live.source.drawing(snapshot):
            background, video = model.field.at(model.grid.indices(places).double()).clamp(0, 1), stored(places)
        moves = stands_before(background, video, model.config.threshold)[:, 0]
        error = (background - video)[~moves].square()
        near = f"{-10 * float(error.mean().clamp(min=_LEAST_ERROR).log10()):.2f} dB" if len(error) else "nowhere"
        share = 100 * float(moves.float().mean())
        self._words.content = (
            f"Frame {frame}: {share:.1f} % of it is foreground, and elsewhere the background is **{near}**, "
            f"step {snapshot.step:,}."
        )
