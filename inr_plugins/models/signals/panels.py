"""The panel of all models of images and videos: the file, the fit or what is missed, and how near the fit is."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.errors import InputError
from inr_plugins.fields.image_views import MissedImage, StoredImage
from inr_plugins.models.signals.window_controls import WindowControls
from inr_plugins.signal_grid import views_of
from inr_plugins.viewer.background import Follower
from inr_plugins.viewer.panel import Panel
from inr_plugins.viewer.snapshot import Snapshot

FIT, STORED, MISSED, DIFFERENCE = "fit", "file", "error", "difference"
TRUTH = "truth"
"""What the file is called where the fit has not seen it."""
FRAME, SLICE, PICTURE = "frame", "slice", "picture"
_OF = {FRAME: "video", SLICE: "volume", PICTURE: "folder"}
_FACTOR = 10.0
_LEAST_ERROR = 1e-12


class ImagePanel(Panel):
    """Switches between the fit, the file's own pixels and the error, and says the PSNR of the fit.

    Of a video one frame is drawn, which a slider chooses, and the PSNR is of that one.
    """

    title = "Image"
    is_open = True
    most_judged = 1 << 16
    """Pixels that the live PSNR is of, at the most."""

    def __init__(
        self,
        *,
        frames: int = 1,
        frame: str = FRAME,
        names: tuple[str, ...] = (),
        stored: str = STORED,
        is_truth: bool = True,
        parts: tuple[str, ...] = (),
        unjudged: tuple[str, ...] = (),
        unstored: tuple[str, ...] = (),
        scales: tuple[tuple[str, tuple[float, float]], ...] = (),
        bands: tuple[str, ...] = (),
    ) -> None:
        """
        Args:
            frames: of what is learnt; 1: an image.
            frame: what each of them is: FRAME of a video, PICTURE of a folder, or SLICE of a volume, whose middle one
                is drawn at first.
            names: of frames that have files of their own; none: they are numbers.
            stored: what the datamanager's image is called.
            is_truth: whether the fit is to be that image; else it is another answer, and there is no PSNR.
            parts: of the fit, of which one is seen (see `ImageModel`).
            unjudged: those without a PSNR.
            unstored: those of which only the fit is drawn, for the datamanager's image has nothing of them.
            scales: of each part, or of all of it, its unit and what black and white are in that.
            bands: names of channels of which three or one are drawn (see `ImageModel`).
        """
        self.views = views_of(bands)
        self.parts, self.unjudged, self.unstored, self.frame, self.scales = parts, unjudged, unstored, frame, scales
        self.names = names
        self.frames, self.stored, self.is_truth = frames, stored, is_truth

    def build(self) -> None:
        """See Panel."""
        self._stored: StoredImage | None = None
        problem = self._problem()
        self._shown = self.gui.add_dropdown(
            "Show",
            (FIT, self.stored, MISSED if self.is_truth else DIFFERENCE) if problem is None else (FIT,),
            hint=f"The fit, between pixels too; the pixels of {self.stored} as squares; or |fit - {self.stored}| of "
            f"each pixel, {_FACTOR:.0f} times.",
        )
        self._part = None
        if self.parts:
            self._part = self.gui.add_dropdown("Part", self.parts, hint="Which part of the fit is drawn.")
            self._part.on_update(self.safely(lambda _: self._go()))
        self._view = None
        if self.views:
            hint = "Which channels are drawn: three as red, green and blue, or one as grey; PSNR is of all."
            self._view = self.gui.add_dropdown("Channels", tuple(self.views), hint=hint)
            self._view.on_update(self.safely(lambda _: self._go()))
        self._frame = None
        if self.frames > 1:
            first, hint = self.frames // 2 if self.frame == SLICE else 0, "Which {} of the {} is drawn, from 0."
            self._frame = self.gui.add_slider(
                self.frame.capitalize(),
                *(0, self.frames - 1, 1, first),
                hint=hint.format(self.frame, _OF[self.frame]),
            )
            self._frame.on_update(self.safely(lambda _: self._go()))
        self._words = self.gui.add_markdown("")
        self._scale, self._window = None, None
        if self.scales:
            change = self.safely(lambda _: self._go_on())
            self._window = WindowControls(self.gui, self.scales, on_change=change)
            self._scale = self.gui.add_markdown("")
        self._tell_scale()
        self._shown.on_update(self.safely(lambda _: self._go_on()))
        self.live.edits.append(self._edit)
        self.live.edit()
        self._follower = Follower(self.live, self._judge, fail=self._tell, name=self.title)
        self._follower.switch(problem is None and self.is_truth)
        if problem is not None:
            self._tell(f"Only the fit can be shown. {problem}")
        elif not self.is_truth:
            more = f" It has no {' or '.join(self.unstored)}, of which the fit alone is shown." if self.unstored else ""
            self._tell(f"What is looked for is not known; {self.stored} is an answer without a network.{more}")

    def _go(self) -> None:
        """Draw the frame or the part that was chosen, and judge it."""
        self._go_on()
        if len(self._shown.options) > 1 and self.is_truth:
            self._follower.switch(True)

    def _go_on(self) -> None:
        self._tell_scale()
        self.live.edit()

    @property
    def _number(self) -> int:
        """Of the part that is seen."""
        return 0 if self._part is None else self.parts.index(self._part.value)

    @property
    def _seen(self) -> tuple[int, ...]:
        """Numbers of the channels that are drawn."""
        return () if self._view is None else self.views[self._view.value]

    @property
    def _wanted(self) -> str:
        """What is drawn: what was chosen, or the fit of a part that there is nothing else of."""
        if self._part is not None and self._part.value in self.unstored:
            return FIT
        return str(self._shown.value)

    def _tell_scale(self) -> None:
        """What black and white are of what is shown."""
        if self._scale is None:
            return
        assert self._window is not None
        unit, (low, high) = self.scales[self._number]
        self._window.show(self._number)
        if self._wanted in (MISSED, DIFFERENCE):
            low, high = 0.0, (high - low) / _FACTOR
        else:
            low, high = self._window.ends(self._number)
        words = "" if unit == "1" else f" {unit.replace('1/', 'per ')}"
        self._scale.content = f"Black is {low:.5g}, white {high:.5g}{words}."

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
            image = self.live.viewer.pipeline.datamanager.image
            self._stored = StoredImage(image.values() if image.pixels.dtype.kind == "f" else image.pixels, device)
        return self._stored

    def _edit(self, model: Any) -> None:
        """Put what was chosen in the place of the fit, of a copy that is to be drawn."""
        if self._frame is not None and self._frame.value > 0:
            # The first one is what the page's cameras see by their time.
            model.frame = int(self._frame.value)
        if self._part is not None:
            model.show_part(self._number)
        if self._view is not None and self._seen != model.seen_bands:
            model.seen_bands = self._seen
        wanted = self._wanted
        if self._window is not None and wanted not in (MISSED, DIFFERENCE):
            model.window = self._window.shares(self._number)
        if wanted == FIT:
            return
        stored = self._file(model.device)
        if wanted in (MISSED, DIFFERENCE):
            model.field = MissedImage(model.field, stored, factor=_FACTOR, has_alpha=model.has_alpha)
        else:
            model.field = stored

    def _judged(self, model: Any) -> tuple[int, Tensor]:
        """The frame that is drawn, and the pixels by which it is judged: spread evenly over it, or all if few."""
        frame = 0 if self._frame is None else int(self._frame.value)
        size = model.grid.width * model.grid.height
        count = min(size, self.most_judged)
        return frame, frame * size + (torch.arange(count, device=model.device) * size) // count

    def _size(self, model: Any) -> int:
        """Pixels of what is judged."""
        return int(model.grid.width * model.grid.height)

    def _where(self, frame: int) -> str:
        """What is judged of a video or a volume, in words."""
        return f" of `{self.names[frame]}`" if self.names else f" of {self.frame} {frame}"

    @torch.no_grad()
    def _judge(self, snapshot: Snapshot) -> None:
        """PSNR over all channels of the pixels that the image or the frame is judged by."""
        model = (snapshot.source or snapshot).model
        grid, stored = model.grid, self._file(model.device)
        frame, places = self._judged(model)
        size, count = self._size(model), len(places)
        part = slice(None)
        if self._part is not None:
            part = slice(self._number, self._number + 1)
            if self._part.value in self.unjudged:
                self._tell(f"The {self._part.value} is known but for a constant, and has no PSNR here.")
                return
            if self._part.value in self.unstored:
                self._tell(f"The {self.stored} has no {self._part.value}, which is that of the fit whatever is shown.")
                return
        with self.live.source.drawing(snapshot):
            values = model.field.at(grid.indices(places).double())[:, part].clamp(0, 1)
            errors = (values - stored(places)[:, part]).square().mean(0)
        psnr = _decibels(errors)
        of = "all pixels" if count == size else f"{count:,} of {size:,} pixels"
        of += "" if self._frame is None else self._where(frame)
        of += "" if self._part is None else f" of the {self._part.value}"
        more = ""
        if self._view is not None:
            of += f" and {len(errors)} channels"
            more = f" Of {self._view.value} {_decibels(errors[list(self._seen)]):.2f} dB."
        self._words.content = f"**PSNR {psnr:.2f} dB** of {of}, step {snapshot.step:,}.{more}"


def _decibels(errors: Float[Tensor, " n"]) -> float:
    """PSNR of mean squared errors."""
    return -10 * float(errors.mean().clamp(min=_LEAST_ERROR).log10())


class PartsPanel(ImagePanel):
    """As that of all images, with the part that stands for the fit where that is drawn; PSNR is of the field itself.

    For models whose parts are fields of their own (`models.nid.parted`).
    """

    def __init__(self, *, hint: str, **settings: Any) -> None:
        """
        Args:
            hint: what the parts are, in words.
            settings: see ImagePanel, all but `parts`.
        """
        super().__init__(**settings)
        self.hint = hint

    def build(self) -> None:
        """See Panel."""
        self._which: Any = None
        if self._problem() is None:
            self._which = self.gui.add_dropdown("Part", self.model.parts, hint=self.hint)
            self._which.on_update(self.safely(lambda _: self.live.edit()))
            # Before what puts file or error in the place of the fit.
            self.live.edits.append(self._choose)
        super().build()

    def _choose(self, model: Any) -> None:
        part = model.parts.index(self._which.value)
        if part > 0 and self._shown.value == FIT:
            model.field = model.part_of(part, self._file(model.device))
