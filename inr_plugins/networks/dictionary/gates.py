"""Where a shape's code comes from: a table with a row for each, or an encoder of its points (NID, sec. 3.3)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from inr_plugins.networks.voxels.key_table import gather_distinct

SMALLEST_NORM = 1e-6
"""Added, squared, under the root of a code's norm: a row of zeros stays one, and its gradient is finite."""


class TableGate(nn.Module):
    """A learnable raw code for each shape; gradients hold the rows that were asked for only.

    Entries start normal with standard deviation 1/sqrt(n), so that a row has a norm of about 1. The authors' table is
    clipped to that norm at every look-up, in place; here codes are normalised when they are used (`top_k_code`).
    """

    def __init__(self, shapes: int, experts: int) -> None:
        """
        Args:
            shapes: number of shapes.
            experts: n, entries of a code.

        Raises:
            ValueError: shapes or experts below 1.
        """
        super().__init__()
        if shapes < 1 or experts < 1:
            raise ValueError(f"a table of codes needs shapes >= 1 and experts >= 1, got {shapes} x {experts}")
        self.codes = nn.Parameter(torch.randn(shapes, experts) / math.sqrt(experts))

    def forward(self, shape: Int[Tensor, " s"], *, sparse_grad: bool = True) -> Float[Tensor, "s n"]:
        """Raw codes of shapes, which may repeat themselves.

        Args:
            shape: their numbers.
            sparse_grad: give the table a sparse gradient (see `engine.optimization.row_adam.RowAdam`).
        """
        rows, place = torch.unique(shape, return_inverse=True)
        return gather_distinct(self.codes, rows, sparse_grad=sparse_grad).index_select(0, place)


class PointSetGate(nn.Module):
    """Raw codes from sets of surface points, by a PointNet (Qi et al. 2017a) that looks twice.

    A network for each point, the largest of each feature over the set, that beside each point's own features through
    a second network, the largest again, and a network for the set. The order of the points, and how often one is in
    the set, do not matter.
    """

    def __init__(self, experts: int, *, in_dim: int = 6, width: int = 128) -> None:
        """
        Args:
            experts: n, entries of a code.
            in_dim: numbers of a point: 3, or 6 with its normal.
            width: of all layers.

        Raises:
            ValueError: a size below 1.
        """
        super().__init__()
        for name, value in (("experts", experts), ("in_dim", in_dim), ("width", width)):
            if value < 1:
                raise ValueError(f"{name} of an encoder of points must be at least 1, got {value}")
        self.look = nn.Sequential(nn.Linear(in_dim, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.look_again = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.decide = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, experts))

    def forward(self, points: Float[Tensor, "s p in_dim"]) -> Float[Tensor, "s n"]:
        """Raw codes, in float32 at least.

        Args:
            points: positions (normalised frame) of each set, and normals beside them if the encoder takes those; at
                least one point.
        """
        own = self.look(points)
        common = own.amax(1, keepdim=True).expand_as(own)
        pooled = self.look_again(torch.cat([own, common], -1)).amax(1)
        raw = self.decide(pooled)
        return raw.to(torch.promote_types(raw.dtype, torch.float32))


def top_k_code(raw: Float[Tensor, "s n"], k: int) -> tuple[Int[Tensor, "s k"], Float[Tensor, "s k"]]:
    """The k entries of largest absolute value of each row, divided by their l2 norm (NID, sec. 3.3).

    Weights are differentiable in the entries that are kept; the others get no gradient, for which the paper warms up
    without selecting (`dense_code`) and `losses.dictionary.soft_load` has one. The authors' code does not divide.

    Args:
        raw: raw codes.
        k: how many to keep, 1 to n.

    Returns:
        Index, distinct in each row and by falling absolute value, and weight. Of equal entries any may be kept. A row
        of zeros has weights of zero.

    Raises:
        ValueError: k out of range.
    """
    if not 1 <= k <= raw.shape[1]:
        raise ValueError(f"k must be from 1 to the number of experts, {raw.shape[1]}, got {k}")
    index = raw.detach().abs().topk(k, dim=1).indices
    return index, dense_code(raw.gather(1, index))


def dense_code(raw: Float[Tensor, "s n"]) -> Float[Tensor, "s n"]:
    """Raw codes divided by their l2 norm, none left out."""
    raw = raw.to(torch.promote_types(raw.dtype, torch.float32))
    return raw * (raw.square().sum(1, keepdim=True) + SMALLEST_NORM**2).rsqrt()
