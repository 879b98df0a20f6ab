"""Which of several pictures is shown, and with which code: what the page's panels of codes ask for."""

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.fields.dictionary_picture import CodedPictures, PictureDictionary
from inr_plugins.models.signals.base import ImageModel


class ShowsPictures(ImageModel):
    """Makes a `CodedModel` (`shown_code`) of a model whose pictures are frames and have rows of `own_codes`."""

    dictionary: PictureDictionary
    drawn_code: tuple[Tensor, Tensor] | None = None
    """Entries and values (P, k) that the shown picture is drawn with, where those are not its own."""

    @property
    def shown_shape(self) -> int:
        """Number of the picture that is shown."""
        return self.frame or 0

    @property
    def code_names(self) -> tuple[str, ...]:
        """The pictures' files, or their numbers where those are not known."""
        return self.file_names or tuple(f"picture {number}" for number in range(self.grid.frames))

    @property
    def file_names(self) -> tuple[str, ...]:
        """Of the pictures; none where the data are not there any more."""
        names = tuple((self.kwargs.get("metadata") or {}).get("names", ()))
        return names if len(names) == self.grid.frames else ()

    @property
    def dictionary_names(self) -> tuple[str, ...]:
        """The same, where all pictures are those that the dictionary is learnt on."""
        return self.code_names

    def code_of(self, number: int) -> Float[Tensor, "p l"]:
        """The code that a picture has now, a row for each patch; a copy."""
        return self._own_rows(number).clone()

    def _own_rows(self, number: int) -> Float[Tensor, "p l"]:
        codes = self.own_codes()
        pieces = len(codes) // self.grid.frames
        return codes[number * pieces : (number + 1) * pieces]

    @abstractmethod
    def own_codes(self) -> Float[Tensor, "rows l"]:
        """The codes that pictures have by themselves: of all pieces of all of them."""

    def shown_codes(self) -> Float[Tensor, "rows l"]:
        """The codes that pictures are drawn with."""
        if self.drawn_code is None:
            return self.own_codes()
        codes = self.own_codes().clone()
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
