"""A folder of pictures that are the frames of a video: which they are, and in which order."""

from __future__ import annotations

import re
from pathlib import Path

from inr_plugins.errors import InputError
from inr_plugins.files import shown

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".pgm", ".ppm")
_NUMBER = re.compile(r"\d+(?=\D*$)")


def frame_files(folder: Path) -> list[Path]:
    """The pictures in a folder in the order of the last number in each name; numbers may be left out.

    Raises:
        InputError: there are none, one has no number or the number of another, or names differ in more than numbers.
    """
    pictures = sorted(
        each for each in folder.iterdir() if each.suffix.lower() in PICTURE_ENDINGS and not each.name.startswith(".")
    )
    if not pictures:
        raise InputError(
            f"--data {shown(folder)} has no frames: give a folder of pictures ({', '.join(PICTURE_ENDINGS)}) that are "
            "numbered, or a video file."
        )
    numbered: dict[int, Path] = {}
    first = pictures[0]
    for each in pictures:
        found = _NUMBER.search(each.stem)
        if found is None:
            raise InputError(
                f"--data {shown(each)} has no number in its name, by which frames are put in order: add it."
            )
        if _pattern(each) != _pattern(first):
            raise InputError(
                f"--data {shown(folder)} has pictures of several names ({first.name}, {each.name}): give a folder "
                "of the frames of one video."
            )
        other = numbered.setdefault(int(found.group()), each)
        if other is not each:
            raise InputError(
                f"--data {shown(folder)} has two frames of one number ({other.name}, {each.name}): remove one."
            )
    return [numbered[number] for number in sorted(numbered)]


def _pattern(path: Path) -> str:
    """A name without its last number and its ending."""
    return _NUMBER.sub("#", path.stem)
