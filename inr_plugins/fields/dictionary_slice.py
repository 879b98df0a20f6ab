"""A slice through a body as a code over a dictionary of pictures of such slices, in its own unit."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.fields.dictionary_picture import CodedPictures, PictureDictionary
from inr_plugins.fields.picture_pieces import PicturePieces
from inr_plugins.signal_grid import PixelGrid


class DictionarySlice(CodedPictures):
    """As the base class, of one picture; white of the dictionary's pictures stands for a value, and none is below 0."""

    def __init__(
        self,
        dictionary: PictureDictionary,
        grid: PixelGrid,
        codes: Callable[[], Float[Tensor, "1 l"]],
        white: Callable[[], Float[Tensor, ""]],
    ) -> None:
        """
        Args:
            dictionary: of whole pictures.
            grid: pixels of the slice, as many or more or fewer than those of the dictionary's pictures.
            codes: gives the code as it is now.
            white: gives the value of white as it is now.
        """
        super().__init__(dictionary, grid, PicturePieces(grid.width, grid.height), codes)
        self._white = white

    @torch.no_grad()
    def at(self, pixels: Float[Tensor, "n d"]) -> Float[Tensor, "n channels"]:
        """See ImageField."""
        return (super().at(pixels) * self._white()).clamp(min=0)
