"""A lattice cut into blocks, and the choice of those blocks that a level set can pass through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from inr_plugins.errors import InputError
from inr_plugins.geometry.levelset.lattice import Lattice, ScalarFunction

MayCross = Callable[[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]], Bool[np.ndarray, " n"]]
"""Whether the surface may pass through boxes, given their lowest and highest corners; a box may be flat."""

Narrow = Callable[
    [Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"], Float[np.ndarray, " n"]],
    Bool[np.ndarray, " n"],
]
"""The same for parts of chosen blocks, given also the values at their middles, less the level.

It must be true wherever the surface does pass: a choice of blocks is followed up where it missed some, a narrowing is
believed, but for parts whose points turn out to be on both sides.
"""

# The largest of some measured slopes is below the largest of all: a quarter is added.
_SLOPE_MARGIN = 1.25
# What is narrowed by a slope that was measured is not followed up: more is added.
_NARROW_MARGIN = 1.25
# About how many blocks have the gradient measured at their centre.
_SLOPE_SAMPLES = 4096


@dataclass(frozen=True)
class BlockLattice:
    """The cells of a lattice in blocks of cells x cells x cells; the last block along an axis may be smaller.

    Neighbouring blocks share the lattice points of the face between them. Points are numbered with a rim: point i of
    the lattice is point i + rim here, so that with a rim of 1 one layer of points beyond the box belongs to blocks too.

    Attributes:
        lattice: the lattice within the box.
        cells: cells along a block's side.
        rim: layers of points added around the lattice, 0 or 1.
    """

    lattice: Lattice
    cells: int
    rim: int

    @property
    def points(self) -> tuple[int, int, int]:
        """Lattice points along x, y, z, the rim included."""
        nx, ny, nz = (n + 2 * self.rim for n in self.lattice.shape)
        return nx, ny, nz

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of blocks along x, y, z."""
        bx, by, bz = (-(-(n - 1) // self.cells) for n in self.points)
        return bx, by, bz

    @property
    def size(self) -> int:
        """Number of blocks."""
        bx, by, bz = self.shape
        return bx * by * bz

    def corners(self, index: Int[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Positions, pulled into the box, of the lowest corners of the blocks with these numbers along x, y, z."""
        last = np.array(self.lattice.shape) - 1
        return self.lattice.positions(np.clip(index * self.cells - self.rim, 0, last).astype(np.float64))

    def bounds(self, flat: Int[np.ndarray, " n"]) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
        """Lowest and highest corners, within the box and in its frame, of the blocks with these numbers in C order."""
        index = np.stack(np.unravel_index(flat, self.shape), axis=-1)
        return self.corners(index), self.corners(index + 1)

    def centres(self, flat: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
        """Middles of `bounds`."""
        low, high = self.bounds(flat)
        return (low + high) / 2

    def numbers(self, chunk: int) -> Iterator[Int[np.ndarray, " n"]]:
        """All block numbers in C order, at most `chunk` at once."""
        for first in range(0, self.size, chunk):
            yield np.arange(first, min(first + chunk, self.size))


@dataclass(frozen=True)
class Chosen:
    """Blocks to look into.

    Attributes:
        blocks: True for every one that must be looked at.
        narrow: the rule for their parts, None where all of a block must be looked at.
    """

    blocks: Bool[np.ndarray, "bx by bz"]
    narrow: Narrow | None = None


@runtime_checkable
class BlockChoice(Protocol):
    """A rule that says which blocks the surface can pass through."""

    def choose(self, function: ScalarFunction, blocks: BlockLattice, *, level: float, chunk: int) -> Chosen:
        """The blocks that must be looked at; at most `chunk` points go to the function at once."""


@dataclass(frozen=True)
class ByPredicate:
    """The blocks for which the caller says so, from an occupancy grid or interval arithmetic, say.

    Attributes:
        may_cross: the rule.
        is_sure: it is never wrong where it says no, for boxes of any size: then parts of blocks are put to it too.
    """

    may_cross: MayCross
    is_sure: bool = False

    def choose(self, function: ScalarFunction, blocks: BlockLattice, *, level: float, chunk: int) -> Chosen:
        """See BlockChoice."""
        chosen = [np.asarray(self.may_cross(*blocks.bounds(flat)), dtype=bool) for flat in blocks.numbers(chunk)]
        narrow = (lambda low, high, _: self.may_cross(low, high)) if self.is_sure else None
        return Chosen(np.concatenate(chosen).reshape(blocks.shape), narrow)


@dataclass(frozen=True)
class ByDistance:
    """The blocks whose centre value is within lipschitz * half diagonal of the level: no other can hold the surface.

    For signed distances, and other functions whose slope has a useful bound.

    Attributes:
        lipschitz: bound of the function's slope, in its units per unit of length (1 for an exact distance). None
            measures one, which is a guess where the function is steeper between the samples (`measured_slope`).
    """

    lipschitz: float | None = None

    def __post_init__(self) -> None:
        if self.lipschitz is not None and not 0 < self.lipschitz < np.inf:
            raise InputError(f"lipschitz is {self.lipschitz}; it must be above 0 and finite, or None to measure it.")

    def choose(self, function: ScalarFunction, blocks: BlockLattice, *, level: float, chunk: int) -> Chosen:
        """See BlockChoice."""
        values = np.empty(blocks.size, dtype=np.float32)
        for flat in blocks.numbers(chunk):
            values[flat] = evaluate(function, blocks.centres(flat))
        if self.lipschitz is not None:
            slope = narrow_slope = self.lipschitz
        else:
            slope = measured_slope(function, blocks, values.reshape(blocks.shape), chunk=chunk)
            narrow_slope = _NARROW_MARGIN * slope
        chosen = [
            _within_reach(*blocks.bounds(flat), values[flat] - np.float32(level), slope=slope, level=level)
            for flat in blocks.numbers(chunk)
        ]
        return Chosen(
            np.concatenate(chosen).reshape(blocks.shape), partial(_within_reach, slope=narrow_slope, level=level)
        )


@dataclass(frozen=True)
class BySamples:
    """The blocks whose corners and centre lie on both sides of the level, and those within `dilation` blocks of them.

    For densities and occupancies, whose slope has no useful bound. A piece of surface that stays clear of all these
    blocks is found only where it connects to one of them.

    Attributes:
        dilation: layers of neighbouring blocks to add.
    """

    dilation: int = 1

    def __post_init__(self) -> None:
        if self.dilation < 0:
            raise InputError(f"dilation is {self.dilation}; it must be 0 or more blocks.")

    def choose(self, function: ScalarFunction, blocks: BlockLattice, *, level: float, chunk: int) -> Chosen:
        """See BlockChoice."""
        from scipy.ndimage import binary_dilation

        bx, by, bz = blocks.shape
        corners = (bx + 1, by + 1, bz + 1)
        above = np.empty(corners, dtype=bool)
        for first in range(0, above.size, chunk):
            flat = np.arange(first, min(first + chunk, above.size))
            index = np.stack(np.unravel_index(flat, corners), axis=-1)
            above.reshape(-1)[flat] = evaluate(function, blocks.corners(index)) > level
        centre = [evaluate(function, blocks.centres(flat)) > level for flat in blocks.numbers(chunk)]
        some = np.concatenate(centre).reshape(blocks.shape)
        every = some.copy()
        for i, j, k in np.ndindex(2, 2, 2):
            corner = above[i : i + bx, j : j + by, k : k + bz]
            some |= corner
            every &= corner
        mixed = some & ~every
        if self.dilation == 0:
            return Chosen(mixed)
        return Chosen(binary_dilation(mixed, np.ones((3, 3, 3), dtype=bool), iterations=self.dilation))


def _within_reach(
    low: Float[np.ndarray, "n 3"],
    high: Float[np.ndarray, "n 3"],
    values: Float[np.ndarray, " n"],
    *,
    slope: float,
    level: float,
) -> Bool[np.ndarray, " n"]:
    """Whether values less the level, at the middles of boxes, let the level be met in them at such a slope."""
    reach = slope * np.linalg.norm(high - low, axis=1) / 2 * (1 + 1e-6)
    # A box that the surface only touches must not be lost to the rounding of float32.
    return np.abs(values) <= reach + 4 * np.finfo(np.float32).eps * (np.abs(values) + 2 * abs(level))


def measured_slope(
    function: ScalarFunction, blocks: BlockLattice, centre_values: Float[np.ndarray, "bx by bz"], *, chunk: int
) -> float:
    """The steepest slope seen, with a quarter added: from block to block, and of the gradient at some centres.

    The gradient is a one-sided difference over half a lattice spacing at about 4096 centres spread over the blocks.
    """
    steepest = 0.0
    last = np.array(blocks.lattice.shape) - 1
    for axis, count in enumerate(blocks.shape):
        ends = np.clip(np.arange(count + 1) * blocks.cells - blocks.rim, 0, last[axis])
        run = np.diff((ends[:-1] + ends[1:]) / 2) * blocks.lattice.spacing[axis]
        rise = np.abs(np.diff(centre_values, axis=axis))
        if rise.size:
            steepest = max(steepest, float((np.moveaxis(rise, axis, -1) / run).max()))
    chosen = np.arange(0, blocks.size, max(1, blocks.size // _SLOPE_SAMPLES))
    # Steps lead towards the middle of the box, which half a spacing never leaves.
    middle = blocks.lattice.box.mean(axis=0)
    for first in range(0, len(chosen), chunk):
        flat = chosen[first : first + chunk]
        at = blocks.centres(flat)
        steps = np.where(at > middle, -0.5, 0.5) * blocks.lattice.spacing
        squares = np.zeros(len(flat))
        for axis in range(3):
            ahead = at.copy()
            ahead[:, axis] += steps[:, axis]
            squares += ((evaluate(function, ahead) - centre_values.reshape(-1)[flat]) / steps[:, axis]) ** 2
        steepest = max(steepest, float(np.sqrt(squares.max())))
    return _SLOPE_MARGIN * steepest


def evaluate(function: ScalarFunction, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
    """Values of the function as float32.

    Raises:
        InputError: NaN or infinity among them.
        ValueError: their shape is not (n,).
    """
    values = np.asarray(function(points), dtype=np.float32)
    if values.shape != (len(points),):
        raise ValueError(f"the function gave shape {values.shape} for {len(points)} points; it must give (n,)")
    broken = int(np.count_nonzero(~np.isfinite(values)))
    if broken:
        raise InputError(
            f"The field is NaN or infinite at {broken} of {len(points)} points; the run has diverged: train it again "
            "with a lower learning rate, or export an earlier checkpoint."
        )
    return values
