"""NIfTI and DICOM: volumes with the distance of their voxels and their place in the patient.

Read by nibabel and pydicom, which are optional. A place is in millimetres in RAS, as NIfTI has it: x to the right of
the patient, y to the front, z up. DICOM has x to the left and y to the back.
"""

from __future__ import annotations

import logging
import textwrap
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64

from inr_plugins.errors import InputError
from inr_plugins.files import replacing, shown

NIFTI_ENDINGS = (".nii", ".nii.gz")
DICOM_ENDINGS = (".dcm", ".ima", ".dicom")
_UNITS_MM = {"mm": 1.0, "micron": 1e-3, "meter": 1e3}
_EVEN = 0.02
"""Share of the distance of slices by which one may be off."""

_ON_A_LINE_MM = 0.1
"""By which slices that lean may be off the line of the others, or by a pixel where that is less."""
_AT_BROKEN_FILES = (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError, RuntimeError, zlib.error)

_NO_DECODER = "missing dependencies"
"""What pydicom says where it knows libraries for a compression, and has none."""

Affine = tuple[tuple[float, ...], ...]
"""3 rows of 4: millimetres in RAS of the middle of the voxel in a column, a row and a slice, each counted from 0."""


@dataclass(frozen=True, eq=False)
class PlacedVolume:
    """A slice or a volume of real numbers, and where it is.

    Attributes:
        numbers: rows go down.
        spacing_mm: of the axes.
        affine: where voxels are, RAS.
        notes: sentences on what was taken for granted.
    """

    numbers: Float32[np.ndarray, "*axes"]
    spacing_mm: tuple[float, ...]
    affine: Affine
    notes: tuple[str, ...] = ()


def is_nifti(path: Path) -> bool:
    """Whether a file is NIfTI by its name."""
    return path.name.lower().endswith(NIFTI_ENDINGS)


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its name or its beginning, or a folder, in which nothing else is looked for."""
    return path.suffix.lower() in DICOM_ENDINGS or path.is_dir() or _begins_as_dicom(path)


def _begins_as_dicom(path: Path) -> bool:
    """Whether a file without an ending, or with a number for one, as scanners name them, has the mark of DICOM."""
    if path.suffix.strip(".0123456789") or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_nifti(path: Path) -> PlacedVolume:
    """Read a volume, or a slice where one side is a single voxel.

    Its axes are put in the order that comes closest to slices from below, rows from the front (or of a slice that
    stands upright from above), and columns from the patient's left to the right.

    Raises:
        InputError: nibabel is missing, or the file cannot be read, is of several volumes, or says no place.
    """
    name = f"--data {shown(path)}"
    nibabel = _nibabel(name)
    with _as_sentence(path, nibabel.filebasedimages.ImageFileError):
        image = nibabel.load(path)
        header = image.header
        if image.get_data_dtype().kind not in "iuf":
            raise InputError(f"{name} has numbers of the type {image.get_data_dtype()}: give one real number a voxel.")
        more = image.shape[3:]
        if int(np.prod(more)) != 1 or image.ndim < 2:
            told = " x ".join(map(str, image.shape))
            raise InputError(f"{name} is of {told} numbers, and a volume has three sides: take one volume out of it.")
        affine, notes = _nifti_place(name, image, header)
        data = np.asarray(image.dataobj, dtype=np.float32).reshape((*image.shape[:3], 1)[:3])
    # The closest canonical order, of the array as of its affine.
    turns = nibabel.orientations.io_orientation(affine)
    data = nibabel.orientations.apply_orientation(data, turns)
    affine = affine @ nibabel.orientations.inv_ornt_aff(turns, (*image.shape[:3], 1)[:3])
    flat = [axis for axis in (2, 1, 0) if data.shape[axis] == 1]
    slices, rows, columns = {0: (0, 2, 1), 1: (1, 2, 0)}.get(flat[0] if flat else 2, (2, 1, 0))
    numbers = np.transpose(data, (slices, rows, columns))[:, ::-1]
    # Of (column, row, slice): rows are counted from the other end.
    placed = affine[:3][:, [columns, rows, slices, 3]].copy()
    placed[:, 3] += (data.shape[rows] - 1) * placed[:, 1]
    placed[:, 1] *= -1
    return _placed(numbers, placed, notes)


def _nifti_place(name: str, image: Any, header: Any) -> tuple[Float64[np.ndarray, "4 4"], tuple[str, ...]]:
    """Millimetres of a voxel's indices, and what was taken for granted."""
    unit = header.get_xyzt_units()[0]
    if unit not in (*_UNITS_MM, "unknown"):
        raise InputError(f"{name} has lengths in {unit}: store them in mm.")
    notes: tuple[str, ...] = ()
    if unit not in _UNITS_MM:
        notes = ("The file names no unit of lengths: they are taken for millimetres.",)
    affine = np.array(image.affine, dtype=np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise InputError(f"{name} says no place of its voxels (its affine has no inverse): set its sform, in mm.")
    affine[:3] *= _UNITS_MM.get(unit, 1.0)
    if header.get("sform_code", 1) == header.get("qform_code", 1) == 0:
        notes += ("The file says nothing of its orientation: left and right may be exchanged.",)
    return affine, notes


def read_dicom(
    path: Path, *, check: Callable[[str, Any], None] = lambda name, told: None, may_lean: bool = False
) -> PlacedVolume:
    """Read one slice, or the slices of one series in a folder, in the order of their places.

    Args:
        path: a file, or a folder.
        check: raises InputError where a file, of a name and with what it tells, is not what is wanted.
        may_lean: slices may be shifted aside, each by as much from the one before, as those of a tilted gantry are.

    Raises:
        InputError: pydicom is missing, or a file cannot be read, has several frames, colours or no place; files of
            several series; slices that are missing, double, or of different sizes.
    """
    name = f"--data {shown(path)}"
    pydicom = _pydicom(name)
    files = sorted(each for each in path.iterdir() if each.is_file()) if path.is_dir() else [path]
    found, others = [], []
    for file in files:
        with _as_sentence(file, pydicom.errors.InvalidDicomError):
            if path.is_dir() and not pydicom.misc.is_dicom(file):
                others.append(file.name)
                continue
            told = pydicom.dcmread(file)
            if "PixelData" not in told:
                others.append(file.name)
                continue
            found.append((file, told))
    if not found:
        raise InputError(f"{name} has no DICOM file with pixels: give a folder of slices, or one slice.")
    _check_series(name, found)
    with _as_sentence(path, pydicom.errors.InvalidDicomError):
        for file, told in found:
            check(f"--data {shown(file)}", told)
    placed = _in_order(name, found, may_lean=may_lean)
    with _as_sentence(path, pydicom.errors.InvalidDicomError):
        numbers = np.stack([_pixels(pydicom, told) for _, told in placed])
    _, first = placed[0]
    down, across = (float(each) for each in first.PixelSpacing)
    right, below = _directions(first)
    begin, end = _position(first), _position(placed[-1][1])
    normal = np.cross(right, below)
    step = (end - begin) / max(1, len(placed) - 1) if len(placed) > 1 else normal * float(_thickness(first))
    affine = np.stack([right * across, below * down, step, begin], axis=1)
    affine[:2] *= -1
    few = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
    told = (
        "file in the folder is no DICOM picture and was"
        if len(others) == 1
        else "files in the folder are no DICOM pictures and were"
    )
    notes = (f"{len(others)} {told} left out ({few}).",) if others else ()
    return _placed(numbers, affine, notes)


def _placed(numbers: np.ndarray, affine: Float64[np.ndarray, "3 4"], notes: tuple[str, ...]) -> PlacedVolume:
    columns, rows, slices = np.linalg.norm(affine[:, :3], axis=0).tolist()
    spacing: tuple[float, ...] = (slices, rows, columns)
    if len(numbers) == 1:
        numbers, spacing = numbers[0], spacing[1:]
    kept = tuple(tuple(float(f"{each:.9g}") for each in row) for row in affine.tolist())
    return PlacedVolume(
        np.ascontiguousarray(numbers, dtype=np.float32), tuple(float(f"{each:.9g}") for each in spacing), kept, notes
    )


# -- DICOM -------------------------------------------------------------------------------------------------------------


def _check_series(name: str, found: list[tuple[Path, Any]]) -> None:
    """Refuse what is not the slices of one series."""
    for file, told in found:
        of = f"--data {shown(file)}"
        if int(told.get("NumberOfFrames", 1) or 1) > 1:
            raise InputError(
                f"{of} is of several frames in one file, which is not read: convert it to NIfTI (dcm2niix)."
            )
        if not str(told.get("PhotometricInterpretation", "")).startswith("MONOCHROME"):
            raise InputError(f"{of} is in colours ({told.get('PhotometricInterpretation')}): give grey slices.")
        for tag, what in (("PixelSpacing", "distance"), ("ImagePositionPatient", "place"), ("Rows", "size")):
            if told.get(tag) is None:
                raise InputError(f"{of} has no {tag}, the {what} of its pixels: give an image with its geometry.")
        if told.get("ImageOrientationPatient") is None:
            raise InputError(f"{of} has no ImageOrientationPatient, how it lies: give an image with its geometry.")
    series = {str(told.get("SeriesInstanceUID", "")): told.get("SeriesDescription", "") for _, told in found}
    if len(series) > 1:
        few = ", ".join(str(each) or "without a name" for each in list(series.values())[:4])
        raise InputError(f"{name} has {len(series)} series ({few}): give a folder with the slices of one.")
    (file, first), right = found[0], np.stack(_directions(found[0][1]))
    for other, told in found[1:]:
        same_size = (told.Rows, told.Columns) == (first.Rows, first.Columns)
        same_place = np.allclose(np.stack(_directions(told)), right, atol=1e-3) and np.allclose(
            np.array(told.PixelSpacing, dtype=float), np.array(first.PixelSpacing, dtype=float), rtol=1e-3
        )
        if not same_size or not same_place:
            what = "is of another size than" if not same_size else "lies otherwise, or has other pixels, than"
            raise InputError(f"{name} has a slice {other.name} that {what} {file.name}: take it out.")


def _in_order(name: str, found: list[tuple[Path, Any]], *, may_lean: bool) -> list[tuple[Path, Any]]:
    """Along the normal of the slices, which have to be there all, once, and straight above each other or leaning."""
    right, below = _directions(found[0][1])
    normal = np.cross(right, below)
    order = sorted(found, key=lambda each: float(_position(each[1]) @ normal))
    if len(order) == 1:
        return order
    places = np.stack([_position(told) for _, told in order])
    steps = np.diff(places @ normal)
    usual = float(np.median(steps))
    if (steps < 0.01 * max(usual, 1e-6)).any():
        at = int(np.argmin(steps))
        raise InputError(
            f"{name} has two slices at one place ({order[at][0].name} and {order[at + 1][0].name}): give one echo, or "
            "one moment, alone."
        )
    wrong = np.flatnonzero(np.abs(steps - usual) > _EVEN * usual)
    if len(wrong):
        at = int(wrong[0])
        raise InputError(
            f"{name} has slices {usual:.4g} mm apart, and {steps[at]:.4g} mm between {order[at][0].name} and "
            f"{order[at + 1][0].name}: is a file missing?"
        )
    aside = places - places[0] - np.outer((places - places[0]) @ normal, normal)
    if not may_lean and float(np.abs(aside).max()) > _EVEN * usual * len(order):
        raise InputError(f"{name} has slices that are shifted aside (a tilted gantry): convert it to NIfTI (dcm2niix).")
    lean = np.median(np.diff(aside, axis=0), axis=0)
    off = np.linalg.norm(np.diff(aside, axis=0) - lean, axis=1)
    at = int(off.argmax())
    if may_lean and off[at] > min(_ON_A_LINE_MM, *(float(each) for each in order[0][1].PixelSpacing)):
        raise InputError(
            f"{name} has slices that are shifted aside by {off[at]:.4g} mm between {order[at][0].name} and "
            f"{order[at + 1][0].name}, and not evenly, as those of a tilted gantry are: give those of one place alone."
        )
    return order


def leans(volume: PlacedVolume) -> bool:
    """Whether the slices of a volume are shifted aside from each other, as those of a tilted gantry are."""
    right, below, step = np.array(volume.affine)[:, :3].T
    normal = np.cross(right, below)
    normal /= np.linalg.norm(normal)
    straight = float(step @ normal) * normal
    return float(np.linalg.norm(step - straight)) > _EVEN * float(np.linalg.norm(straight))


def _directions(told: Any) -> tuple[Float64[np.ndarray, " 3"], Float64[np.ndarray, " 3"]]:
    """Of rising columns and of rising rows, LPS."""
    found = np.array(told.ImageOrientationPatient, dtype=np.float64)
    return found[:3], found[3:]


def _position(told: Any) -> Float64[np.ndarray, " 3"]:
    return np.array(told.ImagePositionPatient, dtype=np.float64)


def _thickness(told: Any) -> float:
    return float(told.get("SliceThickness") or 1.0)


def _pixels(pydicom: Any, told: Any) -> Float32[np.ndarray, "rows columns"]:
    """In the unit that the file means."""
    return np.asarray(pydicom.pixels.apply_modality_lut(told.pixel_array, told), dtype=np.float32)


# -- writing -----------------------------------------------------------------------------------------------------------


def written_affine(
    affine: Affine | None,
    spacing_mm: Sequence[float],
    *,
    first: tuple[float, float, float],
    step: tuple[float, float, float],
) -> Float64[np.ndarray, "4 4"]:
    """Where the voxels of a part are, RAS, of (column, row, slice).

    Args:
        affine: of the whole; None: the first voxel is at 0, columns go to the right, rows to the back, slices up.
        spacing_mm: of slices, rows and columns, or of rows and columns; used where there is no affine.
        first: column, row and slice, of the whole, of the middle of the first voxel that is written.
        step: from one voxel to the next that is written, in those of the whole.
    """
    if affine is None:
        *slices, rows, columns = spacing_mm
        affine = ((columns, 0.0, 0.0, 0.0), (0.0, -rows, 0.0, 0.0), (0.0, 0.0, slices[0] if slices else 1.0, 0.0))
    whole = np.vstack([np.array(affine, dtype=np.float64), [0, 0, 0, 1]])
    part = np.diag([*step, 1.0])
    part[:3, 3] = first
    return whole @ part


def write_nifti(
    path: Path, numbers: Float32[np.ndarray, "*slices rows columns"], *, affine: Float64[np.ndarray, "4 4"], unit: str
) -> None:
    """Write a volume, or a slice as one, so that programs for NIfTI show it where it is.

    Args:
        path: .nii or .nii.gz.
        numbers: rows go down.
        affine: millimetres in RAS of (column, row, slice).
        unit: of the numbers, for its description.

    Raises:
        InputError: nibabel is missing.
        OSError: it cannot be written.
    """
    nibabel = _nibabel(shown(path))
    volume = numbers if numbers.ndim == 3 else numbers[None]
    image = nibabel.Nifti1Image(np.ascontiguousarray(volume.transpose(2, 1, 0)), affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = f"inr-signal, in {unit}".encode("ascii", "replace")[:79]
    with replacing(path) as partial:
        # nibabel looks at the ending for whether to compress, which a partial file has not.
        content = image.to_bytes()
        partial.write_bytes(_compressed(content) if path.name.lower().endswith(".gz") else content)


def _compressed(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(content) + packer.flush()


def check_can_write(path: Path) -> None:
    """Refuse to write NIfTI before there is work, where nibabel is missing."""
    _nibabel(shown(path))


# -- the libraries -----------------------------------------------------------------------------------------------------


def _nibabel(what: str) -> Any:
    try:
        import nibabel
    except ImportError as error:
        raise _missing(f"{what} is NIfTI, which", "nibabel") from error
    return nibabel


def _pydicom(what: str) -> Any:
    try:
        import pydicom
        import pydicom.pixels
    except ImportError as error:
        raise _missing(f"{what} is DICOM, or a folder of it, which", "pydicom") from error
    # Values that break the standard are said as warnings; what matters is checked here.
    logging.getLogger("pydicom").setLevel(logging.ERROR)
    return pydicom


def _missing(what: str, library: str) -> InputError:
    return InputError(
        f"{what} {library} reads and writes, and that is not installed: install it with `pip install {library}`, or "
        "inr-plugins with its extra inverse, inr-plugins[inverse]."
    )


@contextmanager
def _as_sentence(path: Path, kind: type[Exception]) -> Iterator[None]:
    """What a library raises at a broken file, one of its own kind too, as one sentence that names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except (*_AT_BROKEN_FILES, kind) as error:
        reason = " ".join(str(error).split())
        if _NO_DECODER in reason:
            what = reason.partition("'")[2].partition("'")[0] or "this compression"
            raise InputError(
                f"--data {shown(path)} is compressed ({what}), and nothing that is installed reads that: install "
                "pylibjpeg with its plug-ins (pip install 'pylibjpeg[all]')."
            ) from error
        short = textwrap.shorten(reason, 200, placeholder=" ...")
        raise InputError(f"--data {shown(path)} cannot be read ({short}): give another file.") from error
