"""Cross normalization's passes over rows in Triton, for float32 and bfloat16 matrices on CUDA.

Each function computes what its twin in torch does (`cross`, `cross_rowwise`, `batch_statistics`), reading and writing
each matrix once; one that is not contiguous is copied first. torch brings Triton along for CUDA; `cross_norm_trust`
says when these are used.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from inr_plugins.networks.kernels.triton_launch import blocks_of_rows, launch, shares_of_rows


def column_sums(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of each column and sum of the squared deviations from it, float32."""
    rows = len(x)
    # Near the mean, as sums of squares want it: a row of the matrix itself.
    shift = x[0].float().contiguous()
    programs, blocks, sizes = shares_of_rows(x)
    parts = torch.empty(programs, 2, x.shape[1], device=x.device)
    launch(_kernels().column_sums, programs, x, x.contiguous(), shift, parts, rows, blocks, **sizes)
    sums = parts.double().sum(0)
    mean = sums[0] / rows
    squares = (sums[1] - rows * mean.square()).clamp(min=0)
    return (shift.double() + mean).float(), squares.float()


def normalize_rows(
    x: Tensor, column: Tensor, variance: Tensor, gain: Tensor, bias: Tensor, share: Tensor, *, rectify: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The output, and mean and variance of each row (rows, 1)."""
    x = x.contiguous()
    out = torch.empty_like(x)
    row_mean, row_variance = torch.empty(2, len(x), 1, device=x.device).unbind()
    given = [each.contiguous() for each in (column, variance, gain, bias)]
    arguments = (x, *given, share, out, row_mean, row_variance, len(x))
    programs, sizes = blocks_of_rows(x)
    launch(_kernels().normalize_rows, programs, x, *arguments, RECTIFY=rectify, **sizes)
    return out, row_mean, row_variance


def batch_gradient_rows(
    x: Tensor,
    grad: Tensor,
    column: Tensor,
    variance: Tensor,
    gain: Tensor,
    bias: Tensor,
    share: Tensor,
    row_mean: Tensor,
    row_variance: Tensor,
    *,
    rectify: bool,
) -> tuple[Tensor, Tensor]:
    """The gradient without the columns' terms, and the sums (4, channels) of g, g h s, a and b."""
    x, grad = x.contiguous(), grad.contiguous()
    out = torch.empty_like(x)
    programs, blocks, sizes = shares_of_rows(x)
    parts = torch.empty(programs, 4, x.shape[1], device=x.device)
    given = [each.contiguous() for each in (column, variance, gain, bias)]
    arguments = (x, grad, *given, share, row_mean, row_variance, out, parts, len(x), blocks)
    launch(_kernels().batch_gradient_rows, programs, x, *arguments, RECTIFY=rectify, **sizes)
    return out, parts.double().sum(0).float()


def add_column_terms(x: Tensor, grad_x: Tensor, mean: Tensor, by_mean: Tensor, by_spread: Tensor) -> None:
    """grad_x += by_mean + by_spread (x - mean), in place."""
    given = [each.contiguous() for each in (mean, by_mean, by_spread)]
    held = grad_x.contiguous()
    programs, sizes = blocks_of_rows(x)
    launch(_kernels().add_column_terms, programs, x, x.contiguous(), held, *given, len(x), **sizes)
    if held is not grad_x:
        grad_x.copy_(held)


def pullback_rows(
    x: Tensor,
    grad: Tensor,
    column: Tensor,
    variance: Tensor,
    scale: Tensor,
    share: Tensor,
    row_mean: Tensor,
    row_variance: Tensor,
) -> Tensor:
    """The gradient with the columns' statistics held."""
    x, grad = x.contiguous(), grad.contiguous()
    out = torch.empty_like(x)
    arguments = (x, grad, column.contiguous(), variance.contiguous(), scale, share, row_mean, row_variance, out, len(x))
    programs, sizes = blocks_of_rows(x)
    launch(_kernels().pullback_rows, programs, x, *arguments, **sizes)
    return out


def pullback_backward_rows(
    x: Tensor,
    grad: Tensor,
    u: Tensor,
    column: Tensor,
    variance: Tensor,
    scale: Tensor,
    share: Tensor,
    row_mean: Tensor,
    row_variance: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of grad and, without the columns' terms, of x; sums (2, channels) of a s² rho and kappa."""
    x, grad, u = x.contiguous(), grad.contiguous(), u.contiguous()
    grad_grad, grad_x = torch.empty_like(x), torch.empty_like(x)
    programs, blocks, sizes = shares_of_rows(x)
    parts = torch.empty(programs, 2, x.shape[1], device=x.device)
    given = (column.contiguous(), variance.contiguous(), scale, share, row_mean, row_variance)
    arguments = (x, grad, u, *given, grad_grad, grad_x, parts, len(x), blocks)
    launch(_kernels().pullback_backward_rows, programs, x, *arguments, **sizes)
    return grad_grad, grad_x, parts.double().sum(0).float()


def _kernels() -> Any:
    """The module of kernels; triton is imported when they are first wanted."""
    from inr_plugins.networks.kernels import cross_norm_triton_kernels

    return cross_norm_triton_kernels
