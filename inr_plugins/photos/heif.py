"""HEIC files, which iPhones write: read by pillow-heif, which is optional, where there are some."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from PIL import Image

from inr_plugins.errors import InputError

HEIF_ENDINGS = (".heic", ".heif")
"""In lower case."""


def open_picture(path: Path) -> Image.Image:
    """A picture opened by Pillow; of HEIC files too, whose pixels come upright.

    Raises:
        InputError: it is a HEIC file, and pillow-heif is missing.
        OSError: or another of `pictures.UNREADABLE`, where it is no picture.
    """
    if path.suffix.lower() in HEIF_ENDINGS and not _can_read():
        raise InputError(
            f"{path.name} is a HEIC file, which pillow-heif reads, and that is not installed: install it with "
            "`pip install pillow-heif`, or inr-plugins with its extra photos, inr-plugins[photos]; or export as JPEG."
        )
    return Image.open(path)


@cache
def _can_read() -> bool:
    """Whether Pillow can read them from here on."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True
