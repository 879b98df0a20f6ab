"""How fast the first layer of a periodic network oscillates, neuron by neuron."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inr_plugins.networks.activations.real import SineFormula
from inr_plugins.networks.activations.settings import Activation


def sine_of(activation: nn.Module) -> SineFormula | None:
    """The sine that an activation is, or that is inside of it; None of what is not periodic."""
    formula: Any = getattr(activation, "formula", None)
    sine = formula if isinstance(formula, SineFormula) else getattr(formula, "inner", None)
    return sine if isinstance(sine, SineFormula) else None


def local_frequencies(
    weight: Float[Tensor, "neurons dim"],
    bias: Float[Tensor, " neurons"],
    sine: SineFormula,
    points: Float[Tensor, "points dim"],
) -> Float[Tensor, "points neurons"]:
    """Cycles per unit of the input, along the direction in which they are most, of each neuron at each point.

    With z = w.x + b and the phase p = ω (|z| + 1) z of FINER++'s sine, |∇p| / 2π = ω (2|z| + 1) |w| / 2π; of a plain
    sine ω |w| / 2π.

    Args:
        weight: of the first layer.
        bias: of the first layer.
        sine: of the activation.
        points: inputs of the network.
    """
    fastest = sine.omega * weight.norm(dim=1) / (2 * math.pi)
    if not sine.variable:
        return fastest.expand(len(points), -1)
    return fastest * (2 * (points @ weight.T + bias).abs() + 1)


def points_of_cube(dim: int, each: int = 5) -> Float[Tensor, "points dim"]:
    """A lattice of points in [-1, 1]^dim, the inputs that periodic networks are made for; cells' middles."""
    line = (torch.arange(each) + 0.5) * (2 / each) - 1
    return torch.cartesian_prod(*[line] * dim).view(-1, dim)


def fresh_layer(
    activation: Activation, dim: int, *, neurons: int = 4096
) -> tuple[Float[Tensor, "neurons dim"], Float[Tensor, " neurons"]]:
    """Weights and biases of a first layer as an activation starts them, from a generator of its own."""
    generator = torch.Generator().manual_seed(0)

    def uniform(bound: float, *shape: int) -> Tensor:
        return (2 * torch.rand(shape, generator=generator) - 1) * bound

    weight = uniform(activation.weight_bound(dim, is_first=True), neurons, dim)
    return weight, uniform(activation.bias_bound(dim, is_first=True), neurons)
