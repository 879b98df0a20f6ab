"""Running averages of column statistics, and the switches that say when they are used."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from inr_plugins.networks.full_precision_buffers import FullPrecisionBuffers
from inr_plugins.networks.normalization.batch_statistics import statistics_dtype


class RunningColumns(NamedTuple):
    """Running averages of one level: column means, unbiased column variances, and the number of rows of a batch."""

    mean: Float[Tensor, " channels"]
    variance: Float[Tensor, " channels"]
    rows: Float[Tensor, ""]


class RunningStatistics(FullPrecisionBuffers):
    """Running averages of column statistics, one set for each level.

    Before the first batch: mean 0, variance 1, infinitely many rows. A batch's weight is max(momentum, 1 / t), t
    counting batches from 1: a plain average at first, so that there is no trace of the start (where
    torch.nn.BatchNorm1d mixes it in), then an exponential one. A batch of fewer than two rows has no spread and one
    with a value that is not finite is a mishap: neither is recorded.

    Attributes:
        frozen: use these averages also in training mode, and average nothing in; set by `frozen_statistics`.
        rowwise: spatial gradients take the batch's statistics for constants; set by `rowwise_gradients`.
        sampling_level: the set that is read and averaged into; set by `use_sampling_level`.
        last: what each level was given last, while `keep_last` asks for it.
    """

    mean: Tensor
    variance: Tensor
    rows: Tensor
    batches: Tensor

    def __init__(self, channels: int, *, momentum: float, sampling_levels: int = 1) -> None:
        """
        Args:
            channels: number of columns.
            momentum: smallest weight of a batch, in (0, 1].
            sampling_levels: number of sets.

        Raises:
            ValueError: momentum or levels out of its range.
        """
        super().__init__()
        if not 0 < momentum <= 1:
            raise ValueError(f"momentum of a normalization must lie in (0, 1], got {momentum}")
        if sampling_levels < 1:
            raise ValueError(f"levels of a normalization must be at least 1, got {sampling_levels}")
        self.momentum = momentum
        self.sampling_levels = sampling_levels
        self.frozen = False
        self.rowwise = False
        self.sampling_level = 0
        self.last: dict[int, RunningColumns] = {}
        self._keeps_last = False
        self.register_buffer("mean", torch.zeros(sampling_levels, channels))
        self.register_buffer("variance", torch.ones(sampling_levels, channels))
        self.register_buffer("rows", torch.full((sampling_levels,), math.inf))
        self.register_buffer("batches", torch.zeros(sampling_levels, dtype=torch.int64))

    def read(self, x: Tensor) -> RunningColumns:
        """The level's averages, in the type of x's statistics; copies, which a later `record` leaves alone."""
        dtype = statistics_dtype(x)
        mean, variance, rows = (
            b[self.sampling_level].to(dtype, copy=True) for b in (self.mean, self.variance, self.rows)
        )
        return RunningColumns(mean, variance, rows)

    def keep_last(self, keep: bool) -> None:
        """Have `last` hold what `record` is given from now on, or be empty; nothing is computed for it."""
        self._keeps_last = keep
        if not keep:
            self.last = {}

    def running(self, sampling_level: int) -> RunningColumns:
        """The averages of a level, as they are held."""
        return RunningColumns(*(each[sampling_level] for each in (self.mean, self.variance, self.rows)))

    @torch.no_grad()
    def record(
        self, mean: Float[Tensor, " channels"], variance: Float[Tensor, " channels"], rows: Float[Tensor, ""]
    ) -> None:
        """Average a batch's means, unbiased variances and number of rows into the level's; no device is waited for."""
        sampling_level = self.sampling_level
        if self._keeps_last:
            self.last[sampling_level] = RunningColumns(mean.detach(), variance.detach(), rows.detach())
        first = self.batches[sampling_level] == 0
        good: Bool[Tensor, ""] = (rows >= 2) & mean.isfinite().all() & variance.isfinite().all()
        weight = (1 / (self.batches[sampling_level] + 1)).clamp(min=self.momentum)
        for buffer, value in ((self.mean, mean), (self.variance, variance), (self.rows, rows)):
            old, value = buffer[sampling_level], value.to(buffer.dtype)
            new = torch.where(first, value, old + weight * (value - old))
            buffer[sampling_level] = torch.where(good, new, old)
        self.batches[sampling_level] += good


@contextmanager
def frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Inside it every normalization at or below `module` uses its running statistics, also in training mode.

    For passes that differentiate with respect to position and for all others that are not the training pass: the
    output of a row depends on that row only, nothing is averaged into the running statistics, and autograd
    differentiates as often as it likes. Gradients with respect to weights flow, the statistics being constants.
    """
    with _set_below(module, "frozen", True):
        yield


@contextmanager
def rowwise_gradients(module: nn.Module) -> Iterator[None]:
    """Inside it batch statistics allow spatial gradients that training can use: those of each row's own output.

    For the forward pass in training mode of a field whose loss holds its gradient. Batch statistics are used and
    averaged in as ever. A backward that is asked for a graph of its own - autograd.grad(y.sum(), x, create_graph=True)
    for outputs y at positions x - takes the columns' statistics for constants, so that row i of it is dy_i/dx_i and not
    the sum over j of dy_j/dx_i. The loss's backward afterwards counts the statistics everywhere, also in that gradient:
    it is the exact gradient of the loss with respect to weights.
    """
    with _set_below(module, "rowwise", True):
        yield


@contextmanager
def use_sampling_level(module: nn.Module, sampling_level: int) -> Iterator[None]:
    """Inside it every normalization at or below `module` reads and averages into its running statistics of `level`.

    Raises:
        ValueError: a normalization has not so many levels.
    """
    for m in module.modules():
        if isinstance(m, RunningStatistics) and not 0 <= sampling_level < m.sampling_levels:
            raise ValueError(
                f"level must lie in [0, {m.sampling_levels}), got {sampling_level}: raise the normalization's levels"
            )
    with _set_below(module, "sampling_level", sampling_level):
        yield


@contextmanager
def _set_below(module: nn.Module, attribute: str, value: int) -> Iterator[None]:
    found = [m for m in module.modules() if isinstance(m, RunningStatistics)]
    before = [getattr(m, attribute) for m in found]
    try:
        for m in found:
            setattr(m, attribute, value)
        yield
    finally:
        for m, old in zip(found, before, strict=True):
            setattr(m, attribute, old)
