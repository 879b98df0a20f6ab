"""One mesh of inr-mesh, from an open run to its files."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inr_plugins.cli.mesh_files import OutputFiles
from inr_plugins.cli.mesh_options import MeshOptions
from inr_plugins.cli.mesh_targets import Target
from inr_plugins.cli.result import output_for_result
from inr_plugins.geometry.io.mesh_io import check_digits, sidecar_path
from inr_plugins.progress import progress

if TYPE_CHECKING:
    from inr_plugins.engine.runs.run import Run


@dataclass(frozen=True)
class OpenRun:
    """A run, and the seconds that opening it took."""

    run: Run
    seconds: float


def open_run(config: Path, options: MeshOptions, load: Callable[..., Run] | None) -> OpenRun:
    """The run, opened where and with the data that the command line says.

    Raises:
        InputError: it cannot be opened.
    """
    if load is None:
        from inr_plugins.engine.runs.run import load_run

        load = load_run
    begin = time.perf_counter()
    with output_for_result(quiet=options.quiet):
        run = load(config, device=options.device, data=options.data)
    return OpenRun(run, time.perf_counter() - begin)


def make_mesh(
    opened: OpenRun, target: Target, options: MeshOptions, *, outputs: OutputFiles
) -> tuple[dict[str, Any], dict[str, Path]]:
    """Extract the mesh of an open run, write it and its sidecar; returns the sidecar, and the files by what they are.

    Raises:
        InputError: anything the user can fix, in one sentence.
    """
    import torch

    from inr_plugins.meshing.extracted import extract_mesh, find_place
    from inr_plugins.meshing.write import write_files

    run = opened.run
    videos = [] if target.turntable is None else [target.turntable]
    outputs.expect([target.output, sidecar_path(target.output), *videos])
    settings = replace(options, shape=target.shape, blend=(target.blend,))
    place = find_place(run, settings)
    check_digits(target.output, place.corners)
    with progress(quiet=options.quiet) as bar:
        extracted = extract_mesh(run, settings, place=place, bar=bar)
        command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
        seconds = {"load": round(opened.seconds, 3), **extracted.description["seconds"]}
        sidecar = {**extracted.description, "command": command, "seconds": seconds}
        files = write_files(
            extracted,
            target.output,
            description=sidecar,
            device=torch.device(run.pipeline.device),
            turntable=target.turntable,
            overwrite=options.overwrite,
            bar=bar,
        )
    return sidecar, files
