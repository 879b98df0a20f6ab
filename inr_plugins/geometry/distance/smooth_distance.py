"""A surface through points with normals that bends no more than it has to, and the distance to it.

The function f that

    mean over points of f(p)² + s² |∇f(p) - n|²   +   λ ∫ |Hessian of f|²

is least for is nearly a signed distance around the points (smooth signed distance, Calakli and Taubin 2011), and f =
0 is the surface. Far from the points it is held to the distance to them, so that no sheet of surface comes up where
nothing is known. f is solved for on lattices, each twice as fine as the one before, from one of the whole cube to a
band around the points whose cells are narrower than the points lie apart. λ, and on noisy points s, are those with
which a fifth of the points, held out, is met best by what the others say: noise is not taken for detail.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32
from scipy.ndimage import binary_dilation
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import LinearOperator, cg
from scipy.spatial import cKDTree

from inr_plugins.geometry.distance.cloud_distance import CloudDistance
from inr_plugins.geometry.distance.lattice_level import LatticeLevel
from inr_plugins.geometry.levelset.block_lattice import ByDistance
from inr_plugins.geometry.levelset.lattice import Lattice
from inr_plugins.geometry.levelset.sparse_isosurface import extract_sparse_isosurface
from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.repair.cleaning import face_components
from inr_plugins.shape_points import point_spacing

FEWEST_POINTS = 10
"""With fewer, those that are held out tell nothing."""
SMOOTHNESS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)
"""λ, in cubes of the points' spacing over the square of the cube's half side, from soft to stiff, to choose among."""
_FIRST = 4
"""Which of them is tried first, and holds on the coarser lattices."""
_NORMAL, _LEAST_NORMAL, _MOST_NORMAL = 0.5, 0.3, 2.0
"""s to begin with, and within which it is found, in spacings."""
_HELD_OUT = 5
"""Of so many points one is held out to choose by."""
_WHOLE, _FINEST = 32, 256
"""Most cells along a side of the lattice of the whole cube, and of the finest."""
_EDGE = 0.5
"""Of a cell of the last lattice, in spacings."""
_LAYERS = 2
"""Layers of cells by which a band reaches beyond those that hold points."""
_FAR, _FAR_WEIGHT = 3.0, 0.1
"""Where f is held to the distance to the points, in spacings from them, and how firmly: the error allowed there grows
with the distance."""
_STEEPEST = 2.0
"""More than f rises by anywhere near the surface."""
_TOLERANCE, _MOST_STEPS = 1e-3, 300
_SLACK = 1e-6
"""By what part of the cube points may lie beyond it: by rounding, where a shape fills it."""


@dataclass(frozen=True)
class _Wanted:
    """What f is to meet: points of the surface with their normals, and the spacing that all lengths are counted in."""

    points: Float[np.ndarray, "n 3"]
    normals: Float[np.ndarray, "n 3"]
    spacing: float
    held_out: Bool[np.ndarray, " n"]


class SmoothDistance:
    """f of the module's description: nearly the distance to a smooth surface that points lie on, negative inside.

    Attributes:
        spacing: of the points: the side of the square of the surface that one has for itself.
        smoothness: λ that was chosen, one of SMOOTHNESS and in its unit.
        normal_weight: s that was found, in spacings.
    """

    def __init__(
        self, points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"], *, reach: float = 1.0
    ) -> None:
        """
        Args:
            points: different points of the surface, in the cube [-reach, reach]^3.
            normals: outward unit normals there.
            reach: half the side of the cube that f has values in.

        Raises:
            ValueError: fewer than 10 points, or a point beyond the cube.
        """
        if len(points) < FEWEST_POINTS:
            raise ValueError(f"A smooth surface needs {FEWEST_POINTS} points, got {len(points)}.")
        if np.abs(points).max() > (1 + _SLACK) * reach:
            raise ValueError(f"A point lies beyond the cube of half side {reach:g}.")
        points, normals = points.astype(np.float64), normals.astype(np.float64)
        self._points, self._reach = points, reach
        self.spacing = point_spacing(points)
        # Neighbours in a file are often neighbours on the surface.
        order = np.random.default_rng(0).permutation(len(points))
        wanted = _Wanted(points, normals, self.spacing, order % _HELD_OUT == 0)
        self.smoothness, self.normal_weight = SMOOTHNESS[_FIRST], _NORMAL
        self._levels: list[LatticeLevel] = []
        self._solve(wanted, CloudDistance(points, normals))

    def __call__(self, points: Float[np.ndarray, "q 3"]) -> Float32[np.ndarray, " q"]:
        """f at points of the cube."""
        return _read(self._levels, points.astype(np.float64)).astype(np.float32)

    def surface(self) -> Mesh:
        """Where f is 0, faces outward, at samples as fine as the finest lattice.

        Pieces that are nearest to no point at all are left out: nothing speaks for them.

        Raises:
            InputError: f is 0 nowhere.
        """
        box = np.array([[-self._reach] * 3, [self._reach] * 3])
        lattice = Lattice.for_box(box, resolution=round(2 * self._reach / self._levels[-1].edge) + 1)
        mesh = extract_sparse_isosurface(
            self, lattice, choice=ByDistance(_STEEPEST), level=0.0, inside="below", closed=True
        ).mesh
        pieces = face_components(mesh)
        middles = mesh.vertices[mesh.faces].mean(axis=1)
        meant = np.unique(pieces[cKDTree(middles).query(self._points, workers=-1)[1]])
        return Mesh(*_used(mesh.vertices, mesh.faces[np.isin(pieces, meant)]))

    def _solve(self, wanted: _Wanted, cloud: CloudDistance) -> None:
        far = LatticeLevel(_WHOLE, self._reach)
        far.values = cloud(far.vertices).astype(np.float64)
        counts = [min(_FINEST, max(4, math.ceil(2 * self._reach / (_EDGE * wanted.spacing))))]
        while counts[0] > _WHOLE:
            counts.insert(0, math.ceil(counts[0] / 2))
        for cells in counts:
            level = self._level(cells, wanted)
            system = _System(level, wanted, far=None if self._levels else far.read(level.vertices))
            start = _read(self._levels or [far], level.vertices)
            if cells == counts[max(0, len(counts) - 2)]:
                level.values = self._choose(system, start)
            else:
                level.values = system.solve(self.smoothness, self.normal_weight, start)
            self._levels.append(level)

    def _level(self, cells: int, wanted: _Wanted) -> LatticeLevel:
        """The whole cube in so many cells along a side, or, of many, what lies around the points of it."""
        if not self._levels:
            return LatticeLevel(cells, self._reach)
        held = np.zeros((cells,) * 3, dtype=bool)
        at = np.floor((wanted.points + self._reach) * (cells / (2 * self._reach))).astype(np.int64)
        held[tuple(at.clip(0, cells - 1).T)] = True
        return LatticeLevel(cells, self._reach, binary_dilation(held, np.ones((3, 3, 3)), iterations=_LAYERS))

    def _choose(self, system: _System, start: Float[np.ndarray, " v"]) -> Float[np.ndarray, " v"]:
        """The values of the last lattice, with the s and λ that held-out points are met best with."""
        found = system.solve(SMOOTHNESS[_FIRST], self.normal_weight, start, part=True)
        self.normal_weight = system.worth_of_normals(found)
        least, chosen = system.missed(found, self.normal_weight), _FIRST
        for direction in (1, -1):
            before, at = found, _FIRST + direction
            while 0 <= at < len(SMOOTHNESS):
                before = system.solve(SMOOTHNESS[at], self.normal_weight, before, part=True)
                missed = system.missed(before, self.normal_weight)
                if missed >= least:
                    break
                least, chosen, found = missed, at, before
                at += direction
            if chosen != _FIRST:
                break
        self.smoothness = SMOOTHNESS[chosen]
        return system.solve(self.smoothness, self.normal_weight, found)


class _System:
    """The equations of one lattice."""

    def __init__(self, level: LatticeLevel, wanted: _Wanted, *, far: Float[np.ndarray, " v"] | None) -> None:
        """`far` is the distance to the points at the vertices, where f is to be held to it far away."""
        self._level, self._wanted, self._far = level, wanted, far
        self._value, self._slopes = level.readings(wanted.points)
        self._bending = level.bending()
        self._sums: dict[bool, tuple[csr_matrix, csr_matrix, np.ndarray]] = {}

    def solve(
        self, smoothness: float, normal_weight: float, start: Float[np.ndarray, " v"], *, part: bool = False
    ) -> Float[np.ndarray, " v"]:
        """Values at all vertices, of which those that are not free keep what `start` has; conjugate gradients.

        Args:
            smoothness: λ, in the unit of SMOOTHNESS.
            normal_weight: s, in spacings.
            start: to begin with.
            part: leave out the points that are held out.
        """
        spacing, edge, reach = self._wanted.spacing, self._level.edge, self._level.reach
        values, slopes, moment = self._of_points(part)
        weight = (normal_weight * spacing) ** 2
        gram = values + weight * slopes + (smoothness * spacing**3 / reach**2 / edge) * self._bending
        moment = weight * moment
        if self._far is not None:
            away = np.abs(self._far)
            firm = _FAR_WEIGHT * (edge / reach) ** 3 * (spacing / np.maximum(away, spacing)) ** 2
            firm = np.where(away > _FAR * spacing, firm, 0.0)
            gram, moment = gram + diags(firm), moment + firm * self._far
        return _least(gram.tocsr(), moment, start, self._level.free)

    def _of_points(self, part: bool) -> tuple[csr_matrix, csr_matrix, Float[np.ndarray, " v"]]:
        """The means over points of the squares of values and of slopes, as matrices, and of slopes times normals."""
        if part not in self._sums:
            wanted = self._wanted
            known = ~wanted.held_out if part else np.ones(len(wanted.points), dtype=bool)
            value, own = self._value[known], [slope[known] for slope in self._slopes]
            slopes = sum((slope.T @ slope for slope in own), csr_matrix((value.shape[1],) * 2))
            moment = sum(slope.T @ normal for slope, normal in zip(own, wanted.normals[known].T, strict=True))
            sums = (value.T @ value).tocsr(), slopes.tocsr(), np.asarray(moment)
            self._sums[part] = (sums[0] / known.sum(), sums[1] / known.sum(), sums[2] / known.sum())
        return self._sums[part]

    def worth_of_normals(self, values: Float[np.ndarray, " v"]) -> float:
        """s, in spacings: by what held-out points are missed, for each unit that their normals are missed by."""
        away, turned = self._errors(values)
        found = math.sqrt((away**2).mean() / max((turned**2).mean(), 1e-12))
        return min(_MOST_NORMAL, max(_LEAST_NORMAL, found / self._wanted.spacing))

    def missed(self, values: Float[np.ndarray, " v"], normal_weight: float) -> float:
        """What held-out points count in the sum, the mean of its roots."""
        away, turned = self._errors(values)
        return float(np.hypot(away, normal_weight * self._wanted.spacing * turned).mean())

    def _errors(self, values: Float[np.ndarray, " v"]) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
        """At the points that are held out: |f|, and how far the slope is from the normal."""
        out = self._wanted.held_out
        slope = np.stack([each[out] @ values for each in self._slopes], axis=-1)
        return np.abs(self._value[out] @ values), np.linalg.norm(slope - self._wanted.normals[out], axis=1)


def _least(
    gram: csr_matrix, moment: Float[np.ndarray, " v"], start: Float[np.ndarray, " v"], free: Bool[np.ndarray, " v"]
) -> Float[np.ndarray, " v"]:
    """x with gram x = moment at the free places, and x = start at all others."""
    fixed = np.where(free, 0.0, start)
    moment, gram = (moment - gram @ fixed)[free], gram[free][:, free]
    scale = 1 / gram.diagonal()
    jacobi = LinearOperator(gram.shape, matvec=lambda v: scale * v, dtype=np.float64)
    fixed[free] = cg(gram, moment, x0=start[free], rtol=_TOLERANCE, maxiter=_MOST_STEPS, M=jacobi)[0]
    return fixed


def _read(levels: list[LatticeLevel], points: Float[np.ndarray, "q 3"]) -> Float[np.ndarray, " q"]:
    """Values of the finest level that holds each point; the first holds all."""
    values = levels[0].read(points)
    for level in levels[1:]:
        held = level.holds(points)
        values[held] = level.read(points[held])
    return values


def _used(vertices: Float[np.ndarray, "v 3"], faces: np.ndarray) -> tuple[Float[np.ndarray, "w 3"], np.ndarray]:
    """Only the vertices that faces have."""
    used, numbers = np.unique(faces, return_inverse=True)
    return vertices[used], numbers.reshape(faces.shape)
