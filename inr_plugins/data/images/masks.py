"""What lies inside a mask: white, where a mask is black and white; what was noise of a JPEG is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Bool
from PIL import Image

from inr_plugins.errors import InputError

MASK_MODES = ("1", "L", "P", "I", "I;16")
"""Pillow's modes that a mask can have."""

_LOSSY_FORMATS = ("JPEG", "MPO", "JPEG2000", "WEBP", "AVIF")


def inside(image: Image.Image, path: Path) -> tuple[Bool[np.ndarray, "height width"], bool]:
    """Read a mask: True inside, and whether it had greys, of which those above the half count as inside.

    nerfstudio counts all that is not 0, also the noise that JPEG leaves beside an edge. Here greys are divided at half
    of white. Two kinds of file without white are told apart from those: labels of 0 and 1, and palettes, of which all
    that is not black is inside.

    Args:
        image: opened, of a mode of :data:`MASK_MODES`.
        path: its file, for messages.

    Raises:
        InputError: the file is neither black and white nor labels of 0 and 1.
        OSError: it does not decode.
    """
    if image.mode == "1":
        return np.asarray(image).astype(bool), False
    if image.mode == "P":
        return np.any(np.asarray(image.convert("RGB")), axis=-1), False
    values = np.asarray(image)
    largest = int(values.max(initial=0))
    if largest <= 1:
        return values > 0, False
    white = 255 if largest <= 255 else 65535
    is_lossy = image.format in _LOSSY_FORMATS
    if 2 * largest < white and not is_lossy:
        raise InputError(
            f"Mask {path} has values up to {largest} of {white}, so that it is not plain what is inside: make it black "
            "and white (0 and 255), or 0 and 1."
        )
    return 2 * values.astype(np.int64) > white, bool(((values > 0) & (values < white)).any())
