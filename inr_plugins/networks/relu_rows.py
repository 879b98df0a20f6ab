"""A network of one hidden ReLU layer for very many rows, a part of them at a time, so that they stay in the caches."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from inr_plugins.networks.coordinate_network import CoordinateNetwork
from inr_plugins.networks.precision import Precision, autocast_of, trains_low

_ROWS = 1 << 12
"""In a part: a hidden layer of 128 takes 2 MB."""


def network_of_rows(
    network: CoordinateNetwork, x: Float[Tensor, "n in"], precision: Precision, *, training: bool
) -> Float[Tensor, "n out"]:
    """A network at very many rows, in float32: by parts where it is such a one and learns on a CPU, else as it is.

    Args:
        network: of whatever layers.
        x: its input.
        precision: of its products in training; in evaluation they are float32.
        training: whether a step is being taken.
    """
    pair = network.relu_pair
    if pair is not None and training and x.device.type == "cpu":
        return relu_of_rows(x, *pair, torch.bfloat16 if trains_low(precision, x.device) else torch.float32)
    with autocast_of(precision, x.device, training=training):
        return network(x).float()


def relu_of_rows(
    x: Float[Tensor, "n in"], first: nn.Linear, last: nn.Linear, dtype: torch.dtype
) -> Float[Tensor, "n out"]:
    """last(relu(first(x))) in the precision of x, for use on a CPU; products are in `dtype`, but for that of x itself.

    The hidden layer is made again in the backward pass: for few inputs that costs less than to keep it, since all of it
    would go through memory several times. 150,000 rows of 15 -> 128 -> 27 in bfloat16, forwards and backwards, take
    79 ms on one thread of a busy EPYC, and 413 ms as layers under torch.autocast. Gradients of weights are summed in
    their own precision over the parts.
    """
    found: Tensor = _ReluOfRows.apply(x, first.weight, first.bias, last.weight, last.bias, dtype)
    return found


class _ReluOfRows(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, last_weight: Tensor, last_bias: Tensor, dtype: torch.dtype
    ) -> Tensor:
        ctx.save_for_backward(x, weight, bias, last_weight)
        ctx.dtype = dtype
        last, last_bias = last_weight.to(dtype).t(), last_bias.to(dtype)
        out = x.new_empty(len(x), len(last_weight))
        for part, to in zip(x.split(_ROWS), out.split(_ROWS), strict=True):
            hidden = torch.addmm(bias, part, weight.t()).to(dtype).relu_()
            to.copy_(torch.addmm(last_bias, hidden, last))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, last_weight = ctx.saved_tensors
        dtype, grad = ctx.dtype, gradients[0]
        first, last = weight.to(dtype), last_weight.to(dtype)
        of_x = torch.empty_like(x)
        of_weight, of_bias, of_last = torch.zeros_like(weight), torch.zeros_like(bias), torch.zeros_like(last_weight)
        for part, above, to in zip(x.split(_ROWS), grad.split(_ROWS), of_x.split(_ROWS), strict=True):
            rows, above = part.to(dtype), above.to(dtype)
            hidden = torch.addmm(bias, part, weight.t()).to(dtype).relu_()
            of_last += above.t() @ hidden
            below = torch.ops.aten.threshold_backward(above @ last, hidden, 0)
            of_weight += below.t() @ rows
            of_bias += below.sum(0)
            to.copy_(below @ first)
        return of_x, of_weight, of_bias, of_last, grad.sum(0), None
