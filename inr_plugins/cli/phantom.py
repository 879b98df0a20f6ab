"""inr-phantom: made data whose truth is known, of any size."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import tyro

from inr_plugins.cli.arguments import CommonOptions, Groups, parse
from inr_plugins.cli.compress import check_new_file
from inr_plugins.cli.ending import run_command, start
from inr_plugins.cli.mesh_files import OutputFiles
from inr_plugins.cli.result import print_places
from inr_plugins.errors import InputError
from inr_plugins.options import COMMANDS, check_numbers
from inr_plugins.progress import progress

_ENDINGS = (".tif", ".tiff")


@dataclass(frozen=True, kw_only=True)
class PhantomOptions(CommonOptions):
    """Make data to learn from: a picture of a planet as a tiled TIFF, of any size, larger ones with more detail.

    Example: inr-phantom planet planet.tif --size 8192
    """

    GROUPS: ClassVar[Groups] = {"picture": "size seed", "output": "overwrite"}

    kind: Annotated[tyro.conf.Positional[Literal["planet"]], tyro.conf.arg(metavar="KIND")]
    """What: planet."""
    output: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """File to write, .tif."""
    size: int = 2048
    """Pixels of a side."""
    seed: int = 0
    """Of what it looks like."""
    overwrite: bool = False
    """Replace an existing file."""


def make(options: PhantomOptions, *, outputs: OutputFiles) -> None:
    """Make what the command line asks for.

    Raises:
        InputError: anything the user can fix, in one sentence.
    """
    check_numbers(options, COMMANDS["inr-phantom"])
    output = options.output
    if output.suffix.lower() not in _ENDINGS:
        raise InputError(f"{output} does not end in .tif: give a name that does.")
    check_new_file(output, overwrite=options.overwrite)
    from inr_plugins.scenes.planet import write_planet

    begin = time.perf_counter()
    outputs.expect([output])
    with progress(quiet=options.quiet) as bar:
        write_planet(
            output, options.size, seed=options.seed, on_tile=lambda done, total: bar("Drawing tiles", done, total)
        )
    if options.quiet:
        print_places(output)
        return
    print(f"  image  {output}, {options.size} x {options.size} pixels, {output.stat().st_size / 1e6:.1f} MB")
    print(f"seconds  {time.perf_counter() - begin:.1f}")
    print(f"   next  ns-train diner-image --data {shlex.quote(str(output))}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit status: 0, 1 for a mistake the user can fix, 130 for Ctrl-C, 143 for SIGTERM."""
    options, outputs = parse(PhantomOptions, prog="inr-phantom", args=arguments), OutputFiles()
    return run_command(
        "inr-phantom",
        lambda: make(options, outputs=outputs),
        when_stopped=lambda: f"{outputs.in_words()}.",
        written=lambda: outputs.in_words() if outputs.written() else "",
        with_less_memory="give a lower --size",
    )


def entrypoint() -> None:
    """The inr-phantom command."""
    start(main)


if __name__ == "__main__":
    entrypoint()
