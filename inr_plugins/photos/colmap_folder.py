"""A folder of COLMAP's as it comes: its reconstruction and the pictures that were placed in it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from inr_plugins.data.images.colmap_places import PLACES, find_reconstruction, is_reconstruction
from inr_plugins.errors import InputError
from inr_plugins.files import shown, why_unreadable
from inr_plugins.photos.model import Model, read_model
from inr_plugins.photos.pictures import ENDINGS, UNREADABLE, Photo, fitted, photo_of
from inr_plugins.photos.sources import Source

_SAME_SHAPE = 0.01


def read_colmap(folder: Path, *, max_size: int) -> tuple[Source, Model]:
    """The photos of a reconstruction, in the order of the model's, and the model for pictures of that size.

    Args:
        folder: holds a reconstruction at one of `PLACES`, and its pictures in images/ or itself. Of several
            reconstructions side by side the one with the most pictures is taken.
        max_size: of the pictures' longer side, in pixels.

    Raises:
        InputError: something is missing or cannot be read.
    """
    problem = why_unreadable(folder, folders=True)
    if problem is not None or not folder.is_dir():
        raise InputError(f"{shown(folder)} {problem or 'is a file'}: give a folder of COLMAP's.")
    place = find_reconstruction(folder)
    if place is None:
        raise InputError(
            f"{folder} holds no reconstruction of COLMAP's (cameras, images and points3D, .bin or .txt, in {PLACES[1]} "
            "for instance): give the folder that does, or leave --colmap out to find poses here."
        )
    pictures = folder / "images" if (folder / "images").is_dir() else folder
    models = [_read(each) for each in _side_by_side(folder / place)]
    model = max(models, key=lambda each: len(each.placed))
    if not model.placed:
        raise InputError(f"The reconstruction in {folder / place} has no picture with a pose: give one that has.")
    notes = [
        f"The poses are those of the reconstruction in {folder / place.parent if len(models) > 1 else folder / place}."
    ]
    if len(models) > 1:
        notes.append(f"It is the one of {len(models)} there that has the most photos.")
    photos = [_photo(pictures, each.name, model.lenses[each.camera]) for each in model.placed]
    placed = {each.name for each in model.placed}
    others = {name: "has no place in the reconstruction" for name in _pictures_in(pictures) if name not in placed}
    return Source(tuple(photos), others, tuple(notes)), _fitted_model(model, photos, max_size)


def _side_by_side(place: Path) -> list[Path]:
    """A reconstruction, and the others whose folders have numbers too."""
    if not place.name.isdigit():
        return [place]
    return [each for each in sorted(place.parent.iterdir()) if each.name.isdigit() and is_reconstruction(each)]


def _read(folder: Path) -> Model:
    try:
        return read_model(folder)
    except InputError:
        raise
    except (RuntimeError, ValueError, IndexError, OSError) as error:
        raise InputError(
            f"The reconstruction in {folder} cannot be read ({' '.join(str(error).split())[:200]}): export it anew."
        ) from error


def _photo(pictures: Path, name: str, lens: Any) -> Photo:
    """A picture of the reconstruction. COLMAP leaves pixels as they are stored unless its camera has the turned
    size."""
    path = pictures / name
    try:
        photo = replace(photo_of(path), name=name)
    except UNREADABLE as error:
        raise InputError(
            f"The reconstruction has a picture {name}, and {path} cannot be read ({error}): put it there."
        ) from error
    for header in (photo.header, replace(photo.header, orientation=1)):
        width, height = header.upright
        if abs(width * lens.height / (height * lens.width) - 1) <= _SAME_SHAPE:
            return replace(photo, header=header)
    raise InputError(
        f"{path} has {photo.size[0]} x {photo.size[1]} pixels, and its camera in the reconstruction {lens.width} x "
        f"{lens.height}, which is another shape: give the pictures that it was made of."
    )


def _pictures_in(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in ENDINGS and path.is_file():
            yield path.relative_to(folder).as_posix()


def _fitted_model(model: Model, photos: Sequence[Photo], max_size: int) -> Model:
    """The model for its pictures as they are read: lenses, and where points are seen, in pixels of that size."""
    sizes = dict[int, tuple[int, int]]()
    for placed, photo in zip(model.placed, photos, strict=True):
        size = sizes.setdefault(placed.camera, fitted(photo.size, max_size))
        if size != fitted(photo.size, max_size):
            raise InputError(
                f"{photo.path} is not of the size of other pictures of its camera in the reconstruction: give the "
                "pictures that it was made of."
            )
    lenses = {number: copy.deepcopy(model.lenses[number]) for number in sizes}
    factors = dict[int, np.ndarray]()
    for number, lens in lenses.items():
        factors[number] = np.array(sizes[number]) / np.array([lens.width, lens.height])
        lens.rescale(*sizes[number])
    moved = tuple(replace(each, pixels=each.pixels * factors[each.camera]) for each in model.placed)
    return replace(model, lenses=lenses, placed=moved)
