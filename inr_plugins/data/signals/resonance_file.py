"""Measured k-space, or a volume that is to be measured, with `<name>.json` beside it, in which every unit is named.

Both are .npy, .npz, .h5 or .hdf5: a volume of real numbers, k-space of complex ones, 0 where nothing was measured. A
volume may be NIfTI or a folder of DICOM slices, too, which say all of this themselves (`medical_file`).

    values              "volume" or "k-space"
    spacing_mm, spacing_um   distance of voxels along the axes of space, in the order of the array: a list, or a number
    axes                "rows columns" or "slices rows columns" in any order, and "coils" of k-space that several saw;
                        as that by default, coils first
    centre              of k-space: "middle", the coefficient of frequency 0 at n // 2 of each axis, or "first"
    notes               anything
"""

from __future__ import annotations

import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Complex64, Float32, Shaped

from inr_plugins.data.signals.array_file import why_no_array
from inr_plugins.data.signals.medical_file import (
    DICOM_ENDINGS,
    NIFTI_ENDINGS,
    Affine,
    is_dicom,
    is_nifti,
    read_dicom,
    read_nifti,
)
from inr_plugins.data.signals.sidecar import Sidecar, sidecar
from inr_plugins.errors import InputError
from inr_plugins.files import shown, why_unreadable
from inr_plugins.geometry.io.read_checks import counted

NUMPY_ENDINGS = (".npy", ".npz")
HDF5_ENDINGS = (".h5", ".hdf5")
VOLUME, K_SPACE = "volume", "k-space"
_KEYS = ("values", "spacing_mm", "spacing_um", "axes", "centre", "notes")
_SPACE = ("slices", "rows", "columns")
_LENGTHS_MM = {"mm": 1.0, "um": 1e-3}
_SPACING_MM = (1e-3, 50.0)
"""Between a microscope's voxels and those of a scan that finds the patient."""
_ARRAYS = {VOLUME: "volume", K_SPACE: "kspace"}
_LARGEST = 512
"""Voxels along an axis: a fit is measured whole in every step."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A slice or a volume of real numbers.

    Attributes:
        numbers: as the file has them; rows go down, columns to the right.
        spacing_mm: of the axes.
        affine: where voxels are, of NIfTI and DICOM.
        notes: sentences on what was taken for granted.
    """

    numbers: Float32[np.ndarray, "*axes"]
    spacing_mm: tuple[float, ...]
    affine: Affine | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class KSpace:
    """Coefficients of a slice or a volume that coils have measured, 0 where there are none.

    Attributes:
        numbers: frequency 0 in the middle, n // 2 of each axis.
        spacing_mm: of voxels along the axes of space.
    """

    numbers: Complex64[np.ndarray, " coils *axes"]
    spacing_mm: tuple[float, ...]


def read_resonance(path: Path) -> Volume | KSpace:
    """Read a volume or k-space.

    Raises:
        InputError: the file or its metadata cannot be read, say too little, or do not go together.
    """
    problem = why_unreadable(path, folders=True)
    if problem is not None:
        raise InputError(f"--data {shown(path)} {problem}: give the file of a volume, or of k-space.")
    if is_nifti(path) or is_dicom(path):
        placed = read_nifti(path) if is_nifti(path) else read_dicom(path)
        _check_numbers(path, placed.numbers, placed.numbers.shape)
        low, high = _SPACING_MM
        if not all(low <= each <= high for each in placed.spacing_mm):
            size = " x ".join(f"{each:.6g}" for each in placed.spacing_mm)
            raise InputError(
                f"--data {shown(path)} has voxels of {size} mm, which is out of reason ({low:g} to {high:g} mm): mend "
                "its header."
            )
        return _checked(path, Volume(placed.numbers, placed.spacing_mm, placed.affine, placed.notes))
    ending = path.suffix.lower()
    if ending not in (*NUMPY_ENDINGS, *HDF5_ENDINGS):
        known = ", ".join((*NUMPY_ENDINGS, *HDF5_ENDINGS, *NIFTI_ENDINGS, *DICOM_ENDINGS[:1]))
        raise InputError(f"--data {shown(path)} is no file of a volume or of k-space: give one of {known}.")
    told = _Metadata(sidecar(path), path)
    values = told.choice("values", (VOLUME, K_SPACE))
    numbers = _numbers(path, _ARRAYS[values])
    is_complex = numbers.dtype.kind == "c"
    if numbers.dtype.kind not in ("c" if values == K_SPACE else "fiu"):
        kind = "complex" if is_complex else f"of the type {numbers.dtype}"
        wanted = "complex ones" if values == K_SPACE else "real ones, or say k-space"
        raise InputError(
            f"--data {shown(path)} has numbers that are {kind}, and is said to be {values}: give {wanted}."
        )
    axes = told.axes(numbers.ndim, coils=values == K_SPACE)
    order = [axes.index(each) for each in ("coils", *_SPACE) if each in axes]
    ordered = np.transpose(numbers, order)
    space = [each for each in axes if each != "coils"]
    spacing = told.spacing(space)
    wanted_order = [each for each in _SPACE if each in axes]
    spacing_mm = tuple(spacing[space.index(each)] for each in wanted_order)
    sides = ordered.shape[1:] if "coils" in axes else ordered.shape
    _check_numbers(path, ordered, sides)
    if values == VOLUME:
        return _checked(path, Volume(ordered.astype(np.float32), spacing_mm))
    return _k_space(path, ordered if "coils" in axes else ordered[None], spacing_mm, told)


def _k_space(path: Path, numbers: np.ndarray, spacing_mm: tuple[float, ...], told: _Metadata) -> KSpace:
    axes = tuple(range(1, numbers.ndim))
    if told.choice("centre", ("middle", "first")) == "first":
        numbers = np.fft.fftshift(numbers, axes=axes)
    size = np.abs(numbers).sum(0)
    if not size.any():
        raise InputError(f"--data {shown(path)} is 0 throughout, and nothing was measured: give other k-space.")
    middle = tuple(side // 2 for side in size.shape)
    near = size[tuple(slice(max(0, m - 2), m + 3) for m in middle)]
    if size[middle] == 0 or near.max() < size.max():
        raise InputError(
            f"--data {shown(path)} has its largest coefficient away from the {told.values['centre']} one, where "
            "frequency 0 is said to be, or none there: look at centre and axes, and measure the middle of k-space."
        )
    return KSpace(numbers.astype(np.complex64), spacing_mm)


def _checked(path: Path, volume: Volume) -> Volume:
    if float(volume.numbers.min()) < 0:
        raise InputError(
            f"--data {shown(path)} has numbers down to {float(volume.numbers.min()):.6g}, and a volume is of 0 and "
            "more: give its magnitude."
        )
    if not volume.numbers.any():
        raise InputError(f"--data {shown(path)} is 0 throughout, and nothing of it can be measured.")
    return volume


def _check_numbers(path: Path, numbers: np.ndarray, sides: tuple[int, ...]) -> None:
    if min(sides) < 8 or max(sides) > _LARGEST:
        told = " x ".join(map(str, sides))
        raise InputError(f"--data {shown(path)} is of {told} voxels: give 8 to {_LARGEST} along each axis.")
    if not np.isfinite(numbers).all():
        places = counted(int((~np.isfinite(numbers)).sum()), "place")
        raise InputError(f"--data {shown(path)} has NaN or infinity in {places}: put 0 where nothing is known.")


# -- numbers -----------------------------------------------------------------------------------------------------------


def _numbers(path: Path, name: str) -> Shaped[np.ndarray, "*axes"]:
    try:
        if path.suffix.lower() in HDF5_ENDINGS:
            found = _of_hdf5(path, name)
        elif path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                found = np.asarray(arrays[_only(path, list(arrays), name)])
        else:
            found = np.load(path, allow_pickle=False)
    except InputError:
        raise
    except (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        reason = why_no_array(error)
        raise InputError(f"--data {shown(path)} cannot be read ({reason}): give another file.") from error
    if found.size == 0:
        raise InputError(f"--data {shown(path)} has the shape {found.shape}, and no numbers: give another file.")
    return found


def _of_hdf5(path: Path, name: str) -> np.ndarray:
    import h5py

    with h5py.File(path, "r") as file:
        sets = [key for key, value in file.items() if isinstance(value, h5py.Dataset)]
        return np.asarray(file[_only(path, sets, name)])


def _only(path: Path, names: list[str], wanted: str) -> str:
    if len(names) == 1:
        return names[0]
    if wanted not in names:
        told = ", ".join(names[:9]) or "none"
        raise InputError(f"--data {shown(path)} has the arrays {told}: call the one that is meant {wanted}.")
    return wanted


# -- metadata ----------------------------------------------------------------------------------------------------------


class _Metadata(Sidecar):
    """What stands beside a file, checked as it is asked for."""

    def __init__(self, path: Path, data: Path) -> None:
        super().__init__(path, data, needs="values and spacing_mm", page="cn-mri")
        for key in self.values:
            if key not in _KEYS:
                unit = ", whose unit is not known: call it spacing_mm or spacing_um" if "spacing" in key.lower() else ""
                raise self.error(
                    f"has the key {key}{unit or ', which is none of ' + ', '.join(_KEYS) + ': take it out'}"
                )

    def axes(self, count: int, *, coils: bool) -> tuple[str, ...]:
        """The names of the axes of an array of so many."""
        found = self.values.get("axes")
        if found is None and (count == 2 or (count == 3 and not coils)):
            return _SPACE[-count:]
        names = tuple(found.split()) if isinstance(found, str) else ()
        space = [each for each in names if each != "coils"]
        is_known = len(set(names)) == len(names) == count and sorted(space) in (sorted(_SPACE), sorted(_SPACE[1:]))
        if not is_known or ("coils" in names and not coils):
            told = "no axes" if found is None else f"the axes {json.dumps(found)[:60]}"
            example = "coils rows columns" if coils else "slices rows columns"
            raise self.error(f'has {told}, and the array has {count}: give "axes", such as "{example}", in its order')
        return names

    def spacing(self, axes: list[str]) -> tuple[float, ...]:
        """Of the axes of space, mm, in the order of the array."""
        given = [key for key in ("spacing_mm", "spacing_um") if key in self.values]
        if len(given) != 1:
            raise self.error("must have spacing_mm (or spacing_um), the distance of voxels, once")
        found = self.values[given[0]]
        listed = found if isinstance(found, list) else [found] * len(axes)
        if len(listed) != len(axes) or any(
            isinstance(x, bool) or not isinstance(x, int | float) or not math.isfinite(x) for x in listed
        ):
            raise self.error(
                f"has {given[0]} {json.dumps(found)[:60]}: give one number, or one for each of {' '.join(axes)}"
            )
        spacing = tuple(x * _LENGTHS_MM[given[0].rpartition("_")[2]] for x in listed)
        low, high = _SPACING_MM
        wrong = [each for each in spacing if not low <= each <= high]
        if wrong:
            raise self.error(
                f"has {given[0]} {json.dumps(found)[:60]}, and voxels of {wrong[0]:.6g} mm are out of reason "
                f"({low:g} to {high:g} mm): give their distance in that unit"
            )
        return spacing
