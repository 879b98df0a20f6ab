"""Measured sinograms: numbers in .npy, .npz or TIFF, and `<name>.json` beside them, which says how they were measured.

Every key with a unit has it in its name:

    geometry            "parallel"
    values              "line integrals", -log of the transmitted share, or "transmission", that share itself
    pitch_mm, pitch_um  distance of the middles of neighbouring bins, where the object is
    angles_deg          of each view; or first_angle_deg and last_angle_deg, those of the first and the last view, with
                        even steps between; or turn_deg (and first_angle_deg), evenly over a turn without its end
    centre_offset_bins, centre_offset_mm    from the middle of the detector to where the axis of rotation is seen,
                        towards higher bins; by default 0
    axes                "views bins", as it is of two axes by default, or "slices views bins" in any order
    slice_mm, slice_um  distance of the slices of a stack; by default that of the bins
    notes               anything
"""

from __future__ import annotations

import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64, Shaped

from inr_plugins.data.signals.array_file import why_no_array
from inr_plugins.data.signals.sidecar import Sidecar, sidecar
from inr_plugins.data.signals.sinogram_checks import check_views, doubts
from inr_plugins.data.signals.sinogram_turn import check_turn
from inr_plugins.data.signals.tiff_file import TIFF_ENDINGS
from inr_plugins.errors import InputError
from inr_plugins.files import shown, why_unreadable
from inr_plugins.geometry.io.read_checks import counted
from inr_plugins.operators.radon import spread_angles

NUMPY_ENDINGS = (".npy", ".npz")
INTEGRALS, TRANSMISSION = "line integrals", "transmission"
_AXES = ("slices", "views", "bins")
_LENGTHS_MM = {"mm": 1.0, "um": 1e-3}
_PITCH_MM = (1e-4, 50.0)
"""Between a bin of an electron microscope and one of a whole-body scanner of long ago."""
_KEYS = (
    *("geometry", "values", "pitch_mm", "pitch_um", "angles_deg", "first_angle_deg", "last_angle_deg", "turn_deg"),
    *("centre_offset_bins", "centre_offset_mm", "axes", "slice_mm", "slice_um", "notes"),
)
_STEMS = ("pitch", "angle", "first_angle", "last_angle", "turn", "centre_offset", "center_offset", "slice")
_NOT_PARALLEL = ("fan", "cone", "source", "helical", "helix")
_ARRAY = "sinogram"
_MOST, _MOST_WHOLE, _USUAL = 2000.0, 50.0, 20.0
"""Line integrals: of pixels of 1 as long as a slice may be; in whole numbers, which are integrals times something; and
of metal."""
_LEAST_DIRECTIONS = 3
_EMPTY = 0.01
"""Mass of a slice, as a share of the heaviest one's of a stack, below which there is nothing in it to be checked."""


@dataclass(frozen=True, eq=False)
class Sinogram:
    """Views of one slice, or of each of a stack, measured by a parallel beam.

    Attributes:
        views: line integrals, without a unit.
        angles_deg: of the views, degrees.
        pitch_mm: distance of the detector's bins, mm.
        shift: of the detector, bins (see `operators.radon.ParallelBeam`).
        slices: how many the file has.
        slice: which one this is, from 0; None: it is all of them.
        slice_mm: how far apart they are, mm.
        notes: sentences on what is odd in it.
    """

    views: Float64[np.ndarray, "*slices views bins"]
    angles_deg: Float64[np.ndarray, " views"]
    pitch_mm: float
    shift: float
    slices: int
    slice: int | None
    slice_mm: float
    notes: tuple[str, ...]


def is_sinogram(path: Path) -> bool:
    """Whether a file is one of measurements: numpy's by its name, or a TIFF with its own metadata beside it."""
    ending = path.suffix.lower()
    return ending in NUMPY_ENDINGS or (ending in TIFF_ENDINGS and sidecar(path).is_file() and not _is_of_output(path))


def _is_of_output(path: Path) -> bool:
    """Whether what is beside a file is of an array of the same name that inr-signal wrote (`image_output`)."""
    try:
        found = json.loads(sidecar(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and set(found) == {"axes", "spacing_mm", "unit"}


def read_sinogram(path: Path, *, wanted: int | None = None, stack: bool = False) -> Sinogram:
    """Read the views of one slice, or of all.

    Args:
        path: .npy, .npz (of one array, or with one called "sinogram") or TIFF (a page, or pages as the first axis).
        wanted: which slice of several, from 0; None: the middle one.
        stack: all of them.

    Raises:
        InputError: the file or its metadata cannot be read, say too little, or do not go together.
    """
    told = _Metadata(sidecar(path), path)
    numbers = _numbers(path)
    axes = told.axes(numbers.ndim)
    if stack:
        numbers, slices, chosen = _all_slices(path, numbers, axes), numbers.shape[axes.index("slices")], None
    else:
        numbers, slices, chosen = _one_slice(path, numbers, axes, wanted)
    views = _integrals(path, numbers, told.choice("values", (INTEGRALS, TRANSMISSION)))
    count, bins = views.shape[-2:]
    angles, pitch = told.angles(count, bins), told.pitch()
    shift = -told.centre_offset(pitch)
    if abs(shift) > bins / 4:
        raise told.error(
            f"puts the axis of rotation {abs(shift):.6g} bins from the middle of {bins} bins, where half of "
            "the slice would be out of sight: give centre_offset_bins from the middle of the detector"
        )
    name = f"--data {shown(path)}"
    masses = np.abs(views).reshape(-1, count * bins).sum(1)
    looked_at = np.flatnonzero(masses >= _EMPTY * masses.max())
    for number in looked_at:
        of = f"{name}, slice {number} of it," if stack else name
        check_views(of, views[number] if stack else views)
    # Of a stack the heaviest slice: they all have one axis, and the same angles.
    heaviest = views[int(masses.argmax())] if stack else views
    notes = check_turn(name, heaviest, angles) or doubts(heaviest, angles, shift=shift)
    highest = float(heaviest.max())
    if highest > _USUAL:
        notes += (
            f"The line integrals go up to {highest:.4g}, and -log of a transmitted share of 10 lets next to nothing "
            "through: as long as they are in another unit, attenuations are not in 1/mm.",
        )
    return Sinogram(views, angles, pitch, shift, slices, chosen, told.slice_distance(pitch), notes)


# -- numbers -----------------------------------------------------------------------------------------------------------


def _numbers(path: Path) -> Shaped[np.ndarray, "*axes"]:
    problem = why_unreadable(path)
    if problem is not None:
        raise InputError(f"--data {shown(path)} {problem}: give the file of a sinogram.")
    ending = path.suffix.lower()
    try:
        found = _of_tiff(path) if ending in TIFF_ENDINGS else _of_npz(path) if ending == ".npz" else _of_npy(path)
    except InputError:
        raise
    except (OSError, ValueError, EOFError, KeyError, RuntimeError, ImportError, zipfile.BadZipFile) as error:
        reason = why_no_array(error)
        raise InputError(f"--data {shown(path)} cannot be read ({reason}): give another file.") from error
    if found.dtype.kind not in "fiu":
        raise InputError(f"--data {shown(path)} has numbers of the type {found.dtype}: save real ones.")
    if found.size == 0:
        raise InputError(f"--data {shown(path)} has the shape {found.shape}, and no numbers: give another file.")
    return found


def _of_npy(path: Path) -> np.ndarray:
    # A stack need not be read for one slice of it.
    found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return found


def _of_npz(path: Path) -> np.ndarray:
    with np.load(path, allow_pickle=False) as arrays:
        names = list(arrays)
        if len(names) != 1 and _ARRAY not in names:
            told = ", ".join(names[:9]) or "none"
            raise InputError(
                f"--data {shown(path)} has the arrays {told}: call the measurements {_ARRAY}, or leave the others out."
            )
        return np.asarray(arrays[names[0] if len(names) == 1 else _ARRAY])


def _of_tiff(path: Path) -> np.ndarray:
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        shapes = {(page.shape, page.dtype) for page in tiff.pages}
        if len(shapes) > 1:
            raise InputError(f"--data {shown(path)} has pages of different sizes: give pages of one size.")
        found = np.asarray(tiff.asarray(key=slice(None)))
    return found[0] if len(found.shape) == 3 and len(found) == 1 else found


def _one_slice(
    path: Path, numbers: np.ndarray, axes: tuple[str, ...], wanted: int | None
) -> tuple[Shaped[np.ndarray, "views bins"], int, int]:
    """The views of the slice that is wanted, how many there are, and which it is."""
    if "slices" not in axes:
        chosen, slices = 0, 1
        ordered = numbers if axes == ("views", "bins") else numbers.T
    else:
        ordered = np.moveaxis(numbers, [axes.index(each) for each in _AXES], [0, 1, 2])
        slices = len(ordered)
        chosen = slices // 2 if wanted is None else wanted
    if wanted is not None and wanted >= slices:
        raise InputError(
            f"--data {shown(path)} has {slices:,} slice{'s' if slices > 1 else ''}, from 0 on, and "
            f"--pipeline.datamanager.dataparser.slice {wanted} is none of them: give another."
        )
    return (ordered[chosen] if "slices" in axes else ordered), slices, chosen


def _all_slices(path: Path, numbers: np.ndarray, axes: tuple[str, ...]) -> Shaped[np.ndarray, "slices views bins"]:
    """The views of all slices, of which there are two at least."""
    if "slices" not in axes or numbers.shape[axes.index("slices")] < 2:
        raise InputError(
            f"--data {shown(path)} has one slice, which is no stack: leave out --pipeline.datamanager.dataparser.stack."
        )
    return np.moveaxis(numbers, [axes.index(each) for each in _AXES], [0, 1, 2])


def _integrals(
    path: Path, numbers: Shaped[np.ndarray, "*slices views bins"], values: str
) -> Float64[np.ndarray, "*slices views bins"]:
    found = np.array(numbers, dtype=np.float64)
    wrong = np.argwhere(~np.isfinite(found))
    if len(wrong):
        *slice_, view, bin_ = wrong[0].tolist()
        of = f"slice {slice_[0]:,}, view {view:,}" if slice_ else f"view {view:,}"
        raise InputError(
            f"--data {shown(path)} has NaN or infinity in {len(wrong):,} of its numbers, the first in {of} "
            f"and bin {bin_:,} (from 0): put numbers there, such as those of the bins beside."
        )
    if values == INTEGRALS:
        is_whole, highest = numbers.dtype.kind in "iu", float(np.abs(found).max())
        if highest > (_MOST_WHOLE if is_whole else _MOST):
            times = ", divided by what they were multiplied by for whole numbers" if is_whole else ""
            raise InputError(
                f"--data {shown(path)} has values up to {highest:.6g}, and is said to be {INTEGRALS}, of "
                f"which 10 lets next to nothing through: give -log of the transmitted share{times}."
            )
        return found
    if float(found.max()) > 1.5:
        raise InputError(
            f"--data {shown(path)} has values up to {found.max():.6g} and is said to be {TRANSMISSION}, a share of the "
            "open beam: divide by the open beam, or say line integrals."
        )
    if float(found.min()) <= 0:
        many = counted(int((found <= 0).sum()), "value")
        raise InputError(
            f"--data {shown(path)} has {many} of 0 or less, and a transmitted share has a "
            "logarithm: put those of the bins beside there."
        )
    return -np.log(found)


# -- metadata ----------------------------------------------------------------------------------------------------------


class _Metadata(Sidecar):
    """What stands beside a file of measurements, checked as it is asked for."""

    def __init__(self, path: Path, data: Path) -> None:
        super().__init__(
            path, data, needs="the geometry, pitch_mm, the angles_deg and what the values are", page="cn-ct"
        )
        self._check_keys()

    def _check_keys(self) -> None:
        geometry = str(self.values.get("geometry", "")).lower()
        kind = next((each for each in _NOT_PARALLEL if each in geometry), None)
        key = next((key for key in self.values for each in _NOT_PARALLEL if key.lower().startswith(each)), None)
        if kind is not None or key is not None:
            of = f'the geometry "{self.values["geometry"]}"' if kind is not None else f"the key {key}"
            raise self.error(
                f"has {of}, and fan and cone beams are not read, only a parallel one: rebin the views to parallel rays"
            )
        for key in self.values:
            if key in _KEYS:
                continue
            stem = next((each for each in _STEMS if key.lower().startswith(each)), None)
            if stem is not None:
                wanted = [each for each in _KEYS if each.startswith(stem.replace("center", "centre"))]
                raise self.error(f"has the key {key}, whose unit is not known: call it {' or '.join(wanted)}")
            raise self.error(f"has the key {key}, which is none of {', '.join(_KEYS)}: take it out, or put it in notes")
        self.choice("geometry", ("parallel",))

    def number(self, key: str) -> float | None:
        """A finite number, or None where it is not there."""
        found = self.values.get(key)
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
            raise self.error(f"has {key} {json.dumps(found)[:60]}, which is no finite number: give one")
        return float(found)

    def axes(self, count: int) -> tuple[str, ...]:
        """The names of the axes of an array of so many."""
        found = self.values.get("axes", "views bins" if count == 2 else None)
        names = tuple(found.split()) if isinstance(found, str) else ()
        wanted = _AXES if count == 3 else _AXES[1:]
        if count not in (2, 3):
            told = f"belongs to an array of {counted(count, 'axis', 'axes')}"
            raise self.error(f"{told}, and a sinogram has views and bins: give two axes")
        if sorted(names) != sorted(wanted):
            told = "no axes" if found is None else f"the axes {json.dumps(found)[:60]}"
            raise self.error(
                f'has {told}, and the array has {count}: give "axes": "{" ".join(wanted)}", in the order of the array'
            )
        return names

    def pitch(self) -> float:
        """Of the bins, mm."""
        found = self._distance("pitch", "bins of {:.6g} mm are")
        if found is None:
            raise self.error("must have pitch_mm (or pitch_um), the distance of neighbouring bins, once")
        return found

    def slice_distance(self, pitch_mm: float) -> float:
        """Of the slices of a stack, mm: that of the bins where it is not given."""
        found = self._distance("slice", "slices {:.6g} mm apart are")
        return pitch_mm if found is None else found

    def _distance(self, stem: str, what: str) -> float | None:
        """A length in mm, of a key that ends in its unit; None where there is none. `what` has a place for it."""
        given = [f"{stem}_{unit}" for unit in _LENGTHS_MM if f"{stem}_{unit}" in self.values]
        if not given:
            return None
        if len(given) > 1:
            raise self.error(f"has {' and '.join(given)}, one distance twice: give one of them, once")
        value = self.number(given[0])
        if value is None:
            raise self.error(f"has {given[0]} null: give a number, or leave it out")
        found = value * _LENGTHS_MM[given[0].rpartition("_")[2]]
        low, high = _PITCH_MM
        if not low <= found <= high:
            raise self.error(
                f"has {given[0]} {value:.6g}, and {what.format(found)} out of reason ({low:g} to {high:g} mm): give "
                "their distance in that unit"
            )
        return found

    def centre_offset(self, pitch_mm: float) -> float:
        """Bins."""
        in_bins, in_mm = self.number("centre_offset_bins"), self.number("centre_offset_mm")
        if in_bins is not None and in_mm is not None:
            raise self.error("has centre_offset_bins and centre_offset_mm: give one of them")
        return in_mm / pitch_mm if in_mm is not None else in_bins or 0.0

    def angles(self, views: int, bins: int) -> Float64[np.ndarray, " views"]:
        """Of the views, degrees."""
        if views < 2:
            raise self.error(f"belongs to {views} view, and a slice is not known by one: give more")
        ways = [key for key in ("angles_deg", "last_angle_deg", "turn_deg") if key in self.values]
        if len(ways) != 1 or ("angles_deg" in ways and "first_angle_deg" in self.values):
            raise self.error(
                "must have one of angles_deg (a list), first_angle_deg and last_angle_deg (of the first and the last "
                "view), or turn_deg (evenly over it, without its end)"
            )
        first = self.number("first_angle_deg")
        if ways == ["turn_deg"]:
            turn = self.number("turn_deg") or 0.0
            found = spread_angles(views, start=first or 0.0, turn=turn).numpy()
        elif ways == ["last_angle_deg"]:
            if first is None:
                raise self.error("has last_angle_deg and no first_angle_deg: give both")
            found = np.linspace(first, self.number("last_angle_deg") or 0.0, views)
        else:
            found = self._listed(views, bins)
        if len(np.unique(np.round(found % 180, 3) % 180)) < _LEAST_DIRECTIONS:
            raise self.error(
                f"has views from fewer than {_LEAST_DIRECTIONS} directions, by which no slice is known: give more"
            )
        if np.abs(found).max() > 3600:
            raise self.error(f"has an angle of {np.abs(found).max():.6g} degrees: give degrees within ten turns")
        span = float(np.ptp(found))
        if span < 7:
            raise self.error(
                f"has angles over {span:.4g} degrees, from which no slice is found: give degrees, not radians, over "
                "about 180 of them"
            )
        return found

    def _listed(self, views: int, bins: int) -> Float64[np.ndarray, " views"]:
        listed = self.values["angles_deg"]
        if not isinstance(listed, list) or any(isinstance(x, bool) or not isinstance(x, int | float) for x in listed):
            raise self.error("has angles_deg that are no list of numbers: give one for each view")
        if len(listed) != views:
            turned = '; is the array turned? Then say "axes": "bins views"' if len(listed) == bins else ""
            raise self.error(
                f"has {len(listed):,} angles_deg, and the array has {views:,} views of {bins:,} bins: give one for "
                f"each view{turned}"
            )
        found = np.array(listed, dtype=np.float64)
        if not np.isfinite(found).all():
            raise self.error("has an angle that is no finite number: give one for each view")
        return found


def chosen_views(count: int, *, learnt: int | None, held_out: int | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Which of so many views are learnt from, and which are held out: both spread evenly over them.

    Args:
        count: of views.
        learnt: how many are learnt from; None: all that are not held out.
        held_out: how many are held out; None: one in ten, but one at least and eight at the most.

    Raises:
        InputError: there are not so many.
    """
    option = "--pipeline.datamanager.dataparser"
    aside = min(8, max(1, count // 10)) if held_out is None else held_out
    if aside >= count or (learnt is not None and learnt + aside > count):
        told = f"{option}.views {learnt} and " if learnt is not None else ""
        raise InputError(
            f"{told}{option}.held-out-views {aside} are more than the {counted(count, 'view')} of the sinogram: "
            "give fewer."
        )
    # In the middles of as many equal parts of the views.
    held = ((torch.arange(aside, dtype=torch.float64) + 0.5) * count / aside).long()
    rest = torch.ones(count, dtype=torch.bool).index_fill(0, held, False).nonzero()[:, 0]
    if learnt is not None:
        rest = rest[torch.arange(learnt) * len(rest) // learnt]
    return rest, held
