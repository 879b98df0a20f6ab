"""inr-mesh: the surface of trained fields as coloured meshes in the dataset's own frame and units."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from inr_plugins.cli.arguments import parse
from inr_plugins.cli.ending import run_command, start
from inr_plugins.cli.mesh_files import OutputFiles
from inr_plugins.cli.mesh_make import make_mesh, open_run
from inr_plugins.cli.mesh_options import MeshOptions
from inr_plugins.cli.mesh_targets import (
    check_format,
    check_several,
    check_targets,
    makes_several,
    the_only_target,
)
from inr_plugins.cli.result import print_places
from inr_plugins.errors import InputError

if TYPE_CHECKING:
    from inr_plugins.engine.runs.run import Run

_NO_RUN = "Give one run or several: run folders or their config.yml, or one as --load-config."


def export(options: MeshOptions, *, load: Callable[..., Run] | None, outputs: OutputFiles) -> int:
    """Make what the command line asks for; the exit status.

    Args:
        options: what the command line said.
        load: in place of engine.runs.run.load_run.
        outputs: told which files are to be written, once that is settled.

    Raises:
        InputError: anything the user can fix, in one sentence; of several meshes, what is wrong with the command line.
    """
    configs = options.configs()
    if not configs:
        raise InputError(_NO_RUN)
    options.check()
    if makes_several(options, configs):
        check_format(options, None)
        check_several(options, configs)
        from inr_plugins.cli.mesh_several import make_several

        return make_several(options, configs, load=load, outputs=outputs)
    target = the_only_target(options, configs[0])
    check_format(options, target.output)
    check_targets(options, [target])
    begin = time.perf_counter()
    sidecar, files = make_mesh(open_run(target.config, options, load), target, options, outputs=outputs)
    if options.quiet:
        print_places(*files.values())
    else:
        from inr_plugins.cli.mesh_summary import summarise

        summarise(sidecar, files, seconds=time.perf_counter() - begin)
    return 0


def main(arguments: Sequence[str] | None = None, *, load: Callable[..., Run] | None = None) -> int:
    """Run the command; its exit status: 0, 1 for a mistake the user can fix, 130 for Ctrl-C, 143 for SIGTERM."""
    options, outputs = parse(MeshOptions, prog="inr-mesh", args=arguments), OutputFiles()
    return run_command(
        "inr-mesh",
        lambda: export(options, load=load, outputs=outputs),
        when_stopped=lambda: f"{outputs.in_words()}.",
        written=lambda: outputs.in_words() if outputs.written() else "",
        with_less_memory="give a lower --resolution or --memory-gb, or --device cpu",
    )


def entrypoint() -> None:
    """The inr-mesh command."""
    start(main)


if __name__ == "__main__":
    entrypoint()
