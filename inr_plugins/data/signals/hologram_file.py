"""Holograms at several heights, or an object that is to be recorded, with `<name>.json` beside it, which says how.

Holograms are a folder of numbered pictures, a TIFF of pages, .npy, .npz or .mat; an object is a grey picture of its
amplitude, black 0 and white 1. Every key with a unit has it in its name:

    values              "intensity" of holograms, or "object"
    wavelength_nm, wavelength_um    of the light
    pitch_um, pitch_nm, pitch_mm    distance of the pixels
    heights_mm, heights_um          from the object to the sensor, one for each hologram, or of those to be recorded
    open_beam           of holograms: the number that the light alone gives; by default the mean of all
    axes                of an array: "heights rows columns", as it is by default, in any order
    amplitude           of holograms whose object is known: the file of its amplitude
    phase               the file of the object's phase, a grey picture
    phase_black_rad, phase_white_rad    what black and white of it are; by default 0 and pi
    notes               anything
"""

from __future__ import annotations

import json
import math
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Complex64, Float32, Shaped

from inr_plugins.data.signals.array_file import check_copies, why_no_array
from inr_plugins.data.signals.hologram_notes import exposures_note, reach_note, saturated, saturated_note
from inr_plugins.data.signals.image_file import read_image
from inr_plugins.data.signals.sidecar import Sidecar, sidecar
from inr_plugins.data.signals.tiff_file import TIFF_ENDINGS
from inr_plugins.errors import InputError
from inr_plugins.files import shown, why_unreadable
from inr_plugins.geometry.io.read_checks import counted

INTENSITY, OBJECT = "intensity", "object"
ARRAY_ENDINGS = (".npy", ".npz", ".mat")
PICTURE_ENDINGS = (".png", *TIFF_ENDINGS)
_KEYS = (
    *("values", "wavelength_nm", "wavelength_um", "pitch_um", "pitch_nm", "pitch_mm", "heights_mm", "heights_um"),
    *("open_beam", "axes", "amplitude", "phase", "phase_black_rad", "phase_white_rad", "notes"),
)
_STEMS = ("wavelength", "lambda", "pitch", "pixel", "height", "distance", "phase_")
_MM = {"mm": 1.0, "um": 1e-3, "nm": 1e-6}
_WAVELENGTHS_MM = (1e-5, 2e-2)
"""From soft X-rays to thermal infrared."""
_PITCHES_MM = (1e-6, 1.0)
_HEIGHTS_MM = (1e-4, 1e4)
_FURTHEST = 20.0
"""Widths of the sensor by which light of the finest pattern may go to the side."""
_LEAST_REACH, _SMALL_REACH = 0.1, 1.0
"""Pixels that it goes to the side at the greatest height, at the least, and below which that is said: of r pixels the
finest pattern's phase is seen as sin(pi r / 2), and that of one f times as wide as sin(pi r / (2 f²))."""
_MOST_LOST = 0.5
"""Share of a hologram's pixels that may be saturated."""
_AXES = ("heights", "rows", "columns")
_ARRAY = "holograms"
_LEAST_SIDE, _LARGEST_SIDE = 16, 2048
_NUMBER = re.compile(r"\d+(?=\D*$)")


@dataclass(frozen=True, eq=False)
class Setup:
    """How holograms are recorded.

    Attributes:
        wavelength_nm: of the light, nm.
        pitch_um: distance of the pixels, um.
        heights_mm: from the object to the sensor, mm.
    """

    wavelength_nm: float
    pitch_um: float
    heights_mm: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Recording:
    """Holograms, an object, or both.

    Attributes:
        setup: how they were recorded, or are to be.
        intensities: 1 being the light alone, and -v where the sensor ended at v; None: there are none, and the object
            is to be recorded.
        truth: the object, amplitude times exp(i phase); None: it is not known.
        notes: sentences on what is odd.
    """

    setup: Setup
    intensities: Float32[np.ndarray, "heights rows columns"] | None
    truth: Complex64[np.ndarray, "rows columns"] | None
    notes: tuple[str, ...] = ()


def read_recording(path: Path) -> Recording:
    """Read holograms or an object.

    Raises:
        InputError: files or their metadata cannot be read, say too little, or do not go together.
    """
    problem = why_unreadable(path, folders=True)
    if problem is not None:
        raise InputError(
            f"--data {shown(path)} {problem}: give holograms (a folder of pictures, TIFF, .npy, .npz or .mat), or the "
            "picture of an object's amplitude."
        )
    told = _Metadata(sidecar(path), path)
    if told.choice("values", (INTENSITY, OBJECT)) == OBJECT:
        return _object(path, told)
    numbers = _numbers(path, told)
    setup = told.setup(len(numbers), path)
    _check_sides(path, numbers.shape[1:])
    reach = told.check_reach(setup, numbers.shape[1:])
    truth = _truth(told, told.file("amplitude"), path) if "amplitude" in told.values else None
    if truth is not None and truth.shape != numbers.shape[1:]:
        raise told.error(
            f"names an object of {_sides(truth.shape)} pixels, and the holograms have {_sides(numbers.shape[1:])}: "
            "give one of that size, or leave it out"
        )
    intensities, open_beam = _intensities(path, numbers, told)
    lost = saturated(numbers, open_beam)
    if lost.mean((1, 2)).max() > _MOST_LOST:
        raise InputError(
            f"--data {shown(path)} is saturated in {100 * lost.mean((1, 2)).max():.3g} % of the pixels of hologram "
            f"{int(lost.mean((1, 2)).argmax())} (from 0): expose less, or leave it out."
        )
    notes = (_reach_note(path, reach), exposures_note(path, intensities), saturated_note(path, lost))
    intensities[lost] *= -1
    return Recording(setup, intensities, truth, tuple(each for each in notes if each is not None))


def record_files(path: Path) -> list[Path]:
    """The files that a recording is read from, so far as they can be told; for caches of what was read."""
    return [path, sidecar(path), *(sorted(path.iterdir()) if path.is_dir() else [])]


def _object(path: Path, told: _Metadata) -> Recording:
    if path.is_dir() or path.suffix.lower() in ARRAY_ENDINGS:
        raise InputError(f"--data {shown(path)} is said to be an object: give the picture of its amplitude.")
    if "open_beam" in told.values:
        raise told.error("has open_beam, which is of holograms, and is said to be of an object: take it out")
    truth = _truth(told, path, path)
    _check_sides(path, truth.shape)
    setup = told.setup(None, path)
    note = _reach_note(path, told.check_reach(setup, truth.shape))
    return Recording(setup, None, truth, () if note is None else (note,))


def _reach_note(path: Path, pixels: float) -> str | None:
    return reach_note(path, pixels) if pixels < _SMALL_REACH else None


def _truth(told: _Metadata, amplitude: Path, data: Path) -> Complex64[np.ndarray, "rows columns"]:
    size = _grey(amplitude) if amplitude == data else _named(told, "amplitude")
    phase = np.zeros_like(size)
    if "phase" in told.values:
        phase = _named(told, "phase")
        black, white = told.number("phase_black_rad", 0.0), told.number("phase_white_rad", math.pi)
        if black == white or max(abs(black), abs(white)) > 100:
            raise told.error(f"has a phase from {black:.6g} to {white:.6g} rad: give what black and white of it are")
        phase = black + (white - black) * phase
    if phase.shape != size.shape:
        raise told.error(
            f"names a phase of {_sides(phase.shape)} pixels, and the amplitude {shown(amplitude)} has "
            f"{_sides(size.shape)}: give pictures of one size"
        )
    if not size.any():
        raise InputError(f"{shown(amplitude)} is black, and no light goes through such an object: give another.")
    found: Complex64[np.ndarray, "rows columns"] = (size * np.exp(1j * phase)).astype(np.complex64)
    return found


def _named(told: _Metadata, key: str) -> Float32[np.ndarray, "rows columns"]:
    """The picture that metadata name, of which nobody has said --data."""
    path = told.file(key)
    problem = why_unreadable(path)
    if problem is not None:
        raise told.error(f"names the {key} {shown(path)}, which {problem}: give a grey picture")
    try:
        return _grey(path)
    except InputError as error:
        reason = str(error).removeprefix("--data ").removeprefix(shown(path)).strip().rstrip(".")
        raise told.error(f"names the {key} {shown(path)}, which {reason}") from error


def _grey(path: Path) -> Float32[np.ndarray, "rows columns"]:
    found = read_image(path)
    if found.kind.channels != 1:
        raise InputError(f"{shown(path)} is {found.kind.description()}: give a grey picture.")
    numbers = found.pixels[..., 0].astype(np.float64)
    if found.kind.is_float and not (numbers.min() >= 0 and numbers.max() <= 1):
        raise InputError(
            f"{shown(path)} has numbers from {numbers.min():.6g} to {numbers.max():.6g}: give 0 (black) to 1 (white)."
        )
    return (numbers / (1.0 if found.kind.is_float else found.kind.span[1])).astype(np.float32)


# -- numbers -----------------------------------------------------------------------------------------------------------


def _numbers(path: Path, told: _Metadata) -> Shaped[np.ndarray, "heights rows columns"]:
    if path.is_dir():
        found = _of_folder(path, told)
    elif path.suffix.lower() in ARRAY_ENDINGS:
        found = _ordered(_of_array(path), told)
    elif path.suffix.lower() in TIFF_ENDINGS:
        found = _ordered(_of_tiff(path), told)
    else:
        raise InputError(
            f"--data {shown(path)} is no file of holograms: give a folder of numbered pictures, a TIFF of pages, or "
            f"one of {', '.join(ARRAY_ENDINGS)}."
        )
    if found.dtype.kind not in "fiu":
        raise InputError(f"--data {shown(path)} has numbers of the type {found.dtype}: give intensities, real ones.")
    return found


def _of_folder(folder: Path, told: _Metadata) -> Shaped[np.ndarray, "heights rows columns"]:
    known = {told.file(key).name for key in ("amplitude", "phase") if key in told.values}
    pictures = sorted(
        each
        for each in folder.iterdir()
        if each.suffix.lower() in PICTURE_ENDINGS and not each.name.startswith(".") and each.name not in known
    )
    if not pictures:
        raise InputError(f"--data {shown(folder)} has no pictures ({', '.join(PICTURE_ENDINGS)}): give holograms.")
    numbered: dict[int, Path] = {}
    for each in pictures:
        found = _NUMBER.search(each.stem)
        # Of two names that of most pictures is in the middle of them.
        usual = pictures[len(pictures) // 2]
        if found is None or _NUMBER.sub("#", each.stem) != _NUMBER.sub("#", usual.stem):
            raise InputError(
                f"--data {shown(folder)} has pictures that are no numbered holograms of one name ({usual.name}, "
                f"{each.name}): leave the others out, or name them as amplitude and phase."
            )
        other = numbered.setdefault(int(found.group()), each)
        if other is not each:
            raise InputError(f"--data {shown(folder)} has two holograms of one number ({other.name}, {each.name}).")
    _check_count(folder, numbered, told)
    read = {number: read_image(numbered[number]) for number in sorted(numbered)}
    kinds = {(each.kind.width, each.kind.height, each.kind.channels, each.kind.bits) for each in read.values()}
    if len(kinds) > 1 or next(iter(kinds))[2] != 1:
        told_kinds = ", ".join(sorted({each.kind.description() for each in read.values()})[:3])
        raise InputError(f"--data {shown(folder)} has pictures of {told_kinds}: give grey ones of one size and kind.")
    return np.stack([each.pixels[..., 0] for each in read.values()])


def _check_count(folder: Path, numbered: dict[int, Path], told: _Metadata) -> None:
    """Refuse a stack that has fewer pictures than heights, and say which number is left out if one is."""
    heights, numbers = told.count_of_heights(), sorted(numbered)
    left_out = [each for each in range(numbers[0], numbers[-1] + 1) if each not in numbered]
    if left_out and len(numbers) != heights:
        name = _NUMBER.sub(lambda old: str(left_out[0]).zfill(len(old.group())), numbered[numbers[0]].stem)
        counts = f"{counted(len(numbers), 'hologram')} for {counted(heights, 'height')}"
        raise InputError(
            f"--data {shown(folder)} has {counts}, and none is called "
            f"{name}{numbered[numbers[0]].suffix}: put it there, or take its height out of {shown(told.path)}."
        )


def _of_array(path: Path) -> np.ndarray:
    try:
        if path.suffix.lower() == ".npy":
            found = np.load(path, allow_pickle=False)
        elif path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                found = np.asarray(arrays[_only(path, list(arrays))])
        else:
            import scipy.io

            arrays = scipy.io.loadmat(path)
            found = np.asarray(arrays[_only(path, [each for each in arrays if not each.startswith("__")])])
    except InputError:
        raise
    except NotImplementedError as error:
        raise InputError(f"--data {shown(path)} is a MAT file of version 7.3: save it as -v7, or as .npy.") from error
    except (OSError, ValueError, EOFError, KeyError, RuntimeError, TypeError, zipfile.BadZipFile) as error:
        reason = why_no_array(error)
        raise InputError(f"--data {shown(path)} cannot be read ({reason}): give another file.") from error
    return found


def _only(path: Path, names: list[str]) -> str:
    if len(names) != 1 and _ARRAY not in names:
        raise InputError(
            f"--data {shown(path)} has the arrays {', '.join(names[:9]) or 'none'}: call the one meant {_ARRAY}."
        )
    return names[0] if len(names) == 1 else _ARRAY


def _of_tiff(path: Path) -> np.ndarray:
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            if len({(page.shape, page.dtype) for page in tiff.pages}) > 1:
                raise InputError(f"--data {shown(path)} has pages of different sizes: give pages of one size.")
            found = np.asarray(tiff.asarray(key=slice(None)))
    except InputError:
        raise
    except (OSError, ValueError, RuntimeError, ImportError, LookupError) as error:
        reason = why_no_array(error)
        raise InputError(f"--data {shown(path)} cannot be read ({reason}): give another file.") from error
    return found


def _ordered(found: np.ndarray, told: _Metadata) -> Shaped[np.ndarray, "heights rows columns"]:
    axes = told.axes()
    if found.ndim != len(_AXES) or found.size == 0:
        raise told.error(
            f"belongs to an array of the shape {found.shape}, and holograms have heights, rows and columns: give those"
        )
    return np.moveaxis(found, [axes.index(each) for each in _AXES], [0, 1, 2])


def _intensities(
    path: Path, numbers: Shaped[np.ndarray, "heights rows columns"], told: _Metadata
) -> tuple[Float32[np.ndarray, "heights rows columns"], float]:
    """Numbers over that of the light alone, and this."""
    found = numbers.astype(np.float64)
    wrong = np.argwhere(~np.isfinite(found))
    if len(wrong):
        height, row, column = wrong[0].tolist()
        raise InputError(
            f"--data {shown(path)} has NaN or infinity in {len(wrong):,} of its numbers, the first in hologram "
            f"{height}, row {row:,} and column {column:,} (from 0): put numbers there, such as those beside."
        )
    if found.min() < 0:
        places = counted(int((found < 0).sum()), "place")
        raise InputError(
            f"--data {shown(path)} has intensities down to {found.min():.6g}, in {places}, and there are none below 0: "
            "take no more than the dark picture off, and put 0 there."
        )
    dark = [number for number, each in enumerate(found) if not each.any()]
    if dark:
        raise InputError(
            f"--data {shown(path)} has a hologram without any light, number {dark[0]} (from 0): leave it out."
        )
    if float(np.ptp(found)) < 1e-9 * float(found.max()):
        raise InputError(
            f"--data {shown(path)} has holograms of nothing, the same in all of their pixels: give those of an object."
        )
    check_copies(path, found, "hologram")
    open_beam = told.number("open_beam", float(found.mean()))
    share = float(found.mean()) / open_beam if open_beam > 0 else math.inf
    if not 1e-3 <= share <= 1e3:
        raise told.error(
            f"has the open_beam {open_beam:.6g}, and the holograms' mean is {found.mean():.6g}: give the number that "
            "the light alone has in them"
        )
    return (found / open_beam).astype(np.float32), open_beam


def _check_sides(path: Path, sides: tuple[int, ...]) -> None:
    if min(sides) < _LEAST_SIDE or max(sides) > _LARGEST_SIDE:
        raise InputError(
            f"--data {shown(path)} is of {_sides(sides)} pixels, and a step sees them all: give {_LEAST_SIDE} to "
            f"{_LARGEST_SIDE:,} along each side."
        )


def _sides(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"


# -- metadata ----------------------------------------------------------------------------------------------------------


class _Metadata(Sidecar):
    """What stands beside holograms, checked as it is asked for."""

    def __init__(self, path: Path, data: Path) -> None:
        super().__init__(path, data, needs="values, wavelength_nm, pitch_um and heights_mm", page="diner-lensless")
        for key in self.values:
            if key in _KEYS:
                continue
            stem = next((each for each in _STEMS if key.lower().startswith(each)), None)
            if stem is None:
                raise self.error(f"has the key {key}, which is none of {', '.join(_KEYS)}: take it out")
            as_known = {"lambda": "wavelength", "pixel": "pitch", "distance": "height"}.get(stem, stem)
            wanted = " or ".join(each for each in _KEYS if each.startswith(as_known))
            raise self.error(f"has the key {key}, whose unit is not known: call it {wanted}")

    def number(self, key: str, default: float) -> float:
        """A finite number."""
        found = self.values.get(key, default)
        if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
            raise self.error(f"has {key} {json.dumps(found)[:60]}, which is no finite number: give one")
        return float(found)

    def file(self, key: str) -> Path:
        """A file beside the metadata, or in the folder that they are of."""
        found = self.values[key]
        if not isinstance(found, str) or not found:
            raise self.error(f"has {key} {json.dumps(found)[:60]}, which is no name of a file: give one")
        return self.path.parent / found

    def setup(self, count: int | None, data: Path) -> Setup:
        """How the holograms were recorded, or are to be where `count`, that of them, is None."""
        wavelength = self._length("wavelength", _WAVELENGTHS_MM)
        pitch = self._length("pitch", _PITCHES_MM)
        heights = self._heights()
        if count is not None and count != len(heights):
            told = f"{counted(len(heights), 'height')}, and {shown(data)} has {counted(count, 'hologram')}"
            raise self.error(f"has {told}: give one for each")
        if len(set(heights)) < 2:
            raise self.error("needs holograms at two different heights at least, one of which is held out: give more")
        return Setup(wavelength * 1e6, pitch * 1e3, heights)

    def count_of_heights(self) -> int:
        """How many there are."""
        return len(self._heights())

    def check_reach(self, setup: Setup, sides: tuple[int, ...]) -> float:
        """How many pixels light of the finest pattern goes to the side at the greatest height.

        Raises:
            InputError: so many that none of it would reach the sensor, or so few that no phase would be seen.
        """
        side_mm, furthest = max(sides) * setup.pitch_um * 1e-3, max(setup.heights_mm)
        aside_mm = furthest * setup.wavelength_nm * 1e-6 / (2 * setup.pitch_um * 1e-3)
        if aside_mm / side_mm > _FURTHEST:
            raise self.error(
                f"has a height of {furthest:.6g} mm, from which light of the finest pattern goes "
                f"{aside_mm / side_mm:.3g} times the sensor's width of {side_mm:.3g} mm to the side: look at the units "
                "of heights, wavelength and pitch"
            )
        pixels = aside_mm / (setup.pitch_um * 1e-3)
        if pixels < _LEAST_REACH:
            raise self.error(
                f"has no height above {furthest:.6g} mm, from which light of the finest pattern goes {pixels:.2g} "
                "pixels to the side, so that no phase is seen: look at the units of heights, wavelength and pitch"
            )
        return pixels

    def axes(self) -> tuple[str, ...]:
        """The names of an array's axes."""
        found = self.values.get("axes", " ".join(_AXES))
        names = tuple(found.split()) if isinstance(found, str) else ()
        if sorted(names) != sorted(_AXES):
            raise self.error(
                f'has the axes {json.dumps(found)[:60]}: give "{" ".join(_AXES)}" in the order of the array'
            )
        return names

    def _key(self, stem: str) -> str:
        given = [each for each in _KEYS if each.startswith(f"{stem}_") and each in self.values]
        if len(given) != 1:
            wanted = " or ".join(each for each in _KEYS if each.startswith(f"{stem}_"))
            raise self.error(f"has {'several of' if given else 'no'} {wanted}: give one of them")
        return given[0]

    def _length(self, name: str, span: tuple[float, float]) -> float:
        """In mm."""
        key = self._key(name)
        value = self.number(key, 0.0)
        found = value * _MM[key.rpartition("_")[2]]
        if not span[0] <= found <= span[1]:
            low, high = (1e3 * each for each in span)
            raise self.error(
                f"has {key} {value:.6g}, and {1e3 * found:.6g} um is out of reason for a {name} ({low:g} to "
                f"{high:g} um): give it in that unit"
            )
        return found

    def _heights(self) -> tuple[float, ...]:
        """In mm."""
        key = self._key("heights")
        found = self.values[key]
        if not isinstance(found, list) or any(
            isinstance(x, bool) or not isinstance(x, int | float) or not math.isfinite(x) for x in found
        ):
            raise self.error(
                f"has {key} {json.dumps(found)[:60]}, which is no list of numbers: give one for each hologram"
            )
        heights = tuple(float(f"{x * _MM[key.rpartition('_')[2]]:.12g}") for x in found)
        low, high = _HEIGHTS_MM
        wrong = [each for each in heights if not low <= each <= high]
        if wrong:
            raise self.error(f"has a height of {wrong[0]:.6g} mm, which is out of reason ({low:g} to {high:g} mm)")
        return heights
