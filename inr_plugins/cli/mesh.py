"""inr-mesh: the surface of a trained field as a coloured mesh in the dataset's own frame and units."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inr_plugins.cli.arguments import parse
from inr_plugins.cli.ending import run_command, start
from inr_plugins.cli.mesh_files import OutputFiles
from inr_plugins.cli.mesh_options import MeshOptions, check_options
from inr_plugins.cli.result import output_for_result, print_places
from inr_plugins.geometry.io.mesh_io import check_digits, check_output, sidecar_path
from inr_plugins.progress import progress

if TYPE_CHECKING:
    from inr_plugins.engine.runs.run import Run

__all__ = ["MeshOptions", "entrypoint", "export", "main"]


def export(
    options: MeshOptions, *, load: Callable[..., Run] | None = None, outputs: OutputFiles | None = None
) -> dict[str, Any]:
    """Load the run, extract the mesh, write it and its sidecar; returns the sidecar.

    Args:
        options: what the command line said.
        load: in place of engine.runs.run.load_run.
        outputs: told which files are to be written, once that is settled.

    Raises:
        InputError: anything the user can mend, in one sentence.
    """
    config = options.config()
    output = options.output or config.parent / "mesh.ply"
    check_options(options, output)
    check_output(output, overwrite=options.overwrite)
    if outputs is not None:
        turntable = [] if options.turntable is None else [options.turntable]
        outputs.expect([output, sidecar_path(output), *turntable])
    if load is None:
        from inr_plugins.engine.runs.run import load_run

        load = load_run
    import torch

    from inr_plugins.cli.mesh_summary import summarise
    from inr_plugins.meshing.extracted import extract_mesh, find_place
    from inr_plugins.meshing.write import write_files

    start = time.perf_counter()
    with output_for_result(quiet=options.quiet):
        run = load(config, device=options.device, data=options.data)
    seconds = {"load": round(time.perf_counter() - start, 3)}
    place = find_place(run, options)
    check_digits(output, place.corners)
    with progress(quiet=options.quiet) as bar:
        extracted = extract_mesh(run, options, place=place, bar=bar)
        seconds |= extracted.description["seconds"]
        command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
        sidecar = {**extracted.description, "command": command, "seconds": seconds}
        files = write_files(
            extracted,
            output,
            description=sidecar,
            device=torch.device(run.pipeline.device),
            turntable=options.turntable,
            overwrite=options.overwrite,
            bar=bar,
        )
    if options.quiet:
        print_places(*files.values())
    else:
        summarise(sidecar, files, seconds=time.perf_counter() - start)
    return sidecar


def main(arguments: Sequence[str] | None = None, *, load: Callable[..., Run] | None = None) -> int:
    """Run the command; its exit status: 0, 1 for a mistake the user can mend, 130 for Ctrl-C, 143 for SIGTERM."""
    options, outputs = parse(MeshOptions, prog="inr-mesh", args=arguments), OutputFiles()

    def work() -> None:
        export(options, load=load, outputs=outputs)

    return run_command(
        "inr-mesh",
        work,
        when_stopped=lambda: f"{outputs.in_words()}.",
        written=lambda: outputs.in_words() if outputs.written() else "",
        with_less_memory="give a lower --resolution or --memory-gb, or --device cpu",
    )


def entrypoint() -> None:
    """The inr-mesh command."""
    start(main)


if __name__ == "__main__":
    entrypoint()
