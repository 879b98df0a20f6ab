"""Smoothing and differences of a table on a sparse lattice, along its axes.

A row's neighbours may be missing. Every stencil here then leaves out what it cannot know in a way that a linear
function passes through unharmed: a signed distance keeps its slope up to the border of the cells that hold it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from inr_plugins.networks.voxels.sparse_lattice import SparseLattice

SIGMA = 0.8
"""Of the smoothing, in cells, cut off after two: Voxurf's 5^3 Gaussian."""
_PART = 1 << 16
"""Rows that are summed at once on a CPU."""


def gaussian_weights(sigma: float = SIGMA) -> tuple[float, float]:
    """Weights of the neighbours one and two cells away, of a Gaussian of five taps that sums to one."""
    taps = [math.exp(-0.5 * (k / sigma) ** 2) for k in (0, 1, 2)]
    whole = taps[0] + 2 * taps[1] + 2 * taps[2]
    return taps[1] / whole, taps[2] / whole


@dataclass(frozen=True)
class _Sum:
    """out_i = own_i v_i + the sum over taps of weight_i v_neighbour(i).

    Attributes:
        own: what each row itself counts.
        taps: for each the neighbour of every row, the row itself where there is none, and what the neighbour counts, 0
            where there is none.
    """

    own: Float[Tensor, " v"]
    taps: tuple[tuple[Int[Tensor, " v"], Float[Tensor, " v"]], ...]

    def of(self, v: Float[Tensor, " v"]) -> Float[Tensor, " v"]:
        """The sum, without a gradient."""
        found = torch.empty_like(v)
        # A part at a time, so that what is taken stays in the processor's cache.
        length = len(v) if v.is_cuda else _PART
        taken = v.new_empty(min(length, len(v)))
        for start in range(0, len(v), length):
            part = slice(start, start + length)
            sums = torch.mul(self.own[part], v[part], out=found[part])
            for rows, weights in self.taps:
                side = torch.index_select(v, 0, rows[part], out=taken[: len(sums)])
                sums.addcmul_(side, weights[part])
        return found


class _Stencil(torch.autograd.Function):
    """A sum over neighbours.

    Because neighbours are mutual its transpose is another such sum, so that no gradient is scattered.
    """

    @staticmethod
    def forward(ctx: Any, v: Tensor, its: _Sum, transpose: _Sum) -> Tensor:
        ctx.transpose = transpose
        return its.of(v)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return ctx.transpose.of(grad.contiguous()), None, None


class _Neighbours:
    """The rows that are one and two cells away along one axis, on both sides.

    Attributes:
        plus: of each row; one and two cells on. The row itself where there is none.
        minus: as many cells back.
        has_plus: 1 where there is one, else 0.
        has_minus: 1 where there is one, else 0.
    """

    def __init__(self, plus: list[Tensor], minus: list[Tensor]) -> None:
        """
        Args:
            plus: row numbers of neighbours; too large where there is none.
            minus: the same.
        """
        own = torch.arange(len(plus[0]), dtype=plus[0].dtype, device=plus[0].device)
        there = [[side < len(side) for side in sides] for sides in (plus, minus)]
        self.plus, self.minus = (
            [torch.where(is_there, side, own) for side, is_there in zip(sides, known, strict=True)]
            for sides, known in zip((plus, minus), there, strict=True)
        )
        self.has_plus, self.has_minus = ([is_there.float() for is_there in known] for known in there)

    def sums(self, own: Tensor, weights: Sequence[tuple[Tensor, Tensor]]) -> tuple[_Sum, _Sum]:
        """A sum and its transpose.

        Args:
            own: what each row counts.
            weights: what its neighbours on and back count, 0 where there is none: those one cell away, and maybe those
                two cells away.
        """
        taps, back = [], []
        for k, (up, down) in enumerate(weights):
            plus, minus = self.plus[k], self.minus[k]
            taps += [(plus, up), (minus, down)]
            # A row counts for the one that comes after it as much as that one's neighbour back does.
            back += [
                (plus, down.index_select(0, plus) * self.has_plus[k]),
                (minus, up.index_select(0, minus) * self.has_minus[k]),
            ]
        return _Sum(own, tuple(taps)), _Sum(own, tuple(back))


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
        one, two = gaussian_weights()
        self._smoothing, self._slopes, self._bending = [], [], []
        strides = (counts[1] * counts[2], counts[2], 1)
        for axis, stride in enumerate(strides):
            at = lattice.vertex_ids // stride % counts[axis]
            near = _Neighbours(
                [self._rows_at(lattice.vertex_ids + k * stride, at + k < counts[axis]) for k in (1, 2)],
                [self._rows_at(lattice.vertex_ids - k * stride, at - k >= 0) for k in (1, 2)],
            )
            # 0 where one of both is missing.
            both = [plus * minus for plus, minus in zip(near.has_plus, near.has_minus, strict=True)]
            first, second = both[0] * one, both[1] * two
            self._smoothing.append(near.sums(1 - 2 * (first + second), [(first, first), (second, second)]))
            # Central differences, one-sided ones where one neighbour is missing, 0 where both are.
            up = near.has_plus[0] * (1 - 0.5 * near.has_minus[0])
            down = -near.has_minus[0] * (1 - 0.5 * near.has_plus[0])
            self._slopes.append(near.sums(-(up + down), [(up, down)]))
            self._bending.append(near.sums(-2 * both[0], [(both[0], both[0])]))

    def _rows_at(self, ids: Tensor, inside: Tensor) -> Int[Tensor, " v"]:
        found = self.row_of.take(ids.clamp(0, len(self.row_of) - 1))
        return torch.where(inside, found, self.lattice.num_rows)

    def smoothed(self, v: Float[Tensor, " v"]) -> Float[Tensor, " v"]:
        """The values under a Gaussian of five taps along each axis, in which a missing neighbour takes the other with
        it: v_i + sum_k w_k (v_(i+k) + v_(i-k) - 2 v_i) over the k for which both are there."""
        for sums in self._smoothing:
            v = _stencil(v, sums)
        return v

    def gradient(self, v: Float[Tensor, " v"]) -> Float[Tensor, "v 3"]:
        """Central differences per cell; one-sided where a neighbour is missing."""
        return torch.stack([_stencil(v, sums) for sums in self._slopes], -1)

    def second_differences(self, v: Float[Tensor, " v"]) -> Float[Tensor, "v 3"]:
        """v_(i+1) + v_(i-1) - 2 v_i along each axis; 0 where a neighbour is missing."""
        return torch.stack([_stencil(v, sums) for sums in self._bending], -1)


def _stencil(v: Tensor, sums: tuple[_Sum, _Sum]) -> Tensor:
    found: Tensor = _Stencil.apply(v, *sums)
    return found
