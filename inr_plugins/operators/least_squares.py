"""Answers without a network: least squares by conjugate gradients, and total variation."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.operators.protocol import Operator


@torch.no_grad()
def conjugate_gradients(operator: Operator, y: Tensor, *, steps: int) -> Tensor:
    """x of the least |A x - y|², begun at 0: a few steps give a smooth answer (CGLS, Hestenes and Stiefel 1952).

    Args:
        operator: A.
        y: measurements of its output_shape.
        steps: at the most.
    """
    x = y.new_zeros(operator.input_shape)
    residual = y.clone()
    gradient = operator.adjoint(residual)
    direction, norm = gradient.clone(), gradient.square().sum()
    for _ in range(steps):
        if float(norm) == 0:
            break
        measured = operator.forward(direction)
        length = norm / measured.square().sum()
        x += length * direction
        residual -= length * measured
        gradient = operator.adjoint(residual)
        before, norm = norm, gradient.square().sum()
        direction = gradient + (norm / before) * direction
    return x


@torch.no_grad()
def operator_norm(operator: Operator, like: Tensor, *, steps: int = 12) -> float:
    """The largest singular value of A, by powers of its adjoint and it; a little below the true one.

    Args:
        operator: A.
        like: for type and device.
        steps: of the iteration.
    """
    x = like.new_ones(operator.input_shape)
    size = x.norm()
    for _ in range(steps):
        x = operator.adjoint(operator.forward(x / size))
        size = x.norm()
    return float(size.sqrt())


@torch.no_grad()
def total_variation(operator: Operator, y: Tensor, *, weight: float, steps: int = 300) -> Float[Tensor, "*axes"]:
    """x >= 0 of the least |A x - y|² / 2 + weight * (sum of |gradient of x|), by Chambolle and Pock's first method.

    The gradient is that of neighbouring pixels, or voxels, and its length is that of the vector (isotropic).

    Args:
        operator: A, of slices or volumes.
        y: measurements of its output_shape.
        weight: of the total variation.
        steps: of the iteration.
    """
    size = operator_norm(operator, y)
    # Both parts are given the same norm, so that one step size does for both.
    scale = size / (4 * len(operator.input_shape)) ** 0.5
    tau = sigma = 0.95 / (2 * size**2) ** 0.5
    x = y.new_zeros(operator.input_shape)
    ahead, p, q = x.clone(), torch.zeros_like(y), y.new_zeros((x.dim(), *x.shape))
    for _ in range(steps):
        p = (p + sigma * (operator.forward(ahead) - y)) / (1 + sigma)
        q = q + sigma * scale * _gradient(ahead)
        q = q / (q.norm(dim=0) * (scale / weight)).clamp(min=1)
        moved = (x - tau * (operator.adjoint(p) + scale * _gradient_transposed(q))).clamp(min=0)
        ahead, x = 2 * moved - x, moved
    return x


def _gradient(x: Float[Tensor, "*axes"]) -> Float[Tensor, " dimensions *axes"]:
    """Differences of neighbours along each axis, 0 behind the last one."""
    found = x.new_zeros((x.dim(), *x.shape))
    for axis in range(x.dim()):
        found[axis].narrow(axis, 0, x.shape[axis] - 1).copy_(x.diff(dim=axis))
    return found


def _gradient_transposed(q: Float[Tensor, " dimensions *axes"]) -> Float[Tensor, "*axes"]:
    found = torch.zeros_like(q[0])
    for axis in range(found.dim()):
        steps = found.shape[axis] - 1
        found.narrow(axis, 0, steps).sub_(q[axis].narrow(axis, 0, steps))
        found.narrow(axis, 1, steps).add_(q[axis].narrow(axis, 0, steps))
    return found
