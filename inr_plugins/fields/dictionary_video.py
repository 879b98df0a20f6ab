"""A clip of a camera that stands still as pictures that all frames share, mixed anew for each (NID, sec. 4.3)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from inr_plugins.fields.image import ImageField
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.dictionary.expert_bank import ExpertBank
from inr_plugins.networks.precision import Precision, autocast_of
from inr_plugins.signal_grid import PixelGrid

_QUERY_CHUNK = 1 << 14
"""Places that are evaluated at once outside training."""


class DictionaryVideo(ImageField):
    """f(x, y, t) = Σ_i α_i(t) b_i(x, y): experts of the place over a shared trunk, and a network of the time.

    As a matrix of pixels and frames f has the rank n of the experts at the most, and less where few of them are used:
    the background of Eq. 15. Time and place are those of `signal_grid`, all in [-1, 1].
    """

    def __init__(
        self,
        grid: PixelGrid,
        channels: int,
        *,
        trunk: CoordinateNetworkConfig,
        weights: CoordinateNetworkConfig,
        experts: int,
        expert_width: int,
        precision: Precision = "float32",
    ) -> None:
        """
        Args:
            grid: pixels and frames of the clip.
            channels: of a frame.
            trunk: network of the place whose hidden layers all experts share.
            weights: network from the time to the experts' weights.
            experts: n.
            expert_width: hidden width of an expert.
            precision: of the networks in training.

        Raises:
            ValueError: settings that cannot be used.
        """
        super().__init__(grid, channels, precision=precision)
        self.picture = PixelGrid(grid.width, grid.height)
        self.trunk = trunk.build(2, 1, make_head=lambda _: nn.Identity())
        self.bank = ExpertBank(
            self.trunk.features,
            experts,
            expert_width,
            channels,
            activation=self.trunk.activation,
            sparse_grad=False,
        )
        self.weights = weights.build(1, experts)
        middles = (2 * torch.arange(grid.frames) + 1 - grid.frames) / grid.frames
        self.register_buffer("times", middles[:, None], persistent=False)

    times: Tensor

    def experts_at(self, coordinates: Float[Tensor, "p 2"], *, training: bool = False) -> Float[Tensor, "p n c"]:
        """What every expert says at places, each in [-1, 1] of the longer side."""
        with autocast_of(self.precision, coordinates.device, training=training):
            found = self.bank.all_outputs(self.trunk(coordinates))
        return found.float().view(len(coordinates), -1, self.channels)

    def weights_at(self, times: Float[Tensor, "t 1"], *, training: bool = False) -> Float[Tensor, "t n"]:
        """The experts' weights at times in [-1, 1]."""
        with autocast_of(self.precision, times.device, training=training):
            return self.weights(times).float()

    def columns(
        self, rows: Int[Tensor, " p"] | None
    ) -> tuple[Float[Tensor, "t p c"], Float[Tensor, "t n"], Float[Tensor, " n"]]:
        """All frames of some pixels of the picture (None: of all), as training sees them.

        Returns:
            Values; the experts' weights in each frame; and the root mean square of each expert over those pixels, in
            units of numbers in [-1, 1].
        """
        if rows is None:
            rows = torch.arange(self.picture.count, device=self.times.device)
        experts = self.experts_at(self.picture.middles(rows), training=self.training)
        weights = self.weights_at(self.times, training=self.training)
        sizes = (experts.square().mean((0, 2)) + 1e-12).sqrt()
        return (torch.einsum("pnc,tn->tpc", experts, weights) + 1) / 2, weights, sizes

    def forward(self, places: Int[Tensor, " n"] | None) -> Float[Tensor, "n channels"]:
        """See ImageField."""
        if places is None:
            return self.columns(None)[0].flatten(0, 1)
        rows, back = torch.unique(places % self.picture.count, return_inverse=True)
        return self.columns(rows)[0][places // self.picture.count, back]

    @torch.no_grad()
    def at(self, pixels: Float[Tensor, "n 3"]) -> Float[Tensor, "n channels"]:
        """See ImageField."""
        last = pixels.new_tensor(self.grid.sides) - 0.5
        place = self.grid.to_coordinates(torch.minimum(pixels.clamp(min=-0.5), last)).float()
        return torch.cat([self._mixed(part) for part in place.split(_QUERY_CHUNK)])

    def _mixed(self, place: Float[Tensor, "n 3"]) -> Float[Tensor, "n channels"]:
        times, back = place[:, 2].unique(return_inverse=True)
        weights = self.weights_at(times[:, None])[back]
        return (torch.einsum("pnc,pn->pc", self.experts_at(place[:, :2]), weights) + 1) / 2
