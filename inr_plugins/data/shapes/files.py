"""Shapes from mesh and cloud files, one or a folder of them, brought to the normalised frame."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from inr_plugins.data.shapes.clouds import CloudSettings, check_clouds, read_shape_surface, with_normals
from inr_plugins.data.shapes.folder import find_shapes, passed_over
from inr_plugins.data.shapes.memory import Recent
from inr_plugins.data.shapes.meshes import shape_solid, thin_note
from inr_plugins.data.shapes.sampling import OPTION, STRUCTURES, SampleSource, check_sampling
from inr_plugins.errors import InputError
from inr_plugins.geometry.frames import Similarity
from inr_plugins.geometry.io.clouds.read import Cloud
from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.repair.solid import Solid
from inr_plugins.geometry.surface_sampler import SurfaceSampler
from inr_plugins.geometry.up_axis import Up, up_rotation

# The scene box is [-1, 1]^3.
_BOX_SIDE = 2.0
# All shapes together keep as many samples as so many of them alone.
_FULL_POOLS = 8


@dataclass
class ShapeSettings(CloudSettings):
    """Which files of a folder are shapes, how they come to the normalised frame, and how they are sampled."""

    only: str = "*"
    """Which files of a folder to take, as patterns of names without the extension, separated by commas:
    "tr_reg_0[0-5]?" or "chair_*,stool_*"."""
    up: Up = "auto"
    """Which axis of the files points up; it becomes z. Auto: y for .glb and .gltf, whose format says so, and z for the
    rest."""
    extent: float = 1.8
    """Longest side of the largest shape in the normalised frame, whose box has sides of 2."""
    scale: Literal["common", "each"] = "common"
    """Whether the shapes of a folder keep their relative sizes (common), or each is scaled to the full extent."""
    file_unit: float | None = None
    """Normalised length of one unit of the files, instead of a scale by the extent: for a shape that must have the size
    that others were learnt at."""


@dataclass(frozen=True)
class Shape:
    """One shape.

    Attributes:
        name: of the file, without its extension where that is no other's name too.
        path: the file.
        to_normalised: from the file's frame and units to the normalised frame.
        surface: mesh with outward faces, without those that have the inside on both sides, or cloud with outward
            normals, in the normalised frame.
        source: draws samples of it.
        watertight: whether the mesh is closed: no edge has more faces that run along it one way than the other; None
            for a cloud.
        faces: number of faces of the mesh, the inner ones too; 0 for a cloud.
        notes: what was found and fixed in the file, each a few words.
    """

    name: str
    path: Path
    to_normalised: Similarity
    surface: Mesh | Cloud
    source: SampleSource
    watertight: bool | None
    faces: int = 0
    notes: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """A line for the user: size, whether it is closed, what was fixed, and what tells inside from outside."""
        if isinstance(self.surface, Mesh):
            size = f"{self.faces:,} faces, {'watertight' if self.watertight else 'not watertight'}"
        else:
            size = f"{len(self.surface.points):,} points"
        return ", ".join([f"{self.name}: {size}", *self.notes, self.source.signed_by])


@dataclass(frozen=True)
class ShapeSet:
    """Shapes in the order of their names.

    Attributes:
        shapes: at least one.
        skipped: for each file that could not be read a sentence that names it and says why.
        passed_over: a sentence on what else the folder holds, or None.
    """

    shapes: tuple[Shape, ...]
    skipped: tuple[str, ...]
    passed_over: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the shapes, all different."""
        return tuple(shape.name for shape in self.shapes)


@dataclass(frozen=True)
class _Read:
    """A file's surface in its own frame, before anything is known of the others."""

    name: str
    path: Path
    surface: Solid | Cloud
    rotation: Float[np.ndarray, "3 3"]
    notes: tuple[str, ...]
    watertight: bool | None

    @property
    def side(self) -> float:
        """Longest side of its box; the rotation only swaps axes."""
        return float(np.ptp(_positions(self.surface), axis=0).max())


def read_shapes(path: Path, settings: ShapeSettings) -> ShapeSet:
    """Read a mesh or cloud file, or all that a folder holds, and bring them to the normalised frame.

    Of a folder those files are taken that `shape_folder.find_shapes` finds. One that cannot be read is left out, and
    named in `skipped`.

    The middle of each shape's box comes to the origin. One scale for all lets the longest side of the largest be
    `settings.extent`; or each has its own, or `settings.file_unit` is the scale.

    The surfaces stay in memory, 36 bytes a face or so. Of the points that are drawn from them all shapes together keep
    eight times `settings.pool` of each kind at most, and of search trees and the like 512 MiB, and
    those of 256 shapes, or of one.

    Args:
        path: file or folder.
        settings: which files, how they come to the normalised frame, and how they are sampled.

    Raises:
        InputError: a setting that cannot be used, a file that cannot be read, a folder without a file that can, or a
            shape that the given unit makes larger than the box.
    """
    check_settings(settings)
    else_there = passed_over(path, find_shapes(path).values()) if path.is_dir() else None
    if path.is_dir():
        read, skipped = _read_folder(path, settings)
    else:
        read, skipped = [_read_file(path, path.stem, settings)], []
    largest = max(one.side for one in read)
    share = max(1, _FULL_POOLS * settings.pool // len(read))
    settings, recent = replace(settings, pool=min(settings.pool, share)), Recent(STRUCTURES)
    shapes = []
    # A surface as the file has it goes when it is brought to the frame.
    read.reverse()
    while read:
        one = read.pop()
        scale = settings.file_unit or settings.extent / (one.side if settings.scale == "each" else largest)
        shapes.append(_normalised(one, scale, settings, recent))
    return ShapeSet(tuple(shapes), tuple(skipped), else_there)


def check_settings(settings: ShapeSettings) -> None:
    """Raise InputError for the first setting that cannot be used, with its name and range."""
    check_sampling(settings)
    if not 0 < settings.extent <= _BOX_SIDE:
        raise InputError(f"{OPTION}extent must be above 0 and at most {_BOX_SIDE}, got {settings.extent}.")
    if settings.file_unit is not None and not (np.isfinite(settings.file_unit) and settings.file_unit > 0):
        raise InputError(f"{OPTION}file-unit must be a positive length, got {settings.file_unit}.")
    check_clouds(settings)


def _read_folder(folder: Path, settings: ShapeSettings) -> tuple[list[_Read], list[str]]:
    """What can be read of a folder's files, and why the others cannot."""
    read: list[_Read] = []
    skipped: list[str] = []
    for name, file in find_shapes(folder, settings.only).items():
        try:
            read.append(_read_file(file, name, settings))
        except InputError as error:
            skipped.append(str(error))
    if not read:
        raise InputError(f"None of the {len(skipped)} shapes in {folder} can be read. {skipped[0]}")
    return read, skipped


def _read_file(path: Path, name: str, settings: ShapeSettings) -> _Read:
    """A file's surface with outward faces or normals.

    Raises:
        InputError: the file cannot be read, or holds no surface; the sentence names it.
    """
    told: list[str] = []
    surface = read_shape_surface(path, settings, tell=told.append)
    rotation = up_rotation(settings.up, path)
    if isinstance(surface, Cloud):
        return _Read(name, path, surface, rotation, surface.notes, None)
    solid, notes = shape_solid(surface, settings, path)
    return _Read(name, path, solid, rotation, (*told, *notes), solid.open_edges == 0)


def _normalised(read: _Read, scale: float, settings: ShapeSettings, recent: Recent) -> Shape:
    """A shape as it is handed out; `recent` keeps what the shapes need to be sampled."""
    box = _positions(read.surface)
    middle = read.rotation @ ((box.min(axis=0) + box.max(axis=0)) / 2)
    if settings.file_unit is not None and scale * read.side > _BOX_SIDE:
        raise InputError(
            f"{read.path} has a longest side of {read.side:.4g}, which {OPTION}file-unit {scale:.4g} makes "
            f"{scale * read.side:.4g}: more than the box's {_BOX_SIDE}. Is it in the same units as the others?"
        )
    to_normalised = Similarity(read.rotation, scale, -scale * middle)
    # The same shape is sampled the same way whatever else the folder holds.
    seed = zlib.crc32(f"{settings.sample_seed}/{read.name}".encode())
    surface, notes = _moved(read.surface, to_normalised), read.notes
    watertight = read.watertight
    if isinstance(surface, Solid):
        notes = (*notes, *thin_note(surface, to_normalised))
    if isinstance(surface, Solid) and settings.cloud_points is not None:
        points = SurfaceSampler(surface.surface).sample(settings.cloud_points, np.random.default_rng(seed))
        # Drawn normals are the faces' own, and need no looking into.
        given = "given" if settings.cloud_normals == "auto" else settings.cloud_normals
        surface, watertight = with_normals(Cloud(*points), replace(settings, cloud_normals=given)), None
        notes = (*notes, "drawn from a mesh", *surface.notes)
    return Shape(
        name=read.name,
        path=read.path,
        to_normalised=to_normalised,
        surface=surface.surface if isinstance(surface, Solid) else surface,
        faces=len(surface.mesh.faces) if isinstance(surface, Solid) else 0,
        source=SampleSource(surface, settings, seed, recent=recent),
        watertight=watertight,
        notes=notes,
    )


def _moved(surface: Solid | Cloud, similarity: Similarity) -> Solid | Cloud:
    if isinstance(surface, Solid):
        return surface.moved(similarity)
    normals = None if surface.normals is None else similarity.directions(surface.normals)
    return replace(surface, points=similarity.points(surface.points), normals=normals)


def _positions(surface: Solid | Cloud) -> Float[np.ndarray, "n 3"]:
    return surface.mesh.vertices if isinstance(surface, Solid) else surface.points
