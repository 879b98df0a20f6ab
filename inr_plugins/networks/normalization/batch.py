"""Batch normalization in few passes over memory, which refuses second derivatives as all batch statistics do."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inr_plugins.networks.activations.settings import AnalyticActivation, ReLU
from inr_plugins.networks.kernels import batch_norm_triton
from inr_plugins.networks.kernels.batch_norm_triton import Columns, FusedActivation
from inr_plugins.networks.kernels.pointwise_triton import FusedFormula
from inr_plugins.networks.normalization.batch_statistics import (
    ColumnMoments,
    refuse_second_derivative,
    statistics_dtype,
    sum_over_ranks,
)


def batch_norm(
    x: Float[Tensor, "rows channels"],
    moments: ColumnMoments,
    weight: Float[Tensor, " channels"] | None,
    bias: Float[Tensor, " channels"] | None,
    eps: float,
) -> Float[Tensor, "rows channels"]:
    """(x - mean) / sqrt(biased variance + eps) weight + bias, by torch's kernels but for the statistics.

    Those of torch's kernel are sums of rows in float32, which on a CPU lose the mean of many rows that are far from
    zero: 0.06 of 100,000 rows around 10,000. The gradient counts the statistics' dependence on x.

    Args:
        x: the values, of any floating type; the output has x's type.
        moments: `detached_column_moments` of x, of one process's rows.
        weight: factor of each channel, 1 when None.
        bias: summand of each channel, 0 when None.
        eps: added to the variances.

    Raises:
        RuntimeError: the backward is asked for a graph of its own (create_graph=True).
    """
    return _BatchNorm.apply(x, weight, bias, moments.mean, moments.biased_variance, eps)


def fused_activation(activation: nn.Module) -> FusedActivation | None:
    """An activation as kernels for CUDA know it, if they do."""
    if isinstance(activation, ReLU):
        return FusedActivation(FusedFormula("relu"), torch.relu)
    if isinstance(activation, AnalyticActivation) and not activation.is_complex:
        formula = activation.formula.fused()
        return None if formula is None else FusedActivation(formula, activation.formula.plain)
    return None


def activated_batch_norm(
    x: Float[Tensor, "rows channels"],
    moments: ColumnMoments,
    weight: Float[Tensor, " channels"] | None,
    bias: Float[Tensor, " channels"] | None,
    eps: float,
    activation: FusedActivation,
) -> Float[Tensor, "rows channels"]:
    """An activation of `batch_norm`, by kernels for CUDA, where `batch_norm_triton.fits` says so.

    One tensor of x's size is kept for the backward: x. With moments of all ranks' rows the gradient counts how those
    depend on this rank's rows, as `column_moments` does; every rank must then call the backward equally often.

    Args:
        x: the values.
        moments: `detached_column_moments` of x, or of all ranks' x.
        weight: factor of each channel, 1 when None.
        bias: summand of each channel, 0 when None.
        eps: added to the variances.
        activation: what is done behind.

    Raises:
        RuntimeError: the backward is asked for a graph of its own (create_graph=True).
    """
    given = (moments.mean, moments.biased_variance, moments.rows, eps, activation.formula)
    return _ActivatedBatchNorm.apply(x, weight, bias, *given)


@torch.no_grad()
def activated_by_statistics(
    x: Float[Tensor, "rows channels"],
    mean: Float[Tensor, " channels"],
    variance: Float[Tensor, " channels"],
    weight: Float[Tensor, " channels"] | None,
    bias: Float[Tensor, " channels"] | None,
    eps: float,
    activation: FusedActivation,
) -> Float[Tensor, "rows channels"]:
    """An activation of (x - mean) / sqrt(variance + eps) weight + bias, without a gradient; as above, by kernels."""
    columns = _columns(x, mean, torch.rsqrt(variance + eps), weight, bias)
    return batch_norm_triton.normalize_rows(x, columns, activation.formula)


def _columns(x: Tensor, mean: Tensor, inverse: Tensor, weight: Tensor | None, bias: Tensor | None) -> Columns:
    wide = statistics_dtype(x)
    factor = torch.ones_like(mean) if weight is None else weight.detach().to(wide)
    return Columns(mean, inverse, factor, torch.zeros_like(mean) if bias is None else bias.detach().to(wide))


class _ActivatedBatchNorm(torch.autograd.Function):
    """With g = f'(z) dL/dout and normalized n = (x - mean) / sqrt(v + eps), the statistics' gradients are

        dL/dmean = -weight / sqrt(v + eps) sum g,    dL/dsquares = -weight / (2 N (v + eps)) sum g n,

    and those of all ranks together, as d mean / dx = 1 / N and d squares / dx = 2 (x - mean), go to every row.
    """

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
        formula: FusedFormula,
    ) -> Tensor:
        inverse = torch.rsqrt(variance + eps)
        ctx.save_for_backward(x, weight, bias, mean, inverse, rows)
        ctx.formula = formula
        return batch_norm_triton.normalize_rows(x, _columns(x, mean, inverse, weight, bias), formula)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivative()
        x, weight, bias, mean, inverse, rows = ctx.saved_tensors
        columns = _columns(x, mean, inverse, weight, bias)
        of_g, of_weight = batch_norm_triton.gradient_sums(x, grad, columns, ctx.formula)
        count = rows.clamp(min=1)
        gain = columns.weight * inverse
        by_mean, by_squares = sum_over_ranks(torch.stack([-gain * of_g, -gain * inverse * of_weight / (2 * count)]))
        grad_x = batch_norm_triton.gradient_rows(x, grad, columns, ctx.formula, by_mean / count, 2 * by_squares)
        grad_weight = None if weight is None else of_weight.to(weight.dtype)
        grad_bias = None if bias is None else of_g.to(bias.dtype)
        return grad_x, grad_weight, grad_bias, None, None, None, None, None


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, variance: Tensor, eps: float
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, torch.rsqrt(variance + eps))
        ctx.eps = eps
        return torch.native_batch_norm(x, weight, bias, mean, variance, False, 0.0, eps)[0]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        refuse_second_derivative()
        x, weight, mean, inverse = ctx.saved_tensors
        wanted = list(ctx.needs_input_grad[:3])
        given = (grad.contiguous(), x, weight, None, None, mean, inverse, True, ctx.eps, wanted)
        return (*torch.ops.aten.native_batch_norm_backward(*given), None, None, None)
