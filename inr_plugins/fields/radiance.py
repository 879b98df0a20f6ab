"""A radiance field of two coordinate networks: one for density and features, one for the colour seen along a ray."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from inr_plugins.fields.box_field import BoxField
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.encodings import Identity, Positional
from inr_plugins.networks.normalization.registry import frozen_statistics
from inr_plugins.networks.precision import Precision
from inr_plugins.networks.voxels.contraction import Contraction

_QUERY_CHUNK = 1 << 17
_LARGEST_EXPONENT = 80.0
"""exp of it is finite in float32, with room for a sum of such values."""
_LARGEST_GRADIENT_EXPONENT = 15.0
_DIRECTION_OCTAVES = 4
"""Octaves of a direction's positional encoding, as in NeRF."""


class _TruncatedExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.exp(x.clamp(max=_LARGEST_EXPONENT))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * torch.exp(x.clamp(-_LARGEST_GRADIENT_EXPONENT, _LARGEST_GRADIENT_EXPONENT))


def truncated_exp(x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """exp(x) whose derivative is taken at x held within ±15, so that no density runs off or dies (torch-ngp).

    In float32 whatever the type of x, and finite: torch-ngp's own overflows beyond 88.
    """
    return _TruncatedExp.apply(x.float())


class RadianceField(BoxField):
    """Density and colour at any point of a box, or of all space when there is a contraction.

    The set-up of FINER++'s released code (Zhu et al., radiance fields): density network 3 -> width -> ... -> 1 + width,
    the density being exp of the first output; colour network (3 + width) -> width -> ... -> 3 with a sigmoid, whose
    input is the unit direction and the other outputs. Coordinates are raw, scaled to [-1, 1], unless the network's
    configuration encodes them; directions are then encoded too, in four octaves, as in NeRF (Mildenhall et al. 2020).

    Densities count per half side of the box, as in the code, whose box is [-1, 1]: what the networks must learn does
    not depend on the units of the scene. Behind a contraction they count per unit of contracted length.
    """

    def __init__(
        self,
        box: Float[Tensor, "2 3"],
        *,
        network: CoordinateNetworkConfig,
        contraction: Contraction | None = None,
        spatial_gradient: bool = True,
        precision: Precision = "float32",
    ) -> None:
        """
        Args:
            box: where the field has values, (minimum, maximum corner), normalised frame; ignored with a contraction.
            network: encoding, activation, normalization, width and depth of both networks.
            contraction: takes points of the normalised frame into its outer box, where the networks live.
            spatial_gradient: whether `normal` will be asked for.
            precision: of the networks in training.

        Raises:
            ValueError: the box has no volume, or the network's configuration cannot be built.
        """
        super().__init__(box if contraction is None else contraction.outer_box, precision=precision)
        self.contraction = contraction
        features = network.width
        plain = replace(network, encoding="identity", octaves=None, fourier_features=None, fourier_std=None)
        is_encoded = network.encoding != "identity"
        self.direction_encoding = Positional(3, octaves=_DIRECTION_OCTAVES) if is_encoded else Identity(3)
        self.density_network = network.build(3, 1 + features, spatial_gradient=spatial_gradient)
        self.colour_network = plain.build(self.direction_encoding.out_dim + features, 3)

    # -- what the renderer asks --

    def density_and_features(self, x: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n f"]]:
        """Density, 1 / unit length, and features at points of the normalised frame inside the box."""
        raw = self._raw(x)
        return truncated_exp(raw[:, 0]) / self.network_unit, raw[:, 1:]

    def shade(self, features: Float[Tensor, "n f"], directions: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """RGB in [0, 1] of points with these features, seen along unit directions."""
        encoded = self.direction_encoding(directions).to(features.dtype)
        with self.networks_precision():
            return torch.sigmoid(self.colour_network(torch.cat([encoded, features], -1)).float())

    def _raw(self, x: Tensor) -> Tensor:
        return self._raw_of_contracted(x if self.contraction is None else self.contraction(x))

    def _raw_of_contracted(self, x: Tensor) -> Tensor:
        # By the longest side alone, so that a frequency is the same length along each axis.
        with self.networks_precision():
            return self.density_network((x - self.middle) / self.network_unit)

    @torch.no_grad()
    def density_of_contracted(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Density at points of the frame that the networks live in, from running statistics; for occupancy grids."""
        with frozen_statistics(self):
            return truncated_exp(self._raw_of_contracted(x)[:, 0]) / self.network_unit

    # -- at any points: the protocol of inr_plugins.fields.protocol --

    def density(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Density at points of the normalised frame; zero outside the box."""
        with frozen_statistics(self):
            parts = [self.density_and_features(part)[0] for part in x.split(_QUERY_CHUNK)]
        found = torch.cat(parts) if parts else x.new_zeros(0)
        return torch.where(self._is_inside(x), found, 0.0)

    def colour(self, x: Float[Tensor, "n 3"], d: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """RGB in [0, 1] at points of the normalised frame seen along unit directions d."""
        with frozen_statistics(self):
            chunks = zip(x.split(_QUERY_CHUNK), d.split(_QUERY_CHUNK), strict=True)
            parts = [self.shade(self.density_and_features(at)[1], along) for at, along in chunks]
        return torch.cat(parts) if parts else x.new_zeros(0, 3)

    def _is_inside(self, x: Tensor) -> Tensor:
        if self.contraction is not None:
            return torch.isfinite(x).all(-1)
        # Points on the faces count, whatever their rounding.
        return self.in_box(x)

    def normal(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Unit normals towards lower density at points of the normalised frame: minus the gradient of log density."""
        with torch.enable_grad(), frozen_statistics(self):
            x = x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self._raw(x)[:, 0].sum(), x)
        return -F.normalize(gradient, dim=-1)
