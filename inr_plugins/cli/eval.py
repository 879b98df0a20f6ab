"""inr-eval: images, surfaces and silhouettes of trained runs against the truth, in one table and one JSON record."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from inr_plugins.cli.arguments import parse
from inr_plugins.cli.ending import arguments_of, run_command, start
from inr_plugins.cli.eval_options import (
    EvalOptions,
    check_options,
    check_outputs,
    check_picture_places,
    truth_file,
)
from inr_plugins.cli.eval_session import EvalSession
from inr_plugins.cli.result import output_for_result, print_places
from inr_plugins.errors import InputError
from inr_plugins.progress import Bar, progress

if TYPE_CHECKING:
    from inr_plugins.engine.runs.run import Run
    from inr_plugins.evaluation.judge import Settings
    from inr_plugins.meshing.extracted import ExtractedMesh

# Wide enough for a few runs side by side where no terminal says how wide it is.
_WIDTH_OF_A_FILE = 160


def extract(run: Run, options: EvalOptions) -> ExtractedMesh:
    """An open run's mesh in the dataset's frame, without colours.

    Raises:
        InputError: as inr-mesh, which options of its own would help included.
    """
    from inr_plugins.meshing.extracted import extract_mesh
    from inr_plugins.meshing.settings import MeshSettings

    try:
        return extract_mesh(run, MeshSettings(resolution=options.resolution, colour="none", shape=options.shape))
    except InputError as error:
        others = set(error.settings) - {each.name for each in fields(EvalOptions)}
        if not others:
            raise
        theirs = ", ".join(sorted(f"--{name.replace('_', '-')}" for name in others))
        raise InputError(
            f"{error.marked.rstrip('.')} ({theirs}: of inr-mesh, whose mesh inr-eval takes as --mesh)."
        ) from error


@dataclass(frozen=True)
class Evaluated:
    """What came of an evaluation.

    Attributes:
        record: the record.
        output: where it lies.
        complaints: sentences on pictures that could not be kept.
    """

    record: dict[str, Any]
    output: Path
    complaints: list[str]


def evaluate(
    options: EvalOptions,
    *,
    arguments: Sequence[str] = (),
    load: Callable[..., Run] | None = None,
    mesh: Callable[[Run], ExtractedMesh] | None = None,
) -> Evaluated:
    """Measure everything, write the record and the pictures.

    One of several runs that cannot be measured does not cost the others theirs: the record's "failed" says why it is
    not among them. The record is written after each run, so that nothing which was measured is lost.

    Args:
        options: what the command line said.
        arguments: the command line itself, for the record.
        load: in place of engine.runs.run.load_run.
        mesh: in place of `extract`: the mesh of an open run.

    Raises:
        InputError: anything the user can fix, in one sentence, where nothing could be measured.
        KeyboardInterrupt: Ctrl-C or SIGTERM; its message, if it has one, says what was written.
    """
    check_options(options)
    configs = [config.resolve() for config in options.configs()]
    output = options.output or (configs[0].parent if len(configs) == 1 else Path()) / "eval.json"
    check_outputs(output, options.save_images, overwrite=options.overwrite)

    from inr_plugins.engine.host.startup import prepare_process

    prepare_process()  # first: nerfstudio warns while it is imported
    from inr_plugins.evaluation.judge import judge_mesh, judge_run
    from inr_plugins.evaluation.pictures import picture_folder
    from inr_plugins.evaluation.runs import distinct

    names = distinct([config.parent.name for config in configs], [str(i + 1) for i in range(len(configs))])
    check_picture_places(options.save_images, names if len(names) > 1 else ())
    if load is None:
        load = _checked_load(configs, options)
    settings = _settings(options)
    mesh = mesh or (lambda run: extract(run, options))
    # Standard output is for the table; nerfstudio says there what it has to say about a model.
    with picture_folder(options.save_images) as pictures, output_for_result(quiet=options.quiet):
        session = EvalSession(configs, settings, output, command=_command(arguments), pictures=pictures)
        if not configs:
            session.add(None, lambda: judge_mesh(settings))
        for name, config in zip(names, configs, strict=True):
            with progress(quiet=options.quiet) as bar:

                def on_view(
                    done: int, total: int, view: str, truth: Any, rgb: Any, name: str = name, bar: Bar = bar
                ) -> None:
                    if pictures is not None:
                        pictures.save(f"{view}.png" if len(configs) == 1 else f"{name}/{view}.png", truth, rgb)
                    bar(f"Rendering the views of {name}", done, total)

                session.add(config, partial(judge_run, config, settings, load=load, extract=mesh, on_view=on_view))
    if session.record is None:
        raise InputError(" ".join(dict.fromkeys(session.failed.values())))
    return Evaluated(session.record, output, session.complaints)


def _checked_load(configs: Sequence[Path], options: EvalOptions) -> Callable[..., Run]:
    """engine.run.load_run, once every run has been looked at: an hour into the first is late for the second."""
    from inr_plugins.engine.runs.run import load_run
    from inr_plugins.evaluation.runs import check_run

    for config in configs:
        check_run(config, data=options.data)
    return load_run


def _command(arguments: Sequence[str]) -> str:
    return shlex.join(["inr-eval", *arguments])


def _settings(options: EvalOptions) -> Settings:
    from inr_plugins.evaluation.judge import Settings
    from inr_plugins.evaluation.surfaces import SurfaceSettings

    return Settings(
        split=options.split,
        every=options.every,
        views=options.views,
        background=options.background,
        silhouettes=options.silhouettes,
        truth={"auto": "auto", "none": None}.get(options.truth, truth_file(options)),
        mesh=options.mesh,
        surface=SurfaceSettings(options.thresholds, options.samples, options.seed, options.iou),
        data=options.data,
        device=options.device,
        shape=options.shape,
        seen_only=options.seen_only,
    )


def main(
    arguments: Sequence[str] | None = None,
    *,
    load: Callable[..., Run] | None = None,
    mesh: Callable[[Run], ExtractedMesh] | None = None,
) -> int:
    """Run the command; its exit status: 0, 1 for a mistake the user can fix, 130 for Ctrl-C, 143 for SIGTERM."""
    given = arguments_of(arguments)
    options = parse(EvalOptions, prog="inr-eval", args=given)

    def work() -> int:
        return _report(evaluate(options, arguments=given, load=load, mesh=mesh), options)

    return run_command("inr-eval", work, with_less_memory="give fewer --samples, a lower --resolution or --device cpu")


def _report(found: Evaluated, options: EvalOptions) -> int:
    """Print the table, or where the record is; 1 if anything could not be measured or kept, else 0."""
    if options.quiet:
        print_places(found.output)
    else:
        _print_table(found, options)
    complaints = [*(each["reason"] for each in found.record["failed"]), *found.complaints]
    for complaint in complaints:
        print(f"inr-eval: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


def _print_table(found: Evaluated, options: EvalOptions) -> None:
    from inr_plugins.evaluation.table import captions, make_table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE)
    console.print(make_table(found.record))
    for line in captions(found.record):
        console.print(line, soft_wrap=True, markup=False)
    console.print(f"record  {found.output}", soft_wrap=True, markup=False)
    if options.save_images is not None:
        console.print(f"images  {options.save_images}", soft_wrap=True, markup=False)


def entrypoint() -> None:
    """The inr-eval command."""
    start(main)


if __name__ == "__main__":
    entrypoint()
