"""Measured k-space, or a volume that is to be measured, with `<name>.json` beside it, in which every unit is named.

Both are .npy, .npz, .h5 or .hdf5: a volume of real numbers, k-space of complex ones, 0 where nothing was measured. A
volume may be NIfTI or a folder of DICOM slices, too, and k-space ISMRMRD, which say all of this themselves
(`medical_file`, `ismrmrd_file`).

    values              "volume" or "k-space"
    spacing_mm, spacing_um   distance of voxels along the axes of space, in the order of the array: a list, or a number
    axes                "rows columns" or "slices rows columns" in any order, and "coils" of k-space that several saw;
                        as that by default, coils first
    centre              of k-space: "middle", the coefficient of frequency 0 at n // 2 of each axis, or "first"
    origin              of k-space: the voxel that phases are counted from, "middle", n // 2 of each axis, as it is by
                        default, or "first"
    slices              of k-space: "k-space", measured in three dimensions, or "image", each measured by itself
    notes               anything
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Complex64, Float, Float32, Shaped

from inr_plugins.data.signals.array_file import why_no_array
from inr_plugins.data.signals.ismrmrd_file import Scan, is_ismrmrd, read_ismrmrd
from inr_plugins.data.signals.medical_file import (
    DICOM_ENDINGS,
    NIFTI_ENDINGS,
    Affine,
    is_dicom,
    is_nifti,
    read_dicom,
    read_nifti,
)
from inr_plugins.data.signals.resonance_checks import is_half_spectrum, looks_wrapped, slices_look_in_space
from inr_plugins.data.signals.resonance_sidecar import IN_K_SPACE, IN_SPACE, SPACE, SPACING_MM, ResonanceSidecar
from inr_plugins.data.signals.sidecar import sidecar
from inr_plugins.errors import InputError
from inr_plugins.files import shown, why_unreadable
from inr_plugins.geometry.io.read_checks import counted

NUMPY_ENDINGS = (".npy", ".npz")
HDF5_ENDINGS = (".h5", ".hdf5")
VOLUME, K_SPACE = "volume", "k-space"
_ARRAYS = {VOLUME: "volume", K_SPACE: "kspace"}
_LARGEST = 512
"""Voxels along an axis: a fit is measured whole in every step."""
_TINY = 1e-9
"""Of the largest coefficient: no scanner tells less from nothing."""
_SLICE = "--pipeline.datamanager.dataparser.slice"


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
        notes: sentences on what was taken for granted, or is odd.
    """

    numbers: Complex64[np.ndarray, " coils *axes"]
    spacing_mm: tuple[float, ...]
    notes: tuple[str, ...] = ()


def read_resonance(path: Path, *, wanted: int | None = None) -> Volume | KSpace:
    """Read a volume or k-space.

    Args:
        path: of the file, or the folder of DICOM.
        wanted: which slice, from 0, of k-space whose slices were measured one by one; None: the middle one.

    Raises:
        InputError: the file or its metadata cannot be read, say too little, or do not go together.
    """
    problem = why_unreadable(path, folders=True)
    if problem is not None:
        raise InputError(f"--data {shown(path)} {problem}: give the file of a volume, or of k-space.")
    if is_nifti(path) or is_dicom(path):
        _check_unwanted(path, wanted)
        placed = read_nifti(path) if is_nifti(path) else read_dicom(path)
        _check_numbers(path, placed.numbers, placed.numbers.shape)
        _check_header(path, placed.spacing_mm)
        return _checked(path, Volume(placed.numbers, placed.spacing_mm, placed.affine, placed.notes))
    ending = path.suffix.lower()
    if ending not in (*NUMPY_ENDINGS, *HDF5_ENDINGS):
        known = ", ".join((*NUMPY_ENDINGS, *HDF5_ENDINGS, *NIFTI_ENDINGS, *DICOM_ENDINGS[:1]))
        raise InputError(f"--data {shown(path)} is no file of a volume or of k-space: give one of {known}.")
    if ending in HDF5_ENDINGS and is_ismrmrd(path):
        return _of_scan(path, read_ismrmrd(path), wanted)
    told = ResonanceSidecar(sidecar(path), path)
    values = told.choice("values", (VOLUME, K_SPACE))
    numbers = _numbers(path, _ARRAYS[values])
    is_complex = numbers.dtype.kind == "c"
    if numbers.dtype.kind not in ("c" if values == K_SPACE else "fiu"):
        kind = "complex" if is_complex else f"of the type {numbers.dtype}"
        asked = "complex ones" if values == K_SPACE else "real ones, or say k-space"
        raise InputError(f"--data {shown(path)} has numbers that are {kind}, and is said to be {values}: give {asked}.")
    axes = told.axes(numbers.ndim, coils=values == K_SPACE)
    ordered = np.transpose(numbers, [axes.index(each) for each in ("coils", *SPACE) if each in axes])
    space = [each for each in axes if each != "coils"]
    spacing = dict(zip(space, told.spacing(space), strict=True))
    spacing_mm = tuple(spacing[each] for each in SPACE if each in axes)
    slices = told.slices(axes, k_space=values == K_SPACE)
    if values == VOLUME:
        _check_unwanted(path, wanted)
        _check_numbers(path, ordered, ordered.shape)
        return _checked(path, Volume(ordered.astype(np.float32), spacing_mm))
    _check_finite(path, ordered)
    return _k_space(path, ordered if "coils" in axes else ordered[None], spacing_mm, told, slices, wanted)


def _of_scan(path: Path, scan: Scan, wanted: int | None) -> KSpace:
    _check_header(path, scan.spacing_mm)
    _check_finite(path, scan.numbers)
    numbers, notes = scan.numbers, scan.notes
    if len(scan.spacing_mm) == 2:
        numbers, more = _one_slice(path, numbers, wanted)
        notes += more
    else:
        _check_unwanted(path, wanted)
    _check_sides(path, numbers.shape[1:], k_space=True)
    _check_middle(path, np.abs(numbers).sum(0), "middle")
    return KSpace(numbers, scan.spacing_mm, notes)


def _check_header(path: Path, spacing_mm: tuple[float, ...]) -> None:
    low, high = SPACING_MM
    if not all(low <= each <= high for each in spacing_mm):
        size = " x ".join(f"{each:.6g}" for each in spacing_mm)
        raise InputError(
            f"--data {shown(path)} has voxels of {size} mm, which is out of reason ({low:g} to {high:g} mm): mend "
            "its header."
        )


def _k_space(
    path: Path,
    numbers: np.ndarray,
    spacing_mm: tuple[float, ...],
    told: ResonanceSidecar,
    slices: str | None,
    wanted: int | None,
) -> KSpace:
    axes = tuple(range(2 if slices == IN_SPACE else 1, numbers.ndim))
    if told.choice("centre", ("middle", "first")) == "first":
        if is_half_spectrum(numbers):
            raise InputError(
                f"--data {shown(path)} has half of the k-space of a real image, as rfft2 leaves it: give all of it, as "
                "of fft2."
            )
        numbers = np.fft.fftshift(numbers, axes=axes)
    origin = told.choice("origin", ("middle", "first")) if "origin" in told.values else "middle"
    if origin == "first":
        numbers = _of_the_middle_voxel(numbers, axes)
    notes: tuple[str, ...] = ()
    if slices == IN_SPACE:
        numbers, notes = _one_slice(path, numbers, wanted)
        spacing_mm = spacing_mm[1:]
    else:
        if slices is None and numbers.ndim == 4:
            _check_transformed(path, numbers, told)
        _check_unwanted(path, wanted)
    _check_sides(path, numbers.shape[1:], k_space=True)
    _check_middle(path, np.abs(numbers).sum(0), told.values["centre"])
    largest = float(np.abs(numbers).max())
    tiny = int(((np.abs(numbers) < _TINY * largest) & (numbers != 0)).sum())
    if tiny > numbers.size / 10:
        notes += (
            f"{shown(path)} has {counted(tiny, 'number')} below {_TINY:g} of the largest, which count as measured: put "
            "0 where nothing was.",
        )
    if looks_wrapped(numbers):
        other = "first" if origin == "middle" else "middle"
        notes += (
            f"{shown(path)} gives an image that is empty in its middle and not at its border, as if it were cut in "
            f'the middle and put together the other way round: if so, put "origin": "{other}" in {shown(told.path)}.',
        )
    return KSpace(numbers.astype(np.complex64), spacing_mm, notes)


def _of_the_middle_voxel(numbers: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """K-space of the same image whose phases are counted from voxel n // 2, and were from the first one.

    By the shift theorem coefficient k, from frequency 0 on, is multiplied by exp(2 pi i k (n // 2) / n).
    """
    for axis in axes:
        side = numbers.shape[axis]
        turns = (np.arange(side) - side // 2) * (side // 2) % side / side
        numbers = np.moveaxis(np.moveaxis(numbers, axis, -1) * np.exp(2j * np.pi * turns), -1, axis)
    return numbers


def _check_transformed(path: Path, numbers: np.ndarray, told: ResonanceSidecar) -> None:
    """Refuse slices that were measured one by one, and are said to be neither that nor k-space."""
    _check_middle(path, np.abs(numbers).sum((0, 1)), told.values["centre"])
    if slices_look_in_space(numbers):
        raise InputError(
            f"--data {shown(path)} has slices that do not fall off along their axis as k-space does, as if each had "
            f'been measured by itself: put "slices": "{IN_SPACE}" in {shown(told.path)}, of which one is learnt, or '
            f'"slices": "{IN_K_SPACE}" where they are k-space all the same.'
        )


def _check_middle(path: Path, size: Float[np.ndarray, "*axes"], centre: str) -> None:
    """Refuse k-space whose largest coefficient is not where frequency 0 is said to be, or beside that."""
    if not size.any():
        raise InputError(f"--data {shown(path)} is 0 throughout, and nothing was measured: give other k-space.")
    middle = tuple(side // 2 for side in size.shape)
    near = size[tuple(slice(max(0, m - 2), m + 3) for m in middle)]
    if size[middle] == 0 or near.max() < size.max():
        raise InputError(
            f"--data {shown(path)} has its largest coefficient away from the {centre} one, where "
            "frequency 0 is said to be, or none there: look at centre and axes, and measure the middle of k-space."
        )


def _one_slice(path: Path, numbers: np.ndarray, wanted: int | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Of (coils, slices, rows, columns) the slice that is wanted, and a note where nobody said which."""
    count = numbers.shape[1]
    if wanted is not None and not 0 <= wanted < count:
        raise InputError(
            f"--data {shown(path)} has {counted(count, 'slice')}, from 0 on, and {_SLICE} {wanted} is none of them: "
            "give another."
        )
    chosen = count // 2 if wanted is None else wanted
    note = f"{shown(path)} has {count} slices, and of them slice {chosen} (from 0), the middle one, is learnt."
    return numbers[:, chosen], (note,) if wanted is None and count > 1 else ()


def _check_unwanted(path: Path, wanted: int | None) -> None:
    if wanted is not None:
        raise InputError(
            f"{_SLICE} is of k-space whose slices were measured one by one, and --data {shown(path)} is not: leave it "
            "out."
        )


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
    _check_sides(path, sides)
    _check_finite(path, numbers)


def _check_sides(path: Path, sides: tuple[int, ...], *, k_space: bool = False) -> None:
    if min(sides) < 8 or max(sides) > _LARGEST:
        told = " x ".join(map(str, sides))
        what = f"give 8 to {_LARGEST} along each axis"
        if k_space and max(sides) > _LARGEST:
            what += ", such as by cutting off what a scanner measures beside the image along the readout"
        raise InputError(f"--data {shown(path)} is of {told} voxels: {what}.")


def _check_finite(path: Path, numbers: np.ndarray) -> None:
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
        if not sets and len(file):
            raise InputError(
                f"--data {shown(path)} has no array but the {'group' if len(file) == 1 else 'groups'} "
                f"{', '.join(list(file)[:9])}: save the array that is meant outside of groups, and call it {name}."
            )
        found = np.asarray(file[_only(path, sets, name)])
    if found.dtype.names is not None and set(found.dtype.names) == {"real", "imag"}:
        # MATLAB's complex numbers.
        return np.asarray(found["real"] + 1j * found["imag"])
    return found


def _only(path: Path, names: list[str], wanted: str) -> str:
    if len(names) == 1:
        return names[0]
    if wanted not in names:
        told = ", ".join(names[:9]) or "none"
        raise InputError(f"--data {shown(path)} has the arrays {told}: call the one that is meant {wanted}.")
    return wanted
