"""Where the pixels of an image or a video are, and which of them a datamanager hands to a model in place of rays.

The one convention of coordinates, for networks, for the plane in the viewer's scene and for reading out: pixels are
squares that fill [-w/l, w/l] x [-h/l, h/l] of an image of w x h pixels with l = max(w, h), so that the longer side lies
in [-1, 1]. x goes to the right and y goes down. The middle of the pixel in column j and row i, both from 0, is

    x = (2 j + 1 - w) / l,    y = (2 i + 1 - h) / l.

A video has a third coordinate behind those two: its frames are slices of equal thickness that fill [-1, 1], whatever
the size of the pictures and the seconds are, and the middle of frame k of n, from 0, is t = (2 k + 1 - n) / n.

Released codes of the papers put the first and the last pixel on -1 and 1 (linspace with both ends), which stretches the
same by l / (l - 1), and other than square images too unless their sides are treated alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

FIRST_THREE = "first three"
"""What of many channels is seen at first: as red, green and blue."""


def views_of(bands: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """What of many channels is seen at once, by its name: the first three as red, green and blue, and each as grey."""
    each: dict[str, tuple[int, ...]] = {name: (number,) for number, name in enumerate(bands)}
    return {FIRST_THREE: (0, 1, 2), **each} if len(bands) > 2 else each


def first_view(bands: tuple[str, ...]) -> tuple[int, ...]:
    """What of many channels is seen at first; see `views_of`."""
    return (0, 1, 2) if len(bands) > 2 else (0,)


@dataclass(frozen=True)
class PixelGrid:
    """The pixels of an image, numbered row by row from its upper left corner; of a video, frame by frame.

    Attributes:
        width: columns.
        height: rows.
        frames: of a video, two or more; 1: an image, which has no axis for them.
    """

    width: int
    height: int
    frames: int = 1

    @property
    def count(self) -> int:
        """Pixels, of all frames."""
        return self.width * self.height * self.frames

    @property
    def is_video(self) -> bool:
        """Whether there is an axis of frames."""
        return self.frames > 1

    @property
    def sides(self) -> tuple[int, ...]:
        """Columns, rows and, of a video, frames."""
        return (self.width, self.height, self.frames) if self.is_video else (self.width, self.height)

    @property
    def dimensions(self) -> int:
        """Of a place: 2, or 3 of a video."""
        return len(self.sides)

    @property
    def longer(self) -> int:
        """Pixels along the longer side of a picture, which is 2 units long."""
        return max(self.width, self.height)

    @property
    def half_extent(self) -> tuple[float, float]:
        """Half of the width and of the height, in units of the coordinates."""
        return self.width / self.longer, self.height / self.longer

    def indices(self, places: Int[Tensor, " n"]) -> Int[Tensor, "n d"]:
        """Column, row and, of a video, frame of pixels, by their numbers."""
        column, line = places % self.width, places // self.width
        if not self.is_video:
            return torch.stack([column, line], -1)
        return torch.stack([column, line % self.height, line // self.height], -1)

    def numbers(self, indices: Int[Tensor, "n d"]) -> Int[Tensor, " n"]:
        """The inverse of `indices`."""
        column, row, *frame = indices.unbind(-1)
        line = frame[0] * self.height + row if frame else row
        return line * self.width + column

    def middles(self, places: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
        """Coordinates (x, y), or (x, y, t), of the middles of pixels, by their numbers; float32, correctly rounded."""
        indices = self.indices(places)
        odd = 2 * indices + 1 - indices.new_tensor(self.sides)
        return (odd.double() / self._units(odd.double())).float()

    def to_coordinates(self, pixels: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Coordinates of places counted in pixels (column, row, and frame of a video), whole numbers being middles."""
        return (2 * pixels + 1 - pixels.new_tensor(self.sides)) / self._units(pixels)

    def to_pixels(self, coordinates: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """The inverse of `to_coordinates`."""
        return (coordinates * self._units(coordinates) - 1 + coordinates.new_tensor(self.sides)) / 2

    def _units(self, like: Tensor) -> Float[Tensor, " d"]:
        """Pixels along two units of each axis."""
        return like.new_tensor([self.longer, self.longer, self.frames][: self.dimensions])


@dataclass(frozen=True)
class PixelWindow:
    """A rectangle of the pixels of an image, or of one frame of a video.

    Attributes:
        left: first column.
        top: first row.
        width: columns.
        height: rows.
        frame: of a video, from 0.
    """

    left: int
    top: int
    width: int
    height: int
    frame: int = 0


@dataclass(frozen=True)
class SignalPixels:
    """Pixels at which an image or a video is to be evaluated.

    Attributes:
        places: their numbers, ascending and each once; None: all of them.
        operator: what measures their values, where measurements are learnt from (`operators.protocol.Operator`).
    """

    places: Int[Tensor, " n"] | None
    operator: Any = None


@dataclass(frozen=True)
class PictureBatch:
    """Whole pictures of a folder, of which a dictionary is learnt.

    Attributes:
        numbers: of the pictures, each once.
        values: of their pixels, in [0, 1].
        draw: a number from which it follows what else of the step is drawn.
    """

    numbers: Int[Tensor, " s"]
    values: Float[Tensor, "s h w c"]
    draw: int
