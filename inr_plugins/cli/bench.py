"""inr-bench: train many methods on many scenes under one budget, and report what came of it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import tyro
from rich.console import Console
from rich.markup import escape

from inr_plugins.bench.plan import Job, Request, make_plan, parse_options
from inr_plugins.bench.presets import PRESETS, Preset, missing_methods
from inr_plugins.cli.arguments import CommonOptions, Groups, parse_subcommand
from inr_plugins.cli.ending import arguments_of, run_command, start
from inr_plugins.cli.result import print_places
from inr_plugins.errors import InputError
from inr_plugins.options import COMMANDS, check_numbers, told

_WORKER = "inr_plugins.cli.bench_worker"
_EXAMPLE = "inr-bench run --methods diner nerfacto --scenes data/lego --seconds 60 300"


@dataclass(frozen=True, kw_only=True)
class Run(CommonOptions):
    """Train each method on each scene with each seed, one at a time, and write a record of each training.

    All trainings have one protocol: the same budgets on one clock, which starts when the data is loaded and stands
    still during evaluation, and the same held-out views. With --seconds every method keeps its own schedule and is
    stopped by the clock. What is finished is skipped when the same command is given again, so a benchmark that was
    stopped goes on.
    """

    GROUPS: ClassVar[Groups] = {
        "training": "methods scenes options preset seconds steps seeds device",
        "measurement": "eval_every_view eval_pixel_stride curve_points curve_views mesh_resolution",
        "output": "output other_code keep_runs",
    }

    methods: Annotated[tuple[str, ...], told("METHOD [METHOD ...]", "those of the preset")] = ()
    """Methods of ns-train; with a preset, only these of it."""
    scenes: Annotated[tuple[Path, ...], told("PATH [PATH ...]", "")] = ()
    """Dataset folders, or folders of them; for methods of shapes, meshes or folders of them."""
    seconds: Annotated[tuple[float, ...], told("S [S ...]", "those of the preset")] = ()
    """Budgets in seconds of training, for instance 60 300 900: moments of one training."""
    steps: Annotated[tuple[int, ...], told("N [N ...]", "those of the preset")] = ()
    """Budgets in steps, in place of seconds."""
    seeds: int = 1
    """Trainings of each method on each scene, with seeds 0, 1, ..."""
    output: Path = Path("bench")
    """Folder for the records; other benchmarks' records in it are kept."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto: CUDA when there is one."""
    preset: Annotated[str | None, told("NAME", "none")] = None
    """A benchmark that is laid out in advance: see inr-bench presets."""
    eval_every_view: Annotated[int | None, told("N", "20, in presets 1")] = None
    """Measure the first test view and every N-th after it, five at least."""
    eval_pixel_stride: int = 1
    """Render every n-th row and column of these views, where a view takes minutes; above 1 there is no SSIM."""
    curve_points: int = 6
    """Points of the curve of PSNR against time."""
    curve_views: int = 2
    """Test views that each point of the curve is the mean of."""
    options: Annotated[tuple[str, ...], told("METHOD=OPTIONS [METHOD=OPTIONS ...]", "none")] = ()
    """Options of ns-train for a method, as METHOD="--option value ..."; given several times for one, each is a row."""
    mesh_resolution: Annotated[int | None, told("SAMPLES", "256 for shapes, else 0")] = None
    """At each budget make a mesh with so many samples along its longest side and compare it with the shape's own file,
    or with the mesh that inr-scene rendered: Chamfer, F-score, normals, IoU. 0: no meshes."""
    other_code: Literal["refuse", "again", "keep"] = "refuse"
    """What to do with finished trainings that other code of this package has measured, an earlier version for instance:
    stop before anything is run, run them again, or count them as finished."""
    keep_runs: bool = False
    """Keep the run folders, with a checkpoint at each budget."""


@dataclass(frozen=True, kw_only=True)
class Report(CommonOptions):
    """Make tables and plots from the records alone: report.md and plots/ in the folder."""

    folder: tyro.conf.Positional[Path] = Path("bench")
    """The --output of inr-bench run."""


@dataclass(frozen=True, kw_only=True)
class Presets(CommonOptions):
    """List the presets and what they need."""


SUBCOMMANDS = {"run": Run, "report": Report, "presets": Presets}
"""The subcommands."""


def choose_device(wanted: str) -> str:
    """Settle "auto".

    Raises:
        InputError: CUDA is asked for and is not there.
    """
    if wanted == "cpu":
        return wanted
    from inr_plugins.engine.defaults import choose_device_type

    try:
        return choose_device_type(wanted)
    except InputError as error:
        raise InputError("No CUDA device was found: leave --device out, or give it the value cpu.") from error


def plan_of(options: Run) -> list[Job]:
    """The jobs that the command line asks for.

    Raises:
        InputError: anything in it that cannot be run, in one sentence.
    """
    check_numbers(options, COMMANDS["inr-bench"])
    from inr_plugins.bench.scenes import find_scenes

    request = Request(
        methods=options.methods,
        scenes=tuple(find_scenes(options.scenes)),
        seconds=options.seconds,
        steps=options.steps,
        seeds=options.seeds,
        options=parse_options(options.options),
        device=choose_device(options.device),
        preset=options.preset,
        eval_every_view=options.eval_every_view,
        eval_pixel_stride=options.eval_pixel_stride,
        curve_points=options.curve_points,
        curve_views=options.curve_views,
        mesh_resolution=options.mesh_resolution,
    )
    return make_plan(request)


def run(options: Run) -> int:
    """Run the plan; 1 if a training failed, else 0.

    Raises:
        InputError: see :func:`plan_of` and :func:`inr_plugins.bench.runner.run_jobs`.
    """
    from inr_plugins.bench.progress import ProgressLine
    from inr_plugins.bench.runner import run_jobs

    jobs = plan_of(options)
    failed = run_jobs(
        jobs,
        options.output,
        keep_runs=options.keep_runs,
        other_code=options.other_code,
        worker=_WORKER,
        line=ProgressLine(len(jobs), Console(stderr=True, highlight=False, quiet=options.quiet)),
    )
    if options.quiet:
        print_places(options.output / "records")
    else:
        print(f"records  {options.output / 'records'}")
        print(f"   next  inr-bench report {shlex.quote(str(options.output))}")
    if not failed:
        return 0
    names = ", ".join(sorted({record["definition"]["label"] for record in failed}))
    print(
        f"inr-bench: {len(failed)} training{'s' if len(failed) > 1 else ''} failed ({names}): the records say how, "
        f"{options.output / 'logs'} holds what they wrote, and the same command tries them again.",
        file=sys.stderr,
    )
    return 1


def report(options: Report) -> int:
    """Write the report and print it.

    Raises:
        InputError: there is nothing to report on.
    """
    from inr_plugins.bench.report import write_report

    path, text, complaints = write_report(options.folder)
    if options.quiet:
        print_places(path)
    else:
        print(text)
    for complaint in complaints:
        print(f"inr-bench: {complaint}", file=sys.stderr)
    if not options.quiet:
        print(f"inr-bench: written to {path}", file=sys.stderr)
    return 0


def presets() -> int:
    """Print the presets, what they need, and which cannot be run yet."""
    from inr_plugins.bench.peers import known_methods

    known = known_methods()
    console = Console(highlight=False)
    for preset in PRESETS.values():
        console.print(f"[bold]{preset.name}[/bold]  {escape(preset.source)}", soft_wrap=True)
        for name, text in _needs(preset, missing_methods(preset, known)):
            console.print(f"  {name:<8} {escape(text)}", soft_wrap=True)
    return 0


def _needs(preset: Preset, missing: Sequence[str]) -> list[tuple[str, str]]:
    methods = list(dict.fromkeys(entry.method for entry in preset.entries if entry.method))
    lines = [("methods", ", ".join(methods)), ("scenes", ", ".join(preset.scenes) or "any")]
    size = "" if preset.resolution is None else f", {preset.resolution[0]}x{preset.resolution[1]} pixels"
    views = "" if preset.train_views is None else f", {preset.train_views} training views"
    lines.append(("data", f"{preset.data}{size}{views}"))
    steps = sorted({entry.steps for entry in preset.entries if entry.steps})
    budget = ", ".join(f"{each:,} steps" for each in steps) or ", ".join(f"{each:g} s" for each in preset.seconds)
    lines.append(("budget", f"{budget or 'none of its own: give one'} (--seconds or --steps change it)"))
    if preset.note:
        lines.append(("note", preset.note))
    if missing:
        lines.append(("not yet", f"it cannot be run: this version does not have {', '.join(missing)}"))
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its status: 0, 1 for a mistake or a training that failed, 130 for Ctrl-C, 143 for SIGTERM."""
    given = arguments_of(arguments)
    options = parse_subcommand(
        SUBCOMMANDS,
        prog="inr-bench",
        description=f"Benchmarks of methods of nerfstudio. For instance: {_EXAMPLE}",
        args=given,
    )

    def work() -> int:
        if isinstance(options, Run):
            return run(options)
        return report(options) if isinstance(options, Report) else presets()

    again = shlex.join(["inr-bench", *given])
    return run_command("inr-bench", work, when_stopped=lambda: f"finished trainings are kept. Go on with: {again}")


def entrypoint() -> None:
    """The inr-bench command."""
    start(main)


if __name__ == "__main__":
    entrypoint()
