"""K-space of scanners in ISMRMRD's HDF5 (Inati et al. 2017): a header in XML, and readouts with where each belongs.

Read are Cartesian scans of one encoding: slices measured one by one, or a volume in three dimensions. Columns are the
readout, rows kspace_encode_step_1, slices kspace_encode_step_2 or those measured by themselves. Frequency 0 is at the
step that the header calls the center of its limits, and at center_sample of a readout.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Complex64

from inr_plugins.errors import InputError
from inr_plugins.files import shown
from inr_plugins.geometry.io.read_checks import counted

_GROUP, _HEADER, _READOUTS = "dataset", "xml", "data"
_OTHER_FLAGS = (19, 23, 24, 26, 27, 28, 29, 30, 31)
"""Bits, from 1 on, of noise, navigators, corrections, feedback and dummies, which are no k-space."""
_CALIBRATION, _REVERSED, _COMPRESSED = 20, 22, (53, 54, 55, 56)
_ONE_OF = ("average", "contrast", "phase", "repetition", "set")
"""Counters of which a fit takes one value."""
_MOST = 4096
"""Places along an axis of k-space, for arrays that fit into memory."""
_FAR = 0.01


@dataclass(frozen=True, eq=False)
class Scan:
    """K-space, 0 where nothing was measured, frequency 0 in the middle, n // 2 of rows, columns, and slices in k-space.

    Attributes:
        numbers: coils, slices, rows and columns.
        spacing_mm: of voxels along the last three, where slices were measured as one, or along the last two.
        notes: sentences on what was taken for granted.
    """

    numbers: Complex64[np.ndarray, "coils slices rows columns"]
    spacing_mm: tuple[float, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Header:
    """Sizes along the readout, rows and slices: places of k-space, those of the image, and their extents, mm."""

    places: tuple[int, int, int]
    wanted: tuple[int, int, int]
    extent_mm: tuple[float, float, float]
    wanted_mm: tuple[float, float, float]
    centres: tuple[int, int]
    is_calibration_apart: bool


def is_ismrmrd(path: Path) -> bool:
    """Whether a file is HDF5 with a group of readouts and their header."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            group = file.get(_GROUP)
            return isinstance(group, h5py.Group) and _HEADER in group and _READOUTS in group
    except OSError:
        return False


def read_ismrmrd(path: Path) -> Scan:
    """Read all that was measured of a scan.

    Where a readout is longer than the image, which is oversampling, it is cut off in space.

    Raises:
        InputError: it is not Cartesian, of several encodings, averages, contrasts, phases, repetitions or sets, or is
            broken.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            text, rows = file[_GROUP][_HEADER][()], file[_GROUP][_READOUTS][()]
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"--data {shown(path)} cannot be read ({reason}): give another file.") from error
    header = _header(path, text)
    rows = _image_readouts(path, rows, header)
    is_volume = header.places[2] > 1
    numbers, is_whole = _placed(path, rows, header, is_volume=is_volume)
    along, across, through = (size / count for size, count in zip(header.extent_mm, header.places, strict=True))
    notes: tuple[str, ...] = ()
    if header.places[0] > header.wanted[0]:
        if not is_whole:
            notes = (f"{shown(path)} has readouts that are not whole, whose oversampling is not cut off.",)
        else:
            numbers, along = _cut(numbers, header.wanted[0]), header.wanted_mm[0] / header.wanted[0]
            measured = header.extent_mm[0] / header.places[0]
            if abs(along / measured - 1) > _FAR:
                notes = (
                    f"{shown(path)} has voxels of {measured:.6g} mm along the readout by its encodedSpace and of "
                    f"{along:.6g} mm by its reconSpace: these are taken.",
                )
    return Scan(numbers, ((through,) if is_volume else ()) + (across, along), notes)


def _image_readouts(path: Path, rows: np.ndarray, header: _Header) -> np.ndarray:
    """The readouts that k-space is made of, after a look at what they count."""
    names = rows.dtype.names or ()
    heads = rows["head"] if "head" in names and "data" in names else None
    wanted = ("flags", "idx", "number_of_samples", "active_channels", "center_sample", "discard_pre", "discard_post")
    if heads is None or not set(wanted) <= set(heads.dtype.names or ()) or heads["idx"].dtype.names is None:
        raise InputError(f"--data {shown(path)} has readouts without ISMRMRD's heads: write it with its library.")
    flags = heads["flags"]
    if (_has(flags, *_COMPRESSED)).any():
        raise InputError(f"--data {shown(path)} has compressed readouts: write them as they are.")
    left_out = _has(flags, *_OTHER_FLAGS)
    if header.is_calibration_apart:
        left_out |= _has(flags, _CALIBRATION)
    kept = rows[~left_out]
    if not len(kept):
        raise InputError(f"--data {shown(path)} has no readouts of an image, only noise and the like: give a scan.")
    if _has(kept["head"]["flags"], _REVERSED).any():
        raise InputError(
            f"--data {shown(path)} has readouts from right to left (ACQ_IS_REVERSE), whose phases are others: correct "
            "them first."
        )
    for name in _ONE_OF:
        values = np.unique(kept["head"]["idx"][name])
        if len(values) > 1:
            raise InputError(
                f"--data {shown(path)} has {len(values)} values of {name}, and one is learnt: write a file of one "
                f"{name}{', or of their mean' if name == 'average' else ''}."
            )
    if (np.unique(kept["head"]["active_channels"])).size > 1:
        raise InputError(f"--data {shown(path)} has readouts of different numbers of coils: give a scan of the same.")
    return kept


def _placed(
    path: Path, rows: np.ndarray, header: _Header, *, is_volume: bool
) -> tuple[Complex64[np.ndarray, "coils slices rows columns"], bool]:
    """K-space, and whether every readout goes all along it."""
    columns, lines, partitions = header.places
    coils = int(rows["head"]["active_channels"][0])
    places = rows["head"]["idx"]
    slices = partitions if is_volume else int(places["slice"].max()) + 1
    if is_volume and len(np.unique(places["slice"])) > 1:
        raise InputError(f"--data {shown(path)} has several slabs of slices, and one is learnt: write a file of one.")
    line = places["kspace_encode_step_1"].astype(int) - header.centres[0] + lines // 2
    slice_ = places["slice"].astype(int)
    if is_volume:
        slice_ = places["kspace_encode_step_2"].astype(int) - header.centres[1] + partitions // 2
    found = np.zeros((coils, slices, lines, columns), np.complex64)
    filled = np.zeros((slices, lines), bool)
    is_whole = True
    for row, at, over in zip(rows, line.tolist(), slice_.tolist(), strict=True):
        head = row["head"]
        samples, centre = int(head["number_of_samples"]), int(head["center_sample"])
        # What does not say where its middle is has it there.
        centre = samples // 2 if centre == 0 else centre
        first, last = int(head["discard_pre"]), samples - int(head["discard_post"])
        begin = first - centre + columns // 2
        is_inside = 0 <= at < lines and 0 <= over < slices and begin >= 0 and begin + last - first <= columns
        if not is_inside or row["data"].size != 2 * coils * samples or last <= first:
            step = f"kspace_encode_step_1 {at + header.centres[0] - lines // 2}"
            raise InputError(
                f"--data {shown(path)} has a readout of {step} with {counted(samples, 'sample')} that is not in the "
                f"encodedSpace of {columns} x {lines} x {partitions}, or is cut short: mend its header."
            )
        if filled[over, at]:
            raise InputError(
                f"--data {shown(path)} has two readouts of one place (kspace_encode_step_1 "
                f"{at + header.centres[0] - lines // 2}), as averages have: write their mean."
            )
        filled[over, at] = True
        is_whole &= last - first == columns
        values = np.ascontiguousarray(row["data"], np.float32).view(np.complex64).reshape(coils, samples)
        found[:, over, at, begin : begin + last - first] = values[:, first:last]
    return found, is_whole


def _cut(
    numbers: Complex64[np.ndarray, "coils slices rows columns"], wanted: int
) -> Complex64[np.ndarray, "coils slices rows wanted"]:
    """K-space of the middle of the image along its columns, so many of them."""
    fft = np.fft
    found = np.empty((*numbers.shape[:-1], wanted), np.complex64)
    begin = numbers.shape[-1] // 2 - wanted // 2
    for coil, each in enumerate(numbers):
        image = fft.fftshift(fft.ifft(fft.ifftshift(each, axes=-1), norm="ortho"), axes=-1)[..., begin : begin + wanted]
        found[coil] = fft.fftshift(fft.fft(fft.ifftshift(image, axes=-1), norm="ortho"), axes=-1)
    return found


def _has(flags: np.ndarray, *bits: int) -> np.ndarray:
    mask = np.uint64(sum(1 << (bit - 1) for bit in bits))
    return (flags.astype(np.uint64) & mask) != 0


# -- header ------------------------------------------------------------------------------------------------------------


def _header(path: Path, text: Any) -> _Header:
    first = np.asarray(text, dtype=object).reshape(-1)
    try:
        root = ElementTree.fromstring(first[0] if len(first) else b"")
    except (ElementTree.ParseError, TypeError, ValueError) as error:
        raise InputError(f"--data {shown(path)} has a header that is no XML ({error}): mend it.") from error
    encodings = root.findall("{*}encoding")
    if len(encodings) != 1:
        raise InputError(f"--data {shown(path)} has {counted(len(encodings), 'encoding')}, and one is read: give one.")
    encoding = encodings[0]
    trajectory = (encoding.findtext("{*}trajectory") or "").strip()
    if trajectory.lower() != "cartesian":
        raise InputError(
            f'--data {shown(path)} has the trajectory "{trajectory[:40]}", and only cartesian ones are read: grid '
            "it first."
        )
    number = _Numbers(path, encoding)
    places, wanted = (
        tuple(int(number(f"{space}/matrixSize/{axis}")) for axis in "xyz") for space in ("encodedSpace", "reconSpace")
    )
    extent, wanted_mm = (
        tuple(number(f"{space}/fieldOfView_mm/{axis}") for axis in "xyz") for space in ("encodedSpace", "reconSpace")
    )
    if max(places) > _MOST:
        told = " x ".join(map(str, places))
        raise InputError(
            f"--data {shown(path)} has an encodedSpace of {told} places: give {_MOST} or fewer along each."
        )
    centres = tuple(
        int(number(f"encodingLimits/kspace_encoding_step_{axis + 1}/center", otherwise=places[axis + 1] // 2))
        for axis in range(2)
    )
    mode = (encoding.findtext("{*}parallelImaging/{*}calibrationMode") or "").strip().lower()
    return _Header(
        (places[0], places[1], places[2]),
        (wanted[0], wanted[1], wanted[2]),
        (extent[0], extent[1], extent[2]),
        (wanted_mm[0], wanted_mm[1], wanted_mm[2]),
        (centres[0], centres[1]),
        mode in ("separate", "external"),
    )


class _Numbers:
    """Positive numbers of an encoding, by their path of names."""

    def __init__(self, path: Path, encoding: ElementTree.Element) -> None:
        self.path, self.encoding = path, encoding

    def __call__(self, name: str, otherwise: float | None = None) -> float:
        found = self.encoding.findtext("/".join(f"{{*}}{each}" for each in name.split("/")))
        if found is None and otherwise is not None:
            return otherwise
        try:
            value = float(found or "")
        except ValueError:
            value = -1.0
        if not (0 if otherwise is not None else 1e-9) <= value < 1e9:
            raise InputError(
                f"--data {shown(self.path)} has {name} {str(found)[:40]} in its header: give a number there."
            )
        return value
