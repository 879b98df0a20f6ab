"""A regular voxel lattice of which only some cells are occupied, with one table row per vertex of an occupied cell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from scipy.sparse import csr_matrix
from torch import Tensor, nn
from torch.nn import functional as F

from inr_plugins.boxes import checked_box

CORNERS = torch.tensor([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
"""The eight corners of a unit cell, z fastest: the order of every (n, 8) array of corners here."""


_READ_CHUNK = 1 << 18
"""Points read at once, which bounds memory."""


class SparseLattice(nn.Module):
    """Cubic cells of one edge length over a box; tables hold a row only for the vertices of occupied cells.

    Geometry: vertex (i, j, k) stands at origin + edge * (i, j, k); cell (i, j, k) spans it and (i+1, j+1, k+1).
    A point in an occupied cell is always surrounded by eight vertices that have rows, so trilinear interpolation never
    meets a missing row; a point in any other cell has no value here (fields answer "empty").

    The lattice saves its box and one bit per cell; everything else is rebuilt from them (`from_state`).
    """

    origin: Tensor
    edge: Tensor
    cells: Tensor
    packed: Tensor
    cell_row: Tensor
    corner_rows: Tensor
    vertex_ids: Tensor

    def __init__(
        self,
        origin: Float[Tensor, " 3"],
        edge: float,
        occupied: Bool[Tensor, "x y z"],
    ) -> None:
        """
        Args:
            origin: corner of the lattice with the smallest coordinates, normalised frame.
            edge: edge length of a cell, normalised units, > 0.
            occupied: which cells are occupied.

        Raises:
            ValueError: the edge is not positive and finite, or no cell is occupied.
        """
        super().__init__()
        if not (edge > 0 and math.isfinite(edge)):
            raise ValueError(f"edge must be positive and finite, got {edge}")
        self.register_buffer("origin", origin.detach().to(torch.float32).clone())
        self.register_buffer("edge", torch.tensor(edge, dtype=torch.float32, device=origin.device))
        self.register_buffer("cells", torch.tensor(occupied.shape, dtype=torch.int64))
        self.register_buffer("packed", pack_bits(occupied))
        self.register_buffer("cell_row", torch.empty(0, dtype=torch.int32), persistent=False)
        self.register_buffer("corner_rows", torch.empty(0, 8, dtype=torch.int32), persistent=False)
        self.register_buffer("vertex_ids", torch.empty(0, dtype=torch.int64), persistent=False)
        self._index(occupied)

    @classmethod
    def over_box(cls, aabb: Float[Tensor, "2 3"], voxels: int) -> SparseLattice:
        """A lattice with every cell occupied: about `voxels` cubic cells that cover the box, centred on it.

        Args:
            aabb: box, (minimum corner, maximum corner), normalised frame.
            voxels: number of cells wanted in all; the edge is (volume / voxels)^(1/3) as in DVGO.

        Raises:
            ValueError: the box has no volume.
        """
        aabb = checked_box(aabb)
        size = aabb[1] - aabb[0]
        edge = float((size.double().prod() / voxels) ** (1 / 3))
        shape = [max(1, math.ceil(float(s) / edge - 1e-3)) for s in size]
        origin = (aabb[0] + aabb[1]) / 2 - edge / 2 * torch.tensor(shape, device=aabb.device)
        return cls(origin, edge, torch.ones(shape, dtype=torch.bool, device=aabb.device))

    def _index(self, occupied: Bool[Tensor, "x y z"]) -> None:
        """Number the occupied cells and their vertices; sets cell_row, corner_rows and vertex_ids."""
        x, y, z = occupied.shape
        device = occupied.device
        ijk = occupied.nonzero()
        if len(ijk) == 0:
            raise ValueError("no cell of the lattice is occupied")
        base = (ijk[:, 0] * (y + 1) + ijk[:, 1]) * (z + 1) + ijk[:, 2]
        corners = CORNERS.to(device)
        offsets = (corners[:, 0] * (y + 1) + corners[:, 1]) * (z + 1) + corners[:, 2]
        vertices = base[:, None] + offsets
        used = torch.zeros((x + 1) * (y + 1) * (z + 1), dtype=torch.bool, device=device)
        used[vertices.reshape(-1)] = True
        row_of = used.cumsum(0) - 1
        self.vertex_ids = used.nonzero()[:, 0]
        self.corner_rows = row_of.int().index_select(0, vertices.reshape(-1)).view_as(vertices)
        cell_row = torch.full((x * y * z,), -1, dtype=torch.int32, device=device)
        cell_row[occupied.reshape(-1)] = torch.arange(len(ijk), dtype=torch.int32, device=device)
        self.cell_row = cell_row

    @property
    def shape(self) -> tuple[int, int, int]:
        """Cells along x, y, z."""
        x, y, z = self.cells.tolist()
        return x, y, z

    @property
    def num_rows(self) -> int:
        """Rows that a table on this lattice has: one per vertex of an occupied cell."""
        return len(self.vertex_ids)

    @property
    def occupied(self) -> Bool[Tensor, "x y z"]:
        """Which cells are occupied."""
        return (self.cell_row >= 0).reshape(self.shape)

    @property
    def aabb(self) -> Float[Tensor, "2 3"]:
        """The box that the lattice covers."""
        return torch.stack([self.origin, self.origin + self.edge * self.cells.to(self.origin)])

    def occupied_aabb(self) -> Float[Tensor, "2 3"]:
        """The smallest box of whole cells that holds every occupied cell."""
        ijk = self.occupied.nonzero()
        low, high = ijk.min(0).values, ijk.max(0).values + 1
        return torch.stack([self.origin + self.edge * low, self.origin + self.edge * high])

    def vertices(self) -> Float[Tensor, "v 3"]:
        """Positions of the vertices that have rows, in row order."""
        _, y, z = self.shape
        ids = self.vertex_ids
        ijk = torch.stack([ids // ((y + 1) * (z + 1)), ids // (z + 1) % (y + 1), ids % (z + 1)], -1)
        return self.origin + self.edge * ijk

    def locate(self, x: Float[Tensor, "n 3"]) -> tuple[Int[Tensor, " n"], Float[Tensor, "n 3"]]:
        """The occupied cell that each point lies in, and where in it.

        Returns:
            cell: index into the occupied cells, -1 where the point's cell is empty or outside the lattice.
            fraction: position within the cell, each coordinate in [0, 1].
        """
        shape = self.cells.to(x.device)
        u = (x - self.origin) / self.edge
        inside = ((u >= 0) & (u <= shape)).all(-1)
        ijk = torch.minimum(u.nan_to_num(0.0).floor().clamp(min=0), (shape - 1).to(u)).long()
        flat = (ijk[:, 0] * shape[1] + ijk[:, 1]) * shape[2] + ijk[:, 2]
        cell = torch.where(inside, self.cell_row.index_select(0, flat).long(), -1)
        return cell, (u - ijk).clamp(0, 1)

    def read(self, table: Float[Tensor, "v c"], x: Float[Tensor, "n 3"], empty: float = 0.0) -> Float[Tensor, "n c"]:
        """Trilinear interpolation of a table at any points; `empty` where no cell is occupied."""
        parts = [self._read_part(table, part, empty) for part in x.split(_READ_CHUNK)]
        return torch.cat(parts) if parts else table.new_zeros(0, table.shape[1])

    def _read_part(self, table: Tensor, x: Tensor, empty: float) -> Tensor:
        cell, fraction = self.locate(x)
        hit = (cell >= 0).nonzero()[:, 0]
        values = table.new_full((len(x), table.shape[1]), empty)
        rows = self.corner_rows.index_select(0, cell.index_select(0, hit))
        inner = interpolate(table, rows, trilinear_weights(fraction.index_select(0, hit)))
        return values.index_copy(0, hit, inner)

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], prefix: str, device: torch.device) -> SparseLattice:
        """The lattice that a state_dict holds under `prefix`, whatever its shape.

        Raises:
            KeyError: the state holds no lattice there.
            ValueError: what it holds is none.
        """
        for name in ("origin", "cells"):
            if (got := tuple(state[prefix + name].shape)) != (3,):
                raise ValueError(f"{name} of a lattice is three numbers, got the shape {got}")
        shape = tuple(int(n) for n in state[prefix + "cells"])
        occupied = unpack_bits(state[prefix + "packed"].to(device), (shape[0], shape[1], shape[2]))
        return cls(state[prefix + "origin"].to(device), float(state[prefix + "edge"]), occupied)

    def refined(self, aabb: Float[Tensor, "2 3"], voxels: int, occupied: Bool[Tensor, "x y z"]) -> SparseLattice:
        """A lattice of about `voxels` cells over a box, occupied where a cell's middle is within one new cell of a
        cell that is `occupied` here.

        Raises:
            ValueError: nothing is occupied, or the box has no volume.
        """
        full = SparseLattice.over_box(aabb, voxels)
        kept = occupied
        # The axes are parallel, so each one's cells can be looked up on their own.
        for axis, (count, limit) in enumerate(zip(full.shape, self.shape, strict=True)):
            middles = torch.arange(count, device=self.origin.device) + 0.5
            old = ((full.origin[axis] + full.edge * middles - self.origin[axis]) / self.edge).floor().long()
            inside = (old >= 0) & (old < limit)
            kept = kept.index_select(axis, old.clamp(0, limit - 1))
            kept = kept & inside.reshape([-1 if i == axis else 1 for i in range(3)])
        return SparseLattice(full.origin, float(full.edge), dilate(kept))

    def rows_in(self, other: SparseLattice) -> Int[Tensor, " v"]:
        """For each row of this lattice, the row of the same vertex in `other` (a lattice of the same box and edge), or
        -1 where `other` has none.

        Raises:
            ValueError: the lattices differ in box or edge.
        """
        if self.shape != other.shape or not torch.equal(self.origin, other.origin) or self.edge != other.edge:
            raise ValueError("rows can only be matched between lattices of the same box and edge")
        x, y, z = other.shape
        table = torch.full(((x + 1) * (y + 1) * (z + 1),), -1, dtype=torch.int64, device=self.origin.device)
        table[other.vertex_ids] = torch.arange(other.num_rows, device=self.origin.device)
        return table[self.vertex_ids]


def dilate(mask: Bool[Tensor, "x y z"]) -> Bool[Tensor, "x y z"]:
    """The mask grown by one cell in every direction, diagonals included."""
    return F.max_pool3d(mask[None, None].to(torch.float32), 3, stride=1, padding=1)[0, 0] > 0


def pack_bits(mask: Bool[Tensor, "x y z"]) -> UInt8[Tensor, " bytes"]:
    """One bit per cell, least significant first, as uint8."""
    flat = mask.reshape(-1).to(torch.uint8)
    flat = F.pad(flat, (0, -len(flat) % 8)).reshape(-1, 8)
    return (flat << torch.arange(8, dtype=torch.uint8, device=mask.device)).sum(-1, dtype=torch.uint8)


def unpack_bits(packed: UInt8[Tensor, " bytes"], shape: tuple[int, int, int]) -> Bool[Tensor, "x y z"]:
    """The inverse of `pack_bits`."""
    bits = (packed[:, None] >> torch.arange(8, dtype=torch.uint8, device=packed.device)) & 1
    return bits.reshape(-1)[: math.prod(shape)].reshape(shape).bool()


def trilinear_weights(fraction: Float[Tensor, "n 3"]) -> Float[Tensor, "n 8"]:
    """Weights of the eight corners, in the order of `CORNERS`; each row sums to one."""
    x, y, z = fraction.unbind(-1)
    xs, ys, zs = (torch.stack([1 - v, v], -1) for v in (x, y, z))
    return (xs[:, :, None, None] * ys[:, None, :, None] * zs[:, None, None, :]).reshape(-1, 8)


def interpolate(
    table: Float[Tensor, "v c"], rows: Int[Tensor, "n 8"], weights: Float[Tensor, "n 8"]
) -> Float[Tensor, "n c"]:
    """Weighted sums of table rows: out[i] = sum_k weights[i, k] * table[rows[i, k]].

    Differentiable in the table only: sample positions carry no gradient here.
    """
    return _Interpolate.apply(table, rows, weights.to(table.dtype))


class _Interpolate(torch.autograd.Function):
    """embedding_bag forward; backward as the transposed embedding_bag over entries sorted by row.

    embedding_bag's own backward adds one row at a time; sorting first makes the backward a second fused gather, 1.6
    times as fast on two cores (480,000 entries of width 27: 16 against 25 ms), the sort being a counting one (600,000
    entries: 3 ms, and 9 by torch.sort). On CUDA, where the host would wait for the number of rows, entries are added as
    they come: sums differ in their last bits from run to run there, unless torch.use_deterministic_algorithms is on.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(rows, weights)
        ctx.table_shape = table.shape
        if len(rows) == 0:
            return table.new_zeros(0, table.shape[1])
        if table.shape[1] == 1:
            return (table[:, 0].index_select(0, rows.reshape(-1)).view_as(weights) * weights).sum(1, keepdim=True)
        return F.embedding_bag(rows, table, mode="sum", per_sample_weights=weights)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        rows, weights = ctx.saved_tensors
        out = grad.new_zeros(ctx.table_shape)
        if len(rows) == 0:
            return out, None, None
        if out.shape[1] == 1:
            out[:, 0].index_add_(0, rows.reshape(-1), (grad * weights).reshape(-1))
            return out, None, None
        if rows.device.type != "cpu":
            return out.index_add_(0, rows.reshape(-1), (weights[..., None] * grad[:, None]).flatten(0, 1)), None, None
        samples, by_row, starts = _by_row(rows, weights, len(out))
        return (
            F.embedding_bag(
                samples, grad.contiguous(), starts, mode="sum", per_sample_weights=by_row, include_last_offset=True
            ),
            None,
            None,
        )


def _by_row(
    rows: Int[Tensor, "n 8"], weights: Float[Tensor, "n 8"], num_rows: int
) -> tuple[Int[Tensor, " m"], Float[Tensor, " m"], Int[Tensor, " ends"]]:
    """Entries in the order of their rows, and within a row as they came: the sample and the weight of each, and where
    each row's begin, the end of all last. A sparse matrix turned from rows to columns is a counting sort."""
    count, corners = rows.shape
    each = np.arange(0, count * corners + 1, corners, dtype=np.int32)
    matrix = csr_matrix(
        (weights.reshape(-1).numpy(), rows.reshape(-1).int().numpy(), each), shape=(count, num_rows)
    ).tocsc()
    return torch.from_numpy(matrix.indices), torch.from_numpy(matrix.data), torch.from_numpy(matrix.indptr)
