"""The data of `ns-train diner-lensless`: holograms at several heights, recorded by a sensor, or made of an object."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import torch
import tyro
from jaxtyping import Complex, Float32
from torch import Tensor

from inr_plugins.data.signals.hologram_file import Recording, read_recording, record_files
from inr_plugins.data.signals.image_file import SignalImage
from inr_plugins.data.signals.kind import SignalKind
from inr_plugins.data.signals.measured import (
    OPTION,
    ComparedImages,
    MeasuredDataManager,
    MeasuredDataManagerConfig,
    MeasuredDataParser,
    MeasuredDataParserConfig,
    rounded_up,
)
from inr_plugins.errors import InputError
from inr_plugins.files import shown
from inr_plugins.geometry.io.read_checks import counted
from inr_plugins.operators.lensless import Holograms, Optics, gerchberg_saxton, margin_for, record
from inr_plugins.operators.propagation import Frequencies, Kernel
from inr_plugins.options import OF_THE_DATA

PARTS = ("amplitude", "phase")
_SHOWN_STEPS = 30
"""Of Gerchberg and Saxton's method, for the picture of an object that is not known."""
_BRIGHT = 0.999
"""Share of the pixels whose amplitude is at most what is shown as 1, where the object is not known."""


@dataclass(frozen=True)
class Imaging:
    """How an object is seen: what a run keeps to be read out without its holograms.

    Attributes:
        optics: by which the holograms were recorded.
        high: the amplitude that is learnt and shown as 1, where the light alone has 1.
        has_truth: whether the object itself is known.
    """

    optics: Optics
    high: float
    has_truth: bool


@dataclass(frozen=True, eq=False)
class LightImage(SignalImage):
    """An object's amplitude over `high`, and its phase from -pi to pi as 0 to 1; those of Gerchberg and Saxton's method
    where it is not known.

    Attributes:
        imaging: how it is seen.
        recording: the files.
        aside: numbers of the holograms that are held out, from 0; there may be several of one height.
    """

    imaging: Imaging = field(kw_only=True)
    recording: Recording = field(kw_only=True)
    aside: tuple[int, ...] = field(kw_only=True)

    @property
    def notes(self) -> tuple[str, ...]:
        """See SignalImage."""
        return self.recording.notes

    @cached_property
    def kind(self) -> SignalKind:
        """All of it but its pixels."""
        height, width, _ = self.pixels.shape
        return SignalKind(width, height, len(PARTS), 32, low=0.0, high=1.0, parts=PARTS)


def as_parts(field_: Complex[Tensor, "height width"], high: float) -> Float32[np.ndarray, "height width 2"]:
    """A field as values of its two parts (see `LightImage`)."""
    return torch.stack([field_.abs() / high, field_.angle() / (2 * math.pi) + 0.5], -1).float().numpy()


@dataclass
class LightDataParserConfig(MeasuredDataParserConfig):
    """Holograms, or an object and how it is recorded."""

    _target: type = field(default_factory=lambda: LightDataParser)
    """Class to instantiate."""
    data: Path = Path()
    """Holograms: a folder of numbered grey pictures, a TIFF of pages, .npy, .npz or .mat; or the picture of an object's
    amplitude, of which holograms are made, and which is judged by, never learnt; with <name>.json beside it (see the
    page of diner-lensless)."""
    held_out_heights: int = 1
    """Holograms by which a fit is judged, and not learnt from; spread evenly over the heights."""
    kernel: Kernel = "angular-spectrum"
    """What a fit is propagated by: the angular spectrum, or Fresnel's approximation of it."""
    frequencies: Frequencies = "fft"
    """Grid of the propagation: that of the Fourier transform; or both-ends, that of the paper's code, for holograms
    that were made with it."""
    margin: int | None = None
    """Pixels around the object in which there is the light alone, so that nothing comes back from the other side; by
    default as many as light goes to the side, but no more than a quarter of the longer side."""
    noise: float = 0.0
    """Of an object: noise of its holograms, its root mean square as a share of theirs, such as 0.05."""
    noise_seed: int = 0
    """Seed of the noise."""
    learnt: tyro.conf.Suppress[tyro.conf.Fixed[SignalKind | None]] = field(default=None, metadata=OF_THE_DATA)
    """What kind of object that is, as it was when training began."""
    imaging: tyro.conf.Suppress[tyro.conf.Fixed[Imaging | None]] = field(default=None, metadata=OF_THE_DATA)
    """How it is seen, as it was when training began."""
    NOUN: ClassVar[str] = "recording"
    SEEN: ClassVar[str] = "imaging"

    def read(self) -> LightImage:
        """The object, or what Gerchberg and Saxton's method finds of it; InputError where that cannot be."""
        path = Path(self.data)
        if self.frequencies == "both-ends" and self.margin:
            raise InputError(f"{OPTION}.frequencies both-ends has no margin: leave {OPTION}.margin out.")
        stamp = tuple(
            (each.name, state.st_mtime_ns, state.st_size)
            for each in record_files(path)
            if each.exists() and (state := each.stat())
        )
        found = _read(path, stamp, self.held_out_heights, self.kernel, self.frequencies, self.margin)
        if self.noise and found.recording.intensities is not None:
            raise InputError(
                f"{OPTION}.noise is of holograms that are made of an object, and {shown(path)} are recorded: leave it."
            )
        return found


@lru_cache(maxsize=1)
def _read(
    path: Path, stamp: object, held_out: int, kernel: Kernel, frequencies: Frequencies, margin: int | None
) -> LightImage:
    """What is at a place, which is read once while its files are what they were (`stamp`)."""
    recording = read_recording(path)
    setup = recording.setup
    aside = held_out_of(len(setup.heights_mm), held_out)
    rest = [each for each in range(len(setup.heights_mm)) if each not in aside]
    pictures = recording.truth if recording.intensities is None else recording.intensities[0]
    assert pictures is not None
    height, width = pictures.shape
    optics = Optics(
        width=width,
        height=height,
        pitch_um=setup.pitch_um,
        wavelength_nm=setup.wavelength_nm,
        learnt_mm=tuple(setup.heights_mm[each] for each in rest),
        held_out_mm=tuple(setup.heights_mm[each] for each in aside),
        kernel=kernel,
        frequencies=frequencies,
    )
    optics = margin_for(optics, margin)
    if recording.truth is not None:
        parts, imaging = as_parts(torch.from_numpy(recording.truth), 1.0), Imaging(optics, 1.0, True)
    else:
        field_ = gerchberg_saxton(_holograms(recording, optics, aside), steps=_SHOWN_STEPS)
        high = rounded_up(float(field_.abs().flatten().quantile(_BRIGHT)))
        parts, imaging = as_parts(field_, high), Imaging(optics, high, False)
    return LightImage(path, parts, imaging=imaging, recording=recording, aside=tuple(aside))


def held_out_of(count: int, wanted: int) -> list[int]:
    """Which of so many heights are held out, spread evenly.

    Raises:
        InputError: none would be left.
    """
    if wanted >= count:
        raise InputError(f"{OPTION}.held-out-heights {wanted} leaves none of {count} to learn from: give fewer.")
    return [int((each + 0.5) * count / wanted) for each in range(wanted)]


def _holograms(recording: Recording, optics: Optics, aside: Sequence[int]) -> Holograms:
    assert recording.intensities is not None
    numbers = torch.from_numpy(recording.intensities)
    is_aside = torch.zeros(len(numbers), dtype=torch.bool)
    is_aside[list(aside)] = True
    return Holograms(optics, numbers[~is_aside], numbers[is_aside])


class LightDataParser(MeasuredDataParser):
    """As the base class; the metadata that the model gets have "imaging" too."""

    config: LightDataParserConfig
    METADATA = "imaging"

    @cached_property
    def measured(self) -> Holograms:
        """What was recorded, or what is made of the object."""
        image = cast(LightImage, self.image)
        if image.recording.intensities is not None:
            return _holograms(image.recording, image.imaging.optics, image.aside)
        config, truth = self.config, image.recording.truth
        assert truth is not None
        return record(torch.from_numpy(truth), image.imaging.optics, noise=config.noise, seed=config.noise_seed)

    @cached_property
    def classical(self) -> dict[str, Complex[Tensor, "height width"]]:
        """The answer without a network: gs, as `operators.lensless` has it."""
        return {"gs": gerchberg_saxton(self.measured)}

    @cached_property
    def truth(self) -> Complex[Tensor, "height width"] | None:
        """The object, where it is known."""
        found = cast(LightImage, self.image).recording.truth
        return None if found is None else torch.from_numpy(found)


@dataclass
class LightDataManagerConfig(MeasuredDataManagerConfig):
    """Settings of the datamanager of holograms."""

    _target: type = field(default_factory=lambda: LightDataManager)
    """Class to instantiate."""
    dataparser: LightDataParserConfig = field(default_factory=LightDataParserConfig)
    """Which holograms, or what they are made of, and how."""


class LightDataManager(MeasuredDataManager):
    """All learnt holograms in every step, and pictures of the object where a fit is judged.

    Raises:
        InputError: from the constructor, if the file or an option is bad.
    """

    config: LightDataManagerConfig
    dataparser: LightDataParser
    WANTED, MADE, HELD_OUT = "object", "recorded", "holograms"

    def measured_line(self) -> str:
        """See MeasuredDataManager."""
        optics = self.dataparser.seen.optics
        learnt, held_out = len(optics.learnt_mm), len(optics.held_out_mm)
        kept = ", ".join(f"{each:g}" for each in optics.held_out_mm)
        aside = f"; {held_out} more, of {kept} mm, {'are' if held_out > 1 else 'is'} held out" if held_out else ""
        low, high = min(optics.learnt_mm), max(optics.learnt_mm)
        return (
            f"Learnt from {counted(learnt, 'hologram')} of {low:g} to {high:g} mm, {optics.wavelength_nm:g} nm{aside}."
        )

    @property
    def dataset_type(self) -> type[ComparedImages]:
        """Of both splits."""
        return ComparedImages
