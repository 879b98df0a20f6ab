"""The panel of all models of images: the file, the fit or what is missed, and how near the fit is."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from inr_plugins.errors import InputError
from inr_plugins.fields.image_views import MissedImage, StoredImage
from inr_plugins.viewer.background import Follower
from inr_plugins.viewer.panel import Panel
from inr_plugins.viewer.snapshot import Snapshot

FIT, STORED, MISSED = "fit", "file", "error"
_FACTOR = 10.0
_JUDGED = 1 << 16
"""Pixels that the live PSNR is of, at the most."""
_LEAST_ERROR = 1e-12


class ImagePanel(Panel):
    """Switches between the fit, the file's own pixels and the error, and says the PSNR of what is drawn."""

    title = "Image"
    is_open = True

    def build(self) -> None:
        """See Panel."""
        self._stored: StoredImage | None = None
        problem = self._problem()
        self._shown = self.gui.add_dropdown(
            "Show",
            (FIT, STORED, MISSED) if problem is None else (FIT,),
            hint=f"The fit, between pixels too; the file's pixels as squares; or |fit - file| of each pixel, "
            f"{_FACTOR:.0f} times.",
        )
        self._words = self.gui.add_markdown("")
        self._shown.on_update(self.safely(lambda _: self.live.edit()))
        self.live.edits.append(self._edit)
        self._follower = Follower(self.live, self._judge, fail=self._tell, name=self.title, seconds=2.0)
        self._follower.switch(problem is None)
        if problem is not None:
            self._tell(f"Only the fit can be shown. {problem}")

    def close(self) -> None:
        """See Panel."""
        self._follower.close()

    def _tell(self, sentence: str) -> None:
        self._words.content = sentence

    def _problem(self) -> str | None:
        """Why there is nothing to compare the fit with; None: there is."""
        try:
            _ = self.live.viewer.pipeline.datamanager.image.pixels
        except InputError as error:
            return error.on_command_line
        return None

    def _file(self, device: Any) -> StoredImage:
        if self._stored is None:
            self._stored = StoredImage(self.live.viewer.pipeline.datamanager.image.pixels, device)
        return self._stored

    def _edit(self, model: Any) -> None:
        """Put what was chosen in the place of the fit, of a copy that is to be drawn."""
        wanted = self._shown.value
        if wanted == FIT:
            return
        stored = self._file(model.device)
        if wanted == MISSED:
            model.field = MissedImage(model.field, stored, factor=_FACTOR, has_alpha=model.has_alpha)
        else:
            model.field = stored

    @torch.no_grad()
    def _judge(self, snapshot: Snapshot) -> None:
        """PSNR over all channels of pixels spread evenly over the image, or of all if there are few."""
        model = (snapshot.source or snapshot).model
        grid, stored = model.grid, self._file(model.device)
        count = min(grid.count, _JUDGED)
        places = (torch.arange(count, device=model.device) * grid.count) // count
        middles = torch.stack([places % grid.width, places // grid.width], -1).double()
        with self.live.source.drawing(snapshot):
            error = F.mse_loss(model.field.at(middles).clamp(0, 1), stored(places))
        psnr = -10 * float(error.clamp(min=_LEAST_ERROR).log10())
        of = "all pixels" if count == grid.count else f"{count:,} of {grid.count:,} pixels"
        self._words.content = f"**PSNR {psnr:.2f} dB** of {of}, step {snapshot.step:,}."
