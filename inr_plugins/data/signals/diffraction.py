"""The data of `ns-train diner-tomography`: pictures of a volume in the light of LEDs, or measured of the volume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import torch
import tyro
from jaxtyping import Float

from inr_plugins.data.signals.image_file import SignalImage
from inr_plugins.data.signals.intensity_file import IndexVolume, Pictures, read_diffraction
from inr_plugins.data.signals.kind import SignalKind
from inr_plugins.data.signals.measured import (
    OPTION,
    MeasuredDataManager,
    MeasuredDataManagerConfig,
    MeasuredDataParser,
    MeasuredDataParserConfig,
    rounded_up,
    stamp_of,
)
from inr_plugins.errors import InputError
from inr_plugins.files import shown
from inr_plugins.geometry.io.read_checks import counted
from inr_plugins.operators.diffraction import Optics, WeakScattering
from inr_plugins.operators.diffraction_tomography import (
    Intensities,
    measure_volume,
    permittivity_contrast,
    refractive_index,
    smoothest_volume,
)
from inr_plugins.operators.protocol import Operator
from inr_plugins.options import OF_THE_DATA

_LEDS, _HELD_OUT, _MOST_HELD_OUT = 24, 4, 8
_LEAST_HIGH = 1e-4
"""Of an index above that of the medium: where nothing was found, something has to be 1."""


@dataclass(frozen=True)
class Scope:
    """How a volume is seen: what a run keeps to be read out without its data.

    Attributes:
        optics: of the instrument.
        has_truth: whether the volume itself is known.
    """

    optics: Optics
    has_truth: bool


@dataclass(frozen=True, eq=False)
class LitVolume(SignalImage):
    """A volume of refractive indices; where it is not known, its numbers are those of Tikhonov's answer.

    Attributes:
        scope: how it is seen.
        measured: of pictures; None: there are none yet.
        answer: Tikhonov's to those, permittivity contrasts.
    """

    scope: Scope = field(kw_only=True)
    measured: Intensities | None = field(default=None, kw_only=True)
    answer: Float[torch.Tensor, "2 slices rows columns"] | None = field(default=None, kw_only=True)

    @cached_property
    def kind(self) -> SignalKind:
        """All of it but its pixels; 0 is the medium."""
        frames, height, width, channels = self.pixels.shape
        medium = self.scope.optics.medium_index
        high = medium + rounded_up(max(_LEAST_HIGH, float(self.pixels.max()) - medium))
        return SignalKind(width, height, channels, self.bits, frames=frames, low=medium, high=high)


@dataclass
class ScatteringDataParserConfig(MeasuredDataParserConfig):
    """Pictures in the light of LEDs, or a volume and how it is measured."""

    _target: type = field(default_factory=lambda: ScatteringDataParser)
    """Class to instantiate."""
    data: Path = Path()
    """Pictures, one for each LED: .npy, .npz, .h5, .mat, .tif or a folder of numbered ones; or a volume, which is
    measured, and judged by, never learnt. <name>.json beside it says what it is (see the page of diner-tomography)."""
    leds: int | None = None
    """Of a volume: LEDs on a ring that are learnt from; by default 24."""
    ring_na: float | None = None
    """Of a volume: numerical aperture of the ring, at most the objective's, which is the default."""
    held_out_leds: int | None = None
    """LEDs that nothing is learnt from, which judge a fit: of a volume half-way between two others, by default 4; of
    pictures evenly out of all, by default one in ten, at most 8."""
    noise: float = 0.0
    """Of a volume: noise of the pictures, its root mean square as a share of that of what the volume does to them, such
    as 0.05."""
    noise_seed: int = 0
    """Seed of the noise."""
    same_operator: bool = False
    """Of a volume: measure it as a fit is measured, by the first Born approximation, as the papers' codes do; else by
    light that is scattered by one layer after the other."""
    margin: int = 16
    """Pixels around the volume in which a fit takes it to be empty."""
    learnt: tyro.conf.Suppress[tyro.conf.Fixed[SignalKind | None]] = field(default=None, metadata=OF_THE_DATA)
    """What kind of volume that is, as it was when training began."""
    scope: tyro.conf.Suppress[tyro.conf.Fixed[Scope | None]] = field(default=None, metadata=OF_THE_DATA)
    """How it is seen, as it was when training began."""
    NOUN: ClassVar[str] = "volume"
    SEEN: ClassVar[str] = "scope"

    def read(self) -> LitVolume:
        """The volume, or pictures as one; InputError where it can be neither."""
        path = Path(self.data)
        found = _read(path, stamp_of(path), self.held_out_leds, self.margin)
        if found.measured is not None:
            told = {"leds": self.leds is not None, "ring-na": self.ring_na is not None, "noise": self.noise > 0}
            given = [name for name, is_given in (told | {"same-operator": self.same_operator}).items() if is_given]
            if given:
                raise InputError(
                    f"{OPTION}.{given[0]} says how a volume is measured, and --data {shown(path)} was: leave it out."
                )
        elif self.ring_na is not None and self.ring_na > found.scope.optics.na:
            raise InputError(
                f"{OPTION}.ring-na {self.ring_na:g} is beyond the objective's na of {found.scope.optics.na:g}, where "
                "pictures would be dark field: give less."
            )
        elif (self.held_out_leds or 0) > (self.leds or _LEDS):
            raise InputError(
                f"{OPTION}.held-out-leds {self.held_out_leds} are more than the {OPTION}.leds {self.leds or _LEDS}, "
                "between which they lie: give fewer."
            )
        return found


@lru_cache(maxsize=1)
def _read(path: Path, stamp: object, held_out: int | None, margin: int) -> LitVolume:
    """What is at a place, which is read once while its files are what they were (`stamp`)."""
    found = read_diffraction(path)
    if isinstance(found, IndexVolume):
        pixels = found.index.astype(np.float32)[..., None]
        return LitVolume(path, pixels, scope=Scope(found.optics, True))
    return _of_pictures(path, found, held_out, margin)


def _of_pictures(path: Path, found: Pictures, held_out: int | None, margin: int) -> LitVolume:
    count = len(found.led_na)
    aside = max(1, min(_MOST_HELD_OUT, count // 10)) if held_out is None else held_out
    if not 1 <= aside <= count // 2:
        raise InputError(
            f"{OPTION}.held-out-leds {aside} of the {count} of --data {shown(path)} are none or more than half: give "
            f"1 to {count // 2}."
        )
    out = torch.zeros(count, dtype=torch.bool)
    out[((torch.arange(aside) + 0.5) * count / aside).long()] = True
    led_na, contrast = torch.from_numpy(found.led_na), torch.from_numpy(found.contrast).float()
    learnt, judge = (WeakScattering(found.optics, led_na[each], margin=margin) for each in (~out, out))
    measured = Intensities(learnt, contrast[~out], judge, contrast[out])
    answer, medium = smoothest_volume(measured, absorbs=True), found.optics.medium_index
    index = refractive_index(answer[0].double(), answer[1].double(), medium).clamp(min=medium)
    pixels = index.float()[..., None].numpy()
    return LitVolume(path, pixels, scope=Scope(found.optics, False), measured=measured, answer=answer)


class ScatteringDataParser(MeasuredDataParser):
    """As the base class; the metadata that the model gets have "scattering" too."""

    config: ScatteringDataParserConfig
    METADATA = "scattering"

    @cached_property
    def measured(self) -> Intensities:
        """What was measured."""
        image, config = cast(LitVolume, self.image), self.config
        if image.measured is not None:
            return image.measured
        optics = image.scope.optics
        index = torch.from_numpy(image.pixels[..., 0].astype(np.float64))
        return measure_volume(
            permittivity_contrast(index, optics.medium_index),
            optics,
            leds=config.leds or _LEDS,
            held_out=config.held_out_leds or _HELD_OUT,
            ring_na=config.ring_na or optics.na,
            margin=config.margin,
            noise=config.noise,
            seed=config.noise_seed,
            same_operator=config.same_operator,
        )

    @cached_property
    def classical(self) -> Mapping[str, Float[torch.Tensor, "2 slices rows columns"]]:
        """Answers without a network: Tikhonov's, permittivity contrasts."""
        image = cast(LitVolume, self.image)
        if image.answer is not None:
            return {"tikhonov": image.answer}
        return {"tikhonov": smoothest_volume(self.measured, absorbs=False)}

    @cached_property
    def truth(self) -> Float[torch.Tensor, "slices rows columns"] | None:
        """The refractive index, where it is known."""
        return torch.from_numpy(self.image.pixels[..., 0]) if self.has_truth else None


@dataclass
class ScatteringDataManagerConfig(MeasuredDataManagerConfig):
    """Settings of the datamanager of volumes in the light of LEDs."""

    _target: type = field(default_factory=lambda: ScatteringDataManager)
    """Class to instantiate."""
    dataparser: ScatteringDataParserConfig = field(default_factory=ScatteringDataParserConfig)
    """Which volume, and how it is measured."""


class ScatteringDataManager(MeasuredDataManager):
    """The pictures of all learnt LEDs in every step, and pictures of slices where a fit is judged.

    Raises:
        InputError: from the constructor, if the file or an option is bad.
    """

    config: ScatteringDataManagerConfig
    dataparser: ScatteringDataParser
    HELD_OUT = "pictures by LEDs"

    def measured_line(self) -> str:
        """See MeasuredDataManager."""
        measured = self.dataparser.measured
        learnt, held_out = len(measured.learnt), len(measured.held_out)
        aside = f"{held_out} {'is' if held_out == 1 else 'are'} held out"
        return f"Learnt from the light of {counted(learnt, 'LED')}; {aside}."

    @cached_property
    def _operator(self) -> Operator:
        return self.dataparser.measured.operator
