"""Which photos were taken with one lens, and what is known of it before any are compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from inr_plugins.photos.options import Cameras
from inr_plugins.photos.pictures import Photo, fitted

_MANY = 8
"""Photos of one lens from which on all of OPENCV's distortion is estimated; of fewer, one parameter of it."""


@dataclass(frozen=True)
class LensGroup:
    """Photos of one lens.

    Attributes:
        numbers: of the photos, from 0.
        camera: what EXIF calls it; "" where it does not.
        size: width and height of its pictures once they are small enough, pixels.
        focal: focal length by EXIF, in pixels of these; None where it is not known.
    """

    numbers: tuple[int, ...]
    camera: str
    size: tuple[int, int]
    focal: float | None

    @property
    def model(self) -> str:
        """COLMAP's name for the kind of lens."""
        return "OPENCV" if len(self.numbers) >= _MANY else "SIMPLE_RADIAL"

    @property
    def params(self) -> str:
        """The first parameters, as COLMAP reads them; "" leaves the focal length to it."""
        if self.focal is None:
            return ""
        centre = [self.size[0] / 2, self.size[1] / 2]
        focal = [self.focal, self.focal] if self.model == "OPENCV" else [self.focal]
        distortion = [0.0] * (4 if self.model == "OPENCV" else 1)
        return ",".join(repr(float(value)) for value in (*focal, *centre, *distortion))


def lens_groups(photos: Sequence[Photo], cameras: Cameras, max_size: int) -> list[LensGroup]:
    """Photos by their lenses, in the order of the first of each."""
    numbers = dict[Any, list[int]]()
    for number, photo in enumerate(photos):
        size = fitted(photo.size, max_size)
        key: Any = {"auto": (photo.lens.camera, photo.lens.setting, size), "one": size, "each": number}[cameras]
        numbers.setdefault(key, []).append(number)
    return [_group(photos, each, max_size) for each in numbers.values()]


def _group(photos: Sequence[Photo], numbers: list[int], max_size: int) -> LensGroup:
    first = photos[numbers[0]]
    size = fitted(first.size, max_size)
    known = [photos[number].lens.focal for number in numbers]
    focal = [each for each in known if each is not None]
    return LensGroup(tuple(numbers), first.lens.camera, size, median(focal) * math.hypot(*size) if focal else None)
