"""What all fields of networks in a box have in common: the box, and the precision of the networks."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from inr_plugins.boxes import checked_box
from inr_plugins.networks.precision import Precision, autocast_of

# Points on the faces count, whatever their rounding.
_SLACK = 1e-5


class BoxField(nn.Module):
    """A module with networks in a box.

    Attributes:
        middle: of the box.
        extent: half of its sides.
        precision: of the networks in training.
    """

    middle: Tensor
    extent: Tensor

    def __init__(self, box: Float[Tensor, "2 3"], *, precision: Precision = "float32") -> None:
        """
        Args:
            box: (minimum, maximum corner), in the frame that the field lives in.
            precision: of the networks in training.

        Raises:
            ValueError: a corner is not finite, or the box has no volume.
        """
        super().__init__()
        self.precision: Precision = precision
        self.register_buffer("middle", torch.zeros(3))
        self.register_buffer("extent", torch.ones(3))
        self.place(box)

    @torch.no_grad()
    def place(self, box: Float[Tensor, "2 3"]) -> None:
        """Have values in another box from now on: the networks stay as they are, and mean other places.

        Raises:
            ValueError: as of the constructor.
        """
        box = checked_box(box).to(self.middle)
        self.middle.copy_(box.mean(0))
        self.extent.copy_((box[1] - box[0]) / 2)

    @property
    def box(self) -> Float[Tensor, "2 3"]:
        """Lowest and highest corner, in the frame that the field lives in."""
        return torch.stack([self.middle - self.extent, self.middle + self.extent])

    @property
    def network_unit(self) -> Float[Tensor, ""]:
        """Half the longest side of the box: the length that networks count in."""
        return self.extent.max()

    def in_box(self, x: Float[Tensor, "n 3"]) -> Bool[Tensor, " n"]:
        """Whether points of that frame lie in the box or on its faces."""
        return ((x - self.middle).abs() <= self.extent * (1 + _SLACK)).all(-1)

    def networks_precision(self) -> AbstractContextManager[Any]:
        """In it, the networks run in the precision that was asked for."""
        return autocast_of(self.precision, self.middle.device, training=self.training)
