"""Normalizations by statistics of the columns: batch, global and cross."""

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inr_plugins import ranks
from inr_plugins.networks.activations.settings import ReLU
from inr_plugins.networks.kernels import batch_norm_triton
from inr_plugins.networks.normalization.base import EPS, Normalization
from inr_plugins.networks.normalization.batch import (
    activated_batch_norm,
    activated_by_statistics,
    batch_norm,
    fused_activation,
)
from inr_plugins.networks.normalization.batch_statistics import (
    ColumnMoments,
    column_moments,
    detached_column_moments,
)
from inr_plugins.networks.normalization.cross import (
    cross_norm,
    cross_norm_of_statistics,
    cross_normalize,
    cross_scope_normalize,
)
from inr_plugins.networks.normalization.cross_rowwise import rowwise_cross_norm
from inr_plugins.networks.normalization.running_statistics import RunningColumns, RunningStatistics

MOMENTUM = 0.1
"""Smallest weight of a batch in the running statistics, PyTorch's."""


class RowCoupledNormalization(Normalization):
    """By statistics of the batch in training and by their running averages in eval (see `normalizations`).

    A batch without rows gives no rows and leaves the running statistics alone. A batch of one row is normalized, with a
    variance of 0 for its columns (PyTorch's batch norm raises), and leaves them alone too. Before the first batch the
    running statistics are mean 0 and variance 1 (`RunningStatistics`).

    Under torch.distributed the statistics are of all ranks' rows: every rank must run as many passes with batch
    statistics as every other, a rank without rows included. Passes with running statistics send nothing.

    A backward through batch statistics with create_graph=True raises a RuntimeError, but for passes inside
    `rowwise_gradients`.
    """

    couples_rows = True

    def __init__(
        self, width: int, *, eps: float = EPS, momentum: float = MOMENTUM, affine: bool = True, sampling_levels: int = 1
    ) -> None:
        """
        Args:
            width: number of channels n.
            eps: added to variances.
            momentum: smallest weight of a batch in the running statistics, in (0, 1].
            affine: learn a factor and a summand for each channel.
            sampling_levels: sets of running statistics, for a network that sees several kinds of batches.

        Raises:
            ValueError: a setting out of its range.
        """
        super().__init__(width, eps=eps, affine=affine)
        self.statistics = RunningStatistics(self.statistics_width, momentum=momentum, sampling_levels=sampling_levels)

    @property
    def statistics_width(self) -> int:
        """Number of running means: one for each channel."""
        return self.width

    def normalize(self, x: Float[Tensor, "rows channels"]) -> Float[Tensor, "rows channels"]:
        """By the batch's statistics or by the running ones, as `normalizations` says."""
        if self.training and not self.statistics.frozen:
            return self.by_batch(x)
        return self.by_running(x, self.statistics.read(x))

    @abstractmethod
    def by_batch(self, x: Float[Tensor, "rows channels"]) -> Float[Tensor, "rows channels"]:
        """Normalize by the batch's statistics and average them into the running ones."""

    @abstractmethod
    def by_running(self, x: Float[Tensor, "rows channels"], running: RunningColumns) -> Float[Tensor, "rows channels"]:
        """Normalize each row for itself by given statistics of the columns."""

    def _moments(self, x: Float[Tensor, "rows channels"]) -> ColumnMoments:
        return column_moments(x, rowwise_gradients=self.statistics.rowwise)

    def _standardize(self, x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        """(x - mean) / sqrt(variance + eps), scaled and shifted; centred first, for a mean may exceed the spread."""
        inverse = torch.rsqrt(variance + self.eps)
        centred = x.to(inverse.dtype) - mean
        if self.weight is None or self.bias is None:
            return (centred * inverse).to(x.dtype)
        gain = self.weight.to(inverse.dtype) * inverse
        return torch.addcmul(self.bias.to(inverse.dtype), centred, gain).to(x.dtype)


class BatchNorm(RowCoupledNormalization):
    """y_ij = (x_ij - mean of column j) / sqrt(biased variance of column j + eps): torch.nn.BatchNorm1d.

    As there, the running variance is the average of unbiased ones.
    """

    def activated(self, x: Float[Tensor, "*rows channels"], activation: nn.Module) -> Float[Tensor, "*rows channels"]:
        """activation(`forward`); on CUDA in the same pass, but for second derivatives and onlookers."""
        uses_batch = self.training and not self.statistics.frozen
        analytic = not self.statistics.rowwise if uses_batch else not torch.is_grad_enabled()
        hooked = any(each._forward_hooks or each._forward_pre_hooks for each in (self, activation))
        fused, rows = fused_activation(activation), self._rows(x)
        if fused is None or hooked or not analytic or not batch_norm_triton.fits(rows, fused):
            return super().activated(x, activation)
        own = (self.weight, self.bias, self.eps, fused)
        if not uses_batch:
            running = self.statistics.read(rows)
            return activated_by_statistics(rows, running.mean, running.variance, *own).view(x.shape)
        moments = detached_column_moments(rows)
        self.statistics.record(moments.mean, moments.unbiased_variance, moments.rows)
        return activated_batch_norm(rows, moments, *own).view(x.shape)

    def by_batch(self, x: Float[Tensor, "rows channels"]) -> Float[Tensor, "rows channels"]:
        """By the columns' means and biased variances."""
        fast = len(x) > 0 and not self.statistics.rowwise and not ranks.is_joint()
        moments = detached_column_moments(x) if fast else self._moments(x)
        self.statistics.record(moments.mean, moments.unbiased_variance, moments.rows)
        if fast:
            return batch_norm(x, moments, self.weight, self.bias, self.eps)
        return self._standardize(x, moments.mean, moments.biased_variance)

    def by_running(self, x: Float[Tensor, "rows channels"], running: RunningColumns) -> Float[Tensor, "rows channels"]:
        """By the running means and variances."""
        return self._standardize(x, running.mean, running.variance)


class GlobalNorm(RowCoupledNormalization):
    """y_ij = (x_ij - mean of all) / sqrt(unbiased variance of all + eps), over the N n elements of the batch.

    As in the authors' code, factor and summand are for each channel. (Not group normalization.)
    """

    @property
    def statistics_width(self) -> int:
        """One running mean for all channels."""
        return 1

    def by_batch(self, x: Float[Tensor, "rows channels"]) -> Float[Tensor, "rows channels"]:
        """By mean and unbiased variance of all elements."""
        moments = self._moments(x)
        mean = moments.mean.mean(0, keepdim=True)
        squares = moments.squares.sum() + moments.rows * (moments.mean - mean).square().sum()
        variance = (squares / (moments.rows * self.width - 1).clamp(min=1))[None]
        self.statistics.record(mean, variance, moments.rows)
        return self._standardize(x, mean, variance)

    def by_running(self, x: Float[Tensor, "rows channels"], running: RunningColumns) -> Float[Tensor, "rows channels"]:
        """By the running mean and variance."""
        return self._standardize(x, running.mean, running.variance)


class CrossNorm(RowCoupledNormalization):
    """Each element is normalized by its cross, the elements of its row and of its column.

    The paper speaks of one mean and one variance over a cross's N + n - 1 elements. The authors' code, followed here
    unless `cross_variance` is set, divides the cross's sum by N + n, and adds the unbiased variances of row and column
    instead (`cross_normalize`): the output's standard deviation then starts near 1/sqrt(2), not 1.

    By running statistics the terms of a row stay exact: its own sum and variance. A column's sum is its running mean
    times N, the running number of rows (infinite before the first batch, which leaves the column's mean alone).
    """

    def __init__(
        self,
        width: int,
        *,
        eps: float = EPS,
        momentum: float = MOMENTUM,
        affine: bool = True,
        sampling_levels: int = 1,
        cross_variance: bool = False,
    ) -> None:
        """As for the other normalizations, and

        Args:
            cross_variance: the paper's own mean and variance over the cross (`cross_scope_normalize`), in plain
                operations and so slower, instead of the authors' code's.
        """
        super().__init__(width, eps=eps, momentum=momentum, affine=affine, sampling_levels=sampling_levels)
        self.cross_variance = cross_variance

    def activated(self, x: Float[Tensor, "*rows channels"], activation: nn.Module) -> Float[Tensor, "*rows channels"]:
        """activation(`forward`); ReLU is done in the passes over rows, where those are analytic and nobody looks on."""
        uses_batch = self.training and not self.statistics.frozen
        analytic = not self.statistics.rowwise if uses_batch else not torch.is_grad_enabled()
        hooked = self._forward_hooks or self._forward_pre_hooks
        if not isinstance(activation, ReLU) or self.cross_variance or hooked or not analytic:
            return super().activated(x, activation)
        rows = self._rows(x)
        own = (self.weight, self.bias, self.eps)
        if uses_batch:
            out = cross_norm(rows, self._recorded_moments(rows), *own, rectify=True)
        else:
            out = cross_norm_of_statistics(rows, *self.statistics.read(rows), *own, rectify=True)
        return out.view(x.shape)

    def by_batch(self, x: Float[Tensor, "rows channels"]) -> Float[Tensor, "rows channels"]:
        """By the crosses of the batch."""
        if not self.cross_variance:
            moments = self._recorded_moments(x)
            if self.statistics.rowwise:
                return self._scale_and_shift(rowwise_cross_norm(x, moments, self.eps))
            return cross_norm(x, moments, self.weight, self.bias, self.eps)
        moments = self._moments(x)
        variance = moments.unbiased_variance
        self.statistics.record(moments.mean, variance, moments.rows)
        z = cross_scope_normalize(x.to(variance.dtype), moments.mean, variance, moments.rows, self.eps)
        return self._scale_and_shift(z).to(x.dtype)

    def by_running(self, x: Float[Tensor, "rows channels"], running: RunningColumns) -> Float[Tensor, "rows channels"]:
        """By the row itself and the running statistics of the columns."""
        if not self.cross_variance and not torch.is_grad_enabled():
            return cross_norm_of_statistics(x, *running, self.weight, self.bias, self.eps)
        function = cross_scope_normalize if self.cross_variance else cross_normalize
        return self._scale_and_shift(function(x.to(running.mean.dtype), *running, self.eps)).to(x.dtype)

    def _recorded_moments(self, x: Float[Tensor, "rows channels"]) -> ColumnMoments:
        moments = detached_column_moments(x)
        self.statistics.record(moments.mean, moments.unbiased_variance, moments.rows)
        return moments
