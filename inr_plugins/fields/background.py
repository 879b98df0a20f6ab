"""What lies beyond a box, up to infinity: the inverted sphere of NeRF++, with the box in the sphere's place."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from inr_plugins.fields.box_field import BoxField
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.encodings import Positional
from inr_plugins.networks.precision import Precision

_POSITION_OCTAVES = 10
_DIRECTION_OCTAVES = 4
_COLOUR_WIDTH = 128
"""Of the layer that sees the direction, as in NeRF."""


class BackgroundField(BoxField):
    """Density and colour outside a box, of inverted positions (NeRF++, Zhang et al. 2020, sec. 4; used by NeuS).

    NeRF++ gives the network the direction from the middle of a sphere and the inverse distance, (x / r, 1 / r). Here r
    is the maximum norm in half sides of the box, so that nothing is left out between a sphere and the box that the
    surface lives in: x / r is on the box's faces, and 1 / r falls from 1 there to 0 at infinity.
    """

    def __init__(
        self, box: Float[Tensor, "2 3"], *, width: int, hidden_layers: int, skips: tuple[int, ...], precision: Precision
    ) -> None:
        """
        Args:
            box: what is left out, (minimum, maximum corner), normalised frame.
            width: of the layers.
            hidden_layers: of the density network.
            skips: its layers that get the position again.
            precision: of the networks in training.

        Raises:
            ValueError: a setting out of its range.
        """
        super().__init__(box, precision=precision)
        position = CoordinateNetworkConfig(
            encoding="positional", octaves=_POSITION_OCTAVES, width=width, hidden_layers=hidden_layers, skips=skips
        )
        self.density_network = position.build(4, 1 + width)
        self.direction_encoding = Positional(3, octaves=_DIRECTION_OCTAVES)
        colour = CoordinateNetworkConfig(width=min(width, _COLOUR_WIDTH), hidden_layers=1)
        self.colour_network = colour.build(width + self.direction_encoding.out_dim, 3)

    def density_and_colour(
        self, x: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"]
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 3"]]:
        """Density, 1 / normalised unit, and RGB in [0, 1] of points outside the box, seen along unit directions."""
        u = (x - self.middle) / self.extent
        inverse = 1 / u.abs().amax(-1, keepdim=True).clamp(min=1e-6)
        with self.networks_precision():
            out = self.density_network(torch.cat([u * inverse, inverse], -1))
            seen = torch.cat([out[:, 1:], self.direction_encoding(directions).to(out.dtype)], -1)
            colour = self.colour_network(seen)
        return F.softplus(out[:, 0].float()) / self.network_unit, torch.sigmoid(colour.float())


def composite_background(
    density: Float[Tensor, "r k"], colour: Float[Tensor, "r k 3"], length: Float[Tensor, "r k"]
) -> Float[Tensor, "r 3"]:
    """Colour of rays through all of the background; the last section of each stops what light is left.

    Args:
        density: of each section, in 1 / unit of its length.
        colour: RGB of each section.
        length: of each section; that of the last one is not looked at.
    """
    depth = density[:, :-1] * length[:, :-1]
    through = torch.exp(-torch.cumsum(depth, -1))
    before = F.pad(through, (1, 0), value=1.0)
    opacity = F.pad(-torch.expm1(-depth), (0, 1), value=1.0)
    return ((before * opacity)[..., None] * colour).sum(-2)
