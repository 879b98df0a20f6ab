"""mip-NeRF's radiance field on coordinate networks: density and colour of Gaussians, one network for all levels."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from inr_plugins import ranks
from inr_plugins.fields.box_field import BoxField
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.encodings import Positional
from inr_plugins.networks.normalization.registry import frozen_statistics, use_sampling_level
from inr_plugins.networks.precision import Precision

SAMPLING_LEVELS = 2
"""Sampling levels: 0 is the coarse pass, 1 the fine one."""
_FINE = 1

_HALF_SIDE = 1.5
"""Half of the box's longest side in the unit of the networks: Blender scenes, of which the constants of mip-NeRF are,
lie within ±1.5 and are taken as they are."""
_DIRECTION_OCTAVES = 4
_VIEW_WIDTH = 128
_DENSITY_SHIFT = -1.0
"""Added before the softplus, so that a new field is nearly clear."""
_COLOUR_PADDING = 0.001
"""The sigmoid is stretched this far past 0 and 1, so that both can be reached."""
_POINTS_AT_ONCE = 1 << 17
_FIRST_FOOTPRINT = 1 / 512
"""Edge of the cube that stands for a point in a field that was not trained yet, in sides of the box."""
_FOOTPRINT_MOMENTUM = 0.01


class MipRadianceField(BoxField):
    """Density and colour of the Gaussians that sections of cones are taken for (Barron et al. 2021).

    As in the paper's code: a trunk over the integrated encoding of 16 octaves (2^0 to 2^15, without pi), which a skip
    joins again after every fourth layer; from it, without an activation, the density and a bottleneck of the trunk's
    width; one layer of 128 over the bottleneck and the encoded direction (four octaves and itself); softplus(x - 1)
    for the density, a sigmoid padded by 0.001 for the colour. The normalization stands in all of these hidden layers.

    The networks' unit is such that half of the box's longest side is 1.5 - positions and covariances alike - and
    densities count in it, so that what they must learn does not depend on the units of the scene.

    Both sampling levels share all weights; each has running statistics of its own (`use_sampling_level`).
    """

    log_footprint: Tensor

    def __init__(
        self,
        box: Float[Tensor, "2 3"],
        *,
        network: CoordinateNetworkConfig,
        bounded: bool = True,
        precision: Precision = "float32",
    ) -> None:
        """
        Args:
            box: (minimum, maximum corner), normalised frame.
            network: activation, normalization, width and hidden layers of the trunk; its encoding and skips are set.
            bounded: whether there is nothing outside the box.
            precision: of the networks in training.

        Raises:
            ValueError: the box has no volume, or the network's configuration cannot be built.
        """
        super().__init__(box, precision=precision)
        self.bounded = bounded
        skips = tuple(range(5, network.hidden_layers, 4))
        trunk = replace(network, encoding="integrated", skips=skips)
        view = replace(network, encoding="identity", octaves=None, skips=(), hidden_layers=1, width=_VIEW_WIDTH)
        self.direction_encoding = Positional(3, octaves=_DIRECTION_OCTAVES)
        self.trunk = trunk.build(
            3, 1 + trunk.width, spatial_gradient=True, has_covariance=True, sampling_levels=SAMPLING_LEVELS
        )
        self.view_network = view.build(
            self.direction_encoding.out_dim + trunk.width, 3, sampling_levels=SAMPLING_LEVELS
        )
        if trunk.initialization == "glorot":
            # The paper's code has two layers here, and the range of the start depends on the number of outputs.
            assert isinstance(self.trunk.head, nn.Linear)
            for part in self.trunk.head.weight.split([1, trunk.width]):
                nn.init.xavier_uniform_(part)
        footprint = 2 * _HALF_SIDE * _FIRST_FOOTPRINT
        self.register_buffer("log_footprint", torch.tensor(math.log(footprint**2 / 12)))

    @property
    def scale(self) -> Float[Tensor, ""]:
        """Units of the networks in one unit of the normalised frame."""
        return _HALF_SIDE / self.network_unit

    # -- what the renderer asks --

    def density_and_colour(
        self,
        mean: Float[Tensor, "n 3"],
        variance: Float[Tensor, "n 3"],
        directions: Float[Tensor, "r 3"],
        ray: Int[Tensor, " n"],
        *,
        sampling_level: int,
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 3"]]:
        """Density, 1 / unit length, and RGB in [0, 1] (stretched by 0.001) of Gaussians seen along unit directions.

        Args:
            mean: of the Gaussians, normalised frame.
            variance: diagonal of their covariances, squared units of that frame.
            directions: of the rays.
            ray: ray of each Gaussian.
            sampling_level: sampling level, whose running statistics are read or averaged into.
        """
        encoded = self.direction_encoding(directions)
        raw, colours = [], []
        with use_sampling_level(self, sampling_level):
            for part in self._parts(mean):
                density, bottleneck = self._raw(mean[part], variance[part])
                raw.append(density)
                colours.append(self._shade(bottleneck, encoded[ray[part]]))
        return self._density(torch.cat(raw)), torch.cat(colours)

    def density_of_gaussians(
        self, mean: Float[Tensor, "n 3"], variance: Float[Tensor, "n 3"], *, sampling_level: int
    ) -> Float[Tensor, " n"]:
        """Density, 1 / unit length, of Gaussians; arguments as in `density_and_colour`."""
        with use_sampling_level(self, sampling_level):
            raw = [self._raw(mean[part], variance[part])[0] for part in self._parts(mean)]
        return self._density(torch.cat(raw))

    def _parts(self, x: Tensor) -> list[slice]:
        """Slices of what is evaluated at once: a training step needs its batch whole, all else needs less memory."""
        size = max(len(x), 1) if self.training or torch.is_grad_enabled() else _POINTS_AT_ONCE
        return [slice(first, first + size) for first in range(0, max(len(x), 1), size)]

    def _raw(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """What the density (n,) and the colour (n, width) are made from."""
        with self.networks_precision():
            found = self.trunk((mean - self.middle) * self.scale, variance * self.scale.square())
        density, bottleneck = found.split([1, found.shape[1] - 1], -1)
        return density[:, 0], bottleneck

    def _density(self, raw: Tensor) -> Tensor:
        return F.softplus(_full(raw) + _DENSITY_SHIFT) * self.scale

    def _shade(self, bottleneck: Tensor, encoded: Tensor) -> Tensor:
        with self.networks_precision():
            raw = self.view_network(torch.cat([bottleneck, encoded.to(bottleneck.dtype)], -1))
        return torch.sigmoid(_full(raw)) * (1 + 2 * _COLOUR_PADDING) - _COLOUR_PADDING

    @torch.no_grad()
    def note_footprint(self, variance: Float[Tensor, "n 3"], weights: Float[Tensor, " n"]) -> None:
        """Average in how large the Gaussians of a training step are that pixels see, for `density` and `colour`.

        Args:
            variance: of the Gaussians of the fine pass, normalised units squared.
            weights: of each in its pixel.
        """
        sizes = torch.log((variance.mean(-1) * self.scale.square()).clamp(min=1e-12))
        seen, size = ranks.mean_over_ranks(torch.stack([weights.sum(), (weights * sizes).sum()])).unbind()
        now = torch.where(seen > 0, size / seen.clamp(min=1e-12), self.log_footprint)
        self.log_footprint.lerp_(now.to(self.log_footprint), _FOOTPRINT_MOMENTUM)

    # -- at any points: the protocol of inr_plugins.fields.protocol --

    def density(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Density of the fine level at points of the normalised frame; zero outside the box of a bounded field.

        A point is taken for a round Gaussian as large as what pixels saw on average in training. A smaller one would
        let in frequencies that training damps, whose weights still are as they were drawn.
        """
        with frozen_statistics(self):
            parts = [
                self.density_of_gaussians(at, self._around(at), sampling_level=_FINE) for at in x.split(_POINTS_AT_ONCE)
            ]
        found = torch.cat(parts)
        if not self.bounded:
            return found
        # Points on the faces count, whatever their rounding.
        inside = self.in_box(x)
        return torch.where(inside, found, 0.0)

    def colour(self, x: Float[Tensor, "n 3"], d: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """RGB in [0, 1] at points of the normalised frame, each as in `density`, seen along unit directions d."""
        parts = []
        with frozen_statistics(self):
            for at, along in zip(x.split(_POINTS_AT_ONCE), d.split(_POINTS_AT_ONCE), strict=True):
                own = torch.arange(len(at), device=x.device)
                parts.append(self.density_and_colour(at, self._around(at), along, own, sampling_level=_FINE)[1])
        return torch.cat(parts).clamp(0, 1)

    def normal(self, mean: Float[Tensor, "n 3"], variance: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Unit normals towards lower density of the fine level: minus the gradient with respect to Gaussians' means."""
        with torch.enable_grad(), frozen_statistics(self), use_sampling_level(self, _FINE):
            mean = mean.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self._raw(mean, variance)[0].sum(), mean)
        return -F.normalize(gradient, dim=-1)

    def _around(self, x: Tensor) -> Tensor:
        """Variances, normalised units squared, of the Gaussians that stand for points."""
        return (self.log_footprint.exp() / self.scale.square()).to(x.dtype).expand_as(x)


def _full(x: Tensor) -> Tensor:
    """In float32 at least."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
