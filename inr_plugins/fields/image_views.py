"""What is seen of an image in place of its fit: the file's own pixels, or what of them the fit misses."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from inr_plugins.fields.image import ImageField
from inr_plugins.signal_grid import PixelGrid


class StoredImage(ImageField):
    """The pixels of a file, each a square of one colour; of a video, of its frame."""

    def __init__(
        self, pixels: Shaped[np.ndarray, "*frames height width channels"], device: torch.device | str = "cpu"
    ) -> None:
        """
        Args:
            pixels: unsigned whole numbers of 8 or 16 bits, or values in float32; on the CPU they are not copied.
            device: on which they are looked up.
        """
        *frames, height, width, channels = pixels.shape
        super().__init__(PixelGrid(width, height, *frames), channels)
        self._most = 1.0 if pixels.dtype == np.float32 else float(np.iinfo(pixels.dtype).max)
        flat = np.ascontiguousarray(pixels.reshape(-1, channels))
        # Torch can index no uint16. A plain attribute: of what is only looked at there is nothing to be saved.
        flat = flat.view(np.int16) if flat.dtype == np.uint16 else flat
        self._pixels = torch.from_numpy(flat).to(device)

    def forward(self, places: Int[Tensor, " n"] | None) -> Float[Tensor, "n channels"]:
        """See ImageField."""
        found = self._pixels if places is None else self._pixels[places]
        if found.dtype == torch.float32:
            return found
        return (found.int() & int(self._most)).float() / self._most

    def at(self, pixels: Float[Tensor, "n d"]) -> Float[Tensor, "n channels"]:
        """The value of the pixel that each place lies in; outside of the image of the next one to it."""
        return self(nearest_pixels(self.grid, pixels))


class MissedImage(ImageField):
    """How far a fit is from a file in each pixel, as squares: |fit - file| of each colour, times a factor.

    Where there is an opacity, what is missed of it is added to each colour, and the picture is opaque.
    """

    def __init__(self, fit: ImageField, stored: StoredImage, *, factor: float, has_alpha: bool) -> None:
        """
        Args:
            fit: in the state in which it is looked at.
            stored: the file that it is of.
            factor: by which it is multiplied.
            has_alpha: whether the last channel is an opacity.
        """
        super().__init__(fit.grid, fit.channels)
        self.fit, self.stored, self.factor, self.has_alpha = fit, stored, factor, has_alpha

    def forward(self, places: Int[Tensor, " n"] | None) -> Float[Tensor, "n channels"]:
        """See ImageField."""
        if places is None:
            places = torch.arange(self.grid.count, device=self.stored._pixels.device)
        return self._missed(places)

    def at(self, pixels: Float[Tensor, "n d"]) -> Float[Tensor, "n channels"]:
        """Of the pixel that each place lies in."""
        return self._missed(nearest_pixels(self.grid, pixels))

    def _missed(self, places: Int[Tensor, " n"]) -> Float[Tensor, "n channels"]:
        middles = self.grid.indices(places).double()
        missed = (self.fit.at(middles).clamp(0, 1) - self.stored(places)).abs()
        if self.has_alpha:
            missed = torch.cat([missed[:, :-1] + missed[:, -1:], torch.full_like(missed[:, -1:], 1 / self.factor)], -1)
        return missed * self.factor


class ForegroundImage(ImageField):
    """What stands before a fitted background: the file's pixels where any colour is farther from it than a threshold.

    Elsewhere there is nothing, which is black, and transparent where there is an opacity.
    """

    def __init__(
        self, background: ImageField, stored: StoredImage, *, threshold: float, as_mask: bool, has_alpha: bool
    ) -> None:
        """
        Args:
            background: in the state in which it is looked at.
            stored: the file that it is of.
            threshold: of values in [0, 1].
            as_mask: white, and opaque, in place of the file's pixels.
            has_alpha: whether the last channel is an opacity.
        """
        super().__init__(background.grid, background.channels)
        self.background, self.stored = background, stored
        self.threshold, self.as_mask, self.has_alpha = threshold, as_mask, has_alpha

    def forward(self, places: Int[Tensor, " n"] | None) -> Float[Tensor, "n channels"]:
        """See ImageField."""
        if places is None:
            places = torch.arange(self.grid.count, device=self.stored._pixels.device)
        return self._standing_out(places)

    def at(self, pixels: Float[Tensor, "n d"]) -> Float[Tensor, "n channels"]:
        """Of the pixel that each place lies in."""
        return self._standing_out(nearest_pixels(self.grid, pixels))

    def _standing_out(self, places: Int[Tensor, " n"]) -> Float[Tensor, "n channels"]:
        found = self.stored(places)
        stands_out = stands_before(self.background.at(self.grid.indices(places).double()), found, self.threshold)
        if not self.as_mask:
            return found * stands_out
        mask = stands_out.float().expand_as(found)
        return torch.cat([mask[:, :-1], torch.ones_like(mask[:, :1])], -1) if self.has_alpha else mask


class RestoredImage(ImageField):
    """The file's pixels, but where they are missing those of a fit; or where that is, in white."""

    def __init__(
        self, fit: ImageField, stored: StoredImage, missing: Bool[Tensor, " n"], *, as_mask: bool, has_alpha: bool
    ) -> None:
        """
        Args:
            fit: in the state in which it is looked at.
            stored: the file that it is of.
            missing: of each pixel, by its number.
            as_mask: white, and opaque, where pixels are missing, and black elsewhere.
            has_alpha: whether the last channel is an opacity.
        """
        super().__init__(fit.grid, fit.channels)
        self.fit, self.stored, self.as_mask, self.has_alpha = fit, stored, as_mask, has_alpha
        self._missing = missing

    def forward(self, places: Int[Tensor, " n"] | None) -> Float[Tensor, "n channels"]:
        """See ImageField."""
        if places is None:
            places = torch.arange(self.grid.count, device=self._missing.device)
        return self.at(self.grid.indices(places).double())

    def at(self, pixels: Float[Tensor, "n d"]) -> Float[Tensor, "n channels"]:
        """Of the pixel that each place lies in; where it is missing, of the place itself."""
        places = nearest_pixels(self.grid, pixels)
        missing = self._missing[places][:, None]
        if not self.as_mask:
            return torch.where(missing, self.fit.at(pixels), self.stored(places))
        mask = missing.float().expand(-1, self.channels)
        return torch.cat([mask[:, :-1], torch.ones_like(mask[:, :1])], -1) if self.has_alpha else mask


def stands_before(
    background: Float[Tensor, "*n channels"], found: Float[Tensor, "*n channels"], threshold: float
) -> Bool[Tensor, "*n 1"]:
    """Whether any colour is farther from the background, clamped to [0, 1], than a threshold."""
    return ((background.clamp(0, 1) - found).abs() > threshold).any(-1, keepdim=True)


def nearest_pixels(grid: PixelGrid, pixels: Float[Tensor, "n d"]) -> Int[Tensor, " n"]:
    """Numbers of the pixels that places lie in, or of the nearest ones.

    Args:
        grid: of the image.
        pixels: (column, row), and frame of a video, whole numbers being the middles of pixels.
    """
    last = pixels.new_tensor(grid.sides) - 1
    return grid.numbers(torch.minimum((pixels + 0.5).floor().clamp(min=0), last).long())
