"""Masks that come with photos: which belongs to which, and how they are turned."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from PIL import Image

from inr_plugins.data.images.masks import MASK_MODES, inside
from inr_plugins.data.images.orientation import Header, as_stored, header_of, turned_like
from inr_plugins.errors import InputError, setting
from inr_plugins.photos.pictures import ENDINGS, UNREADABLE, Photo, fitted, natural
from inr_plugins.progress import Bar

_SAME_SHAPE = 0.01
"""Largest relative difference of two ratios of width to height that are one."""
_COLOURED, _FEW_COLOURED = 24, 0.01
"""Differences of a pixel's colours, of 255, from which on it is not grey; and the share of such that JPEG may leave."""


def find_masks(folder: Path, photos: Sequence[Photo]) -> dict[str, Path]:
    """The mask of each photo by the photo's name: a picture that is called as the photo is, with or without its ending.

    Raises:
        InputError: a photo has none, or two; the message names it.
    """
    by_name = dict[str, Path]()
    for each in _files(folder):
        other = by_name.setdefault(each.stem, each)
        if other is not each:
            raise InputError(f"{folder} has two masks for one photo ({other.name}, {each.name}): remove one.")
    found = dict[str, Path]()
    for photo in photos:
        path = by_name.get(photo.name) or by_name.get(Path(photo.name).stem)
        if path is None:
            raise InputError(
                f"{folder} has no mask for {photo.name} (called {Path(photo.name).stem}.png or {photo.name}.png): add "
                f"it, white where the photo counts, or leave {setting('masks')} out."
            )
        found[photo.name] = path
    return found


def masks_of_no_photo(folder: Path, photos: Sequence[Photo], left_out: Collection[str]) -> list[str]:
    """Names of the masks that nothing is done with, since no photo is called as they are.

    Args:
        folder: of the masks.
        photos: those with a mask each.
        left_out: names of photos that are not used for another reason, which may have masks.

    Raises:
        InputError: of :func:`find_masks`.
    """
    used = {path.name for path in find_masks(folder, photos).values()}
    belongs = {name for each in left_out for name in (Path(each).name, Path(each).stem)}
    return [each.name for each in _files(folder) if each.name not in used and each.stem not in belongs]


def _files(folder: Path) -> list[Path]:
    """The pictures in a folder of masks, by name."""
    try:
        files = [each for each in folder.iterdir() if each.is_file() and each.suffix.lower() in ENDINGS]
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}): give {setting('masks')} another.") from error
    return sorted(files, key=natural)


def check_masks(folder: Path, photos: Sequence[Photo], *, max_size: int, tell: Bar) -> None:
    """Refuse masks that will not do, before anything is made of the photos.

    Args:
        folder: of the masks.
        photos: what they are the masks of.
        max_size: of the longer side that photos and masks are given, pixels.
        tell: of progress.

    Raises:
        InputError: a photo has no mask, or one that is refused by :func:`read_mask`.
    """
    for done, (photo, path) in enumerate(zip(photos, find_masks(folder, photos).values(), strict=True), start=1):
        read_mask(path, photo, fitted(photo.size, max_size))
        tell("Reading masks", done, len(photos))


def read_mask(path: Path, photo: Photo, size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """A photo's mask, turned as the photo is, True inside. Of a picture that is cut out, what is opaque is inside.

    Args:
        path: its file.
        photo: what it is the mask of. A mask of the shape of the photo as viewers show it is upright already; one of
            the shape of the stored pixels is turned as the photo is.
        size: width and height to give it.

    Raises:
        InputError: it is no mask, has another shape than the photo, or leaves nothing.
    """
    try:
        with Image.open(path) as stored:
            header = header_of(stored)
            image = as_stored(stored)
            if image.mode in MASK_MODES:
                values, _ = inside(image, path)
            else:
                values = _inside_of_colours(image, path)
    except UNREADABLE as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"Mask {path} cannot be read ({error}): replace it.") from error
    turn = _turn(header, photo)
    if turn is None:
        raise InputError(
            f"Mask {path} has {header.width} x {header.height} pixels, which is not the shape of {photo.name} "
            f"({photo.size[0]} x {photo.size[1]}): make it from that photo."
        )
    mask = np.array(turned_like(Image.fromarray(values), turn, turn.upright).resize(size, Image.Resampling.NEAREST))
    if not mask.any():
        raise InputError(f"Mask {path} is black all over, which leaves nothing of {photo.name}: white is what counts.")
    return mask


def _inside_of_colours(image: Image.Image, path: Path) -> Bool[np.ndarray, "h w"]:
    """The same of a file that has room for colours or an opacity."""
    pixels = np.asarray(image.convert("RGBA")).astype(np.int16)
    if (pixels[..., 3] < 255).any():
        return pixels[..., 3] > 127
    coloured = np.ptp(pixels[..., :3], axis=-1) > _COLOURED
    if coloured.mean() > _FEW_COLOURED:
        raise InputError(
            f"Mask {path} is a picture in colours, so that it is not plain what is inside: make it black and white."
        )
    return np.asarray(image.convert("L")) > 127


def _turn(mask: Header, photo: Photo) -> Header | None:
    """The mask's header with the orientation that it is to be turned by; None where no turn fits the photo."""
    if _is_like(mask.upright, photo.size):
        return mask
    as_stored = Header(mask.width, mask.height, mask.mode, photo.header.orientation)
    return as_stored if _is_like(as_stored.upright, photo.size) else None


def _is_like(first: tuple[int, int], second: tuple[int, int]) -> bool:
    ratio = first[0] * second[1] / (first[1] * second[0])
    return abs(ratio - 1) <= _SAME_SHAPE
