"""Smaller copies of images, as ns-process-data puts them beside the images: images_2, images_4, images_8."""

from __future__ import annotations

from pathlib import Path

from inr_plugins.errors import InputError


def smaller_folder(folder: Path, *, holding: str = "") -> Path | None:
    """The folder with the largest of the smaller copies beside `folder`, or None.

    Args:
        folder: of the images in full size, which need not be there.
        holding: name of a file that must be in it.
    """
    try:
        beside = [each for each in folder.parent.iterdir() if _factor(each, folder) > 1 and (each / holding).exists()]
    except OSError:
        return None
    return min(beside, key=lambda each: _factor(each, folder), default=None)


def _factor(beside: Path, folder: Path) -> int:
    """By how much the copies in `beside` are smaller than the images in `folder`; 0 for another folder."""
    number = beside.name.removeprefix(f"{folder.name}_")
    return int(number) if number != beside.name and number.isdecimal() and beside.is_dir() else 0


def refuse_missing(full: Path, folder: Path, smaller: Path, *, parser: str) -> InputError:
    """The sentence for images that are there in a smaller size only.

    Args:
        full: what is missing, an image or a folder of them.
        folder: of the images in full size.
        smaller: from :func:`smaller_folder`.
        parser: by its name on the command line, whose option is named.
    """
    return InputError(
        f"{full} is missing, but {smaller} is there: put {parser} --downscale-factor {_factor(smaller, folder)} at the "
        f"end of the command, or put {folder.name} back."
    )
