"""Cross normalization as functions: plain compositions, and an analytic gradient in few passes over memory.

Rows i = 1..N are points, columns j = 1..n are channels. With row sums r_i, column sums c_j and the unbiased variances
w_i of row i and v_j of column j, the authors' code computes

    mean_ij = (r_i + c_j - x_ij) / (N + n),    y_ij = (x_ij - mean_ij) / sqrt(v_j + w_i + eps),

which is, with D = N + n + 1, y_ij = D / (D - 1) (x_ij - c_j / D - r_i / D) / sqrt(v_j + w_i + eps).
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


def cross_normalize(
    x: Float[Tensor, "rows channels"],
    mean: Float[Tensor, " channels"],
    variance: Float[Tensor, " channels"],
    rows: Float[Tensor, ""],
    eps: float,
) -> Float[Tensor, "rows channels"]:
    """The authors' form in plain operations, given the columns' statistics; autograd differentiates it twice.

    Args:
        x: the values; at least float32.
        mean: c_j / N.
        variance: v_j.
        rows: N; infinity gives the limit, in which mean_ij is the column's mean.
        eps: added to the variances.
    """
    column, share, scale = mean_terms(mean, rows)
    row_mean, row_variance = _row_moments(x)
    deviation = x - column - x.shape[1] * share * row_mean
    # The scale belongs to the small terms of the variance, not to a pass over all elements.
    return deviation * torch.rsqrt((variance + eps) / scale**2 + row_variance / scale**2)


def cross_scope_normalize(
    x: Float[Tensor, "rows channels"],
    mean: Float[Tensor, " channels"],
    variance: Float[Tensor, " channels"],
    rows: Float[Tensor, ""],
    eps: float,
) -> Float[Tensor, "rows channels"]:
    """Mean and variance of each element's own cross, as the paper's text has it; arguments as in `cross_normalize`.

    The cross of ij is column j and row i, with ij once: M = N + n - 1 members. Their variance is the biased one
    (/ M), as in batch and layer normalization. In terms of d, by which the cross's mean exceeds the column's,

        M var_ij = N (v_j (N - 1) / N + d²) + sum_l (x_il - mean_ij)² - (x_ij - mean_ij)².

    It is never negative, whatever the column's statistics: the row's sum holds the term that is taken away.
    """
    channels = x.shape[1]
    share = 1 / (rows + (channels - 1))
    row_mean, row_variance = _row_moments(x)
    excess = share * (channels * row_mean - x - (channels - 1) * mean)
    deviation = x - mean - excess
    of_column = variance * (1 - 1 / rows.clamp(min=1)) + excess.square()
    row_squares = max(channels - 1, 1) * row_variance + channels * (row_mean - mean - excess).square()
    spread = (1 - (channels - 1) * share) * of_column + share * (row_squares - deviation.square())
    return deviation * torch.rsqrt(spread + eps)


def cross_norm(
    x: Float[Tensor, "rows channels"],
    moments: ColumnMoments,
    weight: Float[Tensor, " channels"] | None,
    bias: Float[Tensor, " channels"] | None,
    eps: float,
    *,
    rectify: bool = False,
) -> Float[Tensor, "rows channels"]:
    """weight * `cross_normalize` + bias with the batch's own statistics, in few passes over memory.

    The gradient is analytic, counts the statistics' dependence on x (that of all ranks under torch.distributed, where
    every rank must call the backward equally often), and one tensor of x's size is kept for it: x.

    Args:
        x: the values, of any floating type; the arithmetic is float32 at least, the output has x's type.
        moments: of x, or of all ranks' x; `detached_column_moments`, their gradient is dealt with here.
        weight: factor of each channel, 1 when None.
        bias: summand of each channel, 0 when None.
        eps: added to the variances.
        rectify: ReLU of all that, in the same passes: a third of the memory that both apart go through is saved.

    Raises:
        RuntimeError: the backward is asked for a graph of its own (create_graph=True).
    """
    return _CrossNorm.apply(x, weight, bias, moments.mean, moments.unbiased_variance, moments.rows, eps, rectify)


@torch.no_grad()
def cross_norm_of_statistics(
    x: Float[Tensor, "rows channels"],
    mean: Float[Tensor, " channels"],
    variance: Float[Tensor, " channels"],
    rows: Float[Tensor, ""],
    weight: Float[Tensor, " channels"] | None,
    bias: Float[Tensor, " channels"] | None,
    eps: float,
    *,
    rectify: bool = False,
) -> Float[Tensor, "rows channels"]:
    """weight * `cross_normalize` + bias, and ReLU of it if rectify, without a gradient, in few passes over memory."""
    return normalize_rows(x, weight, bias, mean, variance + eps, rows, rectify=rectify)[0]


def mean_terms(mean: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """c_j / D, 1 / D and D / (D - 1), none of which needs N to be finite."""
    channels = len(mean)
    share = 1 / (rows + (channels + 1))
    return mean * (1 - (channels + 1) * share), share, 1 + 1 / (rows + channels)


def _row_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and unbiased variance of each row (rows, 1); the variance of a single channel is 0."""
    mean = x.mean(-1, keepdim=True)
    return mean, (x - mean).square().sum(-1, keepdim=True) / max(x.shape[1] - 1, 1)


def normalize_rows(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    rows: Tensor,
    *,
    rectify: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """The output, and mean and variance of each row; `variance` is the columns' with eps in it."""
    column, share, scale = mean_terms(mean, rows)
    gain, shift = _gain_and_shift(weight, bias, mean, scale)
    if cross_norm_kernels.fits(x):
        return cross_norm_kernels.normalize_rows(x, column, variance, gain, shift, share, rectify=rectify)
    if cross_norm_trust.fits(x):
        return cross_norm_triton.normalize_rows(x, column, variance, gain, shift, share, rectify=rectify)
    out = torch.empty_like(x)
    row_mean, row_variance = mean.new_empty(2, len(x), 1).unbind()
    for part in row_blocks(x):
        block = x[part].to(mean.dtype)
        row_mean[part], row_variance[part] = _row_moments(block)
        deviation = (block - column).sub_(row_mean[part] * (x.shape[1] * share))
        normalized = deviation.mul_((variance + row_variance[part]).rsqrt_())
        torch.addcmul(shift, normalized, gain, out=out[part])
    return out.relu_() if rectify else out, row_mean, row_variance


def _gain_and_shift(weight: Tensor | None, bias: Tensor | None, mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Factor of h s and summand of each channel."""
    gain = scale.expand_as(mean) if weight is None else scale * weight.to(mean.dtype)
    return gain, torch.zeros_like(mean) if bias is None else bias.to(mean.dtype)


def batch_gradient(
    x: Tensor,
    grad: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    rows: Tensor,
    row_mean: Tensor,
    row_variance: Tensor,
    *,
    rectify: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradient of x, and the sums over the rows of dL/dout and of dL/dout h s, those of bias and of weight / scale.

    With out = gain_j h_ij s_ij + bias_j, h = x - c / D - r / D, s = (v + w + eps)^(-1/2), gain = weight D / (D - 1),
    a = dL/dh = gain s dL/dout, and b = a h s² = -2 dL/dv, whose sums over a column or row carry one index,

        dL/dx_ij = a_ij - (a_i + a_j) / D - b_i (x_ij - rowmean_i) / (n - 1) - b_j (x_ij - mean_j) / (N - 1).

    The terms of the columns need all rows, so they are added in a second pass. `variance` is v + eps. If rectify, the
    gradient given is that of ReLU's output, which is dL/dout where out is positive.
    """
    column, share, scale = mean_terms(mean, rows)
    gain, shift = _gain_and_shift(weight, bias, mean, scale)
    given = (column, variance, gain, shift, share, row_mean, row_variance)
    if cross_norm_kernels.fits(x, grad):
        grad_x, sums = cross_norm_kernels.batch_gradient_rows(x, grad, *given, rectify=rectify)
    elif cross_norm_trust.fits(x, grad):
        grad_x, sums = cross_norm_triton.batch_gradient_rows(x, grad, *given, rectify=rectify)
    else:
        grad_x, sums = _gradient_of_rows(x, grad, *given, rectify=rectify)
    sum_a, sum_b = sum_over_ranks(sums[2:].clone())
    add_column_terms(x, grad_x, mean, -share * sum_a, -sum_b / (rows - 1).clamp(min=1))
    return grad_x, sums[0], sums[1]


def add_column_terms(x: Tensor, grad_x: Tensor, mean: Tensor, by_mean: Tensor, by_spread: Tensor) -> None:
    """grad_x += by_mean + by_spread (x - mean), in place."""
    if cross_norm_kernels.fits(x, grad_x):
        cross_norm_kernels.add_column_terms(x, grad_x, mean, by_mean, by_spread)
        return
    if cross_norm_trust.fits(x, grad_x):
        cross_norm_triton.add_column_terms(x, grad_x, mean, by_mean, by_spread)
        return
    for part in row_blocks(x):
        grad_x[part].add_(torch.addcmul(by_mean, x[part].to(mean.dtype) - mean, by_spread))


def _gradient_of_rows(
    x: Tensor,
    grad: Tensor,
    column: Tensor,
    variance: Tensor,
    gain: Tensor,
    shift: Tensor,
    share: Tensor,
    row_mean: Tensor,
    row_variance: Tensor,
    *,
    rectify: bool,
) -> tuple[Tensor, Tensor]:
    """`batch_gradient` without the columns' terms, and the sums of g, g h s, a and b over the rows."""
    channels = x.shape[1]
    grad_x = torch.empty_like(x)
    sum_grad, sum_weight, sum_a, sum_b = sums = column.new_zeros(4, channels)
    for part in row_blocks(x):
        block, g = x[part].to(column.dtype), grad[part].to(column.dtype)
        inverse = (variance + row_variance[part]).rsqrt_()
        normalized = (block - column).sub_(row_mean[part] * (channels * share)).mul_(inverse)
        if rectify:
            g = g.masked_fill(torch.addcmul(shift, normalized, gain) <= 0, 0.0)
        a = (g * gain).mul_(inverse)
        sum_grad.add_(g.sum(0))
        sum_weight.add_((g * normalized).sum(0))
        sum_a.add_(a.sum(0))
        b = normalized.mul_(a).mul_(inverse)
        sum_b.add_(b.sum(0))
        by_spread = b.sum(1, keepdim=True) / max(channels - 1, 1)
        a.sub_(a.sum(1, keepdim=True) * share)
        torch.addcmul(a, block - row_mean[part], by_spread, value=-1, out=grad_x[part])
    return grad_x, sums


class _CrossNorm(torch.autograd.Function):
    """weight * `cross_normalize` + bias, by the batch's own statistics, and ReLU of it if rectify."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        variance: Tensor,
        rows: Tensor,
        eps: float,
        rectify: bool,
    ) -> Tensor:
        variance = variance + eps
        out, row_mean, row_variance = normalize_rows(x, weight, bias, mean, variance, rows, rectify=rectify)
        ctx.save_for_backward(x, weight, bias, mean, variance, rows, row_mean, row_variance)
        ctx.rectify = rectify
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivative()
        x, weight, bias, mean, variance, rows, row_mean, row_variance = ctx.saved_tensors
        given = (weight, bias, mean, variance, rows, row_mean, row_variance)
        grad_x, sum_grad, sum_weight = batch_gradient(x, grad, *given, rectify=ctx.rectify)
        grad_weight = None if weight is None else (mean_terms(mean, rows)[2] * sum_weight).to(weight.dtype)
        grad_bias = None if bias is None else sum_grad.to(bias.dtype)
        return grad_x, grad_weight, grad_bias, None, None, None, None, None
