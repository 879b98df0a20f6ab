"""The surface of a scalar function on a fine lattice, from only those blocks of it that the surface passes through.

The mesh is the one that `isosurface.extract_isosurface` makes of the whole lattice, triangle for triangle. The surface
of a solid passes through about n^2 of a lattice's n^3 cells, so that nearly all of a dense evaluation is spent where
nothing is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from inr_plugins.errors import InputError, setting
from inr_plugins.geometry.levelset.block_lattice import BlockChoice, BlockLattice, Narrow, evaluate
from inr_plugins.geometry.levelset.block_mesh import Piece, join, mesh_layer
from inr_plugins.geometry.levelset.block_slab import Slab
from inr_plugins.geometry.levelset.isosurface import Inside
from inr_plugins.geometry.levelset.lattice import Lattice, Progress, ScalarFunction
from inr_plugins.geometry.mesh import Mesh

# Bytes that the sampling of one point takes here (indices, position, value); what the function takes is its own.
_BYTES_PER_POINT = 128
# Fewer points a call than this would spend the time on the calls.
_LEAST_CHUNK = 1024


class TooLittleMemoryError(InputError):
    """The sampling does not fit in the memory that it was allowed.

    Attributes:
        least: bytes that would do.
    """

    def __init__(self, memory_bytes: int, least: int) -> None:
        super().__init__(
            f"The sampling may take {memory_bytes / 1e9:.3g} GB of memory; this lattice needs at least "
            f"{least / 1e9:.3g} GB beside the mesh: allow more, or take a coarser lattice."
        )
        self.least = least


@dataclass(frozen=True)
class SparseIsosurface:
    """A mesh and what it cost.

    Attributes:
        mesh: the surface, faces outward, in the frame of the box.
        lattice: the lattice on whose edges its vertices lie.
        evaluated: points at which the function was evaluated, those of the choice of blocks included.
        value_range: least and largest value met.
    """

    mesh: Mesh
    lattice: Lattice
    evaluated: int
    value_range: tuple[float, float]

    @property
    def share(self) -> float:
        """Evaluated points over the lattice's points."""
        return self.evaluated / self.lattice.size


def extract_sparse_isosurface(
    function: ScalarFunction,
    lattice: Lattice,
    *,
    choice: BlockChoice,
    level: float,
    inside: Inside = "above",
    closed: bool = True,
    block_cells: int = 8,
    chunk_points: int = 131_072,
    memory_bytes: int = 2**30,
    progress: Progress | None = None,
) -> SparseIsosurface:
    """Mesh the level set of `function` on a lattice, evaluating only near the surface.

    Where the surface leaves a chosen block for one that was not chosen, that one is looked at as well, and so on: a
    choice that misses part of a surface costs time, but never leaves a crack. A component of which no block was chosen
    is missed. Each lattice point is evaluated once, except on the faces of such late blocks.

    Args:
        function: values (n,) at points (n, 3).
        lattice: the points to mesh between; its box is meant by all that follows.
        choice: which blocks to look at: ByDistance, BySamples or ByPredicate (see `block_lattice`).
        level: the value on the surface, in the function's units.
        inside: which side of the level is solid.
        closed: cap the solid where the box cuts it; otherwise the mesh is open there. A capped face of the box is
            evaluated in every block whose centre is solid.
        block_cells: cells along a block's side; powers of two are narrowed to parts of two cells where the choice can
            say which of them matter.
        chunk_points: about how many points to evaluate at once; fewer where memory_bytes asks for it.
        memory_bytes: bound of the memory for the sampling. The mesh, and what the function itself takes, come on top.
        progress: called with (points done, points in all), the choice of blocks not counted; the second number grows
            when late blocks turn up.

    Raises:
        InputError: block or memory too small (TooLittleMemoryError), NaN in the field, or no surface
            at this level among the values met, whose range the message gives (also where all of them are inside).
    """
    if block_cells < 1:
        raise InputError(f"block_cells is {block_cells}; a block needs at least 1 cell along a side.")
    blocks = BlockLattice(lattice, cells=block_cells, rim=int(closed))
    chunk = _chunk_within(memory_bytes, blocks, chunk_points)
    level = float(np.float32(level))
    metered = _Metered(function)
    chosen = choice.choose(metered, blocks, level=level, chunk=chunk)
    pending = chosen.blocks
    if closed:
        pending = pending | _capped_blocks(metered, blocks, pending, level=level, inside=inside, chunk=chunk)
    metered.follow(progress)
    pieces: list[Piece] = []
    done = np.zeros(blocks.shape, dtype=bool)
    while pending.any():
        reached = _sweep(
            metered, blocks, pending, pieces, narrow=chosen.narrow, level=level, inside=inside, chunk=chunk
        )
        done |= pending
        pending = reached & ~done
    _check_found(metered, bool(pieces), level=level, inside=inside)
    return SparseIsosurface(
        mesh=join(pieces, blocks), lattice=lattice, evaluated=metered.points, value_range=(metered.low, metered.high)
    )


def _chunk_within(memory_bytes: int, blocks: BlockLattice, chunk_points: int) -> int:
    """Points to evaluate at once, so that they, a slab of blocks and the choice of blocks fit in the memory.

    Raises:
        TooLittleMemoryError: not even the smallest chunk fits.
    """
    _, ny, nz = blocks.points
    # A slab's float32 values and two masks, others and point numbers; per block a value, a reach and some flags.
    fixed = ny * nz * (7 * (blocks.cells + 1) + 24) + 32 * blocks.size
    least = fixed + _LEAST_CHUNK * _BYTES_PER_POINT
    if memory_bytes < least:
        raise TooLittleMemoryError(memory_bytes, least)
    return max(1, min(chunk_points, (memory_bytes - fixed) // _BYTES_PER_POINT))


def _check_found(function: _Metered, found: bool, *, level: float, inside: Inside) -> None:
    """Refuse what `isosurface.mesh_level_set` refuses, a box full of solid too, as far as the values met can tell.

    Raises:
        InputError: no block was chosen, all values are on one side of the level, or no block holds the surface.
    """
    if function.points == 0:
        raise InputError(
            f"No surface: not one part of the box may hold it; look everywhere with {setting('dense', True)}."
        )
    low, high = function.low, function.high
    solid_somewhere = high > level if inside == "above" else low < level
    empty_somewhere = low < level if inside == "above" else high > level
    if found and solid_somewhere and empty_somewhere:
        return
    if solid_somewhere and empty_somewhere:
        where = f"none of the parts looked into holds it: look everywhere with {setting('dense', True)}"
    else:
        side = "nothing is inside" if not solid_somewhere else "everything is inside"
        where = (
            f"{side}: give a {setting('level')} between the two, or check {setting('box')} and that the run has "
            "trained "
            "long enough"
        )
    raise InputError(
        f"No surface: the field ranges from {low:.6g} to {high:.6g} at the points looked at, the level is {level:.6g} "
        f"and {where}."
    )


class _Metered:
    """The function, with a count of its points and the range of its values; tells progress once told to `follow`."""

    def __init__(self, function: ScalarFunction) -> None:
        self.function = function
        self.points = 0
        self.low, self.high = np.inf, -np.inf
        self.progress: Progress | None = None
        self.start = self.expected = 0

    def follow(self, progress: Progress | None) -> None:
        self.progress, self.start = progress, self.points

    def expect(self, points: int) -> None:
        self.expected += points
        if self.points > self.start:
            self._tell()

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress(self.points - self.start, self.expected)

    def __call__(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        values = np.asarray(self.function(points))
        self.points += len(points)
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        self._tell()
        return values


def _capped_blocks(
    function: ScalarFunction,
    blocks: BlockLattice,
    chosen: Bool[np.ndarray, "bx by bz"],
    *,
    level: float,
    inside: Inside,
    chunk: int,
) -> Bool[np.ndarray, "bx by bz"]:
    """Of the blocks at the box's faces that were not chosen, those whose centre is solid: there the cap is surface."""
    at_face = np.ones(blocks.shape, dtype=bool)
    at_face[1:-1, 1:-1, 1:-1] = False
    capped = np.zeros(blocks.shape, dtype=bool)
    candidates = np.flatnonzero(at_face & ~chosen)
    for first in range(0, len(candidates), chunk):
        flat = candidates[first : first + chunk]
        values = evaluate(function, blocks.centres(flat))
        capped.reshape(-1)[flat] = values > level if inside == "above" else values < level
    return capped


def _sweep(
    function: _Metered,
    blocks: BlockLattice,
    active: Bool[np.ndarray, "bx by bz"],
    pieces: list[Piece],
    *,
    narrow: Narrow | None,
    level: float,
    inside: Inside,
    chunk: int,
) -> Bool[np.ndarray, "bx by bz"]:
    """Mesh the active blocks slab by slab along x; returns the blocks into which their surface continues."""
    slab = Slab(blocks)
    function.expect(sum(slab.count(active, i) for i in range(blocks.shape[0])))
    reached = np.zeros(blocks.shape, dtype=bool)
    for i in np.flatnonzero(active.any(axis=(1, 2))):
        before = function.points
        slab.fill(function, active, int(i), level=level, inside=inside, chunk=chunk, narrow=narrow)
        # Narrowed blocks need fewer points than they have.
        function.expect(function.points - before - slab.count(active, int(i)))
        piece = mesh_layer(slab.values, blocks, active[i], int(i), reached)
        if piece is not None:
            pieces.append(piece)
    return reached
