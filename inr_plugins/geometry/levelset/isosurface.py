"""The surface where a sampled scalar field takes a given level, as a closed mesh with outward faces.

Marching cubes (Lorensen and Cline 1987) as implemented by PyMCubes. Two conventions of "inside" meet here: densities
and occupancies are larger inside ("above" the level), signed distances are smaller ("below", negative inside).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from inr_plugins.errors import InputError, setting
from inr_plugins.geometry.distinct_rows import distinct_rows
from inr_plugins.geometry.levelset.lattice import Lattice, Progress, ScalarFunction, sample_lattice
from inr_plugins.geometry.mesh import Mesh

Inside = Literal["above", "below"]
"""Which side of the level is solid: "above" for density and occupancy, "below" for signed distance."""


def extract_isosurface(
    function: ScalarFunction,
    box: Float[np.ndarray, "2 3"],
    *,
    resolution: int,
    level: float,
    inside: Inside = "above",
    closed: bool = True,
    chunk_points: int = 131_072,
    progress: Progress | None = None,
) -> Mesh:
    """Sample `function` on a lattice of the box and mesh its level set; `box` and the mesh share the function's frame.

    Args:
        function: values (n,) at points (n, 3).
        box: lowest and highest corner.
        resolution: samples along the box's longest side.
        level: the value on the surface, in the function's units.
        inside: which side of the level is solid.
        closed: cap the solid where the box cuts it; otherwise the mesh is open there.
        chunk_points: about how many points to evaluate at once.
        progress: called with (points done, points in all).

    Raises:
        InputError: box without volume, resolution below 2, NaN in the field, or no surface at this level.
    """
    lattice = Lattice.for_box(box, resolution=resolution)
    values = sample_lattice(function, lattice, chunk_points=chunk_points, progress=progress)
    return mesh_level_set(values, lattice, level=level, inside=inside, closed=closed)


def mesh_level_set(
    values: Float[np.ndarray, "nx ny nz"],
    lattice: Lattice,
    *,
    level: float,
    inside: Inside = "above",
    closed: bool = True,
) -> Mesh:
    """Mesh of the level set of values sampled on `lattice`, in the lattice's frame, faces outward.

    Vertices lie on lattice edges at the linearly interpolated crossing. With `closed`, everything beyond the box
    counts as outside and the caps lie exactly in the box's faces.

    Raises:
        InputError: the values are all on one side of the level; the message gives their range.
    """
    import mcubes

    if values.shape != lattice.shape:
        raise ValueError(f"values of shape {values.shape} do not belong to a lattice of shape {lattice.shape}")
    _check_level(values, level=float(np.float32(level)), inside=inside)
    # PyMCubes orients faces outward when the solid has the larger values, so a signed distance is negated.
    solid = values - np.float32(level) if inside == "above" else np.float32(level) - values
    if closed:
        solid = np.pad(solid, 1, constant_values=-max(1.0, float(solid.max())))
    index, faces = mcubes.marching_cubes(solid, 0.0)
    faces = faces.astype(np.int64)
    if closed:
        index, faces = _close_at_box(index - 1.0, faces, lattice.shape)
    return Mesh(vertices=lattice.positions(index), faces=faces)


def _check_level(values: Float[np.ndarray, "nx ny nz"], *, level: float, inside: Inside) -> None:
    low, high = float(values.min()), float(values.max())
    solid_somewhere = high > level if inside == "above" else low < level
    empty_somewhere = low < level if inside == "above" else high > level
    if solid_somewhere and empty_somewhere:
        return
    found = f"The field ranges from {low:.6g} to {high:.6g} in the box"
    if low == high:
        raise InputError(f"{found}: it is constant, so there is no surface; train longer, or check {setting('box')}.")
    where = "nothing is inside" if not solid_somewhere else "everything is inside"
    raise InputError(
        f"{found} and the level is {level:.6g}, so {where} and there is no surface; give a {setting('level')} between "
        f"the two, or check {setting('box')} and that the run has trained long enough."
    )


def _close_at_box(
    index: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], shape: tuple[int, int, int]
) -> tuple[Float[np.ndarray, "kept_v 3"], Int[np.ndarray, "kept_f 3"]]:
    """Bring the caps, which marching cubes put somewhere in the padding, into the box's faces.

    Along the box's edges the caps of two faces meet in vertices that now coincide: they become one, and the slivers
    between them, without area, go.
    """
    highest = np.array(shape) - 1.0
    beyond = ((index < 0) | (index > highest)).any(axis=1)
    if not beyond.any():
        return index, faces
    index = np.clip(index, 0.0, highest)
    moved = np.flatnonzero(beyond)
    first, group = distinct_rows(index[moved])
    target = np.arange(len(index))
    target[moved] = moved[first][group]
    faces = target[faces]
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    used = np.zeros(len(index), dtype=bool)
    used[faces] = True
    return index[used], (np.cumsum(used) - 1)[faces]
