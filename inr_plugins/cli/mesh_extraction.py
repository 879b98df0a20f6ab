"""The steps of inr-mesh between a loaded run and a finished mesh: sample, mesh, clean, colour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from inr_plugins.cli.field_surface import (
    find_surface,
    model_box,
    numpy_function,
    plan_lattice,
    surface_level,
    vertex_colours,
)
from inr_plugins.fields.protocol import ColourField
from inr_plugins.geometry.cavities import fill_cavities
from inr_plugins.geometry.cleaning import decimate, drop_small_components, floater_size, keep_largest_component
from inr_plugins.geometry.frames import Similarity
from inr_plugins.geometry.isosurface import mesh_level_set
from inr_plugins.geometry.lattice import Lattice, sample_lattice
from inr_plugins.geometry.mesh import Mesh, transform_mesh, vertex_normals

if TYPE_CHECKING:
    from inr_plugins.cli.mesh import MeshOptions
    from inr_plugins.engine.run import Run

# What a field holds for one point while it answers: about eight float32 activations of width 256.
_BYTES_PER_POINT = 8192


@dataclass(frozen=True)
class Extracted:
    """A mesh in the normalised frame and how it came about."""

    mesh: Mesh
    kind: str
    level: float
    level_source: str
    value_range: tuple[float, float]
    lattice: Lattice
    lattice_frame: str
    filled: int
    dropped: int
    min_component: int


def extract(
    run: Run, options: MeshOptions, *, to_normalised: Similarity, bar: Callable[[str, int, int], None]
) -> Extracted:
    """The cleaned and coloured mesh of the run's field, in the normalised frame.

    Args:
        run: the loaded run.
        options: what to extract.
        to_normalised: map from the dataset's frame to the normalised one.
        bar: told (what is being done, points done, points in all).

    Raises:
        InputError: the field has no surface at the level, is not finite, or the options ask for the impossible.
    """
    model = run.pipeline.model
    surface = find_surface(model)
    crop = None if options.aabb is None else np.array(options.aabb).reshape(2, 3)
    lattice, lattice_to_normalised = plan_lattice(model, to_normalised, resolution=options.resolution, crop=crop)
    function = numpy_function(surface, lattice_to_normalised, model_box(model), device=_device(run))
    values = sample_lattice(
        function,
        lattice,
        chunk_points=_chunk_points(options),
        progress=lambda done, total: bar("Sampling the field", done, total),
    )
    if options.level is None:
        level, source = surface_level(surface, model, values)
    else:
        level, source = options.level, "--level"
    value_range = (float(values.min()), float(values.max()))
    fill = surface.kind != "sdf" if options.fill_cavities is None else options.fill_cavities
    filled = 0
    if fill:
        values, filled = fill_cavities(values, level=level, inside=surface.inside)
    mesh = mesh_level_set(values, lattice, level=level, inside=surface.inside, closed=options.closed)
    mesh, dropped, min_component = _clean(mesh, options, floaters=surface.kind != "sdf")
    mesh = transform_mesh(mesh, lattice_to_normalised)
    mesh = replace(mesh, normals=vertex_normals(mesh))
    return Extracted(
        mesh=_coloured(mesh, run, options, bar=bar) if options.colour else mesh,
        kind=surface.kind,
        level=level,
        level_source=source,
        value_range=value_range,
        lattice=lattice,
        lattice_frame="normalised" if crop is None else "dataset",
        filled=filled,
        dropped=dropped,
        min_component=min_component,
    )


def _clean(mesh: Mesh, options: MeshOptions, *, floaters: bool) -> tuple[Mesh, int, int]:
    """The mesh without small pieces and thinned out, how many pieces went, and the fewest faces a piece could keep."""
    min_faces = options.min_component
    if min_faces is None:
        min_faces = floater_size(mesh) if floaters else 0
    dropped = 0
    if options.keep_largest:
        mesh, dropped = keep_largest_component(mesh)
    elif min_faces > 1:
        mesh, dropped = drop_small_components(mesh, min_faces=min_faces)
    if options.max_faces is not None:
        mesh = decimate(mesh, max_faces=options.max_faces)
    return mesh, dropped, min_faces


def _coloured(mesh: Mesh, run: Run, options: MeshOptions, *, bar: Callable[[str, int, int], None]) -> Mesh:
    field = run.pipeline.model.field
    if mesh.normals is None or not isinstance(field, ColourField):
        return mesh
    colours = vertex_colours(
        field,
        mesh.vertices,
        mesh.normals,
        device=_device(run),
        chunk_points=_chunk_points(options),
        progress=lambda done, total: bar("Colouring the vertices", done, total),
    )
    return replace(mesh, colours=colours)


def _device(run: Run) -> torch.device:
    return torch.device(run.pipeline.device)


def _chunk_points(options: MeshOptions) -> int:
    return max(1024, int(options.memory_gb * 1e9 / _BYTES_PER_POINT))
