"""What EXIF says of the camera that took a picture: which one it is, and its focal length."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from PIL import Image

_MAKE, _MODEL, _EXIF_IFD = 0x010F, 0x0110, 0x8769
_FOCAL_LENGTH, _FOCAL_LENGTH_35, _LENS_MODEL = 0x920A, 0xA405, 0xA434
_PLANE_RESOLUTION, _PLANE_UNIT, _PIXELS_ACROSS = 0xA20E, 0xA210, 0xA002
_MILLIMETRES = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
"""Of EXIF's units of a resolution: inch, centimetre, millimetre, micrometre."""
_DIAGONAL_35 = math.hypot(36, 24)
# From a 360-degree fisheye to a telescope; beyond, an entry is a slip.
_LEAST, _MOST = 0.1, 50.0


@dataclass(frozen=True)
class Lens:
    """A camera as far as EXIF knows it.

    Attributes:
        camera: make, model and lens in one line; "" where none is given.
        setting: of a zoom lens, its focal length in millimetres; None where it is not given.
        focal: focal length in diagonals of the whole picture, None where it cannot be told.
    """

    camera: str = ""
    setting: float | None = None
    focal: float | None = None


def lens_of(image: Image.Image) -> Lens:
    """What the EXIF of an opened picture says of its camera; entries that make no sense count as none."""
    if image.format == "PNG" and "exif" not in image.info:
        return Lens()  # Pillow would decode all of it to look for a tag behind the pixels
    exif = image.getexif()
    inner = exif.get_ifd(_EXIF_IFD)
    names = [_text(exif.get(_MAKE)), _text(exif.get(_MODEL)), _text(inner.get(_LENS_MODEL))]
    length = _number(inner.get(_FOCAL_LENGTH))
    return Lens(" ".join(filter(None, names)), length, _focal(inner, length, image.size))


def _focal(inner: Any, length: float | None, size: tuple[int, int]) -> float | None:
    """Focal length in diagonals of the picture.

    From the length of the same angle on 35 mm film, whose diagonal is 43.27 mm (CIPA DCG-001 takes the diagonal);
    else from the length in millimetres and the sensor's pixels a millimetre.
    """
    film = _number(inner.get(_FOCAL_LENGTH_35))
    found = None if film is None else film / _DIAGONAL_35
    if found is None and length is not None:
        resolution = _number(inner.get(_PLANE_RESOLUTION))
        unit = _MILLIMETRES.get(inner.get(_PLANE_UNIT, 2))
        # The resolution is that of the picture as it was taken, which may have been made smaller since.
        across = _number(inner.get(_PIXELS_ACROSS)) or size[0]
        if resolution is not None and unit is not None:
            found = length * resolution / unit * (size[0] / across) / math.hypot(*size)
    return found if found is not None and _LEAST <= found <= _MOST else None


def _number(value: Any) -> float | None:
    """A positive number, of whatever kind Pillow gives it."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _text(value: Any) -> str:
    return " ".join(value.replace("\0", " ").split()) if isinstance(value, str) else ""
