"""Inside a block: which of its lattice points must be evaluated, and which side all the others are on.

A block is halved along each axis, and its parts again, down to parts of two cells. The lattice point in the middle of a
part is evaluated; if the rule says that the surface cannot pass through the part, that point's side is taken for all of
it, and nothing more is asked there. Values on such a side are ±1: triangles depend on signs, and places of vertices on
the two ends of edges that the surface crosses, which are all evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Bool, Float, Int, Int8
from numpy.lib.stride_tricks import as_strided

from inr_plugins.geometry.levelset.block_lattice import BlockLattice, Narrow

SMALLEST = 2
"""Cells along the side of the smallest part."""

Evaluate = Callable[[Int[np.ndarray, " n"]], None]
"""Evaluates points of the layer, given as flat numbers into its values, and notes that they are known."""


def can_narrow(blocks: BlockLattice) -> bool:
    """Whether blocks can be halved down to the smallest parts."""
    return blocks.cells > SMALLEST and blocks.cells & (blocks.cells - 1) == 0


@dataclass(frozen=True)
class LayerPoints:
    """The points of one layer of blocks along x.

    Attributes:
        blocks: the blocks.
        i: number of the layer.
        values: of its points (planes, y, z), positive in the solid; padded to whole blocks.
        known: which of them were evaluated.
    """

    blocks: BlockLattice
    i: int
    values: Float[np.ndarray, "planes ny nz"]
    known: Bool[np.ndarray, "planes ny nz"]

    def blocks_of(self, array: np.ndarray) -> np.ndarray:
        """A view (by, bz, cells + 1, cells + 1, cells + 1) of such an array; neighbours share their faces."""
        cells = self.blocks.cells
        x, y, z = array.strides
        _, by, bz = self.blocks.shape
        side = cells + 1
        return as_strided(array, (by, bz, side, side, side), (cells * y, cells * z, x, y, z))

    def flat(self, at: Int[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
        """Flat numbers of points, given by plane, y and z."""
        _, ny, nz = self.values.shape
        return (at[:, 0] * ny + at[:, 1]) * nz + at[:, 2]

    def is_inner(self, low: Int[np.ndarray, "n 3"], size: int) -> Bool[np.ndarray, " n"]:
        """Whether parts with these lowest points lie in the lattice, without its rim."""
        rim, offset = self.blocks.rim, np.array([self.i * self.blocks.cells, 0, 0])
        return ((low + offset >= rim) & (low + offset + size <= np.array(self.blocks.points) - 1 - rim)).all(axis=1)

    def bounds(self, low: Int[np.ndarray, "n 3"], size: int) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corners of parts, in the box's frame."""
        at = low + np.array([self.i * self.blocks.cells, 0, 0]) - self.blocks.rim
        positions = self.blocks.lattice.positions
        return positions(at.astype(np.float64)), positions((at + size).astype(np.float64))


def fill_narrowed(
    layer: LayerPoints, active: Bool[np.ndarray, "by bz"], narrow: Narrow, evaluate: Evaluate, *, chunk: int
) -> None:
    """Give all points of the active blocks a value: their own where it matters, else 1 or -1 for their side.

    Args:
        layer: whose values are filled, but for those that are known.
        active: the blocks.
        narrow: see Narrow; it sees the values as the layer holds them.
        evaluate: see Evaluate.
        chunk: about how many points' arrays to hold at once.
    """
    at = np.argwhere(active)
    sides = _sides(layer, at, narrow, evaluate, chunk=chunk)
    opened = sides == 0
    while True:
        _evaluate_parts(layer, at, opened, evaluate, chunk=chunk)
        for group in _groups(layer, at, chunk=chunk):
            _fill(layer, at[group], sides[group])
        # What turns out to be on both sides is looked at after all.
        opened = np.concatenate([_is_mixed(layer, at[group]) for group in _groups(layer, at, chunk=chunk)])
        opened &= sides != 0
        if not opened.any():
            return
        sides[opened] = 0


def _groups(layer: LayerPoints, at: Int[np.ndarray, "b 2"], *, chunk: int) -> Iterator[slice]:
    """Slices of blocks whose points are about a chunk."""
    step = max(1, chunk // (layer.blocks.cells + 1) ** 3)
    return (slice(first, first + step) for first in range(0, len(at), step))


def _lowest(layer: LayerPoints, at: Int[np.ndarray, "b 2"], parts: Int[np.ndarray, "n 4"], size: int) -> np.ndarray:
    """Plane, y and z of the lowest points of parts, given by block and number along x, y and z."""
    low = parts[:, 1:] * size
    low[:, 1:] += at[parts[:, 0]] * layer.blocks.cells
    return low


def _sides(
    layer: LayerPoints, at: Int[np.ndarray, "b 2"], narrow: Narrow, evaluate: Evaluate, *, chunk: int
) -> Int8[np.ndarray, "b parts parts parts"]:
    """For each smallest part of each block, the side that all of it is on, 1 (solid) or -1; 0 where it may be both."""
    sides: np.ndarray = np.zeros((len(at), 1, 1, 1), dtype=np.int8)
    size = layer.blocks.cells
    while size > SMALLEST:
        size //= 2
        sides = sides.repeat(2, axis=1).repeat(2, axis=2).repeat(2, axis=3)
        unsure = np.argwhere(sides == 0)
        for first in range(0, len(unsure), chunk):
            parts = unsure[first : first + chunk]
            low = _lowest(layer, at, parts, size)
            inner = layer.is_inner(low, size)
            parts, low = parts[inner], low[inner]
            middle = layer.flat(low + size // 2)
            evaluate(middle)
            values = layer.values.reshape(-1)[middle]
            closed = ~np.asarray(narrow(*layer.bounds(low, size), values), dtype=bool)
            sides[tuple(parts[closed].T)] = np.where(values[closed] > 0, 1, -1)
    return sides


def _evaluate_parts(
    layer: LayerPoints,
    at: Int[np.ndarray, "b 2"],
    opened: Bool[np.ndarray, "b parts parts parts"],
    evaluate: Evaluate,
    *,
    chunk: int,
) -> None:
    """Evaluate all points of these smallest parts, but for those that are known."""
    wanted = np.zeros(layer.values.size, dtype=bool)
    shifts = layer.flat(np.array(list(product(range(SMALLEST + 1), repeat=3))))
    parts = np.argwhere(opened)
    for first in range(0, len(parts), chunk):
        low = layer.flat(_lowest(layer, at, parts[first : first + chunk], SMALLEST))
        for shift in shifts:
            wanted[low + shift] = True
    flat = np.flatnonzero(wanted & ~layer.known.reshape(-1))
    for first in range(0, len(flat), chunk):
        evaluate(flat[first : first + chunk])


def _fill(layer: LayerPoints, at: Int[np.ndarray, "b 2"], sides: Int8[np.ndarray, "b parts parts parts"]) -> None:
    """Give points that are not known the side of a part around them; where some part is open, they are known."""
    values, (j, k) = layer.blocks_of(layer.values), at.T
    side = sides.repeat(SMALLEST, axis=1).repeat(SMALLEST, axis=2).repeat(SMALLEST, axis=3)
    side = np.pad(side, ((0, 0), (0, 1), (0, 1), (0, 1)), mode="edge")
    known = layer.blocks_of(layer.known)[j, k]
    values[j, k] = np.where(known, values[j, k], side)


def _is_mixed(layer: LayerPoints, at: Int[np.ndarray, "b 2"]) -> Bool[np.ndarray, "b parts parts parts"]:
    """Smallest parts with points on both sides."""
    j, k = at.T
    solid = layer.blocks_of(layer.values)[j, k] > 0
    last = layer.blocks.cells - SMALLEST + 1
    corners = [
        solid[:, x : x + last : SMALLEST, y : y + last : SMALLEST, z : z + last : SMALLEST]
        for x, y, z in product(range(SMALLEST + 1), repeat=3)
    ]
    return np.logical_or.reduce(corners) & ~np.logical_and.reduce(corners)
