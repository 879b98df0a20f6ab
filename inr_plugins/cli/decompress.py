"""inr-decompress: the image in a file of inr-compress, the same to the bit on every machine."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from inr_plugins.cli.arguments import CommonOptions, Groups, parse
from inr_plugins.cli.compress import check_new_file
from inr_plugins.cli.ending import run_command, start
from inr_plugins.cli.mesh_files import OutputFiles
from inr_plugins.cli.result import print_places
from inr_plugins.errors import InputError
from inr_plugins.files import shown, why_unreadable
from inr_plugins.options import COMMANDS, check_numbers, told
from inr_plugins.progress import progress


@dataclass(frozen=True, kw_only=True)
class DecompressOptions(CommonOptions):
    """Write the image in a file of inr-compress, in the bits and the colours of the one that was compressed.

    Its pixels are the same on every machine. Neither a graphics card nor the image is needed. Of a finer-stream it is
    the last stage's; a file of one that was cut off is written as the last stage that is whole, and that is said.

    Example: inr-decompress photo.inr photo.png
    """

    GROUPS: ClassVar[Groups] = {"stream": "stage", "output": "overwrite"}

    source: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE.inr")]
    """File of inr-compress."""
    output: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """Image file to write: .png, .tif, .npy, or .jpg, which loses some of it; of many channels .tif or .npy."""
    stage: Annotated[int | None, told("INT", "the last one that is whole")] = None
    """Stage of a finer-stream, from 1; nothing behind it is read."""
    overwrite: bool = False
    """Replace an existing file."""


def run(options: DecompressOptions, *, outputs: OutputFiles) -> None:
    """Decompress what the command line names.

    Raises:
        InputError: anything the user can fix, in one sentence.
    """
    source, output = options.source, options.output
    problem = why_unreadable(source)
    if problem is not None:
        raise InputError(f"{shown(source)} {problem}: give a file of inr-compress.")
    check_numbers(options, COMMANDS["inr-decompress"])
    check_new_file(output, overwrite=options.overwrite)
    from inr_plugins.codecs.files import read_image_file
    from inr_plugins.data.signals.image_output import check_image_output, write_image

    begin = time.perf_counter()
    read = read_image_file(source.read_bytes(), str(source), stage=options.stage)
    code, whole = read.code, read.stage
    channels = code.network.shape.outputs
    check_image_output(output, bits=code.bits, channels=channels, has_bands=code.has_bands)
    outputs.expect([output])
    with progress(quiet=options.quiet) as bar:
        pixels = code.pixels(lambda done, total: bar("Decoding rows", done, total))
    write_image(output, pixels, profile=code.profile, has_bands=code.has_bands)
    if read.is_cut:
        print(
            f"{source} is cut short or damaged behind stage {whole} of {read.stages}: {output} is that stage.",
            file=sys.stderr,
        )
    if options.quiet:
        print_places(output)
        return
    of = "" if read.stages is None else f", stage {whole} of {read.stages}"
    print(f"  image  {output}, {code.width} x {code.height} pixels, {channels} x {code.bits} bits{of}")
    print(f"seconds  {time.perf_counter() - begin:.1f}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit status: 0, 1 for a mistake the user can fix, 130 for Ctrl-C, 143 for SIGTERM."""
    options, outputs = parse(DecompressOptions, prog="inr-decompress", args=arguments), OutputFiles()
    return run_command(
        "inr-decompress",
        lambda: run(options, outputs=outputs),
        when_stopped=lambda: f"{outputs.in_words()}.",
        written=lambda: outputs.in_words() if outputs.written() else "",
        with_less_memory="use a machine with more",
    )


def entrypoint() -> None:
    """The inr-decompress command."""
    start(main)


if __name__ == "__main__":
    entrypoint()
