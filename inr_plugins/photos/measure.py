"""A length that somebody knows: two photos whose cameras stood so far apart, or two points that photos show."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from inr_plugins.errors import InputError, setting
from inr_plugins.photos.model import Model, Placed

_POINT = re.compile(r"(?P<name>.+):(?P<column>\d+(?:\.\d+)?),(?P<row>\d+(?:\.\d+)?)")
_NEAR = 0.02
"""A point of the reconstruction stands for a pixel that is no farther from it than this share of the picture's
diagonal."""


@dataclass(frozen=True)
class SizedPhoto:
    """A photo by its name, width and height as a viewer shows it, and its place in the reconstruction if it has one."""

    name: str
    size: tuple[int, int]
    placed: Placed | None
    seen_size: tuple[int, int]


@dataclass(frozen=True)
class KnownLength:
    """A length in metres, and what it is in the reconstruction.

    Attributes:
        metres: as it was given.
        length: in the units of the reconstruction.
        ends: for people: a photo, or a pixel and how far the point is that stands for it.
    """

    metres: float
    length: float
    ends: tuple[str, str]

    @property
    def scale(self) -> float:
        """Metres a unit of the reconstruction."""
        return self.metres / self.length


def known_length(given: tuple[str, str, float], photos: Sequence[SizedPhoto], model: Model) -> KnownLength:
    """Find the two ends of a known length in the reconstruction.

    Raises:
        InputError: an end names no photo, one without a place, or a pixel without a point near it; or both are one
        place.
    """
    by_name = {photo.name: photo for photo in photos}
    first, second = (_end(text, by_name, model) for text in given[:2])
    length = float(np.linalg.norm(first[0] - second[0]))
    reach = float(np.ptp(model.positions, axis=0).max()) + model.distance_of_sight()
    if length <= 1e-6 * reach:
        raise InputError(
            f"{setting('known_length')} has one place twice ({given[0]} and {given[1]}): give two that are apart."
        )
    return KnownLength(given[2], length, (first[1], second[1]))


def _end(text: str, photos: Mapping[str, SizedPhoto], model: Model) -> tuple[Float[np.ndarray, " 3"], str]:
    """Where an end is, and what is said of it."""
    match = _POINT.fullmatch(text)
    photo = _photo(match["name"] if match and text not in photos else text, photos)
    if photo.placed is None:
        raise InputError(
            f"{setting('known_length')} names {photo.name}, which has no place among the cameras: name another."
        )
    if match is None or text in photos:
        return photo.placed.pose[:3, 3], f"the camera of {photo.name}"
    pixel = np.array([float(match["column"]), float(match["row"])])
    point, apart = _point_at(photo, pixel, model)
    return point, f"pixel {pixel[0]:g},{pixel[1]:g} of {photo.name} (by a point {apart:.1f} pixels from it)"


def _photo(name: str, photos: Mapping[str, SizedPhoto]) -> SizedPhoto:
    if name in photos:
        return photos[name]
    alike = [photo for photo in photos.values() if Path(photo.name).stem == name]
    if len(alike) == 1:
        return alike[0]
    first, last = min(photos), max(photos)
    raise InputError(
        f"{setting('known_length')} names {name}, and no photo is called so: give the name of one ({first} to {last}), "
        "or PHOTO:COLUMN,ROW."
    )


def _point_at(photo: SizedPhoto, pixel: Float[np.ndarray, " 2"], model: Model) -> tuple[Float[np.ndarray, " 3"], float]:
    """The point of the reconstruction that is seen nearest to a pixel, and how far from it, in pixels of the photo."""
    assert photo.placed is not None
    width, height = photo.size
    if not (0 <= pixel[0] <= width and 0 <= pixel[1] <= height):
        raise InputError(
            f"{setting('known_length')} names pixel {pixel[0]:g},{pixel[1]:g} of {photo.name}, which is {width} x "
            f"{height}: give a column and a row inside of it."
        )
    seen = photo.placed.pixels * (np.array(photo.size) / np.array(photo.seen_size))
    distances = np.linalg.norm(seen - pixel, axis=1)
    nearest = int(distances.argmin()) if len(distances) else -1
    if nearest < 0 or distances[nearest] > _NEAR * math.hypot(width, height):
        place = "none at all" if nearest < 0 else f"the nearest at {seen[nearest][0]:.0f},{seen[nearest][1]:.0f}"
        raise InputError(
            f"No point of the reconstruction is seen near pixel {pixel[0]:g},{pixel[1]:g} of {photo.name} ({place}): "
            "give a place with texture, or the same one in another photo."
        )
    return model.points[photo.placed.points[nearest]], float(distances[nearest])
