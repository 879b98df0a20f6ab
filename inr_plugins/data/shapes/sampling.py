"""Points on, near and around a shape, each with its signed distance, drawn from nothing but a random generator."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32

from inr_plugins.data.shapes.memory import Recent
from inr_plugins.data.shapes.smooth_cloud import MOST_POINTS, smooth_surface
from inr_plugins.errors import InputError
from inr_plugins.geometry.distance.cloud_distance import CloudDistance, PlaneDistance
from inr_plugins.geometry.distance.signed_distance import MeshDistance, Sign
from inr_plugins.geometry.io.clouds.read import Cloud
from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.repair.solid import Solid
from inr_plugins.geometry.surface_sampler import SurfaceSampler

OPTION = "--pipeline.datamanager.dataparser."
Noise = Literal["laplace", "normal"]
Target = Literal["distance", "plane"]
Kind = Literal["near", "far", "uniform"]
CloudSurface = Literal["auto", "smooth", "discs"]

_KINDS: tuple[Kind, ...] = ("near", "far", "uniform")
# Samples of one kind that are drawn together: some tenths of a second of work.
_BLOCK = 1 << 15
# A training takes about as long for so many steps as a thread for a block of each kind.
_STEPS_A_BLOCK = 8
# Where shapes are so many that each has less than a block, its points are made anew after so many steps.
_STEPS_A_TURN = 2000
STRUCTURES = 512 << 20
"""Bytes of search trees and the like that all shapes together keep; the one that was used last always."""
# open3d crashes the process with some 1,100 ray casters alive; the distance to a mesh has two.
_MOST_DISTANCES = 256
# What they take, more or less: of a mesh for each face, of a cloud for each point.
_DISTANCE_BYTES, _DRAWER_BYTES, _CLOUD_BYTES = 500, 110, 200
# Of a mesh's surface, for the plane target, which knows points only: as many as a dense scan has.
_PLANE_POINTS = 200_000
_SIGN_WORDS = {"winding": "winding number", "parity": "parity of rays", "normals": "normals"}


@dataclass
class SampleSettings:
    """How points are drawn around a shape, in the normalised frame, where its longest side is 1.8."""

    sign: Sign = "winding"
    """What counts as inside a mesh: winding (by the winding number, also for open and broken meshes), parity (by rays,
    for closed meshes of any orientation), normals (by the nearest face, the fastest) or unsigned (nothing: distances
    are positive). Clouds have the sign of their normals, or none."""
    target: Target = "distance"
    """What is fitted: distance (the true signed distance) or plane (the height over the plane at the nearest of many
    surface points, as FINER's authors fit)."""
    cloud_surface: CloudSurface = "discs"
    """What is learnt of a cloud: smooth (a closed surface through the points that bends no more than it has to, with a
    smoothness found from points that are held out), discs (the points themselves, each a small disc) or auto (smooth up
    to 100,000 points). Signs and distances are those of that surface; without a sign, and as planes, points are learnt
    from."""
    noise: Noise = "laplace"
    """Distribution of the offsets of near and far points from the surface, along each axis: laplace or normal."""
    near_scale: float = 0.002
    """Scale of the offsets of near points (of a normal distribution the standard deviation); FINER's, in our units."""
    far_scale: float = 0.2
    """Scale of the offsets of far points; FINER's, in our units."""
    pool: int = 500_000
    """Near, far and uniform points, of each kind, that are made once for a shape and drawn again and again; 0 makes new
    ones for every batch. Shapes of a folder have eight times as many among them, 16 bytes each (4 million of a kind,
    64 MB): where that is less than 32,768 for each shape, its points are made anew every 2,000 steps."""
    sample_seed: int = 0
    """Another seed gives other points."""


@dataclass(frozen=True)
class SampleCounts:
    """How many points to draw of each kind."""

    on: int = 0
    near: int = 0
    far: int = 0
    uniform: int = 0

    @property
    def total(self) -> int:
        """Points in all."""
        return self.on + self.near + self.far + self.uniform


@dataclass(frozen=True)
class ShapeSamples:
    """Points around one shape, in the normalised frame: those on it first, then near, far and uniform ones.

    Attributes:
        points: positions within [-1, 1]^3.
        sdf: signed distance, or the other target, in normalised units, negative inside; 0 on the surface.
        near: drawn near the surface.
        on: drawn on the surface.
        normals: outward unit normals of the points on the surface, 0 of the others.
    """

    points: Float32[np.ndarray, "p 3"]
    sdf: Float32[np.ndarray, " p"]
    near: Bool[np.ndarray, " p"]
    on: Bool[np.ndarray, " p"]
    normals: Float32[np.ndarray, "p 3"]

    @property
    def occupancy(self) -> Float32[np.ndarray, " p"]:
        """1 inside, 0 outside and on the surface itself."""
        return (self.sdf < 0).astype(np.float32)


Distance = Callable[[np.ndarray], np.ndarray]
"""The target (n,) at points (n, 3) of the normalised frame."""


def check_sampling(settings: SampleSettings) -> None:
    """Raise InputError for the first setting that cannot be used, with its name and range."""
    for name in ("near_scale", "far_scale"):
        value = getattr(settings, name)
        if not 0 < value <= 2:
            raise InputError(f"{_option(name)} must be above 0 and at most 2, the side of the box, got {value}.")
    if settings.pool < 0:
        raise InputError(f"{_option('pool')} must be 0 or a number of points, got {settings.pool}.")
    if settings.target == "plane" and settings.sign == "unsigned":
        raise InputError(
            f"{_option('target')} plane has the sign of the normals: {_option('sign')} unsigned cannot be had with it."
        )


class SampleSource:
    """Draws points around one shape.

    Near and far points are points of the surface, uniform over its area (or of the cloud), moved along each axis by
    Laplace or normal noise. What leaves the box [-1, 1]^3 comes in again on the other side, as with FINER's authors;
    of far points that is a few in a hundred. Uniform points fill the box.

    Distances far from the surface take most of the time. So the points of each kind come from blocks of 32,768, which
    are made when they are first drawn from and kept: `pool` points make up to so many blocks. A block depends on
    the shape's seed and its own number only, and the generator that is passed in chooses one for each kind, and points
    of it with replacement: what comes out is a function of the two, and of the step where there is one. A pool of less
    than a block is one smaller block, whose place another takes after 2,000 steps.

    Everything that takes time is done at the first draw. What finds distances is kept by `recent`, which other shapes
    share, and made again when it has gone. Several threads may draw at once; they may make a block twice, the same.

    Args:
        surface: mesh, solid or cloud with outward normals, in the normalised frame, within the box. A mesh is taken
            for the surface itself; of a solid, the surface that the sign leaves of its faces.
        settings: how to draw.
        seed: the shape's own.
        recent: what keeps the search trees and the like of all shapes; None: one for this shape.
    """

    def __init__(
        self, surface: Mesh | Solid | Cloud, settings: SampleSettings, seed: int, *, recent: Recent | None = None
    ) -> None:
        self._solid = surface if isinstance(surface, Solid) else None
        self.surface: Mesh | Cloud
        if isinstance(surface, Solid):
            # Only the winding number tells inner faces; a plane has the sign of the normals of what is outside.
            self.surface = surface.surface if settings.sign == "winding" else surface.mesh
        else:
            self.surface = surface
        self._settings = settings
        self._seed = seed
        self._blocks: dict[tuple[Kind, int], tuple[np.ndarray, np.ndarray]] = {}
        self._block_size = min(_BLOCK, settings.pool)
        self._number = max(1, settings.pool // _BLOCK) if settings.pool else 0
        self._recent = Recent(STRUCTURES) if recent is None else recent
        self._smoothing = threading.Lock()
        self._smooth: Mesh | None = None

    @property
    def signed_by(self) -> str:
        """A few words on what tells inside from outside."""
        if self._settings.sign == "unsigned":
            return "unsigned"
        if self.is_smoothed:
            return "inside by a smooth surface"
        by_normals = isinstance(self.surface, Cloud) or self._settings.target == "plane"
        return f"inside by {_SIGN_WORDS['normals' if by_normals else self._settings.sign]}"

    @property
    def is_smoothed(self) -> bool:
        """Whether what is learnt is a smooth surface through the points of a cloud."""
        settings = self._settings
        # A smooth surface is closed, which what has no sign need not be.
        if not isinstance(self.surface, Cloud) or settings.target == "plane" or settings.sign == "unsigned":
            return False
        wanted = settings.cloud_surface
        return wanted == "smooth" or (wanted == "auto" and len(self.surface.points) <= MOST_POINTS)

    def smooth_surface(self) -> Mesh:
        """The smooth surface through the points of a cloud, normalised frame; found once and kept.

        Raises:
            InputError: there is none.
        """
        cloud = self.surface
        assert isinstance(cloud, Cloud)  # what is smoothed
        with self._smoothing:
            if self._smooth is None:
                self._smooth = smooth_surface(cloud.points, _normals(cloud), option=_option("cloud_surface"))
            return self._smooth

    @property
    def distance(self) -> Distance:
        """What gives the target.

        Raises:
            InputError: the mesh is of a kind that the sign cannot be had for.
        """
        if self._settings.target == "plane" and isinstance(self.surface, Mesh):
            size = _CLOUD_BYTES * _PLANE_POINTS
        else:
            size = _size(self.surface, a_face=_DISTANCE_BYTES)
        size = max(size, STRUCTURES // _MOST_DISTANCES)
        return self._recent.get((self, "distance"), self._made_distance, size=size)

    def _made_distance(self) -> Distance:
        if self._settings.target == "plane":
            if isinstance(self.surface, Mesh):
                return PlaneDistance(*self._drawer.sample(_PLANE_POINTS, np.random.default_rng(self._seed)))
            return PlaneDistance(self.surface.points, _normals(self.surface))
        if isinstance(self.surface, Mesh):
            return MeshDistance(self._solid or self.surface, self._settings.sign)
        if self.is_smoothed:
            # It is closed and has no inner faces, where the nearest face tells the side.
            return MeshDistance(self.smooth_surface(), "normals")
        return CloudDistance(self.surface.points, _normals(self.surface))

    @property
    def _drawer(self) -> SurfaceSampler | CloudSampler:
        size = _size(self.surface, a_face=_DRAWER_BYTES)
        return self._recent.get((self, "drawer"), self._made_drawer, size=size)

    def _made_drawer(self) -> SurfaceSampler | CloudSampler:
        if isinstance(self.surface, Mesh):
            return SurfaceSampler(self.surface)
        if self.is_smoothed:
            return SurfaceSampler(self.smooth_surface())
        return CloudSampler(self.surface)

    def sample(
        self, counts: SampleCounts, rng: np.random.Generator, *, step: int | None = None, fresh: bool = False
    ) -> ShapeSamples:
        """Points of each kind.

        Args:
            counts: how many of each.
            rng: source of the random numbers; the same state gives the same points.
            step: of a training that must not wait until the whole pool is made: it grows by a block every eight steps.
                None: all of it.
            fresh: draw near, far and uniform points anew instead of from the pool: points that training has not seen.
        """
        blocks = self._number if step is None else min(self._number, 1 + step // _STEPS_A_BLOCK)
        turn = self._turn(step)
        on, normals = self._drawer.sample(counts.on, rng) if counts.on else (np.zeros((0, 3)), np.zeros((0, 3)))
        parts = [(on.astype(np.float32), np.zeros(counts.on, dtype=np.float32))]
        for kind in _KINDS:
            count = getattr(counts, kind)
            if count and (fresh or self._number == 0):
                parts.append(self._made(kind, count, rng))
            elif count:
                points, sdf = self._block(kind, turn + int(rng.integers(blocks)))
                rows = rng.integers(len(points), size=count)
                parts.append((points[rows], sdf[rows]))
        position = np.arange(counts.total)
        all_normals = np.zeros((counts.total, 3), dtype=np.float32)
        all_normals[: counts.on] = normals
        return ShapeSamples(
            points=np.concatenate([points for points, _ in parts]),
            sdf=np.concatenate([sdf for _, sdf in parts]),
            near=(position >= counts.on) & (position < counts.on + counts.near),
            on=position < counts.on,
            normals=all_normals,
        )

    def _turn(self, step: int | None) -> int:
        """How often the points of a pool of less than a block were replaced before a step."""
        if step is None or self._block_size == _BLOCK:
            return 0
        # Not those of all shapes at once.
        return (step + self._seed % _STEPS_A_TURN) // _STEPS_A_TURN

    def _block(self, kind: Kind, number: int) -> tuple[np.ndarray, np.ndarray]:
        block = self._blocks.get((kind, number))
        if block is None:
            rng = np.random.default_rng((self._seed, _KINDS.index(kind), number))
            block = self._made(kind, self._block_size, rng)
            if self._block_size < _BLOCK:
                for other in [key for key in list(self._blocks) if key[0] == kind]:
                    self._blocks.pop(other, None)
            self._blocks[kind, number] = block
        return block

    def _made(
        self, kind: Kind, count: int, rng: np.random.Generator
    ) -> tuple[Float32[np.ndarray, "count 3"], Float32[np.ndarray, " count"]]:
        """New points of a kind and the target there."""
        if kind == "uniform":
            points = rng.uniform(-1.0, 1.0, (count, 3))
        else:
            scale = self._settings.near_scale if kind == "near" else self._settings.far_scale
            draw = rng.laplace if self._settings.noise == "laplace" else rng.normal
            points = self._drawer.sample(count, rng)[0] + draw(scale=scale, size=(count, 3))
            points = np.mod(points + 1, 2) - 1
        # What is measured is the point that is handed out, after rounding.
        points = points.astype(np.float32)
        distance = self.distance(points)
        return points, np.abs(distance) if self._settings.sign == "unsigned" else distance


class CloudSampler:
    """Draws points of a cloud, with replacement, each as likely as any other."""

    def __init__(self, cloud: Cloud) -> None:
        self._points, self._normals = cloud.points, _normals(cloud)

    def sample(
        self, count: int, rng: np.random.Generator
    ) -> tuple[Float[np.ndarray, "count 3"], Float[np.ndarray, "count 3"]]:
        """Points and their normals."""
        rows = rng.integers(len(self._points), size=count)
        return self._points[rows], self._normals[rows]


def _size(surface: Mesh | Cloud, *, a_face: int) -> int:
    """Bytes that a structure over a surface takes, more or less."""
    return a_face * len(surface.faces) if isinstance(surface, Mesh) else _CLOUD_BYTES * len(surface.points)


def _normals(cloud: Cloud) -> Float[np.ndarray, "n 3"]:
    if cloud.normals is None:
        raise ValueError("The cloud has no normals; estimate them first.")
    return cloud.normals


def _option(name: str) -> str:
    return OPTION + name.replace("_", "-")
