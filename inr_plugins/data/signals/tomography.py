"""The data of `ns-train cn-ct`: views of slices through a body, of a sinogram, or measured of an image of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
import tyro
from jaxtyping import Float

from inr_plugins import ranks
from inr_plugins.data.signals.batches import PixelBatches
from inr_plugins.data.signals.image_file import SignalImage
from inr_plugins.data.signals.kind import SignalKind
from inr_plugins.data.signals.measured import (
    OPTION,
    ComparedImages,
    MeasuredDataManager,
    MeasuredDataManagerConfig,
    MeasuredDataParser,
    MeasuredDataParserConfig,
    MeasuredImages,
    rounded_up,
    stamp_of,
)
from inr_plugins.data.signals.medical_file import Affine, is_dicom, is_nifti
from inr_plugins.data.signals.scan_slice import Place, ScannedSlice, read_scan
from inr_plugins.data.signals.sidecar import sidecar
from inr_plugins.data.signals.sinogram_file import (
    Sinogram,
    chosen_views,
    is_sinogram,
    read_sinogram,
)
from inr_plugins.errors import InputError
from inr_plugins.files import shown
from inr_plugins.geometry.io.read_checks import counted
from inr_plugins.operators.tomography import Geometry, Sinograms, back_projected, measure, smoothest
from inr_plugins.options import OF_THE_DATA
from inr_plugins.signal_grid import SignalPixels

_HELD_OUT = 8
_LONGEST = 1024
"""Pixels along a slice: its fit is measured whole in every step."""
_PIXELS_OF_A_STEP = 1 << 17
"""Of as many slices of a stack as have so many, at most, a step sees the views."""
_MOST_OUTSIDE = 0.02
"""Share of what views have that may be beside the slice, as noise of what is empty."""
_MOST_VOXELS = 1 << 27
"""Of a stack, whose slices are all held in memory, some times over."""


@dataclass(frozen=True)
class Tomography:
    """How a slice is seen.

    Attributes:
        geometry: of the instrument.
        has_truth: whether the slice itself is known.
        affine: where its pixels are in the patient, of DICOM, whose numbers are Hounsfield units.
    """

    geometry: Geometry
    has_truth: bool
    affine: Affine | None = None


@dataclass(frozen=True, eq=False)
class MeasuredSlice(SignalImage):
    """A slice of which only measurements are known, or a stack; its pixels are its filtered back-projection, 1/mm.

    Attributes:
        measured: line integrals of what is 1 where the kind's `high` is attenuated, mm.
        sinogram: the file.
    """

    measured: Sinograms = field(kw_only=True)
    sinogram: Sinogram = field(kw_only=True)

    @cached_property
    def kind(self) -> SignalKind:
        """All of it but its pixels; `high` is round, so that another machine finds the same."""
        *frames, height, width, channels = self.pixels.shape
        high = rounded_up(float(self.pixels.max()))
        return SignalKind(width, height, channels, self.bits, frames=(frames or [1])[0], low=0.0, high=high)

    @property
    def notes(self) -> tuple[str, ...]:
        """See SignalImage."""
        return self.sinogram.notes


@dataclass
class SliceDataParserConfig(MeasuredDataParserConfig):
    """A sinogram, or an image of a slice and how it is measured."""

    _target: type = field(default_factory=lambda: SliceDataParser)
    """Class to instantiate."""
    data: Path = Path()
    """Sinogram (.npy, .npz or TIFF with <name>.json beside it, see the page of cn-ct); or the slice, which is measured,
    and judged by, never learnt: DICOM of a scanner, a file or a folder of slices, or a grey image, black where nothing
    attenuates the beam."""
    slice: int | None = None
    """Which slice of a sinogram or a folder of several, from 0; by default the middle one."""
    stack: bool = False
    """Learn all slices of a sinogram of several, or of a folder of DICOM, as one volume, in place of one of them."""
    views: int | None = None
    """Views that are learnt from, spread evenly; by default 100 of an image, over 180 degrees, and of a sinogram all
    that are not held out."""
    held_out_views: int | None = None
    """Further views, by which a fit is judged; by default 8 of an image, or as many as those, half-way between two of
    them, and of a sinogram one in ten, at most 8."""
    noise: float = 0.0
    """Of an image: noise of the measurements, its root mean square as a share of theirs, such as 0.05."""
    noise_seed: int = 0
    """Seed of the noise."""
    pixel_mm: float | None = None
    """Side of a pixel of the slice, millimetres; by default 1 of an image, whose pixels are also as large as the
    detector's bins, and of a sinogram the distance of those. DICOM says its own."""
    side_mm: float | None = None
    """Side of the square slice of a sinogram, millimetres, outside of which there is nothing: of nid-ct, the width of
    the dictionary's pictures; by default all that the detector can see."""
    learnt: tyro.conf.Suppress[tyro.conf.Fixed[SignalKind | None]] = field(default=None, metadata=OF_THE_DATA)
    """What kind of image that is, as it was when training began."""
    instrument: tyro.conf.Suppress[tyro.conf.Fixed[Geometry | None]] = field(default=None, metadata=OF_THE_DATA)
    """How a sinogram was measured, as it was when training began."""
    patient: tyro.conf.Suppress[tyro.conf.Fixed[Place | None]] = field(default=None, metadata=OF_THE_DATA)
    """Where a slice of DICOM is, as it was when training began."""
    NOUN: ClassVar[str] = "slice"
    SEEN: ClassVar[str] = "instrument"

    @property
    def noted(self) -> tuple[str, ...]:
        """See MeasuredDataParserConfig."""
        return (*super().noted, "patient")

    def read(self) -> SignalImage:
        """The image, or the sinogram as one; InputError where it can be no slice."""
        path = Path(self.data)
        if self.stack and self.slice is not None:
            raise InputError(f"{OPTION}.stack learns all slices, and {OPTION}.slice is one of them: leave one out.")
        if is_sinogram(path):
            return self._read_sinogram(path)
        if self.side_mm is not None:
            raise InputError(
                f"{OPTION}.side-mm is of a sinogram, and --data {shown(path)} is a slice, whose pixels say how large "
                "it is: leave it out."
            )
        if is_dicom(path):
            return self._read_scan(path)
        if is_nifti(path):
            raise InputError(
                f"--data {shown(path)} is NIfTI, and a slice is read from DICOM (a file, or a folder of a series), a "
                "grey image, or a sinogram (.npy, .npz or TIFF): give one of those."
            )
        if self.slice is not None:
            raise InputError(f"{OPTION}.slice is of a sinogram, and --data {shown(path)} is an image: leave it out.")
        if self.stack:
            raise InputError(
                f"{OPTION}.stack is of several slices, and --data {shown(path)} is an image: leave it out."
            )
        found = super().read()
        self._check(found.kind)
        if not found.pixels.any():
            raise InputError(f"--data {shown(path)} is black, and nothing of it can be measured.")
        return found

    def settle(self) -> None:
        """Note what there is, before there is a run; InputError where it cannot be read."""
        found = self.read()
        self.learnt = found.kind
        self.instrument = found.measured.geometry if isinstance(found, MeasuredSlice) else None
        self.patient = found.place if isinstance(found, ScannedSlice) else None

    def geometry(self, kind: SignalKind, patient: Place | None = None) -> Geometry:
        """How a slice of a kind is measured, or one that is somewhere in a patient."""
        if self.instrument is not None:
            return self.instrument
        views, held_out = self._views_of_an_image()
        pixel = 1.0 if self.pixel_mm is None else self.pixel_mm
        if patient is not None:
            pixel = patient.pixel_mm
        found = Geometry.around(kind.width, kind.height, pixel_mm=pixel, views=views, held_out=held_out)
        return replace(found, slice_mm=patient.slice_mm) if patient is not None and kind.frames > 1 else found

    def _views_of_an_image(self) -> tuple[int, int]:
        views = 100 if self.views is None else self.views
        return views, min(_HELD_OUT, views) if self.held_out_views is None else self.held_out_views

    def _check(self, kind: SignalKind) -> None:
        name = f"--data {shown(Path(self.data))}"
        if kind.channels != 1:
            raise InputError(f"{name} is {kind.description()}, and a slice has one value a pixel: make it grey.")
        if kind.is_float:
            raise InputError(
                f"{name} has floating-point numbers, whose unit nothing says: store the slice as grey of 8 or 16 bits, "
                f"or, of a sinogram, put {sidecar(Path(self.data)).name} beside it."
            )
        self._check_size(kind)

    def _check_size(self, kind: SignalKind) -> None:
        name = f"--data {shown(Path(self.data))}"
        _check_voxels(Path(self.data), kind.frames, kind.height, kind.width)
        if max(kind.width, kind.height) > _LONGEST:
            raise InputError(
                f"{name} has {kind.width} x {kind.height} pixels: make it {_LONGEST} or fewer along its longer side."
            )
        views, held_out = self._views_of_an_image()
        if held_out > views:
            raise InputError(
                f"{OPTION}.held-out-views {held_out} are more than {OPTION}.views {views}, between which they lie: "
                "give fewer."
            )

    def _read_scan(self, path: Path) -> ScannedSlice:
        if self.pixel_mm is not None:
            raise InputError(
                f"{OPTION}.pixel-mm is of an image or a sinogram, and --data {shown(path)} is DICOM, which says how "
                "large its pixels are: leave it out."
            )
        found = read_scan(path, wanted=self.slice, stack=self.stack)
        self._check_size(found.kind)
        return found

    def _read_sinogram(self, path: Path) -> MeasuredSlice:
        if self.noise:
            raise InputError(f"{OPTION}.noise is added to views of an image, and {shown(path)} has its own: leave it.")
        asked = (self.slice, self.stack, self.views, self.held_out_views, self.pixel_mm, self.side_mm)
        return _measured(path, stamp_of(path), *asked)


@lru_cache(maxsize=1)
def _measured(
    path: Path,
    stamp: object,
    wanted: int | None,
    stack: bool,
    learnt: int | None,
    held_out: int | None,
    pixel_mm: float | None,
    side_mm: float | None,
) -> MeasuredSlice:
    """The slice of a sinogram, or all, which is read once while its files are what they were (`stamp`)."""
    sinogram = read_sinogram(path, wanted=wanted, stack=stack)
    *_, count, bins = sinogram.views.shape
    chosen, aside = chosen_views(count, learnt=learnt, held_out=held_out)
    pixel = sinogram.pitch_mm if pixel_mm is None else pixel_mm
    # All that the detector can see in any view.
    width = (bins + 2 * abs(sinogram.shift)) * sinogram.pitch_mm
    if side_mm is not None:
        _check_outside(path, sinogram, side_mm, width)
        width = round(side_mm / pixel) * pixel
    side = math.ceil(width / pixel - 1e-6)
    if not 2 <= side <= _LONGEST:
        raise InputError(
            f"--data {shown(path)} is of a slice of {side:,} pixels of {pixel:.6g} mm along its side: give "
            f"{OPTION}.pixel-mm so that there are 2 to {_LONGEST:,} of them."
        )
    if stack:
        _check_voxels(path, sinogram.slices, side, side)
    angles = torch.from_numpy(sinogram.angles_deg)
    geometry = Geometry(
        width=side,
        height=side,
        pixel_mm=pixel,
        bins=bins,
        pitch_mm=sinogram.pitch_mm,
        shift=sinogram.shift,
        learnt_deg=tuple(angles[chosen].tolist()),
        held_out_deg=tuple(angles[aside].tolist()),
        slice_mm=sinogram.slice_mm if stack else None,
    )
    views = torch.from_numpy(sinogram.views).float()
    measured = Sinograms(geometry, views[..., chosen, :], views[..., aside, :])
    pixels = back_projected(measured).clamp(min=0)[..., None].numpy()
    if not pixels.any():
        raise InputError(f"--data {shown(path)} gives an empty slice: give line integrals above 0.")
    found = MeasuredSlice(path, pixels, measured=measured, sinogram=sinogram)
    high = found.kind.high
    return MeasuredSlice(
        path, pixels, measured=Sinograms(geometry, measured.learnt / high, measured.held_out / high), sinogram=sinogram
    )


def _check_outside(path: Path, sinogram: Sinogram, side_mm: float, seen_mm: float) -> None:
    """Refuse a slice that is larger than what the detector sees, or beside which views have something."""
    name = f"{OPTION}.side-mm {side_mm:g}"
    if side_mm > seen_mm + sinogram.pitch_mm:
        raise InputError(f"{name} is more than the {seen_mm:.6g} mm that the detector can see: leave it out.")
    bins, theta = sinogram.views.shape[-1], np.deg2rad(sinogram.angles_deg)[:, None]
    offsets = (np.arange(bins) - (bins - 1) / 2 + sinogram.shift) * sinogram.pitch_mm
    reach = side_mm / 2 * (np.abs(np.cos(theta)) + np.abs(np.sin(theta))) + sinogram.pitch_mm
    share = float((sinogram.views * (np.abs(offsets) > reach)).sum() / sinogram.views.sum())
    if share > _MOST_OUTSIDE:
        raise InputError(
            f"{name} leaves {100 * share:.0f} % of what the views of --data {shown(path)} have outside of the slice: "
            "give the side of a square that holds all of it."
        )


def _check_voxels(path: Path, slices: int, rows: int, columns: int) -> None:
    if slices * rows * columns > _MOST_VOXELS:
        raise InputError(
            f"--data {shown(path)} has {slices:,} slices of {columns:,} x {rows:,} pixels, and a stack may have "
            f"{_MOST_VOXELS:,} of them in all: give fewer slices, or make them smaller."
        )


class SliceDataParser(MeasuredDataParser):
    """As the base class; the metadata that the model gets have "tomography" too."""

    config: SliceDataParserConfig
    METADATA = "tomography"

    @property
    def seen(self) -> Tomography:
        """How the slice is measured; it is known where that is an image."""
        config = self.config
        if config.instrument is None and is_sinogram(Path(config.data)):
            return Tomography(cast(MeasuredSlice, self.image).measured.geometry, False)
        patient = config.patient
        if patient is None and config.learnt is None and isinstance(self.image, ScannedSlice):
            patient = self.image.place
        return Tomography(
            config.geometry(self.kind, patient), config.instrument is None, patient.affine if patient else None
        )

    @property
    def geometry(self) -> Geometry:
        """How the slice is measured."""
        return self.seen.geometry

    @cached_property
    def measured(self) -> Sinograms:
        """What was measured of the slice, as one of values from 0 to 1."""
        if isinstance(self.image, MeasuredSlice):
            return self.image.measured
        values = torch.from_numpy(self.image.values()[..., 0])
        return measure(values, self.geometry, noise=self.config.noise, seed=self.config.noise_seed)

    @cached_property
    def classical(self) -> dict[str, Float[torch.Tensor, "*slices height width"]]:
        """Answers without a network: fbp and tv, as `operators.tomography` has them."""
        return {"fbp": back_projected(self.measured), "tv": smoothest(self.measured)}

    @cached_property
    def truth(self) -> Float[torch.Tensor, "*slices height width"] | None:
        """The slice, or the stack, as values from 0 to 1, where it is known."""
        return torch.from_numpy(self.image.values()[..., 0]) if self.has_truth else None


@dataclass
class SliceDataManagerConfig(MeasuredDataManagerConfig):
    """Settings of the datamanager of slices that are measured."""

    _target: type = field(default_factory=lambda: SliceDataManager)
    """Class to instantiate."""
    dataparser: SliceDataParserConfig = field(default_factory=SliceDataParserConfig)
    """Which slice, and how it is measured."""


class SliceDataManager(MeasuredDataManager):
    """All views in every step, of a stack those of some slices, and the picture of a slice where a fit is judged.

    Raises:
        InputError: from the constructor, if the file or an option is bad.
    """

    config: SliceDataManagerConfig
    dataparser: SliceDataParser
    WANTED, HELD_OUT = "slice", "views"

    @property
    def is_stack(self) -> bool:
        """Whether several slices are learnt together."""
        return self.dataparser.kind.frames > 1

    @property
    def wanted(self) -> str:
        """See MeasuredDataManager."""
        return "stack" if self.is_stack else self.WANTED

    def _batches(self) -> PixelBatches:
        """Of a stack those of its slices, in place of pixels."""
        if not self.is_stack:
            return super()._batches()
        kind, processes = self.image.kind, ranks.number()
        most = max(processes, _PIXELS_OF_A_STEP // (kind.width * kind.height))
        return PixelBatches(kind.frames, most, seed=self._seed, rank=ranks.rank(), ranks=processes)

    def _pixels(self, step: int) -> tuple[SignalPixels, dict[str, Any]]:
        """See MeasuredDataManager; of a stack all pixels of the slices whose turn it is."""
        slices = self._batches().places(step) if self.is_stack else None
        if slices is None:
            return super()._pixels(step)
        size = self.image.kind.width * self.image.kind.height
        places = (slices[:, None] * size + torch.arange(size)).reshape(-1)
        return SignalPixels(places.to(self.device)), {"measured": self._learnt[slices.to(self.device)]}

    def get_train_rays_per_batch(self) -> int:
        """Pixels, all of which a step evaluates; of a stack those of some slices."""
        if not self.is_stack:
            return super().get_train_rays_per_batch()
        return self._batches().size * self.image.kind.width * self.image.kind.height

    def get_eval_rays_per_batch(self) -> int:
        """The same."""
        return self.get_train_rays_per_batch()

    def measured_line(self) -> str:
        """See MeasuredDataManager."""
        geometry, image = self.dataparser.geometry, self.dataparser.image
        learnt, held_out = len(geometry.learnt_deg), len(geometry.held_out_deg)
        what = f"{counted(learnt, 'view')} of {counted(geometry.bins, 'bin')}"
        more = f"{held_out} more {'is' if held_out == 1 else 'are'} held out."
        if isinstance(image, MeasuredSlice):
            if self.is_stack:
                far = f"{geometry.slice_mm:g} mm apart"
                what = f"{image.sinogram.slices} slices, {far}, by {what}"
                return f"Learnt from {what} of {geometry.pitch_mm:g} mm; {more}"
            of = f"slice {image.sinogram.slice} of {image.sinogram.slices}, " if image.sinogram.slices > 1 else ""
            return f"Learnt from {of}{what} of {geometry.pitch_mm:g} mm; {more}"
        noise, made = 100 * self.config.dataparser.noise, "Measured"
        if isinstance(image, ScannedSlice):
            one = f"{image.slices} slices" if self.is_stack else f"slice {image.slice} of {image.slices}"
            made = f"Measured {one}, of pixels of {geometry.pixel_mm:g} mm, in"
        return f"{made} {what} over 180 degrees, noise {noise:g} %; {more}"

    @property
    def dataset_type(self) -> type[MeasuredImages]:
        """Of both splits; slices of a stack have no answers of their own beside them."""
        return MeasuredImages if self.is_stack else ComparedImages
