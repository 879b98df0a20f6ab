"""The pictures of a folder: which there are, and their pixels as viewers show them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from inr_plugins.data.images.orientation import Header, as_stored, header_of, turned_like
from inr_plugins.errors import InputError
from inr_plugins.files import shown, why_unreadable
from inr_plugins.photos.exif import Lens, lens_of
from inr_plugins.photos.heif import HEIF_ENDINGS, open_picture

ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".avif", ".mpo", *HEIF_ENDINGS)
"""Of pictures, in lower case."""
UNREAD_ENDINGS = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2")
"""Of pictures too, which are not read here."""
VIDEO_ENDINGS = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".3gp", ".mts", ".gif")
_LOSSY = ("JPEG", "MPO", "WEBP", "AVIF", "HEIF")
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
"""What Pillow raises for files that it cannot read."""


@dataclass(frozen=True)
class Photo:
    """A picture before its pixels are read.

    Attributes:
        path: its file.
        name: of its file, or of a frame of a video; no two photos have the same.
        header: size of the stored pixels and EXIF's orientation.
        lens: what EXIF says of the camera.
        is_lossy: whether its pixels were stored as JPEG or the like.
    """

    path: Path
    name: str
    header: Header
    lens: Lens = field(default_factory=Lens)
    is_lossy: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as viewers show it, in pixels."""
        return self.header.upright


@dataclass(frozen=True)
class Folder:
    """What a folder holds.

    Attributes:
        photos: in the order of their names, numbers in them counted as numbers.
        unreadable: names of pictures that do not open, with why.
        others: names of files that are no pictures.
    """

    photos: tuple[Photo, ...]
    unreadable: dict[str, str]
    others: tuple[str, ...]


def look_into(folder: Path) -> Folder:
    """The pictures right in a folder, from their headers; what is hidden is passed over.

    Raises:
        InputError: the folder cannot be read, or holds no picture, when the message says what it holds instead; or
            there are HEIC files, and nothing to read them with.
    """
    problem = why_unreadable(folder, folders=True)
    if problem is not None:
        raise InputError(f"{shown(folder)} {problem}: give a folder of photographs, or a video.")
    entries = sorted((each for each in folder.iterdir() if not each.name.startswith(".")), key=natural)
    files = [each for each in entries if each.is_file()]
    photos, unreadable, others = list[Photo](), dict[str, str](), list[str]()
    for path in files:
        if path.suffix.lower() not in ENDINGS:
            others.append(path.name)
            continue
        try:
            photos.append(photo_of(path))
        except InputError:
            raise
        except UNREADABLE as error:
            unreadable[path.name] = _reason(error)
    if not photos:
        raise InputError(_none_there(folder, entries, unreadable))
    return Folder(tuple(photos), unreadable, tuple(others))


def photo_of(path: Path) -> Photo:
    """A picture from its header.

    Raises:
        InputError: it is a HEIC file, and there is nothing to read it with.
        OSError: or another of `UNREADABLE`, where it is none.
    """
    with open_picture(path) as image:
        return Photo(path, path.name, header_of(image), lens_of(image), image.format in _LOSSY)


def natural(path: Path) -> list[Any]:
    """A key that sorts IMG_9 before IMG_10."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts] + [(-2, path.name)]


def pixels_of(photo: Photo, max_size: int) -> UInt8[np.ndarray, "h w c"]:
    """The pixels of a photo, upright, in 3 channels or, where some of it is transparent, 4 with straight alpha.

    Args:
        photo: the picture.
        max_size: of its longer side in pixels; larger ones are made smaller by area.

    Raises:
        OSError: or another of `UNREADABLE`, where it does not decode.
    """
    with open_picture(photo.path) as stored:
        if stored.format == "JPEG":
            # Decodes no more than is needed of a large one.
            stored.draft(None, (2 * max_size, 2 * max_size))
        image = turned_like(_in_bytes(as_stored(stored)), photo.header, photo.size)
        image = image.resize(fitted(photo.size, max_size), Image.Resampling.LANCZOS)
    pixels = np.array(image, dtype=np.uint8)
    return pixels[..., :3] if pixels.shape[2] == 4 and (pixels[..., 3] == 255).all() else pixels


def fitted(size: tuple[int, int], max_size: int) -> tuple[int, int]:
    """Width and height of a picture once it is made small enough."""
    scale = min(1.0, max_size / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _in_bytes(image: Image.Image) -> Image.Image:
    """In RGB or RGBA, 8 bits each; of 16 bits the upper 8 are taken."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        grey = values >> 8 if values.max(initial=0) > 255 else values
        return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).convert("RGB")
    is_see_through = image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info
    return image.convert("RGBA" if is_see_through else "RGB")


def _reason(error: BaseException) -> str:
    return f"cannot be read ({' '.join(str(error).split()) or type(error).__name__})"


def _none_there(folder: Path, entries: list[Path], unreadable: dict[str, str]) -> str:
    """The sentence for a folder without pictures."""
    if unreadable:
        name, why = next(iter(unreadable.items()))
        return f"No picture in {folder} can be read, {name} for instance {why}: give whole JPEG or PNG files."
    unread = [each.name for each in entries if each.suffix.lower() in UNREAD_ENDINGS]
    if unread:
        return (
            f"The pictures in {folder} are {Path(unread[0]).suffix[1:].upper()} files ({unread[0]} is one), which are "
            "not read here: export them as JPEG."
        )
    videos = [each for each in entries if each.suffix.lower() in VIDEO_ENDINGS]
    if videos:
        return f"{folder} holds no pictures, but a video: give {videos[0]} itself."
    inner = [each for each in entries if each.is_dir() and _has_pictures(each)]
    if inner:
        return f"{folder} holds no pictures itself, its folder {inner[0].name} does: give {inner[0]}."
    return (
        f"{folder} holds no pictures ({', '.join(ENDINGS[:4])} and others): give a folder of photographs, or a video."
    )


def _has_pictures(folder: Path) -> bool:
    try:
        return any(each.suffix.lower() in ENDINGS for each in folder.iterdir())
    except OSError:
        return False
