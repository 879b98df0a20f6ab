"""Mean and spread of each column of a batch, of all ranks' rows where torch.distributed runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch import distributed as dist

from inr_plugins import ranks
from inr_plugins.networks.kernels import cross_norm as cross_norm_kernels
from inr_plugins.networks.kernels import cross_norm_triton, cross_norm_trust

_CPU_BLOCK = 1 << 17
"""Elements of a block on a CPU: its few temporaries stay in the cache, so that main memory is read once."""
_ACCELERATOR_BLOCK = 1 << 24
"""Elements of a block elsewhere: few kernels, and temporaries of at most 64 MB each."""


class ColumnMoments(NamedTuple):
    """What a batch says about its columns.

    Attributes:
        rows: number N of rows, in the statistics' type.
        mean: mean of each column; 0 where there are no rows.
        squares: sum over the rows of the squared deviations from that mean.
    """

    rows: Float[Tensor, ""]
    mean: Float[Tensor, " channels"]
    squares: Float[Tensor, " channels"]

    @property
    def unbiased_variance(self) -> Float[Tensor, " channels"]:
        """squares / (N - 1), and 0 for a single row, whose spread is not defined."""
        return self.squares / (self.rows - 1).clamp(min=1)

    @property
    def biased_variance(self) -> Float[Tensor, " channels"]:
        """squares / N, and 0 for no row."""
        return self.squares / self.rows.clamp(min=1)


def statistics_dtype(x: Tensor) -> torch.dtype:
    """The type that statistics of x are computed in: at least float32, for sums over many rows overflow in half."""
    return torch.promote_types(x.dtype, torch.float32)


def row_blocks(x: Float[Tensor, "rows channels"]) -> Iterator[slice]:
    """Slices of rows small enough that the temporaries of a chain of operations stay in a CPU's cache."""
    rows, channels = x.shape
    elements = _CPU_BLOCK if x.device.type == "cpu" else _ACCELERATOR_BLOCK
    step = max(1, elements // max(channels, 1))
    return (slice(start, start + step) for start in range(0, rows, step))


def column_moments(x: Float[Tensor, "rows channels"], *, rowwise_gradients: bool = False) -> ColumnMoments:
    """Count, mean and centred squares of the columns of x, of all ranks' rows together.

    Centred squares, and not E[x²] - E[x]², which cancels when the mean is large beside the spread. Differentiable once
    in x, by every rank's loss (the gradient of the sum of the ranks' losses, as torch.nn.SyncBatchNorm has it). Under
    torch.distributed every rank must call it, and its backward, equally often; a rank may have no rows.

    Args:
        x: the batch.
        rowwise_gradients: a backward that is asked for a graph of its own (create_graph=True) takes the moments for
            constants, as the spatial gradient of one row's output wants it; every other backward counts them.

    Raises:
        RuntimeError: such a backward without `rowwise_gradients`.
    """
    return ColumnMoments(*_ColumnMoments.apply(x, rowwise_gradients))


@torch.no_grad()
def detached_column_moments(x: Float[Tensor, "rows channels"]) -> ColumnMoments:
    """`column_moments` without a gradient."""
    local = _local_moments(x)
    if not ranks.is_joint():
        return local
    channels = x.shape[1]
    packed = torch.cat([local.rows[None], local.mean, local.squares])
    gathered = [torch.empty_like(packed) for _ in range(dist.get_world_size())]
    dist.all_gather(gathered, packed)
    counts, means, squares = torch.stack(gathered).split([1, channels, channels], dim=1)
    return _merge(counts[:, 0], means, squares)


def sum_over_ranks(x: Tensor) -> Tensor:
    """The sum of every rank's x, in place; x itself where torch.distributed does not run."""
    if ranks.is_joint():
        dist.all_reduce(x)
    return x


def refuse_second_derivative() -> None:
    """Called in a backward: raise where the gradient is to be differentiated again.

    Raises:
        RuntimeError: create_graph=True. It is nearly always a spatial gradient, and that of one row's output with
            respect to its own position is not what batch statistics give: they couple all rows.
    """
    if torch.is_grad_enabled():
        raise RuntimeError(
            "create_graph=True through batch statistics: rows are coupled, so this is not the gradient of a row with "
            "respect to its own position; take spatial gradients inside rowwise_gradients(module) or "
            "frozen_statistics(module), or in eval mode"
        )


def _merge(
    counts: Float[Tensor, " parts"], means: Float[Tensor, "parts channels"], squares: Float[Tensor, "parts channels"]
) -> ColumnMoments:
    """Moments of a whole from those of its parts (Chan, Golub and LeVeque 1979, eq. 2.1)."""
    rows = counts.sum()
    mean = ((counts / rows.clamp(min=1))[:, None] * means).sum(0)
    between = counts[:, None] * (means - mean).square()
    return ColumnMoments(rows, mean, (squares + between).sum(0))


def _local_moments(x: Float[Tensor, "rows channels"]) -> ColumnMoments:
    dtype = statistics_dtype(x)
    if cross_norm_kernels.fits(x):
        mean, squared = cross_norm_kernels.column_sums(x)
        return ColumnMoments(torch.tensor(float(len(x))), mean, squared)
    if cross_norm_trust.fits(x):
        mean, squared = cross_norm_triton.column_sums(x)
        return ColumnMoments(mean.new_full((), len(x)), mean, squared)
    counts, means, squares = [], [], []
    for part in row_blocks(x):
        block = x[part].to(dtype)
        mean = block.mean(0)
        # Filled in, not copied from the host, which would wait for the device.
        counts.append(block.new_full((), len(block)))
        means.append(mean)
        squares.append((block - mean).square_().sum(0))
    if not counts:
        nothing = x.new_zeros(x.shape[1], dtype=dtype)
        return ColumnMoments(nothing.new_zeros(()), nothing, nothing)
    return _merge(torch.stack(counts), torch.stack(means), torch.stack(squares))


class _ColumnMoments(torch.autograd.Function):
    """d mean_j / d x_ij = 1 / N and d squares_j / d x_ij = 2 (x_ij - mean_j)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rowwise_gradients: bool) -> tuple[Tensor, Tensor, Tensor]:
        moments = detached_column_moments(x)
        ctx.rowwise_gradients = rowwise_gradients
        ctx.save_for_backward(x, moments.rows, moments.mean)
        ctx.mark_non_differentiable(moments.rows)
        return moments.rows, moments.mean, moments.squares

    @staticmethod
    def backward(ctx: Any, _: Tensor, grad_mean: Tensor, grad_squares: Tensor) -> tuple[Tensor | None, None]:
        if ctx.rowwise_gradients and torch.is_grad_enabled():
            return None, None
        refuse_second_derivative()
        x, rows, mean = ctx.saved_tensors
        by_mean, by_squares = sum_over_ranks(torch.stack([grad_mean, grad_squares])).unbind()
        centred = x.to(mean.dtype) - mean
        return torch.addcmul(by_mean / rows.clamp(min=1), centred, 2 * by_squares).to(x.dtype), None
