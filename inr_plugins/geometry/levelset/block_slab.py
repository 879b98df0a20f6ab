"""The values of a layer of blocks, for streaming a lattice through memory one layer after another."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int

from inr_plugins.geometry.levelset.block_lattice import BlockLattice, Narrow, evaluate
from inr_plugins.geometry.levelset.block_narrowing import LayerPoints, can_narrow, fill_narrowed
from inr_plugins.geometry.levelset.isosurface import Inside
from inr_plugins.geometry.levelset.lattice import ScalarFunction


class Slab:
    """Values of the points that the active blocks of one layer along x need, positive in the solid.

    The layer's first points are the last ones of the layer before: they are kept, so that no point is evaluated twice
    and both layers see the same value. The rim is never evaluated: it is outside the solid.
    """

    def __init__(self, blocks: BlockLattice) -> None:
        _, ny, nz = blocks.points
        self.blocks = blocks
        # Padded to whole blocks, so that all of them are views alike.
        padded = (blocks.cells + 1, *(b * blocks.cells + 1 for b in blocks.shape[1:]))
        self.values = np.full(padded, -1.0, dtype=np.float32)
        self.known = np.zeros(padded, dtype=bool)
        self._outside = np.ones(padded[1:], dtype=bool)
        self._outside[blocks.rim : ny - blocks.rim, blocks.rim : nz - blocks.rim] = False
        self._layer = -2  # None, nor the one before the first.
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
        narrow: Narrow | None = None,
    ) -> None:
        """Make `values` those of layer i; layers must come in ascending order.

        With a rule to `narrow` blocks, points that no vertex depends on have 1 or -1 for their side instead.
        """
        self._advance(i)

        def evaluate_points(flat: Int[np.ndarray, " n"]) -> None:
            if not len(flat):
                return
            plane, y, z = np.unravel_index(flat, self.values.shape)
            at = (plane + i * self.blocks.cells, y, z)
            points = np.stack([axis[index] for axis, index in zip(self.axes, at, strict=True)], axis=-1)
            found = evaluate(function, points) - np.float32(level)
            self.values.reshape(-1)[flat] = found if inside == "above" else -found
            self.known.reshape(-1)[flat] = True

        if narrow is None or not can_narrow(self.blocks):
            _, ny, nz = self.blocks.points
            wanted = ~self.known
            wanted[:, :ny, :nz] &= self.needed(active[i])
            flat = np.flatnonzero(wanted)
            for first in range(0, len(flat), chunk):
                evaluate_points(flat[first : first + chunk])
        else:
            layer = LayerPoints(self.blocks, i, self.values, self.known)
            fill_narrowed(layer, active[i], narrow, evaluate_points, chunk=chunk)

    def _advance(self, i: int) -> None:
        """Keep the last plane as the first of layer i; what lies outside the lattice is known, and empty."""
        nx, rim, cells = self.blocks.points[0], self.blocks.rim, self.blocks.cells
        is_next = i == self._layer + 1
        self.values[0] = self.values[-1] if is_next else -1.0
        self.known[0] = self.known[-1] if is_next else self._outside
        self.known[1:] = self._outside
        self._layer = i
        plane = np.arange(cells + 1) + i * cells
        beyond = (plane < rim) | (plane >= nx - rim)
        self.values[beyond] = -1.0
        self.known[beyond] = True
