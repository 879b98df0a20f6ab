"""A signed distance and the colour of its level set: two coordinate networks and a sharpness (NeuS)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from inr_plugins.fields.box_field import BoxField
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.encodings import Positional
from inr_plugins.networks.exact_products import single_output
from inr_plugins.networks.normalization.registry import frozen_statistics, rowwise_gradients
from inr_plugins.networks.precision import Precision

_QUERY_CHUNK = 1 << 16
"""Points whose distance is asked for at once."""
_GRADIENT_CHUNK = 1 << 14
"""Points whose gradient is asked for at once, outside training: every layer keeps something for it."""
_DIRECTION_OCTAVES = 4
"""Octaves of a direction's positional encoding, as in NeRF and NeuS."""


class DistanceHead(nn.Module):
    """The last layer of a distance network: the distance in full precision, features in that of the layers before.

    Attributes:
        only_distance: leave the features out; set by `SurfaceField`.
    """

    def __init__(self, linear: nn.Linear) -> None:
        """
        Args:
            linear: the layer that it replaces, whose parameters it takes over: the distance is its first output.
        """
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias
        self.only_distance = False

    def forward(self, h: Tensor) -> Tensor:
        """Distance and features, (*n, 1 + features), in the type of the weights; the distance alone if that is set."""
        with torch.autocast(h.device.type, enabled=False):
            distance = single_output(h.to(self.weight.dtype), self.weight[:1], self.bias[:1])
        if self.only_distance:
            return distance
        return torch.cat([distance, F.linear(h, self.weight[1:], self.bias[1:]).to(distance.dtype)], -1)


class SurfaceField(BoxField):
    """Signed distance and colour at any point of a box, and how sharply the distance is turned into light.

    NeuS (Wang et al. 2021): distance network 3 -> width -> ... -> 1 + width; colour network of position, direction (in
    four octaves), the distance's gradient and the features, with a sigmoid; sharpness exp(10 v) of a learnt v.

    Inside, lengths are in half longest sides of the box, so that it spans [-1, 1] as the paper's unit sphere does;
    outside, everything is in normalised units: a distance of the networks is scaled back, and its gradient, in which
    the two scales cancel, has length 1 where it is a distance. The level set's outside is where the distance is
    positive.
    """

    sharpness_rate: Tensor

    def __init__(
        self,
        box: Float[Tensor, "2 3"],
        *,
        distance: CoordinateNetworkConfig,
        colour: CoordinateNetworkConfig,
        initial_variance: float = 0.3,
        precision: Precision = "float32",
    ) -> None:
        """
        Args:
            box: where the field has values, (minimum, maximum corner), normalised frame.
            distance: of the distance network; its width is also the number of features.
            colour: of the colour network.
            initial_variance: v at the start: sharpness is exp(10 v) per half longest side.
            precision: of the hidden layers in training.

        Raises:
            ValueError: the box has no volume, or a network's configuration cannot be built.
        """
        super().__init__(box, precision=precision)
        features = distance.width
        self.distance_network = distance.build(3, 1 + features, spatial_gradient=True, make_head=DistanceHead)
        assert isinstance(self.distance_network.head, DistanceHead)
        self.head = self.distance_network.head
        self.direction_encoding = Positional(3, octaves=_DIRECTION_OCTAVES)
        self.colour_network = colour.build(6 + self.direction_encoding.out_dim + features, 3, positions=3)
        self.initial_variance = float(initial_variance)
        self.variance = nn.Parameter(torch.tensor(self.initial_variance))
        self.register_buffer("sharpness_rate", torch.tensor(1.0))

    @property
    def sharpness(self) -> Float[Tensor, ""]:
        """Of the logistic function that turns distances into light, 1 / normalised unit; bounds as in NeuS's code.

        What v has moved by counts `sharpness_rate` times: Adam's steps are of one length, whatever the gradient.
        """
        moved = self.sharpness_rate * (self.variance.float() - self.initial_variance)
        return torch.exp(10 * (self.initial_variance + moved)).clamp(1e-6, 1e6) / self.network_unit

    @property
    def initial_sharpness(self) -> float:
        """That of the v at the start, 1 / normalised unit."""
        return math.exp(10 * self.initial_variance) / float(self.network_unit)

    @torch.no_grad()
    def sharpen(self, sharpness: float) -> None:
        """Make it so sharp, 1 / normalised unit: v moves, by the rate that holds now."""
        wanted = math.log(sharpness * float(self.network_unit)) / 10
        self.variance.fill_(self.initial_variance + (wanted - self.initial_variance) / float(self.sharpness_rate))

    # -- what the renderer asks --

    def distance_and_gradient(
        self, x: Float[Tensor, "n 3"]
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 3"], Float[Tensor, "n f"]]:
        """Signed distance in normalised units, its gradient (unit length where it is a distance), and features.

        In training mode with gradients enabled one pass over the whole batch, which the loss can be differentiated
        through; batch statistics of normalizations are constants to the gradient. Otherwise in chunks, each point for
        itself in eval mode.
        """
        if self.training and torch.is_grad_enabled():
            return self._with_gradient(x, create_graph=True)
        parts = [self._with_gradient(part, create_graph=False) for part in x.split(_GRADIENT_CHUNK)] if len(x) else []
        if not parts:
            return x.new_zeros(0), x.new_zeros(0, 3), x.new_zeros(0, self.head.weight.shape[0] - 1)
        sdf, gradient, features = (torch.cat(each) for each in zip(*parts, strict=True))
        return sdf, gradient, features

    def _with_gradient(self, x: Tensor, *, create_graph: bool) -> tuple[Tensor, Tensor, Tensor]:
        with torch.enable_grad(), rowwise_gradients(self.distance_network):
            u = self.unit_positions(x.detach()).requires_grad_()
            with self.networks_precision():
                out = self.distance_network(u)
            # Outside of autocast, as a backward pass should be.
            (gradient,) = torch.autograd.grad(out[:, 0].sum(), u, create_graph=create_graph)
        if not create_graph:
            out = out.detach()
        return out[:, 0] * self.network_unit, gradient.to(out.dtype), out[:, 1:]

    def shade(
        self,
        x: Float[Tensor, "n 3"],
        directions: Float[Tensor, "n 3"],
        gradient: Float[Tensor, "n 3"],
        features: Float[Tensor, "n f"],
    ) -> Float[Tensor, "n 3"]:
        """RGB in [0, 1] of points of the normalised frame with these gradients and features, seen along directions.

        The gradient is passed on as it is, not as a unit normal, as in NeuS's code.
        """
        parts = [self.unit_positions(x), self.direction_encoding(directions), gradient, features]
        with self.networks_precision():
            return torch.sigmoid(self.colour_network(torch.cat([p.to(features.dtype) for p in parts], -1)).float())

    @torch.no_grad()
    def rough_distance(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Signed distance in normalised units from running statistics, to choose samples by; in training rounded."""
        with frozen_statistics(self), self._distance_only(), self.networks_precision():
            parts = [self.distance_network(self.unit_positions(part))[:, 0] for part in x.split(_QUERY_CHUNK)]
        return torch.cat(parts) * self.network_unit if parts else x.new_zeros(0)

    def unit_positions(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Points of the normalised frame in half longest sides of the box from its middle."""
        return (x - self.middle) / self.network_unit

    @contextmanager
    def _distance_only(self) -> Iterator[None]:
        self.head.only_distance = True
        try:
            yield
        finally:
            self.head.only_distance = False

    # -- at any points: the protocol of inr_plugins.fields.protocol --

    def sdf(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Signed distance in normalised units, negative inside, from running statistics; differentiable."""
        with frozen_statistics(self), self._distance_only():
            parts = [self.distance_network(self.unit_positions(part))[:, 0] for part in x.split(_QUERY_CHUNK)]
        return torch.cat(parts) * self.network_unit if parts else x.new_zeros(0)

    def normal(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Unit normals, outward: towards larger distances."""
        with torch.no_grad(), frozen_statistics(self):
            return F.normalize(self.distance_and_gradient(x)[1], dim=-1)

    def colour(self, x: Float[Tensor, "n 3"], d: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """RGB in [0, 1] at points of the normalised frame seen along unit directions d; no gradient."""
        if len(x) == 0:
            return x.new_zeros(0, 3)
        with torch.no_grad(), frozen_statistics(self):
            chunks = zip(x.split(_GRADIENT_CHUNK), d.split(_GRADIENT_CHUNK), strict=True)
            return torch.cat([self.shade(at, along, *self.distance_and_gradient(at)[1:]) for at, along in chunks])
