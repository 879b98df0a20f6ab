"""Where a picture's code comes from at once: a convolutional encoder of its pixels (NID, sec. 4.1)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

_SMALLEST = 4
"""Pixels of a side that is not halved any more."""
_FEW, _MANY = 32, 128
"""Channels of the first layer, and of the last, at the most; each has twice those of the one before."""


class PictureGate(nn.Module):
    """Raw codes of pictures of one size: convolutions that halve it until it is small, two linear layers, and a linear
    layer from the pixels beside them.

    The released code has four residual blocks at full size and a linear layer over all of them. Since the best code of
    a fixed dictionary is a linear function of the pixels, the layer beside them has most of the work; the others have
    what the selection of experts and missing pixels make of it.
    """

    def __init__(self, width: int, height: int, channels: int, experts: int, *, hidden: int = 256) -> None:
        """
        Args:
            width: of the pictures, in pixels.
            height: of the pictures.
            channels: of a pixel.
            experts: n, entries of a code.
            hidden: width of the linear layers.

        Raises:
            ValueError: a size below 1.
        """
        super().__init__()
        for name, value in (("width", width), ("height", height), ("channels", channels), ("experts", experts)):
            if value < 1:
                raise ValueError(f"{name} of an encoder of pictures must be at least 1, got {value}")
        layers: list[nn.Module] = []
        sides, last, wanted = (height, width), channels, _FEW
        while max(sides) > _SMALLEST:
            layers += [nn.Conv2d(last, wanted, 3, stride=2, padding=1), nn.ReLU()]
            sides, last, wanted = (-(-sides[0] // 2), -(-sides[1] // 2)), wanted, min(_MANY, 2 * wanted)
        self.look = nn.Sequential(*layers, nn.Flatten())
        self.decide = nn.Sequential(
            nn.Linear(last * sides[0] * sides[1], hidden), nn.ReLU(), nn.Linear(hidden, experts)
        )
        self.beside = nn.Linear(width * height * channels, experts, bias=False)
        self.shape = (height, width, channels)

    def forward(self, pictures: Float[Tensor, "s n c"]) -> Float[Tensor, "s n_experts"]:
        """Raw codes, in float32 at least.

        Args:
            pictures: values of the pixels, row by row; about 0 on the average.
        """
        planes = pictures.reshape(-1, *self.shape).permute(0, 3, 1, 2)
        raw = self.decide(self.look(planes)) + self.beside(pictures.flatten(1))
        return raw.to(torch.promote_types(raw.dtype, torch.float32))
