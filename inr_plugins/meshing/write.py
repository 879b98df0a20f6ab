"""Writing what inr-mesh made: the mesh, plain or textured, its sidecar, and a video of it turning around."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from inr_plugins.errors import InputError
from inr_plugins.fields.protocol import ColourField
from inr_plugins.geometry.appearance.texture import TexturedMesh, bake_texture
from inr_plugins.geometry.frames import Similarity
from inr_plugins.geometry.io.mesh_io import write_mesh
from inr_plugins.geometry.mesh import Mesh, transform_mesh
from inr_plugins.meshing.colour import colour_function
from inr_plugins.meshing.extract import chunk_points

if TYPE_CHECKING:
    from inr_plugins.engine.runs.run import Run
    from inr_plugins.meshing.extract import Extracted
    from inr_plugins.meshing.settings import MeshOptions

Bar = Callable[[str, int, int], None]


def write_outputs(
    mesh: Mesh,
    found: Extracted,
    run: Run,
    options: MeshOptions,
    output: Path,
    *,
    sidecar: Mapping[str, Any],
    to_output: Similarity,
    bar: Bar,
) -> dict[str, Path]:
    """Write the files, each complete before it gets its name; returns them by what they are.

    Args:
        mesh: the finished mesh, in the frame asked for.
        found: the same in the normalised frame, and how it came about.
        run: whose field gives the texture's colours.
        options: what to write.
        output: the mesh file.
        sidecar: the description beside it.
        to_output: map from the normalised frame to the mesh's.
        bar: told how far it is.

    Raises:
        InputError: a file cannot be written, or the field has no colours for a texture.
    """
    written: Mesh | TexturedMesh = mesh
    if options.texture is not None:
        textured = _baked(found, options, options.texture, device=torch.device(run.pipeline.device), bar=bar)
        written = replace(textured, mesh=transform_mesh(textured.mesh, to_output))
    with _naming(output, "--output"):
        write_mesh(written, output, sidecar=sidecar, overwrite=options.overwrite)
    if options.turntable is None:
        return {"file": output}
    from inr_plugins.meshing.video import write_turntable

    # The normalised frame's z axis points up.
    up = to_output.directions(np.array([[0.0, 0.0, 1.0]]))[0]
    with _naming(options.turntable, "--turntable"):
        write_turntable(
            mesh,
            options.turntable,
            up=up,
            overwrite=options.overwrite,
            progress=lambda done, total: bar("Turning the mesh", done, total),
        )
    return {"file": output, "turntable": options.turntable}


@contextmanager
def _naming(path: Path, option: str) -> Iterator[None]:
    """Turn the system's refusal to write a file into a sentence about it and the option that names it."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} could not be written ({error.strerror}); pass another {option}.") from error


def _baked(found: Extracted, options: MeshOptions, size: int, *, device: torch.device, bar: Bar) -> TexturedMesh:
    """The mesh with a texture of the field's colours, as seen from straight outside."""
    field = found.surface.field
    assert isinstance(field, ColourField)  # asked before the work
    colour = colour_function(field, device=device, chunk_points=chunk_points(options))

    def progress(done: int, total: int) -> None:
        bar("Cutting into charts", 1, 1)
        bar("Baking the texture", done, total)

    bar("Cutting into charts", 0, 1)
    return bake_texture(
        found.mesh,
        lambda points, normals: colour(points, -normals),
        size=size,
        chunk_points=chunk_points(options),
        progress=progress,
    )
