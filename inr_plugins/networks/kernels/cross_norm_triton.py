"""Cross normalization's passes over rows in Triton, for float32 and bfloat16 matrices on CUDA.

Each function computes what its twin in torch does (`cross`, `batch_statistics`), reading and writing each matrix once.
torch brings Triton along for CUDA. The kernels are believed after they have agreed with their twins on the device at
hand, once a process; else, and where INR_KERNELS is off, the twins are used.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from typing import Any, NamedTuple

import torch
from torch import Tensor

_TYPES = (torch.float32, torch.bfloat16)
_WIDEST = 4096
_ELEMENTS = 2048
"""Of a block of rows, which a program holds in registers."""
_PROGRAMS = 1024
"""That add up columns, at the most; their sums are added by torch."""


def fits(*matrices: Tensor) -> bool:
    """Whether the functions here can be used for these matrices (rows, channels)."""
    first = matrices[0]
    return (
        first.device.type == "cuda"
        and first.dtype in _TYPES
        and first.numel() > 0
        and first.shape[1] <= _WIDEST
        and all(m.dtype == first.dtype and m.is_contiguous() for m in matrices)
        and not torch.compiler.is_compiling()
        and works()
    )


@functools.cache
def works() -> bool:
    """Whether the kernels can be had on this machine's CUDA device, and say there what their twins say."""
    if os.environ.get("INR_KERNELS", "").lower() == "off" or not torch.cuda.is_available():
        return False
    if importlib.util.find_spec("triton") is None:
        return False
    try:
        # Asked in the middle of a step, wherever that is.
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast("cuda", enabled=False):
            return agrees(torch.device("cuda"))
    except Exception:  # whatever a compiler or a driver may raise
        return False


class _Given(NamedTuple):
    """What all rows are normalized by."""

    column: Tensor
    variance: Tensor
    gain: Tensor
    bias: Tensor
    share: Tensor


def agrees(device: torch.device) -> bool:
    """Whether the kernels give on a device what a few lines of float64 do, to rounding."""
    drawn = torch.Generator().manual_seed(0)
    x, grad = torch.randn(2, 301, 40, generator=drawn) * 2 + 3
    column, gain, bias = torch.randn(3, 40, generator=drawn)
    variance, share = torch.rand(40, generator=drawn) + 0.5, torch.tensor(1 / 342)
    given = _Given(*(each.to(device) for each in (column, variance, gain, bias, share)))
    out, row_mean, row_variance = normalize_rows(x.to(device), *given, rectify=True)
    rows = (row_mean, row_variance)
    grad_x, sums = batch_gradient_rows(x.to(device), grad.to(device), *given, *rows, rectify=True)
    mean, squares = column_sums(x.to(device))
    add_column_terms(x.to(device), grad_x, mean, given.column, given.variance)

    wide = x.double().requires_grad_()
    spread = (variance.double() + wide.var(1, keepdim=True)).rsqrt()
    normalized = (wide - column.double() - wide.mean(1, keepdim=True) * 40 * share.double()) * spread
    truth = (bias.double() + normalized * gain.double()).relu()
    (by_rows,) = torch.autograd.grad((truth * grad.double()).sum(), wide)
    with torch.no_grad():
        centred = wide - wide.mean(0)
        passed = grad.double() * (truth > 0)
        scaled = passed * gain.double() * spread
        by_rows = by_rows + column.double() + variance.double() * centred
        wanted = (
            *(truth.detach(), wide.mean(1), wide.var(1), by_rows, wide.mean(0), centred.square().sum(0)),
            torch.stack([each.sum(0) for each in (passed, passed * normalized, scaled, scaled * normalized * spread)]),
        )
    found = (out, row_mean[:, 0], row_variance[:, 0], grad_x, mean, squares, sums)
    return all(
        torch.allclose(a.double().cpu(), b, rtol=1e-3, atol=1e-4 * float(b.abs().max()))
        for a, b in zip(found, wanted, strict=True)
    )


def column_sums(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of each column and sum of the squared deviations from it, float32."""
    rows = len(x)
    # Near the mean, as sums of squares want it: a row of the matrix itself.
    shift = x[0].float()
    grid, blocks, sizes = _shares(x)
    parts = torch.empty(grid[0], 2, x.shape[1], device=x.device)
    _kernels().column_sums[grid](x, shift, parts, rows, blocks, **sizes)
    sums = parts.double().sum(0)
    mean = sums[0] / rows
    squares = (sums[1] - rows * mean.square()).clamp(min=0)
    return (shift.double() + mean).float(), squares.float()


def normalize_rows(
    x: Tensor, column: Tensor, variance: Tensor, gain: Tensor, bias: Tensor, share: Tensor, *, rectify: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The output, and mean and variance of each row (rows, 1)."""
    out = torch.empty_like(x)
    row_mean, row_variance = torch.empty(2, len(x), 1, device=x.device).unbind()
    sizes = _sizes(x)
    grid = (-(-len(x) // sizes["BLOCK"]),)
    given = [each.contiguous() for each in (column, variance, gain, bias)]
    _kernels().normalize_rows[grid](x, *given, share, out, row_mean, row_variance, len(x), RECTIFY=rectify, **sizes)
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
    out = torch.empty_like(x)
    grid, blocks, sizes = _shares(x)
    parts = torch.empty(grid[0], 4, x.shape[1], device=x.device)
    given = [each.contiguous() for each in (column, variance, gain, bias)]
    _kernels().batch_gradient_rows[grid](
        *(x, grad, *given, share, row_mean, row_variance, out, parts, len(x), blocks), RECTIFY=rectify, **sizes
    )
    return out, parts.double().sum(0).float()


def add_column_terms(x: Tensor, grad_x: Tensor, mean: Tensor, by_mean: Tensor, by_spread: Tensor) -> None:
    """grad_x += by_mean + by_spread (x - mean), in place."""
    sizes = _sizes(x)
    grid = (-(-len(x) // sizes["BLOCK"]),)
    given = [each.contiguous() for each in (mean, by_mean, by_spread)]
    _kernels().add_column_terms[grid](x, grad_x, *given, len(x), **sizes)


def _sizes(x: Tensor) -> dict[str, int]:
    """Channels, the next power of two, and rows of a block."""
    padded = 1 << (x.shape[1] - 1).bit_length()
    return {"CHANNELS": x.shape[1], "PADDED": padded, "BLOCK": max(1, _ELEMENTS // padded)}


def _shares(x: Tensor) -> tuple[tuple[int], int, dict[str, int]]:
    """Programs that share the rows, the blocks of rows of each, and `_sizes`."""
    sizes = _sizes(x)
    blocks = -(-len(x) // sizes["BLOCK"])
    each = -(-blocks // _PROGRAMS)
    return (-(-blocks // each),), each, sizes


def _kernels() -> Any:
    """The module of kernels; triton is imported when they are first wanted."""
    from inr_plugins.networks.kernels import cross_norm_triton_kernels

    return cross_norm_triton_kernels
