"""The steps of inr-mesh between a loaded run and a finished mesh: find the box and the level, mesh, clean, colour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from inr_plugins.errors import InputError, setting
from inr_plugins.fields.protocol import ColourField
from inr_plugins.geometry.appearance.texture import check_face_count
from inr_plugins.geometry.frames import Similarity
from inr_plugins.geometry.levelset.isosurface import mesh_level_set
from inr_plugins.geometry.levelset.lattice import Lattice, ScalarFunction, sample_lattice
from inr_plugins.geometry.levelset.sparse_isosurface import TooLittleMemoryError, extract_sparse_isosurface
from inr_plugins.geometry.mesh import Mesh, transform_mesh, vertex_normals
from inr_plugins.geometry.pinhole import PinholeViews
from inr_plugins.meshing.clean import Cleaned, clean
from inr_plugins.meshing.colour import coloured
from inr_plugins.meshing.field import (
    FieldSurface,
    cells_within,
    choose_blocks,
    field_normals,
    find_surface,
    numpy_function,
)
from inr_plugins.meshing.memory import Room
from inr_plugins.meshing.region import Region, TurnedBox
from inr_plugins.meshing.search import find_region
from inr_plugins.meshing.settings import DEFAULT_RESOLUTION
from inr_plugins.meshing.shapes import RunShape
from inr_plugins.meshing.trim import Trimmed, find_reach, observed, trim
from inr_plugins.meshing.views import require_views, training_views
from inr_plugins.progress import Bar

if TYPE_CHECKING:
    from inr_plugins.engine.runs.run import Run
    from inr_plugins.meshing.settings import MeshSettings

# Finer lattices than this are a slip of the keyboard: their surface alone would fill any memory.
_FINEST = 16384


@dataclass(frozen=True)
class Extracted:
    """A mesh in the normalised frame and how it came about.

    Attributes:
        mesh: the surface.
        surface: the field's scalar.
        level: its value on the surface.
        level_source: where the level comes from, in words.
        value_range: least and largest value met.
        lattice: on whose edges the vertices lay before cleaning.
        region: the box and its frame.
        evaluated: points at which the field was asked.
        search: how the blocks to look into were chosen, in words.
        cleaned: what was taken away.
        views: the training cameras, normalised frame; None where they are no pinholes.
        colours: where the colours come from, in words; None without.
        trimmed: what lies beyond the reach of the points that it was trained on; None for a run without points.
        room: the memory that it may take.
    """

    mesh: Mesh
    surface: FieldSurface
    level: float
    level_source: str
    value_range: tuple[float, float]
    lattice: Lattice
    region: Region
    evaluated: int
    search: str
    cleaned: Cleaned = field(default_factory=Cleaned)
    views: PinholeViews | None = None
    colours: str | None = None
    trimmed: Trimmed | None = None
    room: Room = field(default_factory=lambda: Room(None, 0))


def extract(
    run: Run,
    options: MeshSettings,
    *,
    to_normalised: Similarity,
    shape: RunShape | None = None,
    turned: TurnedBox | None = None,
    at_once: int | None = None,
    bar: Bar,
) -> Extracted:
    """The cleaned and coloured mesh of the run's field, in the normalised frame.

    Args:
        run: the loaded run.
        options: what to extract.
        to_normalised: map from the dataset's frame to the normalised one.
        shape: which shape of a run of shapes it is; None: a run of images.
        turned: look only into this, whatever the options' box and crop say.
        at_once: most points to ask the field at once; None: as many as memory is there for.
        bar: told how far it is.

    Raises:
        InputError: the field has no surface at the level, is not finite, or the options ask for the impossible.
    """
    room = Room.of(options)
    if at_once is not None:
        room = replace(room, most_points=at_once)
    device, chunk, bar = torch.device(run.pipeline.device), room.chunk_points, room.watching(bar)
    surface, views = find_surface(run.pipeline.model), training_views(run, shape)
    _check_wishes(surface, views, options)
    reach = find_reach(run, options, shape, to_normalised)
    region, level, source = find_region(
        run, surface, views, options, to_normalised=to_normalised, chunk_points=chunk, turned=turned, bar=bar
    )
    found = _isosurface(surface, region, options, to_normalised, level, source, device=device, room=room, bar=bar)
    mesh, trimmed = trim(found.mesh, reach, options)
    room.check()
    mesh, cleaned = clean(
        mesh, options, views, floaters=surface.kind != "sdf", hollow=surface.kind == "density", bar=bar
    )
    room.check()
    if options.texture is not None:
        # Known only now, and still before the colours and the charts, which take longest.
        check_face_count(mesh)
    fallback = vertex_normals(mesh)
    normals = field_normals(surface, mesh.vertices, fallback, device=device, chunk_points=chunk, bar=bar)
    mesh = replace(mesh, normals=normals, observed=observed(mesh, reach))
    mesh, colours = coloured(mesh, surface, options, views, device=device, chunk_points=chunk, bar=bar)
    return replace(found, mesh=mesh, cleaned=cleaned, views=views, colours=colours, trimmed=trimmed)


def _check_wishes(surface: FieldSurface, views: PinholeViews | None, options: MeshSettings) -> None:
    """Refuse what this run's field or cameras cannot give, before the work.

    Raises:
        InputError: naming the option.
    """
    has_colours = isinstance(surface.field, ColourField)
    if options.texture is not None and not has_colours:
        raise InputError(f"{setting('texture')} needs a field with colours, which this run's is not; leave it out.")
    if options.drop_unseen:
        require_views(views, setting("drop_unseen", True))
    if options.colour == "views" and has_colours:
        require_views(views, setting("colour", "views"))


def _isosurface(
    surface: FieldSurface,
    region: Region,
    options: MeshSettings,
    to_normalised: Similarity,
    level: float,
    level_source: str,
    *,
    device: torch.device,
    room: Room,
    bar: Bar,
) -> Extracted:
    """The bare level set, in the normalised frame."""
    cells = cells_within(surface.cells, region)
    function = numpy_function(surface, region, cells, device=device)
    lattice = choose_lattice(region, options, to_normalised)
    choice, block_cells, search = choose_blocks(surface, region, cells, level=level)

    def progress(done: int, total: int) -> None:
        bar("Sampling the field", done, total)

    if options.dense:
        room.check_dense(lattice.shape)
        mesh, evaluated, value_range = _dense(function, lattice, level, surface, options, room, progress=progress)
        search = "the whole lattice"
    else:
        try:
            found = extract_sparse_isosurface(
                function,
                lattice,
                choice=choice,
                level=level,
                inside=surface.inside,
                closed=options.closed,
                block_cells=block_cells,
                chunk_points=room.chunk_points,
                memory_bytes=room.sampling_bytes,
                progress=progress,
            )
        except TooLittleMemoryError as error:
            raise room.too_little(error.least, lattice.shape) from error
        mesh, evaluated, value_range = found.mesh, found.evaluated, found.value_range
    return Extracted(
        mesh=transform_mesh(mesh, region.to_normalised),
        surface=surface,
        level=level,
        level_source=level_source,
        value_range=value_range,
        lattice=lattice,
        region=region,
        evaluated=evaluated,
        search=search,
        room=room,
    )


def _dense(
    function: ScalarFunction,
    lattice: Lattice,
    level: float,
    surface: FieldSurface,
    options: MeshSettings,
    room: Room,
    *,
    progress: Callable[[int, int], None],
) -> tuple[Mesh, int, tuple[float, float]]:
    values = sample_lattice(function, lattice, chunk_points=room.chunk_points, progress=progress)
    mesh = mesh_level_set(values, lattice, level=level, inside=surface.inside, closed=options.closed)
    return mesh, lattice.size, (float(values.min()), float(values.max()))


def choose_lattice(region: Region, options: MeshSettings, to_normalised: Similarity) -> Lattice:
    """The lattice over the region's box, by `resolution` along its longest side or by `voxel_size` along each.

    Raises:
        InputError: a voxel size that leaves no lattice, or a lattice too fine for any memory.
    """
    if options.voxel_size is None:
        name = setting("resolution")
        lattice = Lattice.for_box(region.box, resolution=options.resolution or DEFAULT_RESOLUTION)
    else:
        # Length in the region's own frame of a unit of the dataset's.
        name, scale = setting("voxel_size"), to_normalised.scale / region.to_normalised.scale
        lattice = Lattice.for_spacing(region.box, spacing=options.voxel_size * scale)
        if max(lattice.shape) < 3:
            side = float(np.ptp(region.box, axis=0).max()) / scale
            raise InputError(
                f"{setting('voxel_size', options.voxel_size)} is as large as the box, whose longest side is "
                f"{side:.4g}; make it "
                "smaller."
            )
    if max(lattice.shape) > _FINEST:
        raise InputError(f"{name} asks for {max(lattice.shape)} samples along a side; at most {_FINEST} can be meshed.")
    return lattice
