"""Cross normalization inside `rowwise_gradients`: its spatial gradient, and the gradient of that, in few passes.

With the columns' statistics held, row i of the output is a function of row i of x alone (see cross_normalization):

    y = q h s,   q = D / (D - 1),   h_ij = x_ij - c_j / D - r_i / D,   s_ij = (v_j + w_i + eps)^(-1/2).

For a gradient g of y, with a = q g s and b = a h s²,

    G_ij = a_ij - a_i / D - b_i (x_ij - rowmean_i) / (n - 1)

is the pullback of y, a single index being a sum over the row. The loss's backward needs the gradient of <u, G> for some
u. With p_ij = u_ij - u_i / D and rho_i = sum_j u_ij (x_ij - rowmean_i) / (n - 1), half the derivative of w_i along u,

    <u, G> = sum_ij q g_ij s_ij (p_ij - h_ij s_ij² rho_i),

which is differentiated by g, x, and by the columns' c_j and v_j, and through those by all rows of x.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from inr_plugins.networks.kernels import cross_norm as cross_norm_kernels
from inr_plugins.networks.kernels import cross_norm_triton, cross_norm_trust
from inr_plugins.networks.normalization.batch_statistics import (
    ColumnMoments,
    refuse_second_derivative,
    row_blocks,
    sum_over_ranks,
)
from inr_plugins.networks.normalization.cross import add_column_terms, batch_gradient, mean_terms, normalize_rows


def rowwise_cross_norm(
    x: Float[Tensor, "rows channels"], moments: ColumnMoments, eps: float
) -> Float[Tensor, "rows channels"]:
    """`cross_normalize` by the batch's own statistics, for losses that hold the gradient at positions.

    A backward with create_graph=True takes the columns' statistics for constants; every other counts them, also in what
    the first one gave (`rowwise_gradients`). Under torch.distributed every rank must call each backward equally often.

    Args:
        x: the values, of any floating type; the arithmetic is float32 at least, the output has x's type.
        moments: of x, or of all ranks' x; `detached_column_moments`.
        eps: added to the variances.

    Raises:
        RuntimeError: a third derivative is asked for.
    """
    return _Normalized.apply(x, moments.mean, moments.unbiased_variance + eps, moments.rows)


class _Normalized(torch.autograd.Function):
    """y; `variance` has eps in it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mean: Tensor, variance: Tensor, rows: Tensor) -> Tensor:
        out, row_mean, row_variance = normalize_rows(x, None, None, mean, variance, rows)
        ctx.save_for_backward(x, mean, variance, rows, row_mean, row_variance)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        x, *statistics = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _Pullback.apply(x, grad, *statistics), None, None, None
        return batch_gradient(x, grad, None, None, *statistics)[0], None, None, None


class _Pullback(torch.autograd.Function):
    """G; all its sums over columns, which go through the statistics, are made in the second pass of its backward."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        grad: Tensor,
        mean: Tensor,
        variance: Tensor,
        rows: Tensor,
        row_mean: Tensor,
        row_variance: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(x, grad, mean, variance, rows, row_mean, row_variance)
        column, share, scale = mean_terms(mean, rows)
        given = (column, variance, scale, share, row_mean, row_variance)
        if cross_norm_kernels.fits(x, grad):
            return cross_norm_kernels.pullback_rows(x, grad, *given)
        if cross_norm_trust.pullback_fits(x, grad):
            return cross_norm_triton.pullback_rows(x, grad, *given)
        channels = x.shape[1]
        out = torch.empty_like(x)
        for part in row_blocks(x):
            block = x[part].to(mean.dtype)
            inverse = (variance + row_variance[part]).rsqrt_()
            a = (grad[part].to(mean.dtype) * scale).mul_(inverse)
            b = (block - column).sub_(row_mean[part] * (channels * share)).mul_(inverse).mul_(inverse).mul_(a)
            by_spread = b.sum(1, keepdim=True) / max(channels - 1, 1)
            a.sub_(a.sum(1, keepdim=True) * share)
            torch.addcmul(a, block - row_mean[part], by_spread, value=-1, out=out[part])
        return out

    @staticmethod
    def backward(ctx: Any, u: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivative()
        x, grad, mean, variance, rows, row_mean, row_variance = ctx.saved_tensors
        column, share, scale = mean_terms(mean, rows)
        given = (column, variance, scale, share, row_mean, row_variance)
        if cross_norm_kernels.fits(x, grad, u):
            grad_grad, grad_x, sums = cross_norm_kernels.pullback_backward_rows(x, grad, u, *given)
        elif cross_norm_trust.pullback_fits(x, grad, u):
            grad_grad, grad_x, sums = cross_norm_triton.pullback_backward_rows(x, grad, u, *given)
        else:
            grad_grad, grad_x, sums = _pullback_backward_of_rows(x, grad, u, *given)
        sum_column, sum_variance = sum_over_ranks(sums)
        by_mean = (1 - (x.shape[1] + 1) * share) / rows.clamp(min=1) * sum_column
        add_column_terms(x, grad_x, mean, by_mean, -sum_variance / (rows - 1).clamp(min=1))
        return grad_x, grad_grad, None, None, None, None, None


def _pullback_backward_of_rows(
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
    """Gradients of grad and, without the columns' terms, of x; the sums of a s² rho and kappa over the rows."""
    channels = x.shape[1]
    fewer = max(channels - 1, 1)
    grad_x, grad_grad = torch.empty_like(x), torch.empty_like(grad)
    sum_column, sum_variance = sums = variance.new_zeros(2, channels)
    for part in row_blocks(x):
        block, across = x[part].to(variance.dtype), u[part].to(variance.dtype)
        centred = block - row_mean[part]
        rho = (across * centred).sum(1, keepdim=True) / fewer
        inverse = (variance + row_variance[part]).rsqrt_()
        square = inverse.square()
        # h s², the same times rho, and p.
        pull = (block - column).sub_(row_mean[part] * (channels * share)).mul_(square)
        bend = pull * rho
        row = across.sum(1, keepdim=True)
        p = across - row * share
        scaled = inverse.mul_(scale)
        grad_grad[part] = (p - bend).mul_(scaled)
        a = scaled.mul_(grad[part])
        b = (pull.mul_(a)).sum(1, keepdim=True)
        # d/dw: -1/2 of this, and the same by column for d/dv.
        kappa = p.sub_(bend, alpha=3).mul_(square).mul_(a)
        # a s² rho: minus d/dh.
        by_value = a.mul_(square).mul_(rho)
        sum_column.add_(by_value.sum(0))
        sum_variance.add_(kappa.sum(0))
        found = centred.mul_(kappa.sum(1, keepdim=True) / -fewer)
        found.add_(by_value.sum(1, keepdim=True) * share).sub_(by_value)
        grad_x[part] = found.sub_(across.sub_(row / channels).mul_(b / fewer))
    return grad_grad, grad_x, sums
