"""Smoothing and differences of a table on a sparse lattice, along its axes.

A row's neighbours may be missing. Every stencil here then leaves out what it cannot know in a way that a linear
function passes through unharmed: a signed distance keeps its slope up to the border of the cells that hold it.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from inr_plugins.networks.voxels.sparse_lattice import SparseLattice

SIGMA = 0.8
"""Of the smoothing, in cells, cut off after two: Voxurf's 5^3 Gaussian."""


def gaussian_weights(sigma: float = SIGMA) -> tuple[float, float]:
    """Weights of the neighbours one and two cells away, of a Gaussian of five taps that sums to one."""
    taps = [math.exp(-0.5 * (k / sigma) ** 2) for k in (0, 1, 2)]
    whole = taps[0] + 2 * taps[1] + 2 * taps[2]
    return taps[1] / whole, taps[2] / whole


class _Stencil(torch.autograd.Function):
    """out_i = own_i v_i + up_i v_(i+) + down_i v_(i-), where i+ is i's neighbour, and i the neighbour's neighbour.

    Because neighbours are mutual its transpose is another such sum, so that no gradient is scattered.
    """

    @staticmethod
    def forward(ctx: Any, v: Tensor, own: Tensor, up: Tensor, down: Tensor, plus: Tensor, minus: Tensor) -> Tensor:
        ctx.save_for_backward(own, up, down, plus, minus)
        return torch.addcmul(own * v, up, _take(v, plus)).addcmul_(down, _take(v, minus))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        own, up, down, plus, minus = ctx.saved_tensors
        return own * grad + _take(up * grad, minus) + _take(down * grad, plus), None, None, None, None, None


def _take(v: Tensor, index: Tensor) -> Tensor:
    """Entries of v; 0 where the index is that of the entry after the last."""
    return torch.cat([v, v.new_zeros(1)]).index_select(0, index)


class LatticeStencils:
    """The neighbours of each row of a lattice, and the sums that are taken over them. All values are one a row."""

    def __init__(self, lattice: SparseLattice) -> None:
        """
        Args:
            lattice: whose vertices have the rows.
        """
        self.lattice = lattice
        counts = [n + 1 for n in lattice.shape]
        rows, device = lattice.num_rows, lattice.origin.device
        row_of = torch.full((math.prod(counts),), rows, dtype=torch.int32, device=device)
        row_of[lattice.vertex_ids] = torch.arange(rows, dtype=torch.int32, device=device)
        self.row_of = row_of
        self.ones, self.zeros = (torch.full((rows,), value, device=device) for value in (1.0, 0.0))
        self._neighbours: list[list[tuple[Tensor, Tensor]]] = []
        strides = (counts[1] * counts[2], counts[2], 1)
        for axis, stride in enumerate(strides):
            at = lattice.vertex_ids // stride % counts[axis]
            near = []
            for k in (1, 2):
                plus = self._rows_at(lattice.vertex_ids + k * stride, at + k < counts[axis])
                minus = self._rows_at(lattice.vertex_ids - k * stride, at - k >= 0)
                near.append((plus, minus))
            self._neighbours.append(near)
        one, two = gaussian_weights()
        # For each axis and distance: the weight of both neighbours, 0 where one is missing.
        self._both = [[((plus < rows) & (minus < rows)).float() for plus, minus in near] for near in self._neighbours]
        self._smoothing = [(both[0] * one, both[1] * two) for both in self._both]
        self._slopes = [self._slope_weights(near[0]) for near in self._neighbours]

    def _rows_at(self, ids: Tensor, inside: Tensor) -> Int[Tensor, " v"]:
        found = self.row_of.take(ids.clamp(0, len(self.row_of) - 1))
        return torch.where(inside, found, self.lattice.num_rows)

    def _slope_weights(self, near: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Central differences, one-sided ones where one neighbour is missing, 0 where both are."""
        has_plus, has_minus = ((side < self.lattice.num_rows).float() for side in near)
        up, down = has_plus * (1 - 0.5 * has_minus), -has_minus * (1 - 0.5 * has_plus)
        return -(up + down), up, down

    def smoothed(self, v: Float[Tensor, " v"]) -> Float[Tensor, " v"]:
        """The values under a Gaussian of five taps along each axis, in which a missing neighbour takes the other with
        it: v_i + sum_k w_k (v_(i+k) + v_(i-k) - 2 v_i) over the k for which both are there."""
        for near, weights in zip(self._neighbours, self._smoothing, strict=True):
            (plus, minus), (far_plus, far_minus), (one, two) = *near, weights
            v = _stencil(v, 1 - 2 * (one + two), one, one, plus, minus) + _stencil(
                v, self.zeros, two, two, far_plus, far_minus
            )
        return v

    def gradient(self, v: Float[Tensor, " v"]) -> Float[Tensor, "v 3"]:
        """Central differences per cell; one-sided where a neighbour is missing."""
        parts = [_stencil(v, *weights, *near[0]) for near, weights in zip(self._neighbours, self._slopes, strict=True)]
        return torch.stack(parts, -1)

    def second_differences(self, v: Float[Tensor, " v"]) -> Float[Tensor, "v 3"]:
        """v_(i+1) + v_(i-1) - 2 v_i along each axis; 0 where a neighbour is missing."""
        parts = [
            _stencil(v, -2 * both[0], both[0], both[0], *near[0])
            for near, both in zip(self._neighbours, self._both, strict=True)
        ]
        return torch.stack(parts, -1)


def _stencil(v: Tensor, own: Tensor, up: Tensor, down: Tensor, plus: Tensor, minus: Tensor) -> Tensor:
    found: Tensor = _Stencil.apply(v, own, up, down, plus, minus)
    return found
