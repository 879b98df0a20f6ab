"""The values of a layer of blocks, for streaming a lattice through memory one layer after another."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int

from inr_plugins.geometry.block_lattice import BlockLattice, evaluate
from inr_plugins.geometry.isosurface import Inside
from inr_plugins.geometry.lattice import ScalarFunction


class Slab:
    """Values of the points that the active blocks of one layer along x need, positive in the solid.

    The layer's first points are the last ones of the layer before: they are kept, so that no point is evaluated twice
    and both layers see the same value. The rim is never evaluated: it is outside the solid.
    """

    def __init__(self, blocks: BlockLattice) -> None:
        _, ny, nz = blocks.points
        self.blocks = blocks
        self.values = np.full((blocks.cells + 1, ny, nz), -1.0, dtype=np.float32)
        # The same coordinates as Lattice.rows, to the last bit, in the rim's numbering (which repeats the ends).
        self.axes = [
            np.pad(np.linspace(lo, hi, n), blocks.rim, mode="edge")
            for lo, hi, n in zip(*blocks.lattice.box, blocks.lattice.shape, strict=True)
        ]

    def needed(self, active: Bool[np.ndarray, "by bz"]) -> Bool[np.ndarray, "ny nz"]:
        """Points along y and z, without the rim, of the active blocks of a layer."""
        rim, cells = self.blocks.rim, self.blocks.cells
        by, bz = active.shape
        needed = np.zeros((by * cells + 1, bz * cells + 1), dtype=bool)
        spread = active.repeat(cells, axis=0).repeat(cells, axis=1)
        for j, k in np.ndindex(2, 2):
            needed[j : j + by * cells, k : k + bz * cells] |= spread
        _, ny, nz = self.blocks.points
        needed = needed[:ny, :nz]
        if rim:
            needed[[0, -1]] = False
            needed[:, [0, -1]] = False
        return needed

    def planes(
        self, active: Bool[np.ndarray, "bx by bz"], i: int
    ) -> tuple[Int[np.ndarray, " first"], Int[np.ndarray, " later"], int]:
        """Numbers of the points to evaluate in layer i's first plane and in each later one; how many later planes."""
        nx, rim, cells = self.blocks.points[0], self.blocks.rim, self.blocks.cells
        needed = self.needed(active[i])
        first = needed & ~self.needed(active[i - 1]) if i > 0 else needed & (rim == 0)
        return np.flatnonzero(first), np.flatnonzero(needed), min(cells, nx - 1 - rim - i * cells)

    def count(self, active: Bool[np.ndarray, "bx by bz"], i: int) -> int:
        """Points that layer i evaluates."""
        if not active[i].any():
            return 0
        first, later, planes = self.planes(active, i)
        return len(first) + len(later) * planes

    def fill(
        self,
        function: ScalarFunction,
        active: Bool[np.ndarray, "bx by bz"],
        i: int,
        *,
        level: float,
        inside: Inside,
        chunk: int,
    ) -> None:
        """Make `values` those of layer i; layers must come in ascending order."""
        nz = self.blocks.points[2]
        self.values[0] = self.values[-1]
        first, later, planes = self.planes(active, i)
        total = len(first) + len(later) * planes
        flat_values = self.values.reshape(len(self.values), -1)
        for begin in range(0, total, chunk):
            number = np.arange(begin, min(begin + chunk, total)) - len(first)
            plane = np.where(number < 0, 0, number // max(1, len(later)) + 1)
            at = np.empty(len(number), dtype=np.int64)
            at[number < 0] = first[number[number < 0]]
            at[number >= 0] = later[number[number >= 0] % max(1, len(later))]
            y, z = np.divmod(at, nz)
            x, y, z = (
                axis[index] for axis, index in zip(self.axes, (plane + i * self.blocks.cells, y, z), strict=True)
            )
            values = evaluate(function, np.stack([x, y, z], axis=-1)) - np.float32(level)
            flat_values[plane, at] = values if inside == "above" else -values
        # Beyond the box's last plane there is the rim, and nothing that a block reads behind it.
        self.values[planes + 1 :] = -1.0
