"""Pictures of one size out of a folder, for a dictionary: cut to a square and made smaller where that is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped
from PIL import Image, ImageOps

from inr_plugins.data.images.images import UNREADABLE
from inr_plugins.data.signals.frame_folder import PICTURE_ENDINGS
from inr_plugins.data.signals.image_file import read_image
from inr_plugins.data.signals.kind import SignalKind
from inr_plugins.data.signals.video import LARGEST_MOST, SignalVideo
from inr_plugins.errors import InputError
from inr_plugins.files import shown, why_unreadable
from inr_plugins.geometry.io.read_checks import counted

_SIZE = "--pipeline.datamanager.dataparser.size"
_MASK = "--pipeline.datamanager.dataparser.mask"
_MOST_NAMED = 3
_NUMBERS = re.compile(r"(\d+)")


@dataclass(frozen=True, eq=False)
class SignalPictures(SignalVideo):
    """Pictures of a folder, as frames.

    Attributes:
        files: of the pictures, in their order.
        missing: pixels that nothing is known of, (pictures, height, width); None: there are none.
    """

    files: tuple[Path, ...] = ()
    missing: Bool[np.ndarray, "pictures height width"] | None = None


def read_pictures(path: Path, *, size: int | None = None, mask: Path | None = None) -> SignalPictures:
    """Read the pictures of a folder in the order of their names (numbers in these as numbers), or a single one.

    Those that do not decode are left out, and named among the notes.

    Args:
        path: of the folder, or of one picture.
        size: side of the square that is cut out of the middle of each and resampled by areas; None: as they are.
        mask: a picture that is white where nothing is known, of all pictures, or a folder of one for each, by name;
            each of the size of its picture's file.

    Raises:
        InputError: nothing decodes, pictures are of several sizes or kinds, or a mask is not as large as its picture.
    """
    problem = why_unreadable(path, folders=True)
    if problem is not None:
        raise InputError(f"--data {shown(path)} {problem}: give a folder of pictures, or a picture.")
    files = _pictures(path) if path.is_dir() else [path]
    if not files:
        raise InputError(f"--data {shown(path)} has no pictures ({', '.join(PICTURE_ENDINGS)}): give a folder of some.")
    beside = _masks(mask, files)
    states = tuple((str(each), each.stat().st_mtime_ns, each.stat().st_size) for each in [*files, *beside])
    return _read(path, tuple(files), tuple(beside), states, size)


def _pictures(folder: Path) -> list[Path]:
    found = (each for each in folder.iterdir() if each.suffix.lower() in PICTURE_ENDINGS and each.name[0] != ".")
    return sorted(found, key=_order)


def _order(path: Path) -> tuple[list[tuple[int, int | str]], str]:
    parts = [(0, int(part)) if part.isdigit() else (1, part.lower()) for part in _NUMBERS.split(path.stem) if part]
    return parts, path.name


def _masks(mask: Path | None, files: list[Path]) -> list[Path]:
    """The mask of each picture."""
    if mask is None:
        return []
    problem = why_unreadable(mask, folders=True)
    if problem is not None:
        raise InputError(f"{_MASK} {shown(mask)} {problem}: give a picture that is white where something is missing.")
    if not mask.is_dir():
        return [mask] * len(files)
    by_name = {each.stem: each for each in _pictures(mask)}
    lacking = next((each for each in files if each.stem not in by_name), None)
    if lacking is not None:
        raise InputError(
            f"{_MASK} {shown(mask)} has no mask for {lacking.name}: give one of its name, black if nothing is missing."
        )
    return [by_name[each.stem] for each in files]


@lru_cache(maxsize=2)
def _read(
    path: Path, files: tuple[Path, ...], masks: tuple[Path, ...], states: tuple[Any, ...], size: int | None
) -> SignalPictures:
    kept: list[Shaped[np.ndarray, "height width channels"]] = []
    names, missing, broken, smaller = [], [], [], 0
    first: tuple[Path, SignalKind] | None = None
    for number, file in enumerate(files):
        try:
            found = read_image(file)
        except InputError as error:
            if len(files) == 1:
                raise
            broken.append((file.name, str(error)))
            continue
        first = first or (file, found.kind)
        _check_alike(file, found.kind, *first, sized=size is not None)
        smaller += size is not None and min(found.pixels.shape[:2]) < size
        kept.append(_sized(found.pixels, size))
        names.append(file)
        if masks:
            missing.append(_read_mask(masks[number], file, found.pixels.shape[:2], size))
        if sum(each.size for each in kept) > LARGEST_MOST:
            raise InputError(f"--data {shown(path)} has more than {LARGEST_MOST:,} numbers: give {_SIZE}, or fewer.")
    if first is None:
        raise InputError(f"--data {shown(path)} has no picture that can be read. The first: {broken[0][1]}")
    notes = []
    if broken:
        some = ", ".join(name for name, _ in broken[:_MOST_NAMED]) + (", ..." if len(broken) > _MOST_NAMED else "")
        are = "is" if len(broken) == 1 else "are"
        notes.append(f"{len(broken)} of {counted(len(files), 'picture')} cannot be read and {are} left out: {some}.")
    if smaller:
        are = "is" if smaller == 1 else "are"
        notes.append(
            f"{smaller} of {counted(len(kept), 'picture')} {are} smaller than {_SIZE} {size}, and {are} enlarged."
        )
    if any(file.is_dir() for file in path.iterdir()) if path.is_dir() else False:
        notes.append(f"Folders within {shown(path)} are not looked into.")
    origin = names[0].name if len(names) == 1 else f"{names[0].name} to {names[-1].name}"
    return SignalPictures(
        path,
        np.stack(kept),
        None,
        None,
        origin,
        tuple(notes),
        files=tuple(names),
        missing=np.stack(missing) if missing else None,
    )


def _check_alike(file: Path, kind: SignalKind, first: Path, other: SignalKind, *, sized: bool) -> None:
    """Refuse a picture of another kind than the first one, or of another size where that is not made alike."""
    if kind.is_float:
        raise InputError(f"--data {shown(file)} has floating-point numbers: convert it to 8 or 16 bits.")
    if (kind.channels, kind.bits) != (other.channels, other.bits):
        raise InputError(
            f"--data {shown(file)} has {kind.description()}, and {first.name} has {other.description()}: a dictionary "
            "is of one kind; convert some, or give a folder of others."
        )
    if not sized and (kind.width, kind.height) != (other.width, other.height):
        raise InputError(
            f"--data {shown(file)} has {kind.width} x {kind.height} pixels, and {first.name} has {other.width} x "
            f"{other.height}: give {_SIZE}, to which the middle square of each is brought."
        )


def _sized(pixels: Shaped[np.ndarray, "height width channels"], size: int | None) -> Shaped[np.ndarray, "h w channels"]:
    """The middle square at that size, by area averages; None: as it is."""
    if size is None:
        return np.ascontiguousarray(pixels)
    found = np.stack([_plane(pixels[..., channel], size) for channel in range(pixels.shape[-1])], -1)
    most = np.iinfo(pixels.dtype).max
    return np.clip(np.rint(found), 0, most).astype(pixels.dtype)


def _plane(plane: np.ndarray, size: int) -> np.ndarray:
    image = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
    return np.asarray(ImageOps.fit(image, (size, size), method=Image.Resampling.BOX))


def _read_mask(file: Path, picture: Path, shape: tuple[int, ...], size: int | None) -> Bool[np.ndarray, "h w"]:
    """Where a mask is white, wholly or in part."""
    try:
        with Image.open(file) as image:
            found = np.asarray(ImageOps.exif_transpose(image).convert("L"))
    except UNREADABLE as error:
        raise InputError(f"{_MASK} {shown(file)} is no picture that can be read: give another.") from error
    if found.shape != shape:
        raise InputError(
            f"{_MASK} {shown(file)} has {found.shape[1]} x {found.shape[0]} pixels, and {picture.name} has {shape[1]} "
            f"x {shape[0]}: a mask is as large as its picture."
        )
    white = (found > 127).astype(np.float32)
    return (white if size is None else _plane(white, size)) > 0
