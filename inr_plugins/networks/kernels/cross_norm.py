"""Cross normalization's passes over rows in C (cross_norm.c), for float32 and bfloat16 matrices on a CPU.

Each function computes what its twin in torch does, which says what that is (`cross_normalization`,
`rowwise_cross_norm`, `batch_statistics`). Rows are shared out among torch's threads.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from inr_plugins.networks.kernels.c_library import load_c_library

_KINDS = {torch.float32: 0, torch.bfloat16: 1}
_LEAST_SHARE = 1 << 16
"""Elements that are worth a thread of their own."""


@functools.cache
def _library() -> ctypes.CDLL | None:
    return load_c_library(Path(__file__).with_name("cross_norm.c"))


def fits(*matrices: Tensor) -> bool:
    """Whether the functions here can be used for these matrices (rows, channels)."""
    first = matrices[0]
    return (
        first.dtype in _KINDS
        and first.numel() > 0
        and all(m.device.type == "cpu" and m.dtype == first.dtype and m.is_contiguous() for m in matrices)
        and not torch.compiler.is_compiling()
        and _library() is not None
    )


def column_sums(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of each column and sum of the squared deviations from it, float32."""
    rows = len(x)
    # Near the mean, as sums of squares want it: a row of the matrix itself.
    shift = x[0].float()
    sums = _in_parts("column_sums", x, [shift], sums=2)
    mean = sums[0] / rows
    squares = (sums[1] - rows * mean.square()).clamp(min=0)
    return (shift.double() + mean).float(), squares.float()


def normalize_rows(
    x: Tensor, column: Tensor, variance: Tensor, gain: Tensor, bias: Tensor, share: Tensor, *, rectify: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The output, and mean and variance of each row (rows, 1)."""
    out = torch.empty_like(x)
    row_mean, row_variance = torch.empty(2, len(x), 1).unbind()
    _in_parts("normalize_rows", x, [column, variance, gain, bias, float(share), rectify, out, row_mean, row_variance])
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
    rest: list[Tensor | float] = [column, variance, gain, bias, float(share), rectify, row_mean, row_variance, out]
    return out, _in_parts("batch_gradient_rows", x, rest, others=[grad], sums=4).float()


def add_column_terms(x: Tensor, grad_x: Tensor, mean: Tensor, by_mean: Tensor, by_spread: Tensor) -> None:
    """grad_x += by_mean + by_spread (x - mean), in place."""
    _in_parts("add_column_terms", x, [mean, by_mean, by_spread, grad_x])


def pullback_rows(
    x: Tensor,
    grad: Tensor,
    column: Tensor,
    variance: Tensor,
    gain: Tensor,
    share: Tensor,
    row_mean: Tensor,
    row_variance: Tensor,
) -> Tensor:
    """The gradient with the columns' statistics held."""
    out = torch.empty_like(x)
    rest: list[Tensor | float] = [column, variance, float(gain), float(share), row_mean, row_variance, out]
    _in_parts("pullback_rows", x, rest, others=[grad])
    return out


def pullback_backward_rows(
    x: Tensor,
    grad: Tensor,
    u: Tensor,
    column: Tensor,
    variance: Tensor,
    gain: Tensor,
    share: Tensor,
    row_mean: Tensor,
    row_variance: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of grad and, without the columns' terms, of x; sums (2, channels) of a s² rho and kappa."""
    grad_grad, grad_x = torch.empty_like(x), torch.empty_like(x)
    rest: list[Tensor | float] = [
        column,
        variance,
        float(gain),
        float(share),
        row_mean,
        row_variance,
        grad_grad,
        grad_x,
    ]
    sums = _in_parts("pullback_backward_rows", x, rest, others=[grad, u], sums=2)
    return grad_grad, grad_x, sums.float()


def _in_parts(
    name: str, x: Tensor, rest: list[Tensor | float], *, others: list[Tensor] | None = None, sums: int = 0
) -> Tensor:
    """Call a function of the library for shares of the rows; the total of the shares' sums, float64 (sums, channels).

    Its arguments are x, the other matrices, their kind, rows, channels, the rest, its sums, and how many shares.
    """
    library = _library()
    assert library is not None
    function: Callable[..., int] = getattr(library, name)
    rows, channels = x.shape
    threads = max(1, min(torch.get_num_threads(), x.numel() // _LEAST_SHARE))
    totals = torch.zeros(threads, sums, channels, dtype=torch.float64)
    # Held until the call is over: it sees addresses only.
    held = [each.contiguous() if isinstance(each, Tensor) else each for each in rest]
    matrices = [_pointer(each) for each in (x, *(others or []))]
    shape = (ctypes.c_int(_KINDS[x.dtype]), ctypes.c_int64(rows), ctypes.c_int64(channels))
    arguments = [_argument(each) for each in held]
    own = [_pointer(totals)] if sums else []
    if function(*matrices, *shape, *arguments, *own, ctypes.c_int(threads)):
        raise MemoryError(f"no memory for the rows of a matrix of {rows} x {channels} in {name}")
    return totals.sum(0)


def _argument(value: Tensor | float) -> ctypes.c_void_p | ctypes.c_int | ctypes.c_float:
    if isinstance(value, Tensor):
        return _pointer(value)
    return ctypes.c_int(value) if isinstance(value, bool) else ctypes.c_float(value)


def _pointer(t: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(t.data_ptr())
