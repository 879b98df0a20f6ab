"""Models of pictures that have parts: the field itself, and others that are made with the file beside it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from jaxtyping import Float
from torch import Tensor

from inr_plugins.errors import InputError
from inr_plugins.fields.image import ImageField
from inr_plugins.fields.image_views import StoredImage
from inr_plugins.models.signals.base import ImageModel


class PartedModel(ImageModel):
    """The first of its `parts` is the field; the others have all channels, too, and are made by `make_part`."""

    stored: StoredImage | None = None
    """The file, where a part is made with it; of what is read out."""

    @abstractmethod
    def make_part(self, part: int, stored: StoredImage) -> ImageField:
        """A part but the first, as a field of its own."""

    def look_beside(self, manager: Any) -> None:
        """See ImageModel: the file, which all parts but the first are made with."""
        if self.part == 0:
            return
        try:
            image = manager.image
            pixels = image.values() if image.pixels.dtype.kind == "f" else image.pixels
        except InputError as error:
            noun = manager.config.dataparser.NOUN
            raise InputError(
                f"The {self.parts[self.part]} is made with the {noun}'s own pixels, and they are not there. {error}"
            ) from error
        # No module of this one, whose tensors would be saved.
        vars(self)["stored"] = StoredImage(pixels, self.device)

    @property
    def shown_channels(self) -> int:
        """Of the pictures that are seen and read out: those of the file."""
        return self.channels

    def values_at(self, pixels: Float[Tensor, "n d"]) -> Float[Tensor, "n shown"]:
        """The part that is seen, at places (see `ImageField.at`)."""
        return self.field.at(pixels) if self.part == 0 else self.part_of(self.part).at(pixels)

    def part_of(self, part: int, stored: StoredImage | None = None) -> ImageField:
        """A part as a field of its own.

        Args:
            part: its number among `parts`.
            stored: the file; by default what `look_beside` took.

        Raises:
            ValueError: there is no file, which all but the first are made with.
        """
        if part == 0:
            return self.field
        stored = stored or self.stored
        if stored is None:
            raise ValueError(f"the {self.parts[part]} is made with the file: call look_beside first")
        return self.make_part(part, stored)
