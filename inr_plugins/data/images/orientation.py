"""EXIF orientation: whether the pixels of a file are to be turned, which its camera's size says where it can."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

_TAG = 0x0112
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BACK = _TURNS | {6: _TURNS[8], 8: _TURNS[6]}
"""What undoes each."""


@dataclass(frozen=True)
class Header:
    """What the header of an image file says.

    Attributes:
        width: of the pixels as they are stored.
        height: the same.
        mode: Pillow's.
        orientation: EXIF's, 1 to 8: how viewers turn the pixels; 1 where there is none.
    """

    width: int
    height: int
    mode: str
    orientation: int = 1

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height as viewers show them."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)

    @property
    def is_undecided(self) -> bool:
        """Whether the pixels have one size turned and unturned, though there is something to turn."""
        return self.orientation != 1 and self.upright == (self.width, self.height)

    def turn(self, size: tuple[int, int]) -> int:
        """The orientation to apply so that the pixels fit a camera of this width and height, 1 for none.

        They are turned as viewers turn them if that fits; else they stay as they are stored, as COLMAP has them.
        """
        return self.orientation if self.upright == size else 1

    def size_for(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height once turned for a camera of `size`."""
        return (self.width, self.height) if self.turn(size) == 1 else self.upright


def header_of(image: Image.Image) -> Header:
    """The header of an opened image whose pixels have not been read; nothing is decoded.

    The size is that of the pixels as they are stored: of a TIFF Pillow says what it will be once turned.
    """
    orientation = 1
    # Of a PNG without the tag up front Pillow would decode everything to look for one behind.
    if image.format != "PNG" or "exif" in image.info:
        orientation = image.getexif().get(_TAG, 1)
    tags = getattr(image, "tag_v2", {})
    width, height = (tags[_TIFF_WIDTH], tags[_TIFF_HEIGHT]) if _TIFF_WIDTH in tags else image.size
    return Header(width, height, image.mode, orientation if orientation in _TURNS else 1)


def as_stored(image: Image.Image) -> Image.Image:
    """An opened image with its pixels as they are stored: a TIFF's are turned by Pillow as it reads them.

    To be called with the image itself, before anything else has read its pixels; `header_of` comes before.
    """
    from PIL.TiffImagePlugin import TiffImageFile

    turn = header_of(image).orientation
    if turn == 1 or not isinstance(image, TiffImageFile):
        return image
    # Pillow 13 would map a grey file that is not compressed as if it were stored upright, and so scramble it.
    image.filename = ""
    image.load()
    has_been_turned = image.getexif().get(_TAG, 1) == 1
    return image.transpose(_BACK[turn]) if has_been_turned else image


def turned(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """An opened image whose pixels have not been read, turned for a camera of this width and height."""
    header = header_of(image)
    return turned_like(as_stored(image), header, size)


def turned_like(image: Image.Image, header: Header, size: tuple[int, int]) -> Image.Image:
    """Pixels as the file that `header` is of stores them, turned for a camera of this width and height."""
    turn = header.turn(size)
    return image if turn == 1 else image.transpose(_TURNS[turn])
