"""inr-bench: train many methods on many scenes under one budget, and report what came of it."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from inr_plugins.bench.plan import Job, Request, make_plan, parse_options
from inr_plugins.bench.preset import Preset
from inr_plugins.bench.presets import PRESETS, missing_methods
from inr_plugins.bench.progress import ProgressLine
from inr_plugins.bench.record import Record
from inr_plugins.bench.rules import Rules
from inr_plugins.cli.arguments import CommonOptions, parse_subcommand
from inr_plugins.cli.bench_options import Asked, HowToRun, OneJob, Plan, Presets, Report, Run
from inr_plugins.cli.ending import arguments_of, run_command, start
from inr_plugins.cli.result import print_places
from inr_plugins.errors import InputError
from inr_plugins.options import COMMANDS, check_numbers

_WORKER = "inr_plugins.cli.bench_worker"
_EXAMPLE = "inr-bench run --methods diner nerfacto --scenes data/lego --seconds 60 300"


SUBCOMMANDS = {"run": Run, "plan": Plan, "job": OneJob, "report": Report, "presets": Presets}
"""The subcommands."""


def choose_device(wanted: str) -> str:
    """Settle "auto", for this machine.

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


def plan_of(options: Asked) -> list[Job]:
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
    from inr_plugins.bench.runner import run_jobs

    jobs = plan_of(options)
    _tell_missing(options)
    if options.ray is None:
        devices = devices_of(options, jobs)
        line = _line(len(jobs), options, abreast=len(devices))
        failed = run_jobs(jobs, options.output, rules=_rules(options), devices=devices, line=line)
    else:
        from inr_plugins.bench.on_ray import run_on_ray

        if options.devices:
            raise InputError("--devices are of this machine, and --ray chooses machines: leave one of them out.")
        line = _line(len(jobs), options)
        failed = run_on_ray(jobs, options.output, address=options.ray, rules=_rules(options), line=line)
    if options.quiet:
        print_places(options.output / "records")
    else:
        print(f"records  {options.output / 'records'}")
        print(f"   next  inr-bench report {shlex.quote(str(options.output))}")
    return _told_of(failed, options.output)


def run_one(options: OneJob) -> int:
    """Run a planned training; 1 if it failed, else 0.

    Raises:
        InputError: see :func:`inr_plugins.bench.planned.read_job` and :func:`inr_plugins.bench.runner.run_claimed`.
    """
    check_numbers(options, COMMANDS["inr-bench"])
    from inr_plugins.bench.planned import read_job
    from inr_plugins.bench.record import record_path
    from inr_plugins.bench.runner import run_claimed

    job = read_job(options.output, options.key)
    choose_device(job.protocol.device)
    failed = run_claimed([job], options.output, rules=_rules(options), line=_line(1, options))
    path = record_path(options.output, job.key)
    if options.quiet:
        print_places(path)
    else:
        print(f"record  {path}")
    return _told_of(failed, options.output)


def _tell_missing(options: Asked) -> None:
    """Say which numbers of the preset's table will not be there."""
    for sentence in () if options.preset is None or options.quiet else PRESETS[options.preset].missing():
        print(f"inr-bench: {sentence}", file=sys.stderr)


def _line(total: int, options: CommonOptions, *, abreast: int = 1) -> ProgressLine:
    return ProgressLine(total, Console(stderr=True, highlight=False, quiet=options.quiet), abreast=abreast)


def _rules(options: HowToRun) -> Rules:
    return Rules(
        keep_runs=options.keep_runs,
        rerun=options.rerun,
        other_code=options.other_code,
        time_limit=options.time_limit,
        checkpoint_every=options.checkpoint_every,
        worker=_WORKER,
    )


def devices_of(options: Run, jobs: Sequence[Job]) -> tuple[str | None, ...]:
    """What trainings have to themselves: the CUDA devices that were asked for, or all that there is.

    Raises:
        InputError: devices that there are not, one twice, or any for trainings on the processor.
    """
    if not options.devices:
        return (None,)
    if any(job.protocol.device != "cuda" for job in jobs):
        raise InputError("--devices are CUDA devices, and this would train on the processor: leave them out.")
    import torch

    there = torch.cuda.device_count()
    wrong = [each for each in options.devices if not 0 <= each < there]
    if wrong:
        some = "no CUDA device" if there == 0 else f"{there}, with numbers from 0"
        raise InputError(f"There is no CUDA device {wrong[0]} here: there {'is' if there < 2 else 'are'} {some}.")
    if len(set(options.devices)) < len(options.devices):
        raise InputError("--devices names one twice: trainings that share a device would slow each other down.")
    return tuple(map(str, options.devices))


def _told_of(failed: Sequence[Record], output: Path) -> int:
    """Say which trainings failed; the exit status."""
    if not failed:
        return 0
    names = ", ".join(sorted({record["definition"]["label"] for record in failed}))
    print(
        f"inr-bench: {len(failed)} training{'s' if len(failed) > 1 else ''} failed ({names}): the records say how, "
        f"{output / 'logs'} holds what they wrote, and the same command tries them again.",
        file=sys.stderr,
    )
    return 1


def plan(options: Plan) -> int:
    """Write the jobs of the plan into the folder, and print them.

    Raises:
        InputError: see :func:`plan_of` and :func:`inr_plugins.bench.planned.write_jobs`.
    """
    from inr_plugins.bench.planned import state_of, write_jobs
    from inr_plugins.bench.rules import versions_now

    jobs = plan_of(options)
    _tell_missing(options)
    write_jobs(options.output, jobs)
    now = versions_now()
    rows = [
        {
            "key": job.key,
            "state": state_of(job, options.output, now),
            "label": job.label,
            "method": job.method,
            "scene": job.scene.name,
            "seed": job.seed,
            "unit": job.protocol.unit,
            "budgets": list(job.protocol.budgets),
            "device": job.protocol.device,
            "command": shlex.join(["inr-bench", "job", job.key, "--output", str(options.output.resolve())]),
        }
        for job in jobs
    ]
    if options.json:
        print(json.dumps(rows, indent=1))
        return 0
    for row in rows:
        print(f"{row['key']}  {row['state']:<8}  {row['label']} on {row['scene']}, seed {row['seed']}")
    if not options.quiet:
        quoted = shlex.quote(str(options.output))
        print(f"inr-bench: {len(rows)} trainings; run one with: inr-bench job KEY --output {quoted}", file=sys.stderr)
    return 0


def report(options: Report) -> int:
    """Write the report and print it, and export curves where that is asked for.

    Raises:
        InputError: there is nothing to report on, or what is exported to does not take it.
    """
    from inr_plugins.bench.export import TENSORBOARD, send_to_wandb, write_tensorboard
    from inr_plugins.bench.record import read_all
    from inr_plugins.bench.report import write_report

    path, text, complaints = write_report(options.folders, options.output)
    if options.quiet:
        print_places(path)
    else:
        print(text)
    for complaint in complaints:
        print(f"inr-bench: {complaint}", file=sys.stderr)
    told = [f"written to {path}"]
    if options.tensorboard:
        folder = write_tensorboard(path.parent / TENSORBOARD, read_all(options.folders)[0])
        told.append(f"the curves are in {folder}: have TensorBoard show that folder")
    if options.wandb is not None:
        count = send_to_wandb(options.wandb, read_all(options.folders)[0])
        told.append(f"{count} runs are in the project {options.wandb} of Weights & Biases")
    if not options.quiet:
        print(*(f"inr-bench: {sentence}" for sentence in told), sep="\n", file=sys.stderr)
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
    lines += [("note", text) for text in (preset.note, *preset.missing()) if text]
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
        if isinstance(options, Plan):
            return plan(options)
        if isinstance(options, OneJob):
            return run_one(options)
        return report(options) if isinstance(options, Report) else presets()

    again = shlex.join(["inr-bench", *given])
    return run_command("inr-bench", work, when_stopped=lambda: f"finished trainings are kept. Go on with: {again}")


def entrypoint() -> None:
    """The inr-bench command."""
    start(main)


if __name__ == "__main__":
    entrypoint()
