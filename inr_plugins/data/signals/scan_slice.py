"""A slice of a scanner of computed tomography, or all, as it reconstructed them: DICOM, in Hounsfield units.

A Hounsfield unit is a thousandth of water's attenuation above that of water, so that -1000 is nothing, from which on
numbers are shares of one attenuation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from inr_plugins.data.signals.image_file import SignalImage
from inr_plugins.data.signals.kind import SignalKind
from inr_plugins.data.signals.measured import rounded_up, stamp_of
from inr_plugins.data.signals.medical_file import Affine, PlacedVolume, leans, read_dicom
from inr_plugins.errors import InputError
from inr_plugins.files import shown, why_unreadable

NOTHING = -1000.0
"""Hounsfield units of what attenuates nothing."""
_MOST = 65_000.0
"""Hounsfield units: lead has fewer."""
_SQUARE = 0.01
"""Share by which the sides of a pixel may differ."""
_PIXEL_MM = (1e-4, 50.0)


@dataclass(frozen=True)
class Place:
    """What a run keeps of where a slice of DICOM is, or a stack.

    Attributes:
        affine: of its pixels in the patient.
    """

    affine: Affine

    @property
    def pixel_mm(self) -> float:
        """Side of a pixel, mm."""
        return float(f"{np.linalg.norm(np.array(self.affine)[:, 0]):.6g}")

    @property
    def slice_mm(self) -> float:
        """Distance of slices, mm."""
        return float(f"{np.linalg.norm(np.array(self.affine)[:, 2]):.6g}")


@dataclass(frozen=True, eq=False)
class ScannedSlice(SignalImage):
    """A slice that a scanner has reconstructed, or all; its pixels are Hounsfield units, -1000 and more.

    Attributes:
        place: where its pixels are in the patient.
        slice: which one of the series it is, from 0; None: all of them.
        slices: how many there are.
        told: sentences on what was taken for granted in the files.
    """

    place: Place = field(kw_only=True)
    slice: int | None = field(kw_only=True)
    slices: int = field(kw_only=True)
    told: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def notes(self) -> tuple[str, ...]:
        """See SignalImage."""
        return self.told

    @cached_property
    def kind(self) -> SignalKind:
        """All of it but its pixels; 0 is nothing, and 1 a round number, so that another machine finds the same."""
        *frames, height, width, channels = self.pixels.shape
        high = NOTHING + rounded_up(float(self.pixels.max()) - NOTHING)
        return SignalKind(width, height, channels, self.bits, frames=(frames or [1])[0], low=NOTHING, high=high)


def read_scan(path: Path, *, wanted: int | None, stack: bool = False) -> ScannedSlice:
    """Read one slice of a series of computed tomography, or all.

    Args:
        path: a file, or a folder of a series, whose slices are put in the order of their places.
        wanted: which slice, from 0; None: the middle one.
        stack: all of them, of which there are two at least.

    Raises:
        InputError: what `read_dicom` raises; it is of another method than computed tomography, has no Hounsfield units
            or no square pixels, is empty, has no such slice, or is a stack whose slices lean.
    """
    series, name = _series(path, _stamp(path)), f"--data {shown(path)}"
    volume = series.numbers if series.numbers.ndim == 3 else series.numbers[None]
    if stack:
        return _whole_series(path, name, series, volume)
    chosen = len(volume) // 2 if wanted is None else wanted
    if chosen >= len(volume):
        raise InputError(
            f"{name} has {len(volume):,} slice{'s' if len(volume) > 1 else ''}, from 0 on, and "
            f"--pipeline.datamanager.dataparser.slice {chosen} is none of them: give another."
        )
    found = volume[chosen]
    _check_numbers(name, found, f"slice {chosen}")
    if float(found.max()) <= NOTHING:
        raise InputError(f"{name} has nothing but air in slice {chosen}: give another slice.")
    place = _place(series, chosen)
    return ScannedSlice(path, _pixels(found), place=place, slice=chosen, slices=len(volume), told=series.notes)


def _whole_series(path: Path, name: str, series: PlacedVolume, volume: np.ndarray) -> ScannedSlice:
    if len(volume) < 2:
        raise InputError(
            f"{name} has one slice, which is no stack: leave out --pipeline.datamanager.dataparser.stack, or give the "
            "folder of a series."
        )
    if leans(series):
        raise InputError(
            f"{name} has slices that are shifted aside (a tilted gantry), and those of a stack stand straight above "
            "each other: leave out --pipeline.datamanager.dataparser.stack, and say which by "
            "--pipeline.datamanager.dataparser.slice."
        )
    _check_numbers(name, volume, "one of its slices")
    if float(volume.max()) <= NOTHING:
        raise InputError(f"{name} has nothing but air: give another series.")
    place = _place(series, 0)
    return ScannedSlice(path, _pixels(volume), place=place, slice=None, slices=len(volume), told=series.notes)


def _check_numbers(name: str, found: np.ndarray, where: str) -> None:
    if not np.isfinite(found).all() or float(found.max()) > _MOST:
        raise InputError(
            f"{name} has numbers up to {float(found.max()):.6g} in {where}, which are no Hounsfield units: mend its "
            "RescaleSlope and RescaleIntercept."
        )


def _place(series: PlacedVolume, first: int) -> Place:
    affine = np.array(series.affine)
    affine[:, 3] += first * affine[:, 2]
    return Place(tuple(tuple(float(f"{each:.9g}") for each in row) for row in affine.tolist()))


def _pixels(found: np.ndarray) -> np.ndarray:
    """What is less than nothing stands for what the scanner did not see."""
    return np.ascontiguousarray(np.maximum(found, np.float32(NOTHING))[..., None])


def _stamp(path: Path) -> object:
    """What tells the files of a series from what they were."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return tuple((each.name, stamp_of(each)) for each in files)


@lru_cache(maxsize=1)
def _series(path: Path, stamp: object) -> PlacedVolume:
    """All slices of a series, which is kept while its files are what they were."""
    name = f"--data {shown(path)}"
    problem = why_unreadable(path, folders=True)
    if problem is not None:
        raise InputError(f"{name} {problem}: give a DICOM file of a slice, or a folder of them.")
    found = read_dicom(path, check=_check_hounsfield, may_lean=True)
    rows, columns = found.spacing_mm[-2:]
    low, high = _PIXEL_MM
    if not low <= min(rows, columns) or not max(rows, columns) <= high:
        raise InputError(
            f"{name} has pixels of {rows:.6g} x {columns:.6g} mm, which is out of reason ({low:g} to {high:g} mm): "
            "mend its PixelSpacing."
        )
    if abs(rows - columns) > _SQUARE * columns:
        raise InputError(
            f"{name} has pixels of {rows:.6g} x {columns:.6g} mm, and those of a slice are square here: resample it."
        )
    return found


def _check_hounsfield(name: str, told: Any) -> None:
    """Refuse what has no Hounsfield units."""
    modality = str(told.get("Modality", "") or "")
    if modality != "CT":
        what = f"of the modality {modality}" if modality else "without a modality"
        raise InputError(
            f"{name} is {what}, and only computed tomography (CT) says how much is attenuated: give its slices, or a "
            "grey image."
        )
    unit = str(told.get("RescaleType", "") or "HU").upper()
    if not unit.startswith("HU"):
        raise InputError(f"{name} has numbers in {unit} (RescaleType), and not in HU: give slices in Hounsfield units.")
    slope, intercept = told.get("RescaleSlope"), told.get("RescaleIntercept")
    if slope is None or intercept is None or not float(slope) > 0:
        raise InputError(
            f"{name} has the RescaleSlope {slope} and the RescaleIntercept {intercept}, by which its numbers are no "
            "Hounsfield units: give slices with both."
        )
