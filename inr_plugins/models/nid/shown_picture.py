"""Which of several pictures is shown, and with which code: what the page's panels of codes ask for."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.fields.dictionary_picture import CodedPictures, PictureDictionary
from inr_plugins.models.signals.base import ImageModel


class ShowsPictures(ImageModel):
    """Makes a `CodedModel` (`shown_code`) of a model whose pictures are frames and have rows of `codes`."""

    codes: Tensor
    """Of all pieces of all pictures that are shown."""
    dictionary: PictureDictionary
    drawn_code: tuple[Tensor, Tensor] | None = None
    """Entries and values (P, k) that the shown picture is drawn with, where those are not its own."""

    @property
    def shown_shape(self) -> int:
        """Number of the picture that is shown."""
        return self.frame or 0

    @property
    def code_names(self) -> tuple[str, ...]:
        """Names of all pictures that there is a code of."""
        return tuple(f"picture {number}" for number in range(self.grid.frames))

    @property
    def dictionary_names(self) -> tuple[str, ...]:
        """The same."""
        return self.code_names

    def code_of(self, number: int) -> Float[Tensor, "p l"]:
        """The code that a picture has now, a row for each patch; a copy."""
        return self._own_rows(number).clone()

    def _own_rows(self, number: int) -> Float[Tensor, "p l"]:
        pieces = len(self.codes) // self.grid.frames
        return self.codes[number * pieces : (number + 1) * pieces]

    def own_codes(self) -> Float[Tensor, "rows l"]:
        """The codes that pictures have by themselves."""
        return self.codes

    def shown_codes(self) -> Float[Tensor, "rows l"]:
        """The codes that pictures are drawn with."""
        if self.drawn_code is None:
            return self.codes
        codes = self.codes.clone()
        index, value = self.drawn_code
        pieces, first = len(index), self.shown_shape * len(index)
        codes[first : first + pieces] = torch.zeros_like(codes[:pieces]).scatter(1, index, value)
        return codes

    def values_at(self, pixels: Float[Tensor, "n d"]) -> Float[Tensor, "n shown"]:
        """As the model's own, with the code that the shown picture is drawn with, where the field is drawn."""
        own = self.field
        if self.drawn_code is None or not isinstance(own, CodedPictures):
            return super().values_at(pixels)
        # A copy that is edited has the field of what it is a copy of.
        return CodedPictures(self.dictionary, self.grid, own.pieces, self.shown_codes).at(pixels)
