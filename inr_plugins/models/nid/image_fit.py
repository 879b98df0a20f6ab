"""`ns-train nid-image-fit`: unseen pictures, whole or with parts missing, as codes over a dictionary of nid-images."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor
from torch.nn import Parameter

from inr_plugins.errors import InputError
from inr_plugins.fields.dictionary_picture import CodedPictures
from inr_plugins.fields.image import ImageField
from inr_plugins.fields.image_views import RestoredImage, StoredImage
from inr_plugins.fields.picture_codes import Pieces, coded_at_once, most_likely, pursued
from inr_plugins.fields.picture_pieces import PicturePieces
from inr_plugins.files import write_json
from inr_plugins.metrics.image import ImageMetrics
from inr_plugins.models.common.run_length import KnowsRunLength
from inr_plugins.models.nid.parted import PartedModel
from inr_plugins.models.nid.picture_dictionary import LearntPictures, blank_pictures, open_pictures, pictures_of
from inr_plugins.models.nid.picture_panels import picture_pages
from inr_plugins.models.nid.shown_picture import ShowsPictures
from inr_plugins.models.signals.base import ImageModelConfig
from inr_plugins.options import model_option
from inr_plugins.signal_grid import PictureBatch, SignalPixels
from inr_plugins.sparse_codes.code_prior import CodePrior

FIT, RESTORED, MISSING = PARTS = ("fit", "restored", "missing")
_REPORT = "fit.json"
_TOLD_AFTER = 5
"""Gradient steps after which the pictures are judged between the first and the last of them."""
_BYTES = 4
_AT_ONCE = 64


@dataclass
class NidImageFitModelConfig(ImageModelConfig):
    """Pictures over a learnt dictionary."""

    _target: type = field(default_factory=lambda: NidImageFitModel)
    """Class to instantiate."""
    dictionary: Path | None = None
    """Run of nid-images whose dictionary is used; the run of nid-image-fit does not need it once it has begun."""
    start: Literal["auto", "gate", "pursuit", "prior"] = "auto"
    """How codes are found before the first step: gate (by the encoder, at once), pursuit (orthogonal matching pursuit
    of the active experts) or prior (the most likely, given those of the dictionary's pictures). auto: pursuit, and
    prior where something is missing or may be wrong, or pictures are coded as a whole."""
    active: int | None = None
    """Experts of a code that gate and pursuit find, of which the latter gives more to patches that need them; by
    default those of the dictionary. Codes by the prior have all."""
    loss: Literal["l2", "l1"] = "l2"
    """Squared errors; or absolute ones, where parts of the pictures may be wrong without anyone knowing which: what
    stands out is found, left out, and can be read out as the part "missing"."""
    isotropic: float = 0.1
    """Part of the codes' variance that the prior lets leave the span of the dictionary's pictures."""

    def check_options(self) -> None:
        """Raise InputError for the first setting that cannot be used."""
        super().check_options()
        if self.loss == "l1" and self.start in ("gate", "pursuit"):
            raise InputError(
                f"{model_option('loss')} l1 is for codes of the prior, which can leave out what stands out: leave out "
                f"{model_option('start')} {self.start}."
            )


class NidImageFitModel(KnowsRunLength, ShowsPictures, PartedModel):
    """A frozen dictionary, and a code for each piece of each picture, found at once and improved by gradient steps.

    A picture is linear in its code, so that squared errors have a least value that is solved for, and with the prior
    likewise; steps are for codes that an encoder has given (NID, Tab. 1). They leave others as they are: each of Adam's
    is as long as its rate, at the least value too (33.79 dB, and 33.74 dB after one at 0.003).

    Its parts: the fit; the file's own pixels with what is missing from the fit; and what is missing, in white.

    A checkpoint holds the dictionary too, as that of nid-fit.

    Raises:
        InputError: a setting out of range, no dictionary, or pictures that are none of its kind.
    """

    config: NidImageFitModelConfig
    field: CodedPictures
    support: Tensor
    learnt_codes: Tensor
    missing: Tensor

    def populate_modules(self) -> None:
        """As the base class."""
        self.is_solved = False
        self.reported: dict[str, Any] = {}
        self._missing_dictionary: InputError | None = None
        self._folder: Path | None = None
        self._source: Any = None
        super().populate_modules()
        self.parts = PARTS
        self.page = picture_pages(self)

    def make_field(self) -> ImageField:
        """See ImageModel."""
        self.register_buffer("missing", torch.zeros(self.grid.count, dtype=torch.bool))
        try:
            return self._take(self._opened())
        except InputError as error:
            # Not yet: a checkpoint may be about to bring its own.
            self._missing_dictionary = error
            return self._take(blank_pictures(self.channels))

    def _opened(self) -> LearntPictures:
        if self.config.dictionary is None:
            raise InputError(
                "nid-image-fit needs a dictionary: give --pipeline.model.dictionary the folder of a run of nid-images."
            )
        return open_pictures(self.config.dictionary)

    def _take(self, learnt: LearntPictures) -> CodedPictures:
        """Use a dictionary from now on, with codes that are still zero; the field of these."""
        device = self.missing.device
        own = learnt.field
        self.dictionary, self.gate = own.to(device), None if learnt.gate is None else learnt.gate.to(device)
        is_blank = self._missing_dictionary is not None
        pieces = PicturePieces(self.grid.width, self.grid.height) if is_blank else self._cut_like(own.pieces)
        if own.channels != self.channels:
            has = f"{self.channels} channel{'' if self.channels == 1 else 's'}"
            raise InputError(
                f"The pictures have {has}, and the dictionary was learnt on some of {own.channels}: "
                "give it pictures of its kind."
            )
        rows = self.grid.frames * pieces.count
        self.code = Parameter(torch.zeros(rows, own.code_length, device=device))
        self.register_buffer("support", torch.ones(rows, own.code_length, dtype=torch.bool, device=device))
        self.register_buffer("learnt_codes", learnt.codes.to(device))
        return CodedPictures(self.dictionary, self.grid, pieces, self.own_codes)

    def _cut_like(self, learnt: PicturePieces) -> PicturePieces:
        """The pieces of these pictures, of the dictionary's size.

        Raises:
            InputError: there are none.
        """
        width, height = self.grid.width, self.grid.height
        if learnt.patch == 0 and (width, height) != (learnt.width, learnt.height):
            raise InputError(
                f"The pictures have {width} x {height} pixels, and the dictionary codes such of {learnt.width} x "
                f"{learnt.height} as a whole: bring them to that size (--pipeline.datamanager.dataparser.size), or "
                "learn one of patches."
            )
        if learnt.patch > min(width, height):
            raise InputError(
                f"The pictures have {width} x {height} pixels, and the dictionary is of patches of {learnt.patch}: "
                "give larger ones."
            )
        return PicturePieces(width, height, learnt.patch, learnt.overlap)

    def own_codes(self) -> Tensor:
        """See ShowsPictures."""
        return self.code.detach() * self.support

    @property
    def dictionary_names(self) -> tuple[str, ...]:
        """None: the pictures are others than those that the dictionary was learnt on."""
        return ()

    # -- state ---------------------------------------------------------------------------------------------------------

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """As nn.Module's, after taking on the dictionary that the state was saved with; its codes have been found."""
        held = pictures_of(state_dict)
        if held is not None and "code" in state_dict:
            self._missing_dictionary = None
            self.field = self._take(held)
            self.is_solved = True
        return super().load_state_dict(state_dict, *args, **kwargs)

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        """The codes alone."""
        return {"code": [self.code]}

    # -- the beginning -------------------------------------------------------------------------------------------------

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        """Callbacks of a run that is about to begin, or to go on; one that begins finds its codes here."""
        trainer, pipeline = training_callback_attributes.trainer, training_callback_attributes.pipeline
        self.note_run_length(training_callback_attributes)
        if trainer is not None:
            self._folder = trainer.base_dir
        if pipeline is not None:
            self._source = pipeline.datamanager
            self.begin(self._source)
        after = [TrainingCallbackLocation.AFTER_TRAIN_ITERATION]
        return [TrainingCallback(after, self.after_step, update_every_num_iters=1)]

    @torch.no_grad()
    def begin(self, source: Any) -> None:
        """Find the codes of a datamanager's pictures, unless they have been.

        Raises:
            InputError: there is no dictionary, or no encoder where one is asked for.
        """
        if self._missing_dictionary is not None:
            raise self._missing_dictionary
        if self.is_solved:
            return
        gone = source.pictures.missing
        if gone is not None:
            self.missing.copy_(torch.from_numpy(gone.reshape(-1)))
        how = self._how(has_gaps=gone is not None)
        begin, found = time.monotonic(), []
        prior = CodePrior.from_codes(self.learnt_codes, isotropic=self.config.isotropic) if how == "prior" else None
        k = min(self.config.active or self.dictionary.settings.active, self.dictionary.settings.experts)
        for numbers in torch.arange(self.grid.frames).split(_AT_ONCE):
            pieces = self._pieces_of(source, numbers)
            if prior is not None:
                codes, believed = most_likely(self.dictionary, pieces, prior, robust=self.config.loss == "l1")
                self._note_missing(numbers, ~believed)
            elif how == "gate":
                if self.gate is None:
                    raise InputError(
                        f"{model_option('start')} gate wants a dictionary with an encoder, and this one was learnt "
                        "without: leave it out."
                    )
                codes = coded_at_once(self.gate, pieces, k)
            else:
                codes = pursued(self.dictionary, pieces, k, pictures=len(numbers))
            found.append(codes.float())
        code = torch.cat(found)
        self.code.copy_(code)
        self.support.copy_(code != 0)
        self.is_solved = True
        self._report(0, source, how=how, seconds=time.monotonic() - begin)

    def _how(self, *, has_gaps: bool) -> str:
        """The way that is taken to find codes."""
        if self.config.start != "auto":
            if has_gaps and self.config.start != "prior":
                raise InputError(
                    f"{model_option('start')} {self.config.start} knows nothing of what is missing: leave it out, or "
                    "the mask."
                )
            return self.config.start
        return "prior" if has_gaps or self.config.loss == "l1" or self.dictionary.pieces.patch == 0 else "pursuit"

    def _pieces_of(self, source: Any, numbers: Tensor) -> Pieces:
        cut = self.field.pieces.cut
        values = 2 * cut(source.values_of(numbers.numpy())).flatten(0, 1) - 1
        missing = self.missing.view(self.grid.frames, self.grid.height, self.grid.width, 1)[numbers]
        return Pieces(values, ~cut(missing.float()).flatten(0, 1)[..., 0].bool())

    def _note_missing(self, numbers: Tensor, left_out: Tensor) -> None:
        """Call missing what pieces have left out, of overlapping ones any of them."""
        grid, pieces = self.grid, self.field.pieces
        found = torch.zeros(len(numbers), grid.height, grid.width, dtype=torch.bool)
        left_out = left_out.view(len(numbers), pieces.count, pieces.grid.height, pieces.grid.width).cpu()
        at = [(top, left) for top in pieces.tops for left in pieces.lefts]
        for piece, (top, left) in enumerate(at):
            part = found[:, top : top + pieces.grid.height, left : left + pieces.grid.width]
            part |= left_out[:, piece]
        mine = self.missing.view(grid.frames, grid.height, grid.width)
        mine[numbers] |= found.to(mine.device)

    # -- training ------------------------------------------------------------------------------------------------------

    def forward(self, ray_bundle: RayBundle | Cameras | SignalPixels | PictureBatch) -> dict[str, Any]:
        """As the base class; for pictures, `values` (pieces, places, channels) of all that is known in them, `truth` of
        the same, both in [-1, 1], and `known` (pieces, places)."""
        if not isinstance(ray_bundle, PictureBatch):
            return super().forward(ray_bundle)
        pieces = self.field.pieces
        numbers = ray_bundle.numbers
        of_each = torch.arange(pieces.count, device=numbers.device)
        rows = (numbers[:, None] * pieces.count + of_each).flatten()
        gone = self.missing.view(self.grid.frames, self.grid.height, self.grid.width, 1)[numbers].float()
        atoms = self.dictionary.atoms(pieces.grid.middles(torch.arange(pieces.grid.count, device=numbers.device)))
        code = self.code[rows] * self.support[rows]
        if self.config.start != "gate":
            # Nothing to be descended, but a loss that has a gradient.
            code = code.detach() + 0 * code
        values = torch.einsum("sl,pcl->spc", code, atoms)
        return {
            "values": values,
            "truth": 2 * pieces.cut(ray_bundle.values).flatten(0, 1) - 1,
            "known": ~pieces.cut(gone).flatten(0, 1)[..., 0].bool(),
        }

    def get_loss_dict(
        self, outputs: dict[str, Any], batch: dict[str, Any], metrics_dict: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Squared or absolute errors of what is known."""
        error = (outputs["values"] - outputs["truth"])[outputs["known"]]
        name, each = ("l1_loss", error.abs()) if self.config.loss == "l1" else ("mse_loss", error.square())
        return {name: each.mean() if error.numel() else (0 * outputs["values"]).sum()}

    @torch.no_grad()
    def get_metrics_dict(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        """PSNR of all known pixels of a batch together, clamped."""
        error = ((outputs["values"].clamp(-1, 1) - outputs["truth"]) / 2)[outputs["known"]].square()
        mean = error.mean() if error.numel() else error.new_tensor(1.0)
        return {"psnr": -10 * torch.log10(mean.clamp(min=1e-12))}

    def after_step(self, step: int) -> None:
        """Judge pictures whose codes came from the encoder after the fifth step, and after the last."""
        is_stepped = self.config.start == "gate"
        if is_stepped and self._source is not None and step + 1 in (_TOLD_AFTER, self.run_steps):
            self._report(step + 1, self._source)

    @torch.no_grad()
    def _report(self, steps: int, source: Any, *, how: str = "", seconds: float = 0.0) -> None:
        """Print and write how near the pictures are by now: means over them of what is known of each."""
        grid, size = self.grid, self.grid.width * self.grid.height
        psnr, ssim = [], []
        for number in range(grid.frames):
            places = torch.arange(number * size, (number + 1) * size, device=self.missing.device)
            fit = self.field(places).clamp(0, 1)
            truth = source.values_of(torch.tensor([number]).numpy()).view(size, -1)
            known = ~self.missing[places]
            error = (fit - truth)[known].square().mean() if bool(known.any()) else fit.new_tensor(1.0)
            psnr.append(-10 * float(error.clamp(min=1e-12).log10()))
            if bool(known.all()) and self.channels in (1, 3):
                planes = [each.view(grid.height, grid.width, -1).expand(-1, -1, 3) for each in (fit, truth)]
                ssim.append(float(_METRICS(*planes)["ssim"]))
        judged: dict[str, Any] = {"psnr": sum(psnr) / len(psnr), "ssim": sum(ssim) / len(ssim) if ssim else None}
        named = "init" if steps == 0 else f"+{steps}"
        if steps == 0:
            numbers = int(self.support.sum())
            pixels = int((~self.missing).sum())
            self.reported = {
                "start": how,
                "pictures": grid.frames,
                "seconds": seconds,
                "pictures_per_second": grid.frames / max(seconds, 1e-9),
                "numbers": numbers / grid.frames,
                "code_bytes": (_BYTES * numbers + self._naming_bytes()) / grid.frames,
                "numbers_per_pixel": numbers / grid.count,
                "known_pixels": pixels / grid.count,
                "judged": {},
            }
            CONSOLE.print(
                f"Codes of {grid.frames} picture{'s' if grid.frames > 1 else ''} by {how} in {seconds:.2f} s "
                f"({self.reported['pictures_per_second']:.3g} a second): {numbers / grid.frames:,.0f} numbers "
                f"({self.reported['code_bytes']:,.0f} bytes in float32, with which experts they are of) each, "
                f"{self.reported['numbers_per_pixel']:.3g} for a pixel"
                + ("." if pixels == grid.count else f"; {100 * (1 - pixels / grid.count):.1f} % is missing."),
                highlight=False,
            )
        # A run that goes on tells of what it has judged itself.
        self.reported.setdefault("judged", {})[named] = judged
        near = f", SSIM {judged['ssim']:.4f}" if ssim else ""
        of = "" if bool((~self.missing).all()) else " of what is known"
        CONSOLE.print(f"{named}: PSNR {judged['psnr']:.2f} dB{near}{of}.", highlight=False)
        if self._folder is not None:
            write_json(self._folder / _REPORT, self.reported)

    def _naming_bytes(self) -> int:
        """Of the numbers of the experts that codes have, where they do not have all."""
        experts = self.dictionary.settings.experts
        named = self.support[:, :experts]
        return 0 if bool(named.all()) else int(named.sum()) * (1 if experts <= 256 else 2 if experts <= 65_536 else 4)

    # -- parts ---------------------------------------------------------------------------------------------------------

    def files_to_read_out(self) -> dict[str, str | None]:
        """See ImageModel: a file for each part."""
        ending = "mkv" if self.grid.is_video else "png"
        return {f"{part}.{ending}": part if number else None for number, part in enumerate(PARTS)}

    def make_part(self, part: int, stored: StoredImage) -> ImageField:
        """See PartedModel."""
        as_mask = self.parts[part] == MISSING
        return RestoredImage(self.field, stored, self.missing, as_mask=as_mask, has_alpha=self.has_alpha)


_METRICS = ImageMetrics()
