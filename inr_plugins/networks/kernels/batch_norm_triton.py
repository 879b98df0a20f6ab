"""Batch normalization with the activation behind it in Triton, for float32 and bfloat16 matrices on CUDA.

z = bias + weight (x - mean) inverse by given statistics of the columns, and f(z), in one pass; its gradient in two, for
the statistics depend on all rows. What is between is computed again and never stored. `kernel_trust` says when these
are used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from inr_plugins import kernel_trust
from inr_plugins.networks.kernels.pointwise_triton import FusedFormula
from inr_plugins.networks.kernels.triton_launch import WIDEST, blocks_of_rows, launch, shares_of_rows

_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 3e-2}
"""Of the types that there are kernels for, relative."""
_ROWS = 301
"""That are compared."""


class FusedActivation(NamedTuple):
    """A real activation.

    Attributes:
        formula: as kernels know it.
        plain: the same in plain torch, differentiable.
    """

    formula: FusedFormula
    plain: Callable[[Tensor], Tensor]


class Columns(NamedTuple):
    """What all rows are normalized by, float32 (channels)."""

    mean: Tensor
    inverse: Tensor
    weight: Tensor
    bias: Tensor


def fits(x: Tensor, activation: FusedActivation) -> bool:
    """Whether the functions here can be used for a matrix (rows, channels)."""
    kind = (x.shape[1], x.dtype)
    return (
        kernel_trust.are_possible(x)
        and x.dtype in _TOLERANCE
        and x.shape[1] <= WIDEST
        and kernel_trust.is_trusted(
            f"Triton's kernels of batch normalization and {activation.formula.kind}",
            (activation.formula, *kind),
            x.device,
            lambda device: trouble(activation, device, *kind),
        )
    )


def normalize_rows(x: Tensor, columns: Columns, formula: FusedFormula) -> Tensor:
    """f(z), of the type of x."""
    x = x.contiguous()
    out = torch.empty_like(x)
    programs, sizes = blocks_of_rows(x)
    arguments = (x, *_held(columns), out, len(x), formula.first, formula.omega)
    launch(_kernels().normalize_rows, programs, x, *arguments, **_flags(formula), **sizes)
    return out


def gradient_sums(x: Tensor, grad: Tensor, columns: Columns, formula: FusedFormula) -> tuple[Tensor, Tensor]:
    """The sums over the rows of g = f'(z) grad, and of g (x - mean) inverse, float32."""
    x, grad = x.contiguous(), grad.contiguous()
    programs, blocks, sizes = shares_of_rows(x)
    parts = torch.empty(programs, 2, x.shape[1], device=x.device)
    arguments = (x, grad, *_held(columns), parts, len(x), blocks, formula.first, formula.omega)
    launch(_kernels().gradient_sums, programs, x, *arguments, **_flags(formula), **sizes)
    of_g, of_weight = parts.double().sum(0).float()
    return of_g, of_weight


def gradient_rows(
    x: Tensor, grad: Tensor, columns: Columns, formula: FusedFormula, by_mean: Tensor, by_spread: Tensor
) -> Tensor:
    """weight inverse f'(z) grad + by_mean + by_spread (x - mean), of the type of x."""
    x, grad = x.contiguous(), grad.contiguous()
    out = torch.empty_like(x)
    programs, sizes = blocks_of_rows(x)
    terms = (by_mean.contiguous(), by_spread.contiguous())
    arguments = (x, grad, *_held(columns), *terms, out, len(x), formula.first, formula.omega)
    launch(_kernels().gradient_rows, programs, x, *arguments, **_flags(formula), **sizes)
    return out


def trouble(
    activation: FusedActivation,
    device: torch.device,
    channels: int = 40,
    dtype: torch.dtype = torch.float32,
) -> str | None:
    """What the kernels give on a device that float64 and autograd do not, or None."""
    drawn = torch.Generator().manual_seed(0)
    unit = activation.formula.unit
    x, grad = ((torch.randn(_ROWS, channels, generator=drawn) * 2 + 1).to(dtype).double() for _ in range(2))
    mean, bias, by_mean, by_spread = torch.randn(4, channels, generator=drawn).double()
    inverse, weight = (torch.rand(2, channels, generator=drawn) + 0.5).double()
    columns = Columns(mean, inverse, weight * unit, bias * unit)
    x.requires_grad_()
    normalized = (x - columns.mean) * columns.inverse
    z = columns.bias + columns.weight * normalized
    # Rounding may put a number that is as good as zero on either side of it.
    grad = grad * (z.detach().abs() > 1e-4 * unit)
    out = activation.plain(z)
    of_z, by_rows = torch.autograd.grad((out * grad).sum(), (z, x))
    truth = {
        "output": out,
        "sums of gradients": of_z.sum(0),
        "sums of weights": (of_z * normalized).sum(0),
        "gradient": by_rows + by_mean + by_spread * (x - columns.mean),
    }
    there = Columns(*(each.float().to(device) for each in columns))
    a, b = (each.detach().to(device, dtype) for each in (x, grad))
    terms = (by_mean.float().to(device), by_spread.float().to(device))
    sums = gradient_sums(a, b, there, activation.formula)
    rows = gradient_rows(a, b, there, activation.formula, *terms)
    found = dict(zip(truth, (normalize_rows(a, there, activation.formula), *sums, rows), strict=True))
    return kernel_trust.disagreement(found, truth, tolerance=_TOLERANCE[dtype])


def _held(columns: Columns) -> tuple[Tensor, ...]:
    return tuple(each.contiguous() for each in columns)


def _flags(formula: FusedFormula) -> dict[str, str | bool]:
    return {"KIND": formula.kind, **formula.flags()}


def _kernels() -> Any:
    """The module of kernels; triton is imported when they are first wanted."""
    from inr_plugins.networks.kernels import batch_norm_triton_kernels

    return batch_norm_triton_kernels
