"""`ns-train nid-ct`: a slice from few views, as a code over a dictionary of pictures of such slices (NID, sec. 4.4)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor
from torch.nn import Parameter

from inr_plugins.errors import InputError
from inr_plugins.fields.dictionary_picture import CodedPictures
from inr_plugins.fields.dictionary_slice import DictionarySlice
from inr_plugins.fields.image import ImageField
from inr_plugins.files import write_json
from inr_plugins.models.common.panels import network_panels
from inr_plugins.models.inverse.tomography import ComparedSlice
from inr_plugins.models.nid.picture_dictionary import LearntPictures, blank_pictures, open_pictures, pictures_of
from inr_plugins.models.nid.picture_panels import PictureCodePanel
from inr_plugins.models.nid.shown_picture import ShowsPictures
from inr_plugins.models.signals.base import ImageModelConfig
from inr_plugins.models.signals.panels import ImagePanel
from inr_plugins.operators.tomography import Sinograms, relative_error
from inr_plugins.signal_grid import SignalPixels
from inr_plugins.sparse_codes.code_prior import CodePrior
from inr_plugins.sparse_codes.many_codes import likely_code
from inr_plugins.viewer.page import LivePage

_REPORT = "fit.json"
_AT_ONCE = 1 << 12
"""Pixels at which experts are asked at once."""
_ATOMS_AT_ONCE = 64
"""Experts that are measured at once."""
_EMPTY, _RIM = 0.05, 0.85
"""Of views, a share of their largest mean below which there is nothing; and of the mean picture's extent one that is
narrower than that."""
_BLENDED = 20
"""Of the dictionary's pictures, those that the page offers."""


@dataclass
class NidSliceModelConfig(ImageModelConfig):
    """A slice over a learnt dictionary."""

    _target: type = field(default_factory=lambda: NidSliceModel)
    """Class to instantiate."""
    dictionary: Path | None = None
    """Run of nid-images, of whole pictures of such slices (--pipeline.model.patch 0), whose dictionary is used; the
    run of nid-ct does not need it once it has begun."""
    start: Literal["prior", "mean"] = "prior"
    """How the code is found: prior, the most likely one given those of the dictionary's pictures, solved for at once;
    or mean, from their mean by the training's steps, as the paper does."""
    white: float | None = None
    """Attenuation that white of the dictionary's pictures stands for: of a sinogram in 1/mm, by default that with which
    their mean has the views of the slice best; of an image a share of its white, by default 1."""
    isotropic: float = 0.005
    """Part of the codes' variance that the prior lets leave the span of the dictionary's pictures: the less, the more
    is left to these where views are few. (Four heads by 16 views without noise over 512 principal components: 31.3 dB
    with 0.1, 31.9 dB with 0.005; by 8 views 26.9 and 28.6 dB.)"""
    weighting: Literal["ramp", "none"] = "ramp"
    """What is counted of views: ramp, all frequencies of the slice alike; none, the views as they are."""


class NidSliceModel(ShowsPictures, ComparedSlice):
    """A frozen dictionary of whole pictures, and one code, of which the views of a slice are a linear function.

    A f = white / 2 (A Φ α + A 1), where the columns of Φ are the experts and the constant: their line integrals are
    made once, and the code that has the measured ones is solved for under a normal prior (`sparse_codes.many_codes`).
    The paper descends the same error with a code that starts at random; `start` mean does, from the mean code.

    The dictionary is asked in the middles of the slice's pixels, however many these are.

    A checkpoint holds the dictionary too, as that of nid-fit.

    Raises:
        InputError: a setting out of range, no dictionary, or one that is none of whole grey pictures.
    """

    config: NidSliceModelConfig
    field: CodedPictures
    learnt_codes: Tensor
    white: Tensor

    def populate_modules(self) -> None:
        """As the base class."""
        self.is_solved = False
        self.reported: dict[str, Any] = {}
        self._missing_dictionary: InputError | None = None
        self._equations: tuple[Tensor, Tensor] | None = None
        signal = (self.kwargs.get("metadata") or {}).get("signal") or {}
        if int(signal.get("frames", 1)) > 1:
            raise InputError(
                "nid-ct learns one slice, and a dictionary is of slices: leave out --pipeline.datamanager.dataparser."
                "stack, and say which by --pipeline.datamanager.dataparser.slice."
            )
        super().populate_modules()
        if self.config.white is not None:
            low, high = self.unit_span
            self.white.fill_((self.config.white - low) / (high - low))
        self.page = LivePage(
            panels=lambda: [
                ImagePanel(scales=self.scales(), stored=self.stored_name, is_truth=self.has_truth),
                PictureCodePanel(),
                *network_panels(self),
            ],
            has_surface=False,
            read_out=self.files_to_read_out(),
        )

    def make_field(self) -> ImageField:
        """See ImageModel."""
        self.register_buffer("white", torch.tensor(1.0))
        try:
            return self._take(self._opened())
        except InputError as error:
            # Not yet: a checkpoint may be about to bring its own.
            self._missing_dictionary = error
            return self._take(blank_pictures(self.channels))

    def _opened(self) -> LearntPictures:
        if self.config.dictionary is None:
            raise InputError(
                "nid-ct needs a dictionary: give --pipeline.model.dictionary the folder of a run of nid-images."
            )
        return open_pictures(self.config.dictionary)

    def _take(self, learnt: LearntPictures) -> CodedPictures:
        """Use a dictionary from now on, with a code that is still zero; the field of it."""
        device, own = self.white.device, learnt.field
        if own.pieces.patch:
            raise InputError(
                f"The dictionary is of patches of {own.pieces.patch} pixels, and views are of whole slices: learn one "
                "with ns-train nid-images --pipeline.model.patch 0."
            )
        if own.channels != 1:
            raise InputError(
                "The dictionary is of coloured pictures, and a slice has one value a pixel: learn grey ones."
            )
        ratio, wanted = own.pieces.width / own.pieces.height, self.grid.width / self.grid.height
        if self._missing_dictionary is None and abs(ratio / wanted - 1) > 0.02:
            raise InputError(
                f"The slice has {self.grid.width} x {self.grid.height} pixels, and the dictionary's pictures other "
                f"sides, {own.pieces.width} x {own.pieces.height}: learn one of pictures of its shape."
            )
        self.dictionary, self.gate = own.to(device), None if learnt.gate is None else learnt.gate.to(device)
        self.code = Parameter(torch.zeros(1, own.code_length, device=device))
        self.register_buffer("learnt_codes", learnt.codes.to(device))
        self._equations = None
        return self._field_of(self.own_codes)

    def _field_of(self, codes: Any) -> DictionarySlice:
        return DictionarySlice(self.dictionary, self.grid, codes, lambda: self.white)

    def own_codes(self) -> Float[Tensor, "1 l"]:
        """See ShowsPictures."""
        return self.code.detach()

    @property
    def code_names(self) -> tuple[str, ...]:
        """The slice, and what its code can be blended with: the mean and some of the dictionary's pictures."""
        some = min(_BLENDED, len(self.learnt_codes))
        return ("slice", "the dictionary's mean", *(f"the dictionary's {number}" for number in range(some)))

    @property
    def dictionary_names(self) -> tuple[str, ...]:
        """Those of it without the slice."""
        return self.code_names[1:]

    def code_of(self, number: int) -> Float[Tensor, "1 l"]:
        """See ShowsPictures; of any of `code_names`."""
        if number == 0:
            return self.own_codes().clone()
        mean = self.learnt_codes.mean(0, keepdim=True)
        return mean if number == 1 else self.learnt_codes[number - 2 : number - 1].clone()

    def values_at(self, pixels: Float[Tensor, "n d"]) -> Float[Tensor, "n shown"]:
        """As the base class, with the code that the slice is drawn with."""
        return self.field.at(pixels) if self.drawn_code is None else self._field_of(self.shown_codes).at(pixels)

    # -- state ---------------------------------------------------------------------------------------------------------

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """As nn.Module's, after taking on the dictionary that the state was saved with; the code has been found."""
        held = pictures_of(state_dict)
        if held is not None and "code" in state_dict:
            self._missing_dictionary = None
            self.field = self._take(held)
            self.is_solved = True
        return super().load_state_dict(state_dict, *args, **kwargs)

    def get_param_groups(self) -> dict[str, list[Parameter]]:
        """The code alone."""
        return {"code": [self.code]}

    # -- the beginning -------------------------------------------------------------------------------------------------

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        """None; a run that begins finds its code here."""
        trainer, pipeline = training_callback_attributes.trainer, training_callback_attributes.pipeline
        if pipeline is not None:
            source: Any = pipeline.datamanager
            self.begin(source.dataparser.measured)
            if trainer is not None and self.reported:
                write_json(trainer.base_dir / _REPORT, self.reported)
        return []

    @torch.no_grad()
    def begin(self, measured: Sinograms) -> None:
        """Find the code of what was measured, unless it has been.

        Raises:
            InputError: there is no dictionary.
        """
        if self._missing_dictionary is not None:
            raise self._missing_dictionary
        if self.is_solved:
            return
        begin = time.monotonic()
        prior = CodePrior.from_codes(self.learnt_codes, isotropic=self.config.isotropic)
        views = measured.learnt.to(self.device)
        if self.config.white is None and not self.has_truth:
            self.white.fill_(self._matching_white(prior, views))
        code = prior.mean
        if self.config.start == "prior":
            rows, offset = self.equations
            wanted = self.weighted(views - self.white * offset).flatten()
            atoms = self.weighted(self.white * rows).flatten(1).T
            code = likely_code(atoms, wanted, prior).code
        self.code.copy_(code)
        self.is_solved = True
        if not self.has_truth:
            self._note_rims(prior, views)
        self._report(measured, time.monotonic() - begin)

    @property
    def equations(self) -> tuple[Float[Tensor, "l views bins"], Float[Tensor, "views bins"]]:
        """Line integrals of the learnt views: what each number of the code adds, and what there is without; where white
        is 1."""
        if self._equations is None:
            with torch.no_grad():
                self._equations = self._measured_atoms()
        return self._equations

    def _measured_atoms(self) -> tuple[Tensor, Tensor]:
        # The frame of a piece of the slice's own sides: the dictionary's, seen at other places.
        places = self.field.pieces.grid.middles(torch.arange(self.grid.count, device=self.device))
        atoms = torch.cat([self.dictionary.atoms(part)[:, 0] for part in places.split(_AT_ONCE)])
        slices = atoms.T.reshape(-1, self.grid.height, self.grid.width) / 2
        rows = torch.cat([self.learnt_beam.forward(part) for part in slices.split(_ATOMS_AT_ONCE)])
        return rows, self.learnt_beam.forward(torch.full_like(slices[0], 0.5))

    def _matching_white(self, prior: CodePrior, views: Float[Tensor, "views bins"]) -> float:
        """That with which the mean slice has the views best, least squares."""
        rows, offset = self.equations
        mean = torch.einsum("l,lvb->vb", prior.mean.to(rows), rows) + offset
        found = float((mean * views).sum() / mean.square().sum().clamp(min=1e-12))
        if not found > 0:
            raise InputError(
                "The views are not those of anything like the dictionary's pictures: give others, or say what white "
                "stands for by --pipeline.model.white."
            )
        return found

    def _note_rims(self, prior: CodePrior, views: Float[Tensor, "views bins"]) -> None:
        """Say where a slice fills much less of its square than the dictionary's pictures do of theirs."""
        rows, offset = self.equations
        mean = torch.einsum("l,lvb->vb", prior.mean.to(rows), rows) + offset
        share = self._extent(views) / max(self._extent(mean), 1e-9)
        if share < _RIM:
            side = self.geometry.width * self.geometry.pixel_mm
            CONSOLE.print(
                f"[bold yellow]Note:[/bold yellow] the views are of something {share:.2f} times as wide as what the "
                f"dictionary's pictures show where they are {side:.4g} mm wide: if they are of one size, "
                f"--pipeline.datamanager.dataparser.side-mm {share * side:.3g} or so would make them alike.",
                highlight=False,
            )

    def _extent(self, views: Float[Tensor, "views bins"]) -> float:
        """How far to a side there is something, from the axis of rotation, mm; the wider of both sides."""
        geometry, mean = self.geometry, views.mean(0)
        offsets = torch.arange(geometry.bins, device=views.device) - (geometry.bins - 1) / 2 + geometry.shift
        return float((offsets.abs() * geometry.pitch_mm)[mean > _EMPTY * mean.max()].max())

    def _report(self, measured: Sinograms, seconds: float) -> None:
        """Print what was found, and keep it."""
        with torch.no_grad():
            missed = relative_error(self._measured(self.code), measured.learnt.to(self.device))
            held_out = relative_error(
                self.held_out_beam.forward(self.volume_values()), measured.held_out.to(self.device)
            )
        views, numbers = len(measured.learnt), self.code.shape[1]
        self.reported = {
            "start": self.config.start,
            "views": views,
            "numbers": numbers,
            "seconds": seconds,
            "white": float(self.white),
            "measurement_error": missed,
            "held_out_error": held_out,
        }
        how = "the most likely" if self.config.start == "prior" else "the mean"
        CONSOLE.print(
            f"The code, {numbers} numbers from {views} views: {how}, in {seconds:.2f} s. It misses the views by "
            f"{100 * missed:.2f} %, those held out by {100 * held_out:.2f} %.",
            highlight=False,
        )
        if self.config.white is None and not self.has_truth:
            low, high = self.unit_span
            CONSOLE.print(
                f"White of the dictionary's pictures stands for {low + float(self.white) * (high - low):.4g} "
                f"{self.unit} (--pipeline.model.white).",
                highlight=False,
            )

    # -- training ------------------------------------------------------------------------------------------------------

    def forward(self, ray_bundle: RayBundle | Cameras | SignalPixels) -> dict[str, Any]:
        """As the base class; of all pixels `measured`, the line integrals (views, bins) of the learnt views."""
        if not isinstance(ray_bundle, SignalPixels):
            return super().forward(ray_bundle)
        # What was solved for has nothing to be descended, but a loss that has a gradient.
        code = self.code if self.config.start == "mean" else self.code.detach() + 0 * self.code
        return {"measured": self._measured(code)}

    def _measured(self, code: Float[Tensor, "1 l"]) -> Float[Tensor, "views bins"]:
        rows, offset = self.equations
        return self.white * (torch.einsum("l,lvb->vb", code[0], rows) + offset)
