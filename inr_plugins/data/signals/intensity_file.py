"""Pictures of a volume in the light of one LED after the other, or a volume that is to be measured so.

Both are arrays (`array_file`), pictures also a folder of numbered ones; `<name>.json` beside them names every unit:

    values              "intensity"; "normalised intensity", over that of the empty field; or, of a volume, "refractive
                        index" or "permittivity contrast", n² - n0²
    wavelength_nm, wavelength_um    of the light in vacuum
    na                  numerical aperture of the objective
    medium_index        refractive index around the object, n0
    pitch_um, pitch_nm  distance of pixels in the object: that of the camera's over the magnification
    slice_um, slice_nm  distance of the volume's slices
    slices              how many slices are looked for, of pictures
    first_um            z of the first slice, with the light, 0 in focus; by default the middle is in focus
    led_na              of pictures, for each where its LED is: the sines, in air, of the angles along x (columns, to
                        the right) and y (rows, down) under which it is seen; the light travels the other way
    led_mm, led_distance_mm     the same as places in a plane, and how far that is from the object
    background          of intensities, what the empty field is taken for: "mean", the picture's mean, or "smooth", the
                        quadratic function of the place that is nearest to it
    axes                "leds rows columns" or "slices rows columns" in any order
    notes               anything
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64, Shaped

from inr_plugins.data.signals.array_file import check_copies, read_array
from inr_plugins.data.signals.frame_folder import frame_files
from inr_plugins.data.signals.image_file import read_image
from inr_plugins.data.signals.sidecar import Sidecar, sidecar
from inr_plugins.errors import InputError
from inr_plugins.files import shown
from inr_plugins.geometry.io.read_checks import counted
from inr_plugins.operators.diffraction import Optics
from inr_plugins.operators.diffraction_tomography import refractive_index

INTENSITY, NORMALISED = "intensity", "normalised intensity"
_NOTHING = 1e-9
"""Of intensities, as a share of their mean."""
_APART = 1e-6
"""Sines of angles."""
INDEX, CONTRAST = "refractive index", "permittivity contrast"
_ARRAYS = {INTENSITY: "intensity", NORMALISED: "intensity", INDEX: "index", CONTRAST: "contrast"}
_KEYS = (
    *("values", "wavelength_nm", "wavelength_um", "na", "medium_index", "pitch_um", "pitch_nm", "slice_um", "slice_nm"),
    *("slices", "first_um", "led_na", "led_mm", "led_distance_mm", "background", "axes", "notes"),
)
_STEMS = ("wavelength", "lambda", "pitch", "pixel", "slice", "first", "led", "distance")
_UM = {"um": 1.0, "nm": 1e-3}
_WAVELENGTHS_UM = (0.1, 20.0)
"""From deep ultraviolet to far infrared."""
_PITCHES_UM, _SLICES_UM = (0.005, 50.0), (0.005, 500.0)
_LARGEST, _MOST_SLICES, _LEAST_SIDE = 1024, 512, 8
_LEAST_LEDS = 4
_ON_THE_EDGE = 1.02
"""Of the aperture: an LED that is this far out, as measured, is one on its edge."""


@dataclass(frozen=True, eq=False)
class IndexVolume:
    """A volume that is to be measured.

    Attributes:
        index: refractive index, which is that of the medium or more.
        optics: to measure it with.
    """

    index: Float64[np.ndarray, "slices rows columns"]
    optics: Optics


@dataclass(frozen=True, eq=False)
class Pictures:
    """What was measured.

    Attributes:
        contrast: intensities over that of the empty field, less 1.
        led_na: where each one's LED is (see `operators.diffraction.light_of`).
        optics: of the instrument.
    """

    contrast: Float64[np.ndarray, "leds rows columns"]
    led_na: Float64[np.ndarray, "leds 2"]
    optics: Optics


def read_diffraction(path: Path) -> IndexVolume | Pictures:
    """Read pictures, or a volume.

    Raises:
        InputError: the file or its metadata cannot be read, say too little, or do not go together.
    """
    told = _Metadata(sidecar(path), path)
    values = told.choice("values", (INTENSITY, NORMALISED, INDEX, CONTRAST))
    is_volume = values in (INDEX, CONTRAST)
    numbers = _of_folder(path) if path.is_dir() else read_array(path, _ARRAYS[values], what="pictures or of a volume")
    first = "slices" if is_volume else "leds"
    numbers = np.transpose(numbers, told.order(numbers.shape, first)).astype(np.float64)
    wrong = np.argwhere(~np.isfinite(numbers))
    if len(wrong):
        place = ", ".join(map(str, wrong[0].tolist()))
        raise InputError(
            f"--data {shown(path)} has NaN or infinity in {len(wrong):,} of its numbers, the first at {place} "
            f"({first}, rows, columns, from 0): put numbers there."
        )
    count, rows, columns = numbers.shape
    if min(rows, columns) < _LEAST_SIDE or max(rows, columns) > _LARGEST:
        raise InputError(
            f"--data {shown(path)} is of {columns} x {rows} pixels: give {_LEAST_SIDE} to {_LARGEST} along each side, "
            "a part of large pictures."
        )
    if is_volume:
        if "slices" in told.values or any(key in told.values for key in ("led_na", "led_mm")):
            raise told.error("has slices or LEDs, and belongs to a volume, which has its own and is yet to be lit")
        optics = told.optics(rows, columns, count)
        return IndexVolume(_index_of(path, numbers, values, optics.medium_index), optics)
    led_na = told.leds(count)
    optics = told.optics(rows, columns, told.slices())
    contrast = _contrast_of(path, numbers, values, told)
    if float((np.ptp(numbers, axis=(1, 2)) / numbers.mean((1, 2))).max()) < _NOTHING:
        raise InputError(
            f"--data {shown(path)} has pictures of an empty field, the same in all of their pixels: give those of an "
            "object."
        )
    check_copies(path, numbers, "picture")
    return Pictures(contrast, told.seen(led_na, optics.na), optics)


def _of_folder(folder: Path) -> Shaped[np.ndarray, "leds rows columns"]:
    files = frame_files(folder)
    numbers = [int(re.findall(r"\d+", each.stem)[-1]) for each in files]
    missing = sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers))
    if missing:
        raise InputError(
            f"--data {shown(folder)} has pictures of the numbers {numbers[0]} to {numbers[-1]} but not {missing[0]}: "
            "give that, or number them anew, and leave out what led_na says of it."
        )
    found = []
    for each in files:
        pixels = read_image(each).pixels
        if pixels.shape[-1] != 1:
            raise InputError(f"--data {shown(each)} has {pixels.shape[-1]} channels: give grey pictures.")
        found.append(pixels[..., 0])
    other = next((number for number, each in enumerate(found) if each.shape != found[0].shape), None)
    if other is not None:
        raise InputError(
            f"--data {shown(files[other])} is of other pixels than {files[0].name}: give pictures of one size."
        )
    return np.stack(found)


def _index_of(path: Path, numbers: np.ndarray, values: str, medium: float) -> Float64[np.ndarray, "s r c"]:
    if values == INDEX:
        if not (float(numbers.min()) > 0.5 and float(numbers.max()) < 5):
            raise InputError(
                f"--data {shown(path)} has numbers from {numbers.min():.4g} to {numbers.max():.4g}, and is said to be "
                f'a {INDEX}: say "{CONTRAST}", or give the index.'
            )
        index = numbers
    else:
        if float(numbers.min()) > 1:
            raise InputError(
                f"--data {shown(path)} has a {CONTRAST} of {numbers.min():.4g} and more throughout, and around an "
                f'object it is 0: say "{INDEX}", or take the medium\'s off.'
            )
        index = refractive_index(torch.from_numpy(numbers), 0.0, medium).numpy()
    # Of numbers in half precision there may be as much.
    if float(index.min()) < medium - 1e-3:
        raise InputError(
            f"--data {shown(path)} has an index down to {index.min():.5g}, and the medium's is {medium:g}: a volume "
            "here is of that and more, so clip it, or mend medium_index."
        )
    index = index.clip(min=medium)
    if float(index.max()) - medium < 1e-6:
        raise InputError(f"--data {shown(path)} is the medium throughout, and nothing of it can be measured.")
    return index


def _contrast_of(path: Path, numbers: np.ndarray, values: str, told: _Metadata) -> Float64[np.ndarray, "l r c"]:
    if float(numbers.min()) < 0:
        led, many = int(np.argwhere(numbers < 0)[0, 0]), counted(int((numbers < 0).sum()), "negative number")
        raise InputError(
            f"--data {shown(path)} has {many}, the first in picture {led} (from "
            "0), and intensities have none: give what the camera measured, its dark level taken off and clipped at 0."
        )
    means = numbers.mean((1, 2))
    if float(means.min()) <= 0:
        raise InputError(f"--data {shown(path)} is black in picture {int(means.argmin())} (from 0): leave it out.")
    if values == NORMALISED:
        if "background" in told.values:
            raise told.error(f'has a background and values of "{NORMALISED}", which have none left: leave it out')
        if not (float(means.min()) > 0.3 and float(means.max()) < 3):
            raise InputError(
                f"--data {shown(path)} has pictures of means from {means.min():.4g} to {means.max():.4g}, and a "
                f'{NORMALISED} is about 1: say "{INTENSITY}".'
            )
        return numbers - 1
    background = told.choice("background", ("mean", "smooth")) if "background" in told.values else "mean"
    return numbers / (means[:, None, None] if background == "mean" else _smooth(numbers)) - 1


def _smooth(pictures: Float64[np.ndarray, "leds rows columns"]) -> Float64[np.ndarray, "leds rows columns"]:
    """The quadratic functions of the place that are nearest to pictures, never below a tenth of their means."""
    rows, columns = pictures.shape[1:]
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1).reshape(-1, 6)
    weights = np.linalg.lstsq(terms, pictures.reshape(len(pictures), -1).T, rcond=None)[0]
    found = (terms @ weights).T.reshape(pictures.shape)
    least: Float64[np.ndarray, "leds rows columns"] = np.maximum(found, 0.1 * pictures.mean((1, 2), keepdims=True))
    return least


class _Metadata(Sidecar):
    """What stands beside pictures or a volume, checked as it is asked for."""

    def __init__(self, path: Path, data: Path) -> None:
        needs = "values, wavelength_nm, na, medium_index, pitch_um, slice_um and, of pictures, slices and led_na"
        super().__init__(path, data, needs=needs, page="diner-tomography")
        for key in self.values:
            if key in _KEYS:
                continue
            stem = next((each for each in _STEMS if key.lower().startswith(each)), None)
            wanted = [each for each in _KEYS if stem is not None and each.startswith(stem)]
            if wanted:
                raise self.error(f"has the key {key}, whose unit is not known: call it {' or '.join(wanted)}")
            raise self.error(f"has the key {key}, which is none of {', '.join(_KEYS)}: take it out, or put it in notes")

    def number(self, key: str) -> float:
        """A finite number."""
        found = self.values.get(key)
        if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
            what = f"no {key}" if found is None else f"{key} {json.dumps(found)[:60]}, which is no finite number"
            raise self.error(f"has {what}: give one")
        return float(found)

    def length(self, stem: str, reason: tuple[float, float]) -> float:
        """A length in µm, of a key that ends in its unit."""
        given = [f"{stem}_{unit}" for unit in _UM if f"{stem}_{unit}" in self.values]
        if len(given) != 1:
            raise self.error(f"must have {stem}_um or {stem}_nm, once")
        value = self.number(given[0])
        found = value * _UM[given[0].rpartition("_")[2]]
        low, high = reason
        if not low <= found <= high:
            raise self.error(
                f"has {given[0]} {value:.6g}, and {found:.6g} µm is out of reason ({low:g} to {high:g} µm): give it in "
                "that unit"
            )
        return found

    def within(self, key: str, low: float, high: float, what: str) -> float:
        """A number in a range."""
        found = self.number(key)
        if not low <= found <= high:
            raise self.error(f"has {key} {found:.6g}, and {what} is {low:g} to {high:g}: give that")
        return found

    def slices(self) -> int:
        """How many are looked for."""
        found = self.number("slices")
        if found != int(found) or not 2 <= found <= _MOST_SLICES:
            raise self.error(f"has slices {found:g}: give a whole number from 2 to {_MOST_SLICES}")
        return int(found)

    def optics(self, rows: int, columns: int, slices: int) -> Optics:
        """Of the instrument, for a volume of that size."""
        if not 2 <= slices <= _MOST_SLICES:
            raise self.error(f"belongs to a volume of {counted(slices, 'slice')}: give 2 to {_MOST_SLICES}")
        wavelength = self.length("wavelength", _WAVELENGTHS_UM)
        medium = self.within("medium_index", 1.0, 2.5, "the index of a medium")
        na = self.within("na", 0.01, 2.0, "a numerical aperture")
        if na >= medium:
            raise self.error(f"has na {na:g}, which is not below medium_index {medium:g}: give both as they are")
        pitch, slice_um = self.length("pitch", _PITCHES_UM), self.length("slice", _SLICES_UM)
        if pitch > wavelength / (2 * na):
            raise self.error(
                f"has pixels of {pitch:.4g} µm, and an objective of NA {na:g} resolves {wavelength / (2 * na):.4g} µm: "
                "give their distance in the object, the camera's over the magnification"
            )
        first = self.number("first_um") if "first_um" in self.values else -slice_um * (slices - 1) / 2
        return Optics(rows, columns, slices, pitch, slice_um, first, wavelength, na, medium)

    def order(self, shape: tuple[int, ...], first: str) -> tuple[int, ...]:
        """Axes of the array as `first`, rows and columns."""
        wanted = (first, "rows", "columns")
        found = self.values.get("axes", " ".join(wanted))
        names = tuple(found.split()) if isinstance(found, str) else ()
        if len(shape) != 3 or sorted(names) != sorted(wanted):
            raise self.error(
                f"has the axes {json.dumps(found)[:60]}, and the array the shape {shape}: give an array of three axes, "
                f'and "axes": "{" ".join(wanted)}" in its order'
            )
        return tuple(names.index(each) for each in wanted)

    def leds(self, count: int) -> Float64[np.ndarray, "leds 2"]:
        """Sines of the angles under which they are seen."""
        given = [key for key in ("led_na", "led_mm") if key in self.values]
        if len(given) != 1:
            raise self.error("must have led_na, or led_mm and led_distance_mm, of every picture's LED, once")
        listed = self.values[given[0]]
        pairs = isinstance(listed, list) and all(
            isinstance(pair, list)
            and len(pair) == 2
            and all(not isinstance(x, bool) and isinstance(x, int | float) and math.isfinite(x) for x in pair)
            for pair in listed
        )
        if not pairs:
            raise self.error(f"has {given[0]} that are no list of pairs of numbers: give [x, y] for each picture")
        if len(listed) != count:
            raise self.error(
                f"has {len(listed)} {given[0]} for {counted(count, 'picture')}: give one for each, or the picture that "
                "is missing"
            )
        if count < _LEAST_LEDS:
            raise self.error(
                f"belongs to {counted(count, 'picture')}, and no volume is known by so few: give {_LEAST_LEDS}"
            )
        found = np.array(listed, dtype=np.float64)
        if given[0] == "led_mm":
            distance = self.within("led_distance_mm", 0.1, 1e4, "the distance of LEDs, in mm,")
            found = found / np.sqrt((found**2).sum(1, keepdims=True) + distance**2)
        elif np.abs(found).max() > 1:
            raise self.error(
                f"has a led_na of {np.abs(found).max():.4g}, and the sine of an angle is at most 1: give sines, or "
                "led_mm and led_distance_mm"
            )
        return found

    def seen(self, led_na: Float64[np.ndarray, "leds 2"], na: float) -> Float64[np.ndarray, "leds 2"]:
        """The same where the objective sees them all; those that are on its edge but for rounding are put there."""
        size = np.sqrt((led_na**2).sum(1))
        dark = int((size > na * _ON_THE_EDGE).sum())
        if dark:
            raise self.error(
                f"has {counted(dark, 'LED')} beyond the objective's na of {na:g}, the farthest at {size.max():.4g}, "
                "whose pictures are dark field: leave those out"
            )
        if float(np.ptp(led_na, axis=0).max()) < _APART:
            raise self.error("has all LEDs at one place, by whose light no volume is known: give each its own")
        return led_na * np.minimum(1, na / np.maximum(size, 1e-12))[:, None]
