"""A regular lattice of sample points in a box, and the sampling of a scalar function on it, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from inr_plugins.errors import InputError, setting

ScalarFunction = Callable[[Float[np.ndarray, "n 3"]], Float[np.ndarray, " n"]]
"""Values (n,) of a field at points (n, 3); the value of a point must not depend on the other points."""

Progress = Callable[[int, int], None]
"""Called with (points done, points in all)."""

# A side that is a whole number of spacings long must not gain a sample from a rounding error.
_ROUNDING = 1e-9


def check_box(box: Float[np.ndarray, "2 3"], *, name: str = "box") -> Float[np.ndarray, "2 3"]:
    """The box as float64 (rows: lowest, highest corner).

    Raises:
        InputError: a corner is not finite, or the box has no volume.
    """
    box = np.asarray(box, dtype=np.float64)
    if box.shape != (2, 3) or not np.isfinite(box).all() or (box[1] <= box[0]).any():
        raise InputError(
            f"The {name} {box.tolist()} has no volume; give the lowest and then the highest corner, each x y z, "
            "with every coordinate of the second above the first."
        )
    return box


@dataclass(frozen=True)
class Lattice:
    """Points lo + i * spacing of a box, i = 0 .. n - 1 along each axis; the first and last lie on the box's faces.

    Attributes:
        box: lowest and highest corner, in whatever frame the sampled function lives in.
        shape: number of samples along x, y, z, each at least 2.
    """

    box: Float[np.ndarray, "2 3"]
    shape: tuple[int, int, int]

    @classmethod
    def for_box(cls, box: Float[np.ndarray, "2 3"], *, resolution: int) -> Lattice:
        """Lattice with `resolution` samples along the longest side and, nearly, the same spacing along the others.

        The other sides get the least number of samples that keeps their spacing no wider than the longest side's, so
        that every side starts and ends on a sample whatever the box's proportions.

        Raises:
            InputError: a box without volume, or a resolution below 2.
        """
        box = check_box(box)
        if resolution < 2:
            raise InputError(f"The resolution is {resolution}; a lattice needs at least 2 samples along a side.")
        sides = box[1] - box[0]
        cells = np.ceil(sides / sides.max() * (resolution - 1) - _ROUNDING).astype(int)
        nx, ny, nz = (int(n) + 1 for n in np.maximum(cells, 1))
        return cls(box=box, shape=(nx, ny, nz))

    @classmethod
    def for_spacing(cls, box: Float[np.ndarray, "2 3"], *, spacing: float) -> Lattice:
        """Lattice with the least number of samples along each side that are no further apart than `spacing`.

        The samples along a side depend on that side alone, so that boxes which share a face share its samples.

        Raises:
            InputError: a box without volume, or a spacing that is not a positive length.
        """
        box = check_box(box)
        if not 0 < spacing < np.inf:
            raise InputError(f"The spacing of the samples is {spacing}; it must be a positive length.")
        nx, ny, nz = (int(n) + 1 for n in np.maximum(np.ceil((box[1] - box[0]) / spacing - _ROUNDING), 1))
        return cls(box=box, shape=(nx, ny, nz))

    @property
    def size(self) -> int:
        """Number of points."""
        nx, ny, nz = self.shape
        return nx * ny * nz

    @property
    def spacing(self) -> Float[np.ndarray, " 3"]:
        """Distance between neighbours along each axis: side / (samples - 1)."""
        return (self.box[1] - self.box[0]) / (np.array(self.shape) - 1)

    def positions(self, index: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Fractional lattice indices -> positions in the box's frame."""
        return self.box[0] + index * self.spacing

    def rows(self, first: int, last: int) -> Float[np.ndarray, "n 3"]:
        """Points of the rows first .. last - 1 in C order, a row being the nz points that share x and y."""
        nx, ny, nz = self.shape
        x, y, z = (np.linspace(lo, hi, n) for lo, hi, n in zip(*self.box, (nx, ny, nz), strict=True))
        i, j = np.divmod(np.arange(first, last), ny)
        points = np.empty((last - first, nz, 3))
        points[..., 0] = x[i, None]
        points[..., 1] = y[j, None]
        points[..., 2] = z
        return points.reshape(-1, 3)


def sample_lattice(
    function: ScalarFunction,
    lattice: Lattice,
    *,
    chunk_points: int = 131_072,
    progress: Progress | None = None,
) -> Float[np.ndarray, "nx ny nz"]:
    """Values of `function` on the lattice, float32, evaluated in chunks of about `chunk_points` points (whole rows).

    The points of a chunk are the same numbers whatever the chunk size, and so is the result.

    Raises:
        InputError: the function gave NaN or infinity somewhere, or the lattice does not fit in memory.
    """
    nx, ny, nz = lattice.shape
    try:
        values = np.empty((nx * ny, nz), dtype=np.float32)
    except MemoryError:
        raise InputError(
            f"A lattice of {nx} x {ny} x {nz} does not fit in memory; lower {setting('resolution')}."
        ) from None
    rows_per_chunk = max(1, chunk_points // nz)
    broken = 0
    for first in range(0, nx * ny, rows_per_chunk):
        last = min(first + rows_per_chunk, nx * ny)
        chunk = np.asarray(function(lattice.rows(first, last)), dtype=np.float32)
        if chunk.shape != ((last - first) * nz,):
            raise ValueError(
                f"the function gave shape {chunk.shape} for {(last - first) * nz} points; it must give (n,)"
            )
        broken += int(np.count_nonzero(~np.isfinite(chunk)))
        values[first:last] = chunk.reshape(-1, nz)
        if progress is not None:
            progress(last * nz, lattice.size)
    if broken:
        raise InputError(
            f"The field is NaN or infinite at {broken} of {lattice.size} lattice points; the run has diverged: train "
            "it again with a lower learning rate, or export an earlier checkpoint."
        )
    return values.reshape(nx, ny, nz)
