"""inr-signal: a fitted image read out of its run, at any resolution, as an image file."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import tyro

from inr_plugins.cli.arguments import CommonOptions, Groups, parse
from inr_plugins.cli.ending import run_command, start
from inr_plugins.cli.mesh_files import OutputFiles
from inr_plugins.cli.result import output_for_result, print_places
from inr_plugins.cli.runs import given_runs
from inr_plugins.engine.runs.folder import find_config
from inr_plugins.errors import InputError
from inr_plugins.geometry.io.output_place import check_place
from inr_plugins.options import COMMANDS, check_numbers, told
from inr_plugins.progress import progress

if TYPE_CHECKING:
    from inr_plugins.engine.runs.run import Run


@dataclass(frozen=True, kw_only=True)
class SignalOptions(CommonOptions):
    """Read a fitted image out of a run of diner-image, finer-image or cn-image, in the bits of its own file.

    Between the pixels of that file diner-image's network outputs are interpolated, so that a larger image is a smooth
    one and shows no more than the file did. The file itself is not needed, except for runs of an older version.

    Example: inr-signal RUN out.png --scale 2 --region 100 50 64 64
    """

    GROUPS: ClassVar[Groups] = {
        "image": "scale region",
        "run": "data device",
        "output": "overwrite",
    }

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder, or the config.yml in it."""
    output: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """Image file to write: .png, .tif, or .jpg."""
    scale: float = 1.0
    """Pixels of the output along one pixel of the image; a smaller image is sampled, not averaged."""
    region: Annotated[tuple[int, int, int, int] | None, told("LEFT TOP WIDTH HEIGHT", "all of the image")] = None
    """Part of the image that is read out, in its pixels."""
    data: Annotated[Path | None, told("PATH", "where the run was trained from")] = None
    """Where the image is now."""
    device: Annotated[str | None, told("DEVICE", "CUDA when there is one")] = None
    """Where to evaluate the field, such as cpu or cuda:0."""
    overwrite: bool = False
    """Replace an existing file."""


def export(options: SignalOptions, *, load: Callable[..., Run] | None, outputs: OutputFiles) -> None:
    """Read out what the command line asks for.

    Raises:
        InputError: anything the user can fix, in one sentence.
    """
    check_numbers(options, COMMANDS["inr-signal"])
    config, output = find_config(*given_runs([options.run], None)), options.output
    if output.is_dir():
        raise InputError(f"{output} is a folder: give an image file.")
    if output.exists() and not options.overwrite:
        raise InputError(f"{output} exists: give another name, or --overwrite.")
    check_place(output)
    from inr_plugins.data.signals.image_output import check_image_output, write_image
    from inr_plugins.models.signals.base import ImageModel
    from inr_plugins.models.signals.readout import find_region, read_out

    # Its ending, before a run is opened.
    check_image_output(output, bits=8, channels=1)
    if load is None:
        from inr_plugins.engine.runs.run import load_run

        load = load_run
    begin = time.perf_counter()
    with output_for_result(quiet=options.quiet):
        opened = load(config, device=options.device, data=options.data)
    model = opened.pipeline.model
    if not isinstance(model, ImageModel):
        raise InputError(f"The run {config.parent} is of a method that learns no image: give one of an -image method.")
    check_image_output(output, bits=model.bits, channels=model.channels)
    region = find_region(model.grid, options.region)
    outputs.expect([output])
    with progress(quiet=options.quiet) as bar:
        pixels = read_out(
            model, scale=options.scale, region=region, on_rows=lambda done, total: bar("Reading out", done, total)
        )
    manager: Any = opened.pipeline.datamanager
    write_image(output, pixels, profile=manager.dataparser.kind.icc_profile)
    if options.quiet:
        print_places(output)
        return
    height, width, channels = pixels.shape
    print(f"  image  {output}, {width} x {height} pixels, {channels} x {model.bits} bits")
    print(f"seconds  {time.perf_counter() - begin:.1f}")
    print(f"   next  inr-eval {shlex.quote(str(config.parent))}")


def main(arguments: Sequence[str] | None = None, *, load: Callable[..., Run] | None = None) -> int:
    """Run the command; its exit status: 0, 1 for a mistake the user can fix, 130 for Ctrl-C, 143 for SIGTERM."""
    options, outputs = parse(SignalOptions, prog="inr-signal", args=arguments), OutputFiles()
    return run_command(
        "inr-signal",
        lambda: export(options, load=load, outputs=outputs),
        when_stopped=lambda: f"{outputs.in_words()}.",
        written=lambda: outputs.in_words() if outputs.written() else "",
        with_less_memory="give a lower --scale, or a --region",
    )


def entrypoint() -> None:
    """The inr-signal command."""
    start(main)


if __name__ == "__main__":
    entrypoint()
