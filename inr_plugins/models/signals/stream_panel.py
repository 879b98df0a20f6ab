"""The panel of images in stages: as that of all images, with the stage that is shown, and each one's PSNR."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from inr_plugins.fields.image import ImageField
from inr_plugins.fields.stream_image import StageView
from inr_plugins.models.signals.panels import ImagePanel
from inr_plugins.viewer.snapshot import Snapshot

_LEAST_ERROR = 1e-12
_JUDGED = 1 << 16
"""Pixels that a PSNR is of, at the most; spread evenly over the image."""


class StreamPanel(ImagePanel):
    """Adds a slider of the stage that stands for the fit, as somebody has it whose file has come as far."""

    def build(self) -> None:
        """See Panel."""
        stages = len(self.model.config.widths)
        self._psnr: dict[int, float] = {}
        self._stage = None
        if stages > 1:
            self._stage = self.gui.add_slider(
                "Stage",
                min=1,
                max=stages,
                step=1,
                initial_value=stages,
                hint="The stage of the network that is shown; one that has not begun yet is the newest one.",
            )
            self._stage.on_update(self.safely(lambda _: self.live.edit()))
            # Before what puts file or error in the place of the fit.
            self.live.edits.append(self._choose)
        super().build()

    def _choose(self, model: Any) -> None:
        assert self._stage is not None
        if int(self._stage.value) < model.field.stage:
            model.field = model.field.earlier(int(self._stage.value))

    @torch.no_grad()
    def _judge(self, snapshot: Snapshot) -> None:
        """As of all images, of the newest stage; and a table of all, of which earlier ones stay as they are."""
        super()._judge(snapshot)
        newest: StageView = (snapshot.source or snapshot).model.field
        with self.live.source.drawing(snapshot):
            for stage in range(1, newest.stage + 1):
                if stage == newest.stage or stage not in self._psnr:
                    self._psnr[stage] = self._psnr_of(newest.earlier(stage))
        widths = self.model.config.widths
        rows = [f"| {stage} | {widths[stage - 1]} | {self._psnr[stage]:.2f} |" for stage in range(1, newest.stage + 1)]
        self._words.content += "\n\n" + "\n".join(["| Stage | Width | PSNR |", "|-:|-:|-:|", *rows])

    def _psnr_of(self, field: ImageField) -> float:
        grid, device = field.grid, self.model.device
        count = min(grid.count, _JUDGED)
        places = (torch.arange(count, device=device) * grid.count) // count
        middles = grid.indices(places).double()
        error = F.mse_loss(field.at(middles).clamp(0, 1), self._file(device)(places))
        return -10 * float(error.clamp(min=_LEAST_ERROR).log10())
