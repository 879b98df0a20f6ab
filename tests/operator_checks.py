"""What every operator has to hold: its adjoint by dot products, its gradients by differences."""

from __future__ import annotations

import torch
from torch import Tensor

from inr_plugins.operators.protocol import Operator


def random(shape: tuple[int, ...], seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Normal numbers, a function of the seed."""
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def check_adjoint(operator: Operator, dtype: torch.dtype = torch.float64) -> None:
    """Of three x and y at once, <A x, y> is <x, A* y>; of complex numbers the left one is conjugated."""
    assert isinstance(operator, Operator)
    x, y = random((3, *operator.input_shape), 0, dtype), random((3, *operator.output_shape), 1, dtype)
    measured, back = operator.forward(x), operator.adjoint(y)
    assert measured.shape == y.shape
    assert back.shape == x.shape
    torch.testing.assert_close(_dots(measured, y), _dots(x, back), rtol=1e-9, atol=1e-9)


def check_gradients(operator: Operator) -> None:
    """Those of |A x|², whose differences on both sides of x are exact but for rounding."""

    def square(each: Tensor) -> Tensor:
        return operator.forward(each).square().sum()

    x = random(operator.input_shape, 2).requires_grad_()
    (gradient,) = torch.autograd.grad(square(x), x)
    step, basis = 1e-3, torch.eye(x.numel(), dtype=x.dtype).reshape(-1, *x.shape)
    with torch.no_grad():
        wanted = torch.stack([square(x + step * each) - square(x - step * each) for each in basis]) / (2 * step)
    torch.testing.assert_close(gradient.flatten(), wanted, rtol=1e-6, atol=1e-6)


def _dots(a: Tensor, b: Tensor) -> Tensor:
    return (a.conj() * b).flatten(1).sum(1)
