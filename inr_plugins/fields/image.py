"""An image as a function of the place: a table of keys with a network behind it, or a network of coordinates.

A video is an image with one more axis, that of its frames.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import product
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from inr_plugins.networks.coordinate_network import CoordinateNetwork, CoordinateNetworkConfig
from inr_plugins.networks.in_parts import in_parts
from inr_plugins.networks.normalization.registry import frozen_statistics
from inr_plugins.networks.precision import Precision, autocast_of
from inr_plugins.networks.voxels.key_table import KEY_RANGE, KeyTable
from inr_plugins.signal_grid import PixelGrid

_QUERY_CHUNK, _FEW = 1 << 16, 16
"""Places that are evaluated at once outside training, of so many channels or fewer; fewer of more."""
_BEND = 0.1
"""Of values that are to be 0 and more, of which 0 becomes a half of this."""
_KEY_STEPS, _KEY_STEP, _KEY_ERROR = 12, 0.05, 1e-6
"""Of the method by which keys are moved: how many there are, how far one goes, and what is near enough."""
_WIDER = 0.02
"""Part of a range of values by which a wider one goes beyond what it has to have."""
_HALVINGS = 30
_FLAT = 1e-12
"""Slope, squared, and way that are taken for none."""
_ON_THE_GRID = 1 / 512
"""Of a pixel: a place that is closer to the middle of one is there. Rays in float32 miss by less than that."""


class ImageField(nn.Module, ABC):
    """Values in [0, 1] of an image's channels; networks learn them as 2 v - 1 (as the papers' codes do), unclamped."""

    def __init__(self, grid: PixelGrid, channels: int, *, precision: Precision = "float32") -> None:
        """
        Args:
            grid: the pixels of the image.
            channels: of the image.
            precision: of the network in training.
        """
        super().__init__()
        self.grid, self.channels, self.precision = grid, channels, precision
        self.rows_at_once: int | None = None
        """Rows of the network that are evaluated at once in training on a CPU, where they know nothing of each other
        (`networks.in_parts`); None: all."""

    @abstractmethod
    def forward(self, places: Int[Tensor, " n"] | None) -> Float[Tensor, "n channels"]:
        """Values in the middles of pixels, by their numbers (None: of all); of a batch as a whole in training mode."""

    @abstractmethod
    def at(self, pixels: Float[Tensor, "n d"]) -> Float[Tensor, "n channels"]:
        """Values at places anywhere, each for itself, in float32 and without gradients.

        Args:
            pixels: (column, row), and frame of a video, whole numbers being the middles of pixels; outside of the image
                what is at its edge.
        """

    @property
    def _at_once(self) -> int:
        """Places that are evaluated at once outside training."""
        return max(1, _QUERY_CHUNK * _FEW // max(self.channels, _FEW))

    def _values(self, network: nn.Module, inputs: Tensor, *, training: bool) -> Float[Tensor, "n channels"]:
        """What the network makes of its inputs, as values."""
        is_plain = training and inputs.device.type == "cpu" and self.precision == "float32"
        rows = self.rows_at_once if is_plain else None
        with autocast_of(self.precision, inputs.device, training=training):
            out = network(inputs) if rows is None else in_parts(network, inputs, rows=rows)
        return (out.float() + 1) / 2


class KeyImage(ImageField):
    """DINER's (Zhu et al. 2023, eq. 4 and 5): each pixel has a learnable key, from which a network makes its values.

    Nothing is known between pixels: there the network's values in the four pixels around (eight, between frames) are
    interpolated linearly. A key between keys would be one that the network has never seen.
    """

    def __init__(
        self,
        grid: PixelGrid,
        channels: int,
        *,
        key_width: int,
        network: CoordinateNetworkConfig,
        init_range: float = KEY_RANGE,
        precision: Precision = "float32",
        sparse_grad: bool = True,
    ) -> None:
        """
        Args:
            grid: the pixels of the image, which have a key each.
            channels: of the image.
            key_width: length L of a key.
            network: from a key to the channels.
            init_range: keys start uniform in (-init_range, init_range), or equal where it is 0.
            precision: of the network in training.
            sparse_grad: of the keys, where a batch is a part of the image.

        Raises:
            ValueError: settings that cannot be used.
        """
        super().__init__(grid, channels, precision=precision)
        self.sparse_grad = sparse_grad
        self.table = KeyTable(grid.count, key_width, init_range=init_range)
        self.network = network.build(key_width, channels, positions=0)

    def forward(self, places: Int[Tensor, " n"] | None) -> Float[Tensor, "n channels"]:
        """See ImageField."""
        keys = self.table.keys if places is None else self.table(places, sparse_grad=self.sparse_grad)
        return self._values(self.network, keys, training=self.training)

    @torch.no_grad()
    def at(self, pixels: Float[Tensor, "n d"]) -> Float[Tensor, "n channels"]:
        """See ImageField."""
        with frozen_statistics(self):
            return torch.cat([self._interpolated(part) for part in pixels.split(self._at_once)])

    @torch.no_grad()
    def all_values(self) -> Float[Tensor, "n channels"]:
        """Values of all pixels, as `at` has them."""
        with frozen_statistics(self):
            parts = self.table.keys.split(self._at_once)
            return torch.cat([self._values(self.network, part, training=False) for part in parts])

    @torch.no_grad()
    def move_keys(self, wanted: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        """Move the keys of all pixels to where the network has values, of fields of one channel.

        Of the network nothing is changed but the last layer's gain and offset, where it has nothing as small or as
        large as what is wanted. Each pixel for itself by Gauss and Newton's method along the shortest way, until a step
        would make it worse; then, as on a ridge of the network, on the straight way to the key of another pixel, whose
        value is on the other side of the wanted one. In float32 and with statistics as they are.

        Args:
            wanted: values of all pixels.

        Returns:
            What the values are now: those, but for rounding, if not all keys were equal.
        """
        keys = self.table.keys.data
        with frozen_statistics(self):
            self._widen(wanted)
            parts = [self._with_slopes(part) for part in keys.split(self._at_once)]
            found, slopes = (torch.cat(each) for each in zip(*parts, strict=True))
            first_keys, first = keys.clone(), found[:, 0].clone()
            self._climb(keys, found, slopes, wanted)
            rows = ((wanted - found)[:, 0].abs() > _KEY_ERROR).nonzero()[:, 0]
            if len(rows):
                other = first_keys[_beyond(first, found[rows, 0], wanted[rows, 0])]
                keys[rows], found[rows] = self._between(keys[rows], other, found[rows], wanted[rows])
        return found

    def _widen(self, wanted: Float[Tensor, "n 1"]) -> None:
        """Give the network a gain and an offset by which it has all that is wanted at the keys there are."""
        low, high = (float(each) for each in self.all_values().aminmax())
        least, most = (float(each) for each in wanted.aminmax())
        if high == low or (low <= least and most <= high):
            return
        more = _WIDER * (max(most, high) - min(least, low))
        least, most = min(low, least - more), max(high, most + more)
        gain = (most - least) / (high - low)
        offset = least - gain * low
        head: Any = self.network.head
        head.weight.mul_(gain)
        # Values v are (o + 1) / 2 of outputs o.
        head.bias.mul_(gain).add_(gain - 1 + 2 * offset)

    def _climb(
        self,
        keys: Float[Tensor, "n width"],
        found: Float[Tensor, "n 1"],
        slopes: Float[Tensor, "n width"],
        wanted: Float[Tensor, "n 1"],
    ) -> None:
        """Move keys, and with them what their values and slopes are, in place, until a step makes it worse."""
        rows = torch.arange(len(keys), device=keys.device)
        for _ in range(_KEY_STEPS):
            rows = rows[(wanted[rows, 0] - found[rows, 0]).abs() > _KEY_ERROR]
            going = []
            for part in rows.split(self._at_once):
                away, along = wanted[part] - found[part], slopes[part]
                move = along * (away / along.square().sum(-1, keepdim=True).clamp(min=_FLAT))
                move *= (_KEY_STEP / move.norm(dim=-1, keepdim=True).clamp(min=_FLAT)).clamp(max=1)
                there = keys[part] + move
                values, steep = self._with_slopes(there)
                better = ((wanted[part] - values).abs() < away.abs())[:, 0]
                part = part[better]
                keys[part], found[part], slopes[part] = there[better], values[better], steep[better]
                going.append(part)
            if not going:
                return
            rows = torch.cat(going)

    def _between(
        self,
        keys: Float[Tensor, "n width"],
        other: Float[Tensor, "n width"],
        found: Float[Tensor, "n 1"],
        wanted: Float[Tensor, "n 1"],
    ) -> tuple[Float[Tensor, "n width"], Float[Tensor, "n 1"]]:
        """Keys on the straight lines between two, on whose sides wanted values are, by halving; and their values."""
        near, far = torch.zeros_like(wanted), torch.ones_like(wanted)
        below = found < wanted
        for _ in range(_HALVINGS):
            middle = (near + far) / 2
            there = keys + (other - keys) * middle
            values = torch.cat(
                [self._values(self.network, part, training=False) for part in there.split(self._at_once)]
            )
            same = (values < wanted) == below
            near, far = torch.where(same, middle, near), torch.where(same, far, middle)
        return there, values

    def _with_slopes(self, keys: Float[Tensor, "n width"]) -> tuple[Float[Tensor, "n 1"], Float[Tensor, "n width"]]:
        """Values of keys, and their derivatives by these."""
        with torch.enable_grad():
            keys = keys.detach().requires_grad_()
            values = self._values(self.network, keys, training=False)
            (slopes,) = torch.autograd.grad(values.sum(), keys)
        return values.detach(), slopes

    def _interpolated(self, pixels: Float[Tensor, "n d"]) -> Float[Tensor, "n channels"]:
        last = pixels.new_tensor(self.grid.sides) - 1
        place = torch.minimum(pixels.clamp(min=0), last)
        place = torch.where((place - place.round()).abs() < _ON_THE_GRID, place.round(), place)
        low = place.floor()
        part = place - low
        first = self.grid.numbers(low.long())
        rows, weights = [], []
        for corner in product((0, 1), repeat=self.grid.dimensions):
            there = torch.tensor(corner, device=pixels.device)
            weight = torch.prod(torch.where(there > 0, part, 1 - part), -1)
            # A pixel without weight may lie outside of the image.
            rows.append(torch.where(weight > 0, first + self.grid.numbers(there[None]), first))
            weights.append(weight)
        distinct, back = torch.stack(rows, -1).unique(return_inverse=True)
        values = self._values(self.network, self.table.keys.index_select(0, distinct), training=False)
        return (values[back] * torch.stack(weights, -1)[..., None].float()).sum(1)


class PlaceImage(ImageField):
    """A network of the place."""

    network: nn.Module
    _middles: Tensor | None = None

    def forward(self, places: Int[Tensor, " n"] | None) -> Float[Tensor, "n channels"]:
        """See ImageField."""
        device = next(self.parameters()).device
        if places is not None:
            return self._values(self.network, self.grid.middles(places), training=self.training)
        if self._middles is None or self._middles.device != device:
            self._middles = self.grid.middles(torch.arange(self.grid.count, device=device))
        return self._values(self.network, self._middles, training=self.training)

    @torch.no_grad()
    def at(self, pixels: Float[Tensor, "n d"]) -> Float[Tensor, "n channels"]:
        """See ImageField."""
        last = pixels.new_tensor(self.grid.sides) - 0.5
        place = torch.minimum(pixels.clamp(min=-0.5), last)
        with frozen_statistics(self):
            parts = [self.grid.to_coordinates(part).float() for part in place.split(self._at_once)]
            return torch.cat([self._values(self.network, part, training=False) for part in parts])


class CoordinateImage(PlaceImage):
    """A coordinate network of (x, y), or (x, y, t) of a video: FINER++'s, SIREN, a normalised one and so on.

    Coordinates are those of `signal_grid`.
    """

    network: CoordinateNetwork

    def __init__(
        self,
        grid: PixelGrid,
        channels: int,
        *,
        network: CoordinateNetworkConfig,
        precision: Precision = "float32",
        positive: bool = False,
    ) -> None:
        """
        Args:
            grid: the pixels of the image.
            channels: of the image.
            network: from a place to the channels.
            precision: of the network in training.
            positive: values are 0 and more.

        Raises:
            ValueError: settings that cannot be used.
        """
        super().__init__(grid, channels, precision=precision)
        self.positive = positive
        self.network = network.build(grid.dimensions, channels)

    def _values(self, network: nn.Module, inputs: Tensor, *, training: bool) -> Float[Tensor, "n channels"]:
        """See ImageField."""
        values = super()._values(network, inputs, training=training)
        return positive_part(values, _BEND) if self.positive else values


def _beyond(values: Float[Tensor, " n"], found: Float[Tensor, " m"], wanted: Float[Tensor, " m"]) -> Int[Tensor, " m"]:
    """Which values, that reach so far, are the next ones on the other side of wanted ones, seen from found ones."""
    order = values.argsort()
    place = torch.searchsorted(values[order], wanted.contiguous())
    # From below the next larger one, from above the next smaller.
    place = torch.where(found < wanted, place, place - 1)
    return order[place.clamp(0, len(order) - 1)]


def positive_part(x: Float[Tensor, "*n"], bend: float) -> Float[Tensor, "*n"]:
    """(x + sqrt(x² + bend²)) / 2, squareplus (Barron 2021): x where it is well above 0, and never less than 0.

    Softplus does as much, but far below 0 its slope is nothing at all: a network that falls there in its first steps,
    its mean being learnt before all else, stays there. This one's slope falls by x² only.
    """
    return (x + (x.square() + bend**2).sqrt()) / 2


def before_positive_part(y: Float[Tensor, "*n"], bend: float) -> Float[Tensor, "*n"]:
    """The x of which `positive_part` is y; of a y of nearly 0 or less, that of a hundredth of the bend."""
    y = y.clamp(min=bend / 100)
    return y - bend**2 / (4 * y)
