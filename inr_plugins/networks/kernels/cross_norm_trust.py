"""When cross normalization's kernels for CUDA are used, and what they are compared with before (see `kernel_trust`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from inr_plugins import kernel_trust
from inr_plugins.networks.kernels.cross_norm_triton import (
    add_column_terms,
    batch_gradient_rows,
    column_sums,
    normalize_rows,
    pullback_backward_rows,
    pullback_rows,
)
from inr_plugins.networks.kernels.triton_launch import WIDEST

_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 3e-2}
"""Of the types that there are kernels for, relative."""
_ROWS = 301
"""That are compared."""


def fits(*matrices: Tensor) -> bool:
    """Whether the functions here can be used for these matrices (rows, channels), but for those of the pullback."""
    return _are_possible(*matrices) and _are_trusted("cross normalization", first_trouble, matrices[0])


def pullback_fits(*matrices: Tensor) -> bool:
    """Whether `pullback_rows`, `pullback_backward_rows` and `add_column_terms` can be used for these matrices."""
    first = matrices[0]
    return fits(*matrices) and _are_trusted("cross normalization's second derivatives", second_trouble, first)


def _are_possible(*matrices: Tensor) -> bool:
    first = matrices[0]
    return (
        kernel_trust.are_possible(*matrices)
        and first.dtype in _TOLERANCE
        and first.shape[1] <= WIDEST
        and all(m.dtype == first.dtype and m.shape == first.shape for m in matrices)
    )


def _are_trusted(name: str, trouble: Callable[[torch.device, int, torch.dtype], str | None], x: Tensor) -> bool:
    kind = (x.shape[1], x.dtype)
    return kernel_trust.is_trusted(f"Triton's kernels of {name}", kind, x.device, lambda device: trouble(device, *kind))


class _Given(NamedTuple):
    """What all rows are normalized by."""

    column: Tensor
    variance: Tensor
    gain: Tensor
    bias: Tensor
    share: Tensor


def _drawn(channels: int, dtype: torch.dtype, matrices: int) -> tuple[list[Tensor], _Given]:
    """Matrices of random numbers, and statistics that are not theirs, in float64."""
    drawn = torch.Generator().manual_seed(0)
    found = [(torch.randn(_ROWS, channels, generator=drawn) * 2 + 3).to(dtype).double() for _ in range(matrices)]
    column, gain, bias = torch.randn(3, channels, generator=drawn).double()
    variance, share = torch.rand(channels, generator=drawn).double() + 0.5, torch.tensor(1 / 342)
    return found, _Given(column, variance, gain, bias, share.double())


def _normalized(x: Tensor, column: Tensor, variance: Tensor, share: Tensor) -> Tensor:
    """h s of `cross_rowwise`, in plain operations."""
    correction = min(x.shape[1] - 1, 1)
    spread = (variance + x.var(1, keepdim=True, correction=correction)).rsqrt()
    return (x - column - x.sum(1, keepdim=True) * share) * spread


def first_trouble(device: torch.device, channels: int = 40, dtype: torch.dtype = torch.float32) -> str | None:
    """What the kernels of values and first derivatives give on a device that float64 does not, or None."""
    (x, grad), given = _drawn(channels, dtype, 2)
    x.requires_grad_()
    normalized = _normalized(x, given.column, given.variance, given.share)
    before = given.bias + normalized * given.gain
    # Rounding may put a number that is as good as zero on either side of it.
    grad = grad * (before.detach().abs() > 1e-4)
    (by_rows,) = torch.autograd.grad((before.relu() * grad).sum(), x)
    x, normalized, passed = x.detach(), normalized.detach(), grad * (before.detach() > 0)
    correction = min(channels - 1, 1)
    spread = (given.variance + x.var(1, keepdim=True, correction=correction)).rsqrt()
    centred, scaled = x - x.mean(0), passed * given.gain * spread
    truth = {
        "output": before.detach().relu(),
        "mean of rows": x.mean(1),
        "variance of rows": x.var(1, correction=correction),
        "gradient": by_rows + given.column + given.variance * centred,
        "mean of columns": x.mean(0),
        "squares of columns": centred.square().sum(0),
        "sums of gradients": passed.sum(0),
        "sums of weights": (passed * normalized).sum(0),
        "sums by mean": scaled.sum(0),
        "sums by variance": (scaled * normalized * spread).sum(0),
    }
    there = _Given(*(each.float().to(device) for each in given))
    a, b = (each.to(device, dtype) for each in (x, grad))
    out, *rows = normalize_rows(a, *there, rectify=True)
    grad_x, sums = batch_gradient_rows(a, b, *there, *rows, rectify=True)
    mean, squares = column_sums(a)
    add_column_terms(a, grad_x, mean, there.column, there.variance)
    found = dict(zip(truth, (out, *rows, grad_x, mean, squares, *sums), strict=True))
    return kernel_trust.disagreement(found, truth, tolerance=_TOLERANCE[dtype])


def second_trouble(device: torch.device, channels: int = 40, dtype: torch.dtype = torch.float32) -> str | None:
    """What the kernels of the pullback give on a device that float64 does not, or None."""
    (x, grad, u), given = _drawn(channels, dtype, 3)
    scale = torch.tensor(1.25, dtype=torch.float64)
    leaves = [each.requires_grad_() for each in (grad, x, given.column, given.variance)]
    values = scale * _normalized(x, given.column, given.variance, given.share)
    (pulled,) = torch.autograd.grad(values, x, grad, create_graph=True)
    by_grad, by_x, by_column, by_variance = torch.autograd.grad((pulled * u).sum(), leaves)
    truth = {
        "pullback": pulled.detach(),
        "gradient of the gradient": by_grad,
        "gradient of the input": by_x,
        "sums by mean": by_column,
        "sums by variance": -2 * by_variance,
    }
    a, b, c = (each.detach().to(device, dtype) for each in (x, grad, u))
    column, variance, _, _, share = (each.detach().float().to(device) for each in given)
    rows = a.float().mean(1, keepdim=True), a.float().var(1, keepdim=True, correction=min(channels - 1, 1))
    how = (column, variance, scale.float().to(device), share, *rows)
    grad_grad, grad_x, sums = pullback_backward_rows(a, b, c, *how)
    found = dict(zip(truth, (pullback_rows(a, b, *how), grad_grad, grad_x, *sums), strict=True))
    return kernel_trust.disagreement(found, truth, tolerance=_TOLERANCE[dtype])
