"""inr-compress: a fitted image, or an image that is fitted first, as a file of few bytes."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import tyro

from inr_plugins.cli.arguments import CommonOptions, Groups, parse
from inr_plugins.cli.demo import name_of_run, run_step
from inr_plugins.cli.ending import run_command, start
from inr_plugins.cli.mesh_files import OutputFiles
from inr_plugins.cli.result import output_for_result, print_places
from inr_plugins.engine.runs.folder import find_config
from inr_plugins.errors import InputError
from inr_plugins.files import why_unreadable, write_bytes
from inr_plugins.geometry.io.output_place import check_place
from inr_plugins.options import COMMANDS, check_numbers, told
from inr_plugins.progress import progress

if TYPE_CHECKING:
    from inr_plugins.engine.runs.run import Run
    from inr_plugins.models.signals.stream_compression import StageBytes

_ENDING = ".inr"


@dataclass(frozen=True, kw_only=True)
class CompressOptions(CommonOptions):
    """Write what finer-image, cn-image or finer-stream has learnt of an image as a file of few bytes.

    Weights become whole numbers, as coarse as --loss allows, and are coded by how frequent they are. All that
    inr-decompress needs is in the file, whose size is the rate. That of finer-stream has a block for each stage: what
    has come of it up to the end of one is an image.

    Example: inr-compress RUN photo.inr; inr-decompress photo.inr photo.png
    """

    GROUPS: ClassVar[Groups] = {
        "file": "loss size",
        "training": "method steps train output_dir",
        "run": "data device",
        "output": "overwrite",
    }

    source: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN|IMAGE")]
    """Run folder, or the config.yml in it; or an image file, which is learnt first, as --method."""
    output: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT.inr")]
    """File to write."""
    loss: float = 0.3
    """dB of PSNR that whole numbers may cost, of what the run has."""
    size: Annotated[int | None, told("BYTES", "what --loss needs")] = None
    """Bytes that the file may have at most, in place of --loss."""
    method: Literal["cn-image", "finer-image", "finer-stream"] = "cn-image"
    """Method by which an image is learnt."""
    steps: Annotated[int | None, told("INT", "the method's")] = None
    """Steps of that training."""
    train: str = ""
    """More options for ns-train, for instance: --train="--pipeline.model.width 40"."""
    output_dir: Path = Path("outputs")
    """Folder for that training's run."""
    data: Annotated[Path | None, told("PATH", "where the run was trained from")] = None
    """Where a run's image is now."""
    device: Annotated[str | None, told("DEVICE", "CUDA when there is one")] = None
    """Where to evaluate a run's network, such as cpu or cuda:0."""
    overwrite: bool = False
    """Replace an existing file."""


def run(
    options: CompressOptions, *, load: Callable[..., Run] | None, outputs: OutputFiles, learnt: list[Path] | None = None
) -> None:
    """Compress what the command line asks for.

    Args:
        options: of the command line.
        load: opens a run.
        outputs: told what is to be written.
        learnt: gets the folder of the run that an image is learnt in, as soon as that is begun.

    Raises:
        InputError: anything the user can fix, in one sentence.
    """
    check_numbers(options, COMMANDS["inr-compress"])
    output = options.output
    check_new_file(output, overwrite=options.overwrite, ending=_ENDING)
    config = _config_of(options, [] if learnt is None else learnt)
    from inr_plugins.models.signals.compression import check_compressible, compress
    from inr_plugins.models.signals.stream_compression import compress_stream
    from inr_plugins.models.signals.stream_image import StreamImageModel

    if load is None:
        from inr_plugins.engine.runs.run import load_run

        load = load_run
    begin = time.perf_counter()
    with output_for_result(quiet=options.quiet):
        opened = load(config, device=options.device, data=options.data)
    model: Any = opened.pipeline.model
    is_stream = isinstance(model, StreamImageModel)
    if not is_stream:
        check_compressible(model)
    parser: Any = opened.pipeline.datamanager.dataparser
    truth = _truth(parser, is_needed=options.size is None)
    outputs.expect([output])
    with progress(quiet=options.quiet) as bar:
        made: Any = (compress_stream if is_stream else compress)(
            model,
            truth,
            profile=parser.kind.icc_profile,
            loss=options.loss,
            size=options.size,
            on_try=lambda count: bar("Trying steps of weights", count, 10),
        )
    write_bytes(output, made.file)
    if options.quiet:
        print_places(output)
        return
    pixels = parser.kind.width * parser.kind.height
    print(f"    run  {config.parent}")
    print(f"   file  {output}, {len(made.file):,} bytes, {8 * len(made.file) / pixels:.3f} bits a pixel")
    if made.psnr is not None:
        print(f"   PSNR  {made.psnr:.2f} dB, of the network as it was trained {made.fit_psnr:.2f} dB")
    if is_stream:
        _print_stages(made.stages)
    print(f"seconds  {time.perf_counter() - begin:.1f}")
    back = output.with_suffix(".tif" if parser.kind.bands else ".png")
    print(f"   next  inr-decompress {shlex.quote(str(output))} {shlex.quote(str(back))}")


def _print_stages(stages: Sequence[StageBytes]) -> None:
    """A line for each stage: what its prefix of the file is."""
    for number, stage in enumerate(stages, 1):
        psnr = "" if stage.psnr is None else f", {stage.psnr:.2f} dB (trained {stage.fit_psnr:.2f})"
        print(f"  stage  {number}: first {stage.size:,} bytes{psnr}, {stage.width} wide")


def check_new_file(path: Path, *, overwrite: bool, ending: str | None = None) -> None:
    """Refuse a file that is there already, that has another ending, or that could not be written.

    Raises:
        InputError: naming the file, and what to do.
    """
    check_place(path)
    if ending is not None and path.suffix.lower() != ending:
        raise InputError(f"{path} does not end in {ending}: give a name that does.")
    if path.is_dir():
        raise InputError(f"{path} is a folder: give a file.")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists: give another name, or --overwrite.")


def _config_of(options: CompressOptions, learnt: list[Path]) -> Path:
    """The config.yml of the run, after its training where an image was given, whose folder `learnt` gets."""
    source = options.source
    if source.is_dir() or source.suffix.lower() in (".yml", ".yaml") or why_unreadable(source) is not None:
        config = find_config(source)
        if options.steps is not None or options.train:
            raise InputError(f"--steps and --train are for an image, and {source} is a run: leave them out.")
        return config
    if options.data is not None:
        raise InputError(f"--data is for a run, and {source} is an image: leave it out.")
    from inr_plugins.data.signals.bands_file import CHANNEL_AXIS
    from inr_plugins.data.signals.image_file import read_image
    from inr_plugins.models.signals.compression import check_whole_numbers

    try:
        more = shlex.split(options.train)
    except ValueError as error:
        raise InputError(f"--train {options.train!r} has a quotation mark without its other one: add it.") from error
    given = next((more[place + 1 : place + 2] for place, each in enumerate(more) if each == CHANNEL_AXIS), [])
    axis: Any = given[0] if given and given[0] in ("first", "last") else None
    try:
        check_whole_numbers(read_image(source, bands=True, channel_axis=axis).bits)
    except InputError as error:
        # The file has no option before it here.
        words = error.marked.removeprefix("--data ").replace(
            f"give {CHANNEL_AXIS}", f"give --train with {CHANNEL_AXIS}"
        )
        raise InputError(words) from error
    stamp = name_of_run()
    place = ["--output-dir", str(options.output_dir), "--experiment-name", source.stem, "--timestamp", stamp]
    length = [] if options.steps is None else ["--max-num-iterations", str(options.steps)]
    command = ["ns-train", options.method, "--data", str(source), *place, "--vis", "tensorboard", *length, *more]
    folder = options.output_dir / source.stem / options.method / stamp
    learnt.append(folder)
    run_step("Learn the image", command, quiet=options.quiet)
    return find_config(folder)


def _truth(parser: Any, *, is_needed: bool) -> Any:
    """The image's pixels; None where it is not there and may be missing."""
    try:
        return parser.image.pixels
    except InputError:
        if is_needed:
            raise
        return None


def main(arguments: Sequence[str] | None = None, *, load: Callable[..., Run] | None = None) -> int:
    """Run the command; its exit status: 0, 1 for a mistake the user can fix, 130 for Ctrl-C, 143 for SIGTERM."""
    options, outputs = parse(CompressOptions, prog="inr-compress", args=arguments), OutputFiles()
    learnt: list[Path] = []

    def kept() -> str:
        """The run of an image, which need not be learnt again."""
        # A checkpoint, without which there is nothing to go on from.
        runs = [each for each in learnt if any(each.glob("nerfstudio_models/*.ckpt"))]
        return "".join(
            f"; what was learnt is kept, give {shlex.quote(str(each))} in place of the image" for each in runs
        )

    return run_command(
        "inr-compress",
        lambda: run(options, load=load, outputs=outputs, learnt=learnt),
        when_stopped=lambda: f"{outputs.in_words()}{kept()}.",
        written=lambda: f"{outputs.in_words()}{kept()}" if outputs.written() or kept() else "",
        with_less_memory="take a smaller network",
    )


def entrypoint() -> None:
    """The inr-compress command."""
    start(main)


if __name__ == "__main__":
    entrypoint()
