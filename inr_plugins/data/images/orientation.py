"""EXIF orientation: whether the pixels of a file are to be turned, which its camera's size says where it can."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


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
    """The header of an opened image; nothing is decoded."""
    orientation = 1
    # Of a PNG without the tag up front Pillow would decode everything to look for one behind.
    if image.format != "PNG" or "exif" in image.info:
        orientation = image.getexif().get(_TAG, 1)
    return Header(*image.size, image.mode, orientation if orientation in _TURNS else 1)


def turned(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """An opened image, turned for a camera of this width and height."""
    return turned_like(image, header_of(image), size)


def turned_like(image: Image.Image, header: Header, size: tuple[int, int]) -> Image.Image:
    """Pixels of the file that `header` is of, turned for a camera of this width and height."""
    turn = header.turn(size)
    return image if turn == 1 else image.transpose(_TURNS[turn])
