"""Triangle meshes as the metrics see them: points drawn from the surface, and which points lie inside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.surface_sampler import SurfaceSampler

# Whether each of the points (n, 3) lies in a solid: bools (n,).
Inside = Callable[[np.ndarray], np.ndarray]

# Bounds of the memory that `inside_mesh` takes: faces, and pairs of a face and a column, looked at together.
_FACES_AT_A_TIME = 2**15
_PAIRS_AT_A_TIME = 2**21


@runtime_checkable
class TriangleMesh(Protocol):
    """Anything with vertices and faces, such as :class:`inr_plugins.geometry.mesh.Mesh`."""

    @property
    def vertices(self) -> np.ndarray:
        """Positions (v, 3)."""

    @property
    def faces(self) -> np.ndarray:
        """Indices of each triangle's corners (f, 3)."""


@dataclass(frozen=True)
class PointCloud:
    """Points of a surface, as a scanner gives them.

    Attributes:
        points: positions.
        normals: unit normals, or None.
    """

    points: Float[np.ndarray, "n 3"]
    normals: Float[np.ndarray, "n 3"] | None = None


def check_mesh(vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], *, name: str) -> None:
    """Refuse arrays that are no mesh: no faces, corners that are not finite or that no vertex has.

    Args:
        vertices: positions.
        faces: indices of each triangle's corners.
        name: what the caller calls the mesh, for the message.

    Raises:
        ValueError: as above.
    """
    if len(vertices) == 0 or len(faces) == 0:
        raise ValueError(
            f"{name} must have at least one vertex and one face, not {len(vertices)} and {len(faces)}; "
            "an extracted mesh is empty where no surface passes through the box at that level."
        )
    broken = int((~np.isfinite(vertices).all(axis=1)).sum())
    if broken:
        raise ValueError(
            f"{name} has {broken} of {len(vertices)} vertices that are not finite; drop or fix them first."
        )
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise ValueError(
            f"{name} has faces whose corners run from {faces.min()} to {faces.max()}; they must lie in "
            f"0 to {len(vertices) - 1}, one for each vertex."
        )


def sample_surface(
    vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], count: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "count 3"], Float[np.ndarray, "count 3"]]:
    """Independent points, uniform over the area of a mesh, and the unit normals of the faces they lie on.

    As :mod:`inr_plugins.geometry.surface_sampler` draws them. No point depends on another, so that the distance between
    two samplings of a surface has a closed form: see :mod:`inr_plugins.metrics.surface`.

    Args:
        vertices: positions, in any frame and units; the points are in the same.
        faces: indices of each triangle's corners, anticlockwise seen from outside. Faces without area get no point.
        count: number of points, at least 1.
        rng: source of the random numbers.

    Returns:
        Points (count, 3) and outward unit normals (count, 3), float64.

    Raises:
        ValueError: the mesh is empty, has vertices that are not finite or no area, or ``count`` is below 1.
    """
    check_mesh(vertices, faces, name="the mesh of vertices and faces")
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}.")
    return SurfaceSampler(Mesh(vertices=vertices, faces=faces)).sample(count, rng)


def most_samples(surface: TriangleMesh | PointCloud, *, name: str) -> int:
    """How many points there are to draw, after a check that they can be drawn; of a mesh, any number.

    Args:
        surface: mesh or cloud.
        name: what the caller calls it, for the message.

    Raises:
        ValueError: the surface is empty, not finite, or has normals that are no unit vectors.
    """
    if not isinstance(surface, PointCloud):
        check_mesh(surface.vertices, surface.faces, name=name)
        return 2**62
    if len(surface.points) == 0:
        raise ValueError(f"{name} must have points, not 0.")
    if not np.isfinite(surface.points).all():
        raise ValueError(f"{name} has points that are not finite; drop them first.")
    if surface.normals is not None and not np.allclose(np.linalg.norm(surface.normals, axis=1), 1, atol=1e-3):
        raise ValueError(f"{name} has normals whose length is not 1; scale them, or leave them out.")
    return len(surface.points)


def draw_samples(
    surface: TriangleMesh | PointCloud, count: int, rng: np.random.Generator, *, parts: int
) -> Iterator[PointCloud]:
    """``parts`` independent samplings of ``count`` points each, float64; those of a cloud share no point.

    Args:
        surface: mesh or cloud; a cloud has at least ``parts * count`` points.
        count: points of each sampling.
        rng: source of the random numbers.
        parts: number of samplings.
    """
    if isinstance(surface, PointCloud):
        for chosen in rng.permutation(len(surface.points))[: parts * count].reshape(parts, count):
            normals = None if surface.normals is None else surface.normals[chosen]
            yield PointCloud(surface.points[chosen].astype(np.float64), normals)
    else:
        for _ in range(parts):
            yield PointCloud(*sample_surface(surface.vertices, surface.faces, count, rng))


def inside_mesh(vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], *, outward: bool = False) -> Inside:
    """The inside of a closed mesh: points around which its winding number is not 0, or above 0.

    The winding number is counted along the ray from the point towards +z: +1 for every face left through its outer
    side, -1 for every face entered. Unlike parity (BACON's choice) it keeps the overlap of two solids inside; a cavity
    is outside if its wall looks into it, as it should. Faces that all look inwards change nothing. Edges are decided
    in float64 by a rule that neighbouring faces share, so that no ray slips between two faces or is counted twice.
    Where the mesh has a hole, points below it may be wrong.

    Args:
        vertices: positions.
        faces: indices of each triangle's corners, in a consistent order.
        outward: the faces are known to look outward, so that points with a negative number, as where two cavities
            overlap, are outside.

    Returns:
        A function of points (n, 3), in the frame of the vertices, that gives n bools.

    Raises:
        ValueError: the mesh is empty or has vertices that are not finite.
    """
    check_mesh(vertices, faces, name="the mesh of vertices and faces")
    corners = vertices[faces].astype(np.float64)

    def inside(points: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
        if len(points) == 0:
            return np.zeros(0, dtype=bool)
        # Points above one another share a column: each face is cut once with a column, not once with each point.
        complex_columns, column = np.unique(points[:, 0] + 1j * points[:, 1], return_inverse=True)
        columns = np.stack([complex_columns.real, complex_columns.imag], axis=1)
        found = [_cut(columns, face, at) for face, at in _near_pairs(corners, columns)]
        cut_column, cut_height, cut_turn = (np.concatenate(parts) for parts in zip(*found, strict=True))
        where = np.concatenate([cut_column, column])
        order = np.lexsort((np.concatenate([cut_height, points[:, 2]]), where))
        upto = np.cumsum(np.concatenate([cut_turn, np.zeros(len(points), dtype=np.int64)])[order])
        last_of_column = np.searchsorted(where[order], np.arange(len(columns)), side="right") - 1
        winding = np.empty(len(where), dtype=np.int64)
        winding[order] = upto[last_of_column[where[order]]] - upto
        number = winding[len(cut_column) :]
        return number > 0 if outward else number != 0

    return inside


def _near_pairs(
    corners: Float[np.ndarray, "f 3 3"], columns: Float[np.ndarray, "c 2"]
) -> Iterator[tuple[Float[np.ndarray, "p 3 3"], Int[np.ndarray, " p"]]]:
    """Pairs of a face and a column in whose bins, seen from above, they both lie; a batch at a time."""
    side = max(1, min(1024, math.isqrt(len(columns))))
    low, high = columns.min(axis=0), columns.max(axis=0)
    scale = side / np.where(high > low, high - low, 1.0)

    def bins(xy: Float[np.ndarray, "*k 2"]) -> Int[np.ndarray, "*k 2"]:
        # Monotone in xy, so that a column between a face's ends gets a bin between theirs.
        return np.floor(np.clip((xy - low) * scale, 0, side - 1)).astype(np.int64)

    bin_of_column = bins(columns) @ np.array([side, 1])
    by_bin = np.argsort(bin_of_column, kind="stable")
    start = np.searchsorted(bin_of_column[by_bin], np.arange(side * side + 1))
    for block in range(0, len(corners), _FACES_AT_A_TIME):
        face = corners[block : block + _FACES_AT_A_TIME]
        lowest, highest = face[..., :2].min(axis=1), face[..., :2].max(axis=1)
        over = ((highest >= low) & (lowest <= high)).all(axis=1)
        face, first, last = face[over], bins(lowest[over]), bins(highest[over])
        # Bins of one x and a run of y hold columns that follow one another in `by_bin`.
        owner, row = _runs(first[:, 0], last[:, 0] - first[:, 0] + 1)
        begin = start[row * side + first[owner, 1]]
        count = start[row * side + last[owner, 1] + 1] - begin
        batch = np.cumsum(count) // _PAIRS_AT_A_TIME
        for rows in np.split(np.arange(len(row)), np.nonzero(np.diff(batch))[0] + 1):
            which, at = _runs(begin[rows], count[rows])
            yield face[owner[rows][which]], by_bin[at]


def _runs(first: Int[np.ndarray, " k"], count: Int[np.ndarray, " k"]) -> tuple[np.ndarray, np.ndarray]:
    """The runs first, first + 1, ... of `count` numbers each, one after the other, and the run each comes from."""
    owner = np.repeat(np.arange(len(count)), count)
    return owner, np.arange(len(owner)) + np.repeat(first - (np.cumsum(count) - count), count)


def _cut(
    columns: Float[np.ndarray, "c 2"], face: Float[np.ndarray, "p 3 3"], at: Int[np.ndarray, " p"]
) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """Where vertical lines cut faces: column, height, and +1 where the face looks up, -1 where it looks down."""
    x, y = columns[at].T
    turn = np.zeros(len(at), dtype=np.int64)
    for begin, end in ((0, 1), (1, 2), (2, 0)):
        u, v = face[:, begin], face[:, end]
        rises, falls = (u[:, 1] <= y) & (y < v[:, 1]), (v[:, 1] <= y) & (y < u[:, 1])
        # From the lower end to the higher one: the neighbour, which runs along the edge the other way, rounds alike.
        low, high = np.where(rises[:, None], u, v), np.where(rises[:, None], v, u)
        crosses = rises | falls
        climb = np.where(crosses, high[:, 1] - low[:, 1], 1.0)
        right = crosses & (x < low[:, 0] + (y - low[:, 1]) * ((high[:, 0] - low[:, 0]) / climb))
        turn += np.where(rises & right, 1, 0) - np.where(falls & right, 1, 0)
    hit = turn != 0
    a, b, c = face[hit].swapaxes(0, 1)
    normal = np.cross(b - a, c - a)
    upright = np.where(normal[:, 2] == 0, 1.0, normal[:, 2])
    height = a[:, 2] - ((x[hit] - a[:, 0]) * normal[:, 0] + (y[hit] - a[:, 1]) * normal[:, 1]) / upright
    # Rounding throws the height of a nearly vertical face far off.
    return at[hit], np.clip(height, face[hit, :, 2].min(axis=1), face[hit, :, 2].max(axis=1)), turn[hit]
