"""A coordinate network that is widened in stages, of which every prefix of stages is a network of its own.

Streamable neural fields (Cho et al. 2022) with the activations of FINER++ (Zhu et al. 2024, sec. 5.4). With h_l^k the
new neurons of stage k in layer l, f the activation and [..] a concatenation,

    h_0 = x,    h_l^k = f(W_l^k [h_(l-1)^1, ..., h_(l-1)^k] + b_l^k),    y^k = y^(k-1) + V^k h_L^k,    y^0 = c:

old neurons go into new ones, and nothing new goes into old ones, so that stage k's output is what it was whatever is
learnt after it. Stages are computed one after the other and never as one matrix: the numbers of a stage have the same
bits with later stages as without.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inr_plugins.networks.activations.settings import ActivationSettings, make_activation
from inr_plugins.networks.exact_products import linear_of_positions

STREAM_ACTIVATIONS = ("finer-sine", "finer-gauss", "sine", "gauss")
"""Real ones that need no encoding of positions."""


@dataclass(frozen=True)
class StreamNetworkConfig:
    """Shape of a stream network.

    Attributes:
        settings: activation and its constants.
        widths: of the hidden layers after each stage, ascending.
        hidden_layers: their number.
    """

    settings: ActivationSettings
    widths: tuple[int, ...]
    hidden_layers: int

    def check(self) -> None:
        """Raise ValueError for the first setting that cannot be used; it names it."""
        if self.settings.activation not in STREAM_ACTIVATIONS:
            raise ValueError(
                f"a stream has no activation {self.settings.activation!r}: choose one of "
                f"{', '.join(STREAM_ACTIVATIONS)}"
            )
        self.settings.check_activation()
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"widths must be at least one number above 0, got {self.widths}")
        if any(later <= before for before, later in zip(self.widths, self.widths[1:], strict=False)):
            raise ValueError(f"widths must grow from stage to stage, got {' '.join(map(str, self.widths))}")
        if self.hidden_layers < 1:
            raise ValueError(f"hidden_layers must be at least 1, got {self.hidden_layers}")

    def weights(self, stage: int, *, inputs: int, outputs: int) -> int:
        """Numbers of the first `stage` stages."""
        old, found = 0, outputs
        for width in self.widths[:stage]:
            new = width - old
            found += new * (inputs + 1) + (self.hidden_layers - 1) * new * (width + 1) + new * outputs
            old = width
        return found


class StreamStage(nn.Module):
    """What one stage adds: new neurons of each hidden layer, and what they add to the output."""

    def __init__(self, layers: Sequence[nn.Linear], head: nn.Linear) -> None:
        """
        Args:
            layers: of the hidden layers, from the inputs or from all neurons of the layer before up to this stage.
            head: from the last hidden layer's new neurons; its bias, where it has one, is the output's.
        """
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.head = head


class StreamNetwork(nn.Module):
    """See the module. In training all stages but the last one that is asked for are held as they are.

    The first stage starts as the activation wants it. Of a later one, weights from old neurons do too; those between
    new neurons start at 0, as in Cho et al.'s code, and so does what the new neurons add to the output, which theirs
    draws: here a stage begins with the output of the one before. Where the activation's first layer has biases in
    U(-k, k), those of stage s > 1 start in ±[s k, (s + 1) k]: FINER++ has ±[2 k, 3 k] for what is added, and says no
    more.
    """

    stage: Tensor

    def __init__(self, in_dim: int, out_dim: int, *, config: StreamNetworkConfig) -> None:
        """
        Args:
            in_dim: width of the input, coordinates in about [-1, 1].
            out_dim: width of the output.
            config: shape; ValueError where it cannot be.
        """
        super().__init__()
        config.check()
        self.in_dim, self.out_dim, self.config = in_dim, out_dim, config
        self.activation = make_activation(config.settings)
        self.stages = nn.ModuleList(self._stage(number) for number in range(len(config.widths)))
        self.register_buffer("stage", torch.tensor(len(config.widths)))

    def _stage(self, number: int) -> StreamStage:
        width = self.config.widths[number]
        old = self.config.widths[number - 1] if number else 0
        layers = []
        for place in range(self.config.hidden_layers):
            layer = nn.Linear(self.in_dim if place == 0 else width, width - old)
            self.activation.init_linear(layer, is_first=place == 0)
            if number and place:
                self._start_from_old(layer, old)
            elif number and self.activation.first_bias is not None:
                _outside(layer.bias, self.activation.first_bias, number + 1)
            layers.append(layer)
        head = nn.Linear(width - old, self.out_dim, bias=number == 0)
        if number:
            nn.init.zeros_(head.weight)
        else:
            self.activation.init_last(head)
        return StreamStage(layers, head)

    @torch.no_grad()
    def _start_from_old(self, layer: nn.Linear, old: int) -> None:
        bound = self.activation.weight_bound(old, is_first=False)
        layer.weight[:, :old].uniform_(-bound, bound)
        layer.weight[:, old:] = 0

    def forward(self, x: Float[Tensor, "*n in_dim"]) -> Float[Tensor, "*n out_dim"]:
        """The output of the stage that the network is in (`stage`, from 1)."""
        return self.outputs(x, int(self.stage))[-1]

    def outputs(self, x: Float[Tensor, "*n in_dim"], stage: int) -> list[Float[Tensor, "*n out_dim"]]:
        """The outputs of the first `stage` stages, each with the bits that it has whatever `stage` is."""
        found: list[Tensor] = []
        hidden: list[list[Tensor]] = [[] for _ in range(self.config.hidden_layers)]
        for number in range(stage):
            held = self.training and number < stage - 1
            with torch.no_grad() if held else nullcontext():
                own = self._added(x, cast(StreamStage, self.stages[number]), hidden)
                found.append(found[-1] + own if found else own)
        return found

    def _added(self, x: Tensor, stage: StreamStage, hidden: list[list[Tensor]]) -> Tensor:
        """What a stage adds to the output; its neurons are put behind those of the stages before."""
        for place, layer in enumerate(stage.layers):
            assert isinstance(layer, nn.Linear)
            if place == 0:
                # Positions do not survive eight bits of mantissa.
                with torch.autocast(x.device.type, enabled=False):
                    z = linear_of_positions(x, layer.weight, layer.bias, positions=self.in_dim)
            else:
                z = layer(torch.cat(hidden[place - 1], -1) if len(hidden[place - 1]) > 1 else hidden[place - 1][0])
            hidden[place].append(self.activation(z))
        return stage.head(hidden[-1][-1])


@torch.no_grad()
def _outside(bias: Tensor, bound: float, least: int) -> None:
    """Draw biases uniformly from ±[least bound, (least + 1) bound]."""
    size = bound * (least + torch.rand_like(bias))
    bias.copy_(torch.where(torch.rand_like(bias) < 0.5, -size, size))
