"""Several fields of one value each beside each other, such as an amplitude and a phase."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from inr_plugins.fields.image import ImageField


class PartedImage(ImageField):
    """Fields over one grid whose values are the channels; nothing of one is in another, as their keys and networks."""

    def __init__(self, fields: Sequence[ImageField]) -> None:
        """`fields`: over one grid."""
        super().__init__(fields[0].grid, sum(each.channels for each in fields), precision=fields[0].precision)
        self.fields = nn.ModuleList(fields)

    def forward(self, places: Int[Tensor, " n"] | None) -> Float[Tensor, "n channels"]:
        """See ImageField."""
        return torch.cat([each(places) for each in self.fields], -1)

    @torch.no_grad()
    def at(self, pixels: Float[Tensor, "n d"]) -> Float[Tensor, "n channels"]:
        """See ImageField."""
        found: list[Tensor] = [each.at(pixels) for each in self.fields]  # type: ignore[operator]
        return torch.cat(found, -1)
