"""inr-analyze: rank, spectrum, keys or tangent kernel of a fitted image, or a dictionary's codes, drawn and listed."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

import torch
import tyro

from inr_plugins.cli.arguments import CommonOptions, Groups, parse
from inr_plugins.cli.ending import run_command, start
from inr_plugins.cli.mesh_files import OutputFiles
from inr_plugins.cli.result import output_for_result, print_places
from inr_plugins.cli.runs import given_runs
from inr_plugins.engine.runs.folder import find_config
from inr_plugins.errors import InputError
from inr_plugins.files import write_text
from inr_plugins.geometry.io.output_place import check_place
from inr_plugins.options import COMMANDS, check_numbers, told
from inr_plugins.progress import progress

if TYPE_CHECKING:
    from inr_plugins.analysis.findings import Findings
    from inr_plugins.engine.runs.run import Run

Kind = Literal["rank", "spectrum", "keys", "ntk", "codes"]


@dataclass(frozen=True, kw_only=True)
class AnalyzeOptions(CommonOptions):
    """Find out why a run of a method of images or videos learns its image as it does, or how the codes of a dictionary
    lie; a figure and a CSV file.

    rank: how many numbers a pixel's colour needs, and what the best line or plane of colours would reach.
    spectrum: shares of low to high frequencies in the image, in the fit and over the keys; not of a video.
    keys: the curve, the surface or the volume of colours that diner-image's keys lie on.
    ntk: eigenvalues of the neural tangent kernel at the start and now.
    codes: of a dictionary (nid-shapes, nid-images): its codes along their principal directions.

    Example: inr-analyze RUN keys
    """

    GROUPS: ClassVar[Groups] = {
        "analysis": "points",
        "run": "data device",
        "output": "output overwrite",
    }

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder, or the config.yml in it."""
    kind: tyro.conf.Positional[Kind]
    """What to find out."""
    points: int = 400
    """Pixels, at the most, that ntk is of: spread evenly over the image."""
    data: Annotated[Path | None, told("PATH", "where the run was trained from")] = None
    """Where the image is now."""
    device: Annotated[str | None, told("DEVICE", "CUDA when there is one")] = None
    """Where to evaluate the field, such as cpu or cuda:0."""
    output: Annotated[Path | None, told("FOLDER", "analysis in the run's folder")] = None
    """Folder for the figure and the table."""
    overwrite: bool = False
    """Replace existing files."""


def analyze(options: AnalyzeOptions, *, load: Callable[..., Run] | None, outputs: OutputFiles) -> None:
    """Find out what the command line asks for.

    Raises:
        InputError: anything the user can fix, in one sentence.
    """
    check_numbers(options, COMMANDS["inr-analyze"])
    config = find_config(*given_runs([options.run], None))
    folder = options.output or config.parent / "analysis"
    check_place(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--output {folder} is a file; give a folder.")
    figure, table = folder / f"{options.kind}.png", folder / f"{options.kind}.csv"
    for path in (figure, table):
        if path.exists() and not options.overwrite:
            raise InputError(f"{path} exists already; pass --overwrite or another --output.")
    if folder.exists():
        check_place(figure)
    from inr_plugins.models.nid.shown_code import CodedModel
    from inr_plugins.models.signals.base import ImageModel

    if load is None:
        from inr_plugins.engine.runs.run import load_run

        load = load_run
    begin = time.perf_counter()
    with output_for_result(quiet=options.quiet):
        opened = load(config, device=options.device, data=options.data)
    if options.kind == "codes":
        if not isinstance(opened.pipeline.model, CodedModel):
            raise InputError(f"The run {config.parent} has no codes: give one of nid-shapes or nid-images.")
    elif not isinstance(opened.pipeline.model, ImageModel):
        raise InputError(
            f"The run {config.parent} is of a method that learns no image: give one of an -image or a -video method."
        )
    with progress(quiet=options.quiet) as bar:
        found = _find(options, opened, bar)
    from inr_plugins.plotting import save_figure

    drawn = found.figure()
    folder.mkdir(parents=True, exist_ok=True)
    outputs.expect([figure, table])
    save_figure(drawn, figure)
    write_text(table, found.as_csv())
    if options.quiet:
        print_places(figure, table)
        return
    lines = [*found.words, ("figure", str(figure)), ("table", str(table))]
    lines.append(("seconds", f"{time.perf_counter() - begin:.1f}"))
    lines.append(("next", f"inr-eval {shlex.quote(str(config.parent))}"))
    wide = max(len(name) for name, _ in lines)
    for name, text in lines:
        print(f"{name:>{wide}}  {text}")


def _find(options: AnalyzeOptions, opened: Run, bar: Callable[[str, int, int], None]) -> Findings:
    from inr_plugins.analysis import findings

    model: Any = opened.pipeline.model
    if options.kind == "codes":
        names = model.dictionary_names
        first = len(model.code_names) - len(names)
        codes = torch.stack([model.code_of(first + number).detach().reshape(-1) for number in range(len(names))])
        return findings.find_codes(codes.cpu().numpy(), names)
    manager = cast(Any, opened.pipeline.datamanager)
    # Of measurements of what nobody knows there is a classical answer in the place of an image.
    if options.kind in ("rank", "spectrum") and not getattr(manager.dataparser, "has_truth", True):
        raise InputError(
            f"{options.kind}: what this run looks for is not known, so that there is nothing to compare it with; give "
            "a run of what is."
        )
    image = manager.image
    pixels = image.values() if image.kind.is_float else image.pixels

    def fresh() -> Any:
        # The run's own draw of weights is gone with the moment of its start: this is another, the same each time.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return model.make_field()

    fitted = findings.Fitted(model.field, pixels, fresh, model.device)
    if options.kind == "rank":
        return findings.find_rank(fitted)
    if options.kind == "spectrum":
        return findings.find_spectrum(fitted)
    if options.kind == "keys":
        return findings.find_keys(fitted)
    return findings.find_kernel(fitted, points=options.points, progress=bar)


def main(arguments: Sequence[str] | None = None, *, load: Callable[..., Run] | None = None) -> int:
    """Run the command; its exit status: 0, 1 for a mistake the user can fix, 130 for Ctrl-C, 143 for SIGTERM."""
    options, outputs = parse(AnalyzeOptions, prog="inr-analyze", args=arguments), OutputFiles()
    return run_command(
        "inr-analyze",
        lambda: analyze(options, load=load, outputs=outputs),
        when_stopped=lambda: f"{outputs.in_words()}.",
        written=lambda: outputs.in_words() if outputs.written() else "",
        with_less_memory="give fewer --points",
    )


def entrypoint() -> None:
    """The inr-analyze command."""
    start(main)


if __name__ == "__main__":
    entrypoint()
