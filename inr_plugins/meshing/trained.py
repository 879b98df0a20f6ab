"""The surface of a model that has just been trained, as a mesh file, in the process that trained it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import torch

from inr_plugins.engine.runs.run import Run
from inr_plugins.errors import InputError
from inr_plugins.geometry.io.mesh_io import check_digits, check_output, sidecar_path
from inr_plugins.meshing.extracted import extract_mesh, find_place
from inr_plugins.meshing.settings import MeshSettings
from inr_plugins.meshing.write import write_files
from inr_plugins.progress import progress


def check_mesh_file(path: Path, *, option: str) -> None:
    """Refuse a mesh file that could not be written at the end, before any work is done.

    Args:
        path: of the file.
        option: that names it.

    Raises:
        InputError: unknown extension, an existing file, or a place that cannot be written.
    """
    for each in (path, sidecar_path(path)):
        if each.is_file():
            raise InputError(f"{option} {path}: {each} exists already; give another name, or move it away.")
    check_output(path, overwrite=False)


def write_trained(run: Run, path: Path, settings: MeshSettings) -> dict[str, Any]:
    """Write the surface of an open run as a mesh, with its description beside it; returns the description.

    Raises:
        InputError: anything the user can fix, in one sentence.
    """
    place = find_place(run, settings)
    check_digits(path, place.corners)
    with progress() as bar:
        made = extract_mesh(run, settings, place=place, bar=bar)
        description = {**made.description, "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])}
        write_files(made, path, description=description, device=torch.device(run.pipeline.device), bar=bar)
    return description
