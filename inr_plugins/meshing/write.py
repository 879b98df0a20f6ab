"""Writing what inr-mesh made: the mesh, plain or textured, its sidecar, and a video of it turning around."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from inr_plugins.errors import InputError
from inr_plugins.fields.protocol import ColourField
from inr_plugins.geometry.appearance.texture import TexturedMesh, bake_texture
from inr_plugins.geometry.io.mesh_io import write_mesh
from inr_plugins.geometry.mesh import Mesh, transform_mesh
from inr_plugins.meshing.colour import colour_function
from inr_plugins.progress import Bar

if TYPE_CHECKING:
    from inr_plugins.meshing.extract import Extracted
    from inr_plugins.meshing.extracted import ExtractedMesh


def write_files(
    extracted: ExtractedMesh,
    output: Path,
    *,
    description: Mapping[str, Any],
    device: torch.device,
    turntable: Path | None = None,
    overwrite: bool = False,
    bar: Bar,
) -> dict[str, Path]:
    """Write the files, each complete before it gets its name; returns them by what they are.

    Args:
        extracted: the mesh.
        output: the mesh file, by whose extension the format goes.
        description: what goes beside it as <name>.json.
        device: where the field is, which gives a texture's colours.
        turntable: also a video of the mesh turning around.
        overwrite: replace existing files.
        bar: told how far it is.

    Raises:
        InputError: a file cannot be written, or the field has no colours for a texture.
    """
    settings, bar = extracted.settings, extracted.found.room.watching(bar)
    written: Mesh | TexturedMesh = extracted.mesh
    if settings.texture is not None:
        textured = _baked(extracted.found, settings.texture, device=device, bar=bar)
        written = replace(textured, mesh=transform_mesh(textured.mesh, extracted.to_output))
    with _naming(output):
        write_mesh(written, output, sidecar=description, overwrite=overwrite)
    if turntable is None:
        return {"file": output}
    from inr_plugins.meshing.video import write_turntable

    # The normalised frame's z axis points up.
    up = extracted.to_output.directions(np.array([[0.0, 0.0, 1.0]]))[0]
    with _naming(turntable):
        write_turntable(
            extracted.mesh,
            turntable,
            up=up,
            overwrite=overwrite,
            progress=lambda done, total: bar("Turning the mesh", done, total),
        )
    return {"file": output, "turntable": turntable}


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write a file into a sentence."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} could not be written ({error.strerror}); give another place.") from error


def _baked(found: Extracted, size: int, *, device: torch.device, bar: Bar) -> TexturedMesh:
    """The mesh with a texture of the field's colours, as seen from straight outside."""
    field = found.surface.field
    assert isinstance(field, ColourField)  # asked before the work
    colour = colour_function(field, device=device, chunk_points=found.room.chunk_points)

    def progress(done: int, total: int) -> None:
        bar("Cutting into charts", 1, 1)
        bar("Baking the texture", done, total)

    bar("Cutting into charts", 0, 1)
    return bake_texture(
        found.mesh,
        lambda points, normals: colour(points, -normals),
        size=size,
        chunk_points=found.room.chunk_points,
        progress=progress,
    )
