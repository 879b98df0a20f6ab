"""All of space taken into a box, so that a lattice or a network can hold what lies behind the scene."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inr_plugins.boxes import checked_box


class Contraction(nn.Module):
    """The scene's box stays as it is; everything outside it moves into the shell up to the box of twice the size.

    mip-NeRF 360's contraction (Barron et al. 2022, eq. 10) with the maximum norm, as nerfstudio's
    SceneContraction(order=inf), stretched to any box of half size `extent`: with u = (x - middle) / extent and
    m = max |u_i|, x' = middle + extent * u for m <= 1, and middle + extent * (2 - 1/m) u/m beyond. Unlike
    nerfstudio's, its gradient is finite everywhere, at the middle too.
    """

    middle: Tensor
    extent: Tensor

    def __init__(self, box: Float[Tensor, "2 3"]) -> None:
        """
        Args:
            box: the part of space to leave alone, (minimum corner, maximum corner), normalised frame.

        Raises:
            ValueError: the box has no volume.
        """
        super().__init__()
        box = checked_box(box)
        self.register_buffer("middle", box.mean(0))
        self.register_buffer("extent", (box[1] - box[0]) / 2)

    @property
    def inner_box(self) -> Float[Tensor, "2 3"]:
        """The box that stays as it is."""
        return torch.stack([self.middle - self.extent, self.middle + self.extent])

    @property
    def outer_box(self) -> Float[Tensor, "2 3"]:
        """The box that holds all of space after contraction."""
        return torch.stack([self.middle - 2 * self.extent, self.middle + 2 * self.extent])

    def forward(self, x: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        """Contracted positions of points of the normalised frame."""
        u = (x - self.middle) / self.extent
        m = u.abs().amax(-1, keepdim=True).clamp(min=1.0)
        return self.middle + self.extent * u * (2 - 1 / m) / m

    def inverse(self, x: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        """Points of the normalised frame whose contracted positions are x, which lie within the outer box.

        With m' = max |u'_i| of the contracted ones, m' = 2 - 1/m gives m = 1 / (2 - m').
        """
        u = (x - self.middle) / self.extent
        m = u.abs().amax(-1, keepdim=True).clamp(min=1.0)
        return self.middle + self.extent * u / (m * (2 - m).clamp(min=1e-3))
