"""Where the pixels of an image are, and which of them a datamanager hands to a model in place of rays.

The one convention of coordinates, for networks, for the plane in the viewer's scene and for reading out: pixels are
squares that fill [-w/l, w/l] x [-h/l, h/l] of an image of w x h pixels with l = max(w, h), so that the longer side lies
in [-1, 1]. x goes to the right and y goes down. The middle of the pixel in column j and row i, both from 0, is

    x = (2 j + 1 - w) / l,    y = (2 i + 1 - h) / l.

Released codes of the papers put the first and the last pixel on -1 and 1 (linspace with both ends), which stretches the
same by l / (l - 1), and other than square images too unless their sides are treated alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class PixelGrid:
    """The pixels of an image, numbered row by row from its upper left corner.

    Attributes:
        width: columns.
        height: rows.
    """

    width: int
    height: int

    @property
    def count(self) -> int:
        """Pixels."""
        return self.width * self.height

    @property
    def longer(self) -> int:
        """Pixels along the longer side, which is 2 units long."""
        return max(self.width, self.height)

    @property
    def half_extent(self) -> tuple[float, float]:
        """Half of the width and of the height, in units of the coordinates."""
        return self.width / self.longer, self.height / self.longer

    def middles(self, places: Int[Tensor, " n"]) -> Float[Tensor, "n 2"]:
        """Coordinates (x, y) of the middles of pixels, by their numbers; float32, correctly rounded."""
        column, row = places % self.width, places // self.width
        odd = torch.stack([2 * column + 1 - self.width, 2 * row + 1 - self.height], -1)
        return (odd.double() / self.longer).float()

    def to_coordinates(self, pixels: Float[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
        """Coordinates (x, y) of places counted in pixels (column, row), whole numbers being middles; in their type."""
        return (2 * pixels + 1 - self._sides(pixels)) / self.longer

    def to_pixels(self, coordinates: Float[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
        """The inverse of `to_coordinates`."""
        return (coordinates * self.longer - 1 + self._sides(coordinates)) / 2

    def _sides(self, like: Tensor) -> Float[Tensor, " 2"]:
        return like.new_tensor([self.width, self.height])


@dataclass(frozen=True)
class PixelWindow:
    """A rectangle of an image's pixels.

    Attributes:
        left: first column.
        top: first row.
        width: columns.
        height: rows.
    """

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class SignalPixels:
    """Pixels at which an image is to be evaluated.

    Attributes:
        places: their numbers, ascending and each once; None: all of them.
    """

    places: Int[Tensor, " n"] | None
