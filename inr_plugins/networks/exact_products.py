"""Products that no device may round: of positions, and of what a distance is read from.

CUDA multiplies float32 matrices as TF32 where that is allowed (`precision.tf32_in_step`), which leaves ten bits of a
position: a thousandth of the box. Leaving autocast does not change that, and no flag could be set for one product, as
its gradient runs when everything else of the backward does. So these are sums of elementwise products there, of which
the gradients, of any order, are such sums too. On a CPU they are the matrix products that they always were.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Inexact
from torch import Tensor
from torch.nn import functional as F


def linear_of_positions(
    x: Float[Tensor, "*n inputs"],
    weight: Float[Tensor, "outputs inputs"],
    bias: Float[Tensor, " outputs"] | None,
    *,
    positions: int,
) -> Float[Tensor, "*n outputs"]:
    """x weight^T + bias, in which the first few inputs are not rounded.

    Args:
        x: inputs.
        weight: of the layer, in x's type.
        bias: of the layer.
        positions: how many of the inputs, the first ones, count exactly; a few, as each costs a pass over the outputs.
    """
    if x.device.type == "cpu" or positions == 0:
        return F.linear(x, weight, bias)
    if positions < x.shape[-1]:
        out = F.linear(x[..., positions:], weight[:, positions:], bias)
    else:
        out = weight.new_zeros(weight.shape[0]) if bias is None else bias
    for k in range(positions):
        out = torch.addcmul(out, x[..., k, None], weight[:, k])
    return out


def single_output(
    x: Inexact[Tensor, "*n inputs"], weight: Inexact[Tensor, "1 inputs"], bias: Inexact[Tensor, " 1"]
) -> Inexact[Tensor, "*n 1"]:
    """x weight^T + bias of a layer with one output, real or complex, not rounded."""
    if x.device.type == "cpu":
        return F.linear(x, weight, bias)
    return (x * weight[0]).sum(-1, keepdim=True) + bias
