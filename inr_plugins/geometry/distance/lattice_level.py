"""Values at the vertices of a cube's cells, all of them or a band around a surface, and the equations between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_matrix

_CORNERS = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
"""(8, 3): the corners of a cell, from its lowest one."""


class LatticeLevel:
    """Cells of the cube [-reach, reach]^3, cut into `cells` along each side, with a value at each of their vertices.

    Between vertices values are trilinear. Where only some cells are held, the vertices on the band's border, of which
    some cell is not held, are not free: they are to have the values of a coarser level, so that the two meet.

    Attributes:
        reach: half the side of the cube.
        edge: of a cell.
        ids: the vertices that are held, rising, numbered as in the whole lattice.
        free: which of them have all their cells; all where all cells are held.
        values: at the vertices, in the order of `ids`; 0 at first.
    """

    def __init__(self, cells: int, reach: float, held: Bool[np.ndarray, "c c c"] | None = None) -> None:
        """
        Args:
            cells: along a side, at least 2.
            reach: half the side of the cube.
            held: which cells are held; None: all.
        """
        self._cells, self.reach, self._held = cells, reach, held
        self._count = cells + 1
        self._strides = np.array([self._count**2, self._count, 1])
        self.edge = 2 * reach / cells
        if held is None:
            self.ids = np.arange(self._count**3)
            self.free: Bool[np.ndarray, " v"] = np.ones(len(self.ids), dtype=bool)
        else:
            self.ids = np.unique((np.argwhere(held)[:, None] + _CORNERS) @ self._strides)
            around, whole = np.pad(held, 1), np.ones((self._count,) * 3, dtype=bool)
            for i, j, k in _CORNERS:
                whole &= around[i : i + self._count, j : j + self._count, k : k + self._count]
            self.free = whole.reshape(-1)[self.ids]
        self._row = np.full(self._count**3, -1, dtype=np.int32)
        self._row[self.ids] = np.arange(len(self.ids))
        self.values: Float[np.ndarray, " v"] = np.zeros(len(self.ids))

    @property
    def vertices(self) -> Float[np.ndarray, "v 3"]:
        """Positions of the vertices."""
        return -self.reach + self.edge * self._places()

    def holds(self, points: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
        """Which points lie in a cell that is held; those beyond the cube count as in the cell at its border."""
        if self._held is None:
            return np.ones(len(points), dtype=bool)
        return self._held[tuple(self._cell(points)[0].T)]

    def read(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Values at points in cells that are held; beyond the cube those of the cell at its border go on."""
        rows, weights = self._corners(points)
        return (self.values[rows] * weights.prod(-1)).sum(1)

    def readings(self, points: Float[np.ndarray, "n 3"]) -> tuple[csr_matrix, list[csr_matrix]]:
        """The matrices (n, v) that turn values at the vertices into those at points, and into their three slopes."""
        rows, weights = self._corners(points)
        slopes = []
        for axis in range(3):
            others = weights[..., [other for other in range(3) if other != axis]].prod(-1)
            slopes.append(self._matrix(rows, (2 * _CORNERS[:, axis] - 1) / self.edge * others))
        return self._matrix(rows, weights.prod(-1)), slopes

    def bending(self) -> csr_matrix:
        """The matrix B (v, v) with v B v / edge^4 the sum over vertices of |Hessian|², by differences.

        Mixed derivatives count twice, as they stand in the Hessian twice. Differences that reach beyond the vertices
        that are held are left out.
        """
        places = self._places()
        total = csr_matrix((len(self.ids),) * 2)
        for axis in range(3):
            step = int(self._strides[axis])
            inner = (places[:, axis] > 0) & (places[:, axis] < self._cells)
            second = self._difference([-step, 0, step], [1.0, -2.0, 1.0], inner)
            total = total + second.T @ second
        for first, other in ((0, 1), (0, 2), (1, 2)):
            along, across = int(self._strides[first]), int(self._strides[other])
            inner = (places[:, first] < self._cells) & (places[:, other] < self._cells)
            mixed = self._difference([0, along, across, along + across], [1.0, -1.0, -1.0, 1.0], inner)
            total = total + 2 * (mixed.T @ mixed)
        return total.tocsr()

    def _places(self) -> Int[np.ndarray, "v 3"]:
        return np.stack(np.unravel_index(self.ids, (self._count,) * 3), axis=-1)

    def _cell(self, points: Float[np.ndarray, "n 3"]) -> tuple[Int[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
        """Each point's cell, and where it is between the cell's corners."""
        at = (points + self.reach) / self.edge
        low = np.clip(np.floor(at), 0, self._cells - 1).astype(np.int64)
        return low, at - low

    def _corners(self, points: Float[np.ndarray, "n 3"]) -> tuple[Int[np.ndarray, "n 8"], Float[np.ndarray, "n 8 3"]]:
        """The rows of the corners around each point, and their weights along each axis."""
        low, part = self._cell(points)
        weights = np.where(_CORNERS, part[:, None], 1 - part[:, None])
        return self._row[(low[:, None] + _CORNERS) @ self._strides], weights

    def _matrix(self, rows: Int[np.ndarray, "n k"], entries: Float[np.ndarray, "n k"]) -> csr_matrix:
        numbers = np.repeat(np.arange(len(rows)), rows.shape[1])
        return csr_matrix((entries.reshape(-1), (numbers, rows.reshape(-1))), shape=(len(rows), len(self.ids)))

    def _difference(
        self, offsets: Sequence[int], entries: Sequence[float], inner: Bool[np.ndarray, " v"]
    ) -> csr_matrix:
        """A difference at each vertex that has all its neighbours at `offsets`, those outside `inner` left out."""
        around = self._row[self.ids[inner][:, None] + np.array(offsets)]
        around = around[(around >= 0).all(1)]
        return self._matrix(around, np.broadcast_to(entries, around.shape))
