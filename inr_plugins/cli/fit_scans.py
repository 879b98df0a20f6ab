"""inr-fit: scans as shapes over a dictionary, a mesh and a row of a table for each."""

from __future__ import annotations

import csv
import io
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import tyro

from inr_plugins.cli.arguments import CommonOptions, Groups, parse
from inr_plugins.cli.ending import describe, keep_traceback, run_command, start
from inr_plugins.cli.result import output_for_result, print_places
from inr_plugins.errors import InputError, first_line, is_out_of_memory
from inr_plugins.evaluation.failures import free_memory
from inr_plugins.files import shown, sweep_temporary, temporary_folder, why_unreadable, write_text
from inr_plugins.geometry.io.mesh_io import sidecar_path
from inr_plugins.geometry.io.output_place import check_place
from inr_plugins.options import COMMANDS, check_numbers, told

TABLE = "scans.csv"
COLUMNS = (
    *("scan", "size", "mesh", "missed", "missed_by_code", "residual", "alike", "outside", "observed"),
    *("faces", "watertight", "seconds", "notes", "error"),
)
Row = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class FitOptions(CommonOptions):
    """Fit each scan of a folder as a shape over a dictionary that nid-shapes has learnt: a mesh each, and a table.

    What `ns-train nid-fit --mesh` makes of one file, without starting anew for each. A scan that fails does not cost
    the others theirs. Stopped, the same command goes on: what stands in the table with its mesh is passed over.

    Columns of OUT/scans.csv, in the units of the scans: missed, mean distance of points that were held out from the
    surface, and from that of the code alone (missed_by_code); residual, root mean square of what the code misses its
    equations on the surface by; alike, the training shape whose code is most alike, and the cosine; outside, share of
    the code that leaves the training codes' span; observed, share of the mesh's vertices that points speak of.

    Example: inr-fit RUN scans meshes
    """

    GROUPS: ClassVar[Groups] = {
        "fit": "only pose steps detail_points",
        "mesh": "resolution format",
        "output": "keep_runs overwrite device",
    }

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder of nid-shapes, the dictionary."""
    scans: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SCANS")]
    """Folder of point clouds or meshes, or one file."""
    output: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """Folder for the meshes, NAME.ply for each scan, and for scans.csv."""
    only: str = "*"
    """Names of the scans that are fitted: patterns as a shell's, separated by commas."""
    pose: Literal["given", "up", "free"] = "given"
    """How scans may lie other than the dictionary's shapes: given (not at all), up (turned about the up axis, and
    shifted) or free (turned anyhow); also a size where the file's unit is another."""
    steps: Annotated[int | None, told("INT", "those of nid-fit")] = None
    """Gradient steps after the code was solved for."""
    detail_points: int = 100_000
    """Most points that a correction is fitted to; 0: the code alone."""
    resolution: int = 256
    """Samples of a mesh along the longest side of its box."""
    format: Literal["ply", "obj", "glb", "stl"] = "ply"
    """Kind of mesh files; only a PLY says of each vertex whether points speak of it."""
    keep_runs: bool = False
    """Keep the run folder of each fit in OUT/runs, for inr-mesh, inr-eval and the viewer; each holds the dictionary."""
    overwrite: bool = False
    """Fit scans again whose meshes are there, and replace these."""
    device: Annotated[Literal["auto", "cpu", "cuda"], told("{auto,cpu,cuda}", "CUDA when there is one")] = "auto"
    """Where to fit."""


def fit_all(options: FitOptions, *, fit: Callable[..., tuple[Row, Path]] | None = None) -> int:
    """Fit what the command line asks for; 1 if a scan failed, else 0.

    Args:
        options: of the command line.
        fit: makes the mesh of one scan and its row; None: `fit_scan`.

    Raises:
        InputError: anything the user can fix before the first scan, in one sentence.
    """
    check_numbers(options, COMMANDS["inr-fit"])
    scans = _scans(options)
    check_place(options.output / TABLE)
    sweep_temporary()
    rows = _read_table(options.output / TABLE)
    done = {} if options.overwrite else {name: row for name, row in rows.items() if _is_done(row, options)}
    left = {name: path for name, path in scans.items() if name not in done}
    for name in left:
        _check_mesh(options, name, is_ours=name in rows)
    if fit is None:
        from inr_plugins.models.nid.dictionary import open_dictionary

        # Before the first scan is read: what is wrong here is so for all.
        open_dictionary(options.run)
        fit = fit_scan
    passed = len(scans) - len(left)
    if passed and not options.quiet:
        print(f" passed  {passed} of {len(scans)} scans, whose meshes are there")
    failed = 0
    for number, (name, path) in enumerate(left.items(), 1):
        begin = time.perf_counter()
        try:
            with output_for_result(quiet=True):
                row, mesh = fit(options, name, path)
        except SystemExit as end:
            raise _stopped(end, number - 1, len(left), options) from None
        except Exception as error:
            failed += 1
            row = {"error": _reason(error)}
            print(f"inr-fit: {name}: {row['error']}", file=sys.stderr, flush=True)
            _tell_failed(options, number, len(left), name)
        else:
            _tell(options, number, len(left), row, mesh)
        # Of a scan that failed for want of it, too.
        free_memory()
        rows[name] = {"scan": name, **row, "seconds": f"{time.perf_counter() - begin:.1f}"}
        _write_table(options.output / TABLE, rows)
    if not options.quiet:
        print(f"  table  {options.output / TABLE}")
    return 1 if failed else 0


def _scans(options: FitOptions) -> dict[str, Path]:
    problem = why_unreadable(options.scans, folders=True)
    if problem is not None:
        raise InputError(f"{shown(options.scans)} {problem}: give a folder of point clouds or meshes, or one file.")
    if options.scans.is_file():
        if options.only != "*":
            raise InputError(f"--only is for a folder, and {shown(options.scans)} is a file: leave it out.")
        return {options.scans.stem: options.scans}
    from inr_plugins.data.shapes.folder import find_shapes

    return find_shapes(options.scans, options.only)


# -- one scan ----------------------------------------------------------------------------------------------------------


def fit_scan(options: FitOptions, name: str, path: Path) -> tuple[Row, Path]:
    """The row of a scan, and its mesh, which is written.

    Raises:
        InputError: what nid-fit refuses.
    """
    options.output.mkdir(parents=True, exist_ok=True)
    if options.keep_runs:
        return _fit_in(options, name, path, options.output / "runs")
    with temporary_folder("fit") as folder:
        return _fit_in(options, name, path, folder)


def _fit_in(options: FitOptions, name: str, path: Path, runs: Path) -> tuple[Row, Path]:
    from inr_plugins.engine.in_process import forget_trainings, train_here
    from inr_plugins.engine.runs.run import Run
    from inr_plugins.meshing.extracted import extract_mesh
    from inr_plugins.meshing.settings import MeshSettings
    from inr_plugins.meshing.write import write_files
    from inr_plugins.models.nid.report import read_report
    from inr_plugins.progress import silent

    config = _config(options, path, runs, name)
    trainer = train_here(config)
    try:
        pipeline: Any = trainer.pipeline.eval()
        outputs = pipeline.datamanager.train_dataparser_outputs
        run = Run(config, trainer.base_dir / "config.yml", pipeline, trainer.step, outputs)
        made = extract_mesh(run, MeshSettings(resolution=options.resolution))
        mesh = _mesh_file(options, name)
        description = {**made.description, "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])}
        if not options.keep_runs:
            description["run"] = None
        mesh.parent.mkdir(parents=True, exist_ok=True)
        write_files(made, mesh, description=description, device=pipeline.device, overwrite=True, bar=silent)
        found = made.mesh.observed
        shape, points = pipeline.datamanager.dataparser.shapes.shapes[0], pipeline.datamanager.shape_points(0)
        row = {
            "mesh": str(mesh.relative_to(options.output)),
            **_of_report(read_report(trainer.base_dir)),
            "observed": "" if found is None else f"{float((found > 0.5).mean()):.3f}",
            "faces": str(len(made.mesh.faces)),
            "watertight": "yes" if made.description["watertight"] else "no",
            "size": f"{len(points)} points" if points is not None else f"{shape.faces} faces",
            "notes": "; ".join(shape.notes),
        }
    finally:
        forget_trainings()
    return row, mesh


def _config(options: FitOptions, path: Path, runs: Path, name: str) -> Any:
    (entry,) = (each for each in entry_points(group="nerfstudio.method_configs") if each.name == "nid-fit")
    config: Any = deepcopy(entry.load().config)
    config.data = config.pipeline.datamanager.data = config.pipeline.datamanager.dataparser.data = path.absolute()
    model = config.pipeline.model
    model.dictionary, model.pose, model.detail_points = options.run, options.pose, options.detail_points
    if options.steps is not None:
        config.max_num_iterations = options.steps
    config.machine.device_type, config.final_eval_images = options.device, 0
    config.output_dir, config.experiment_name = runs, name.replace("/", "-")
    return config


def _of_report(report: Mapping[str, Any]) -> Row:
    """What a run's nid_fit.json says, as cells."""
    detail: Mapping[str, Any] = report.get("detail") or {}
    first = next(iter(report["alike"].items()), None)
    by_code = detail.get("missed_in_file_units")
    # Where no correction was worth while, there is none, and what is left by one that was tried says nothing.
    missed = by_code if detail.get("smoothness") is None else detail.get("left_in_file_units")
    return {
        "missed": _cell(missed),
        "missed_by_code": _cell(by_code),
        "residual": _cell(report["surface_residual_in_file_units"]),
        "alike": "" if first is None else f"{first[0]} {first[1]:.3f}",
        "outside": _cell(report["outside"]),
    }


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _mesh_file(options: FitOptions, name: str) -> Path:
    return options.output / f"{name}.{options.format}"


# -- what is there already ---------------------------------------------------------------------------------------------


def _is_done(row: Row, options: FitOptions) -> bool:
    return bool(row.get("mesh")) and _mesh_file(options, row["scan"]).is_file() and not row.get("error")


def _check_mesh(options: FitOptions, name: str, *, is_ours: bool) -> None:
    """Refuse to replace a file that this command has not written, or that it is not told to replace."""
    path = _mesh_file(options, name)
    for each in (path, sidecar_path(path)):
        if each.exists() and not options.overwrite and not is_ours:
            raise InputError(
                f"{each} exists, and {TABLE} beside it says nothing of it: give another OUT, or --overwrite."
            )


def _read_table(path: Path) -> dict[str, Row]:
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({first_line(error)}): move it away.") from error
    if any(not row.get("scan") for row in rows):
        raise InputError(f"{path} is no table of inr-fit, having no column scan: move it away, or give another OUT.")
    return {row["scan"]: {key: value or "" for key, value in row.items() if key in COLUMNS} for row in rows}


def _write_table(path: Path, rows: Mapping[str, Row]) -> None:
    """The rows in the order of their names; whole, or as it was."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows[name] for name in sorted(rows))
    write_text(path, text.getvalue())


# -- words -------------------------------------------------------------------------------------------------------------


def _tell(options: FitOptions, number: int, count: int, row: Row, mesh: Path) -> None:
    if options.quiet:
        print_places(mesh)
        return
    parts = [f"missed by {row['missed'] or row['residual']}"]
    parts += [f"{100 * float(row['observed']):.0f} % observed"] if row["observed"] else []
    parts += [row["notes"]] if row["notes"] else []
    print(f"   mesh  {number} of {count}  {mesh}: {', '.join(parts)}", flush=True)


def _tell_failed(options: FitOptions, number: int, count: int, name: str) -> None:
    if not options.quiet:
        print(f" failed  {number} of {count}  {name}", flush=True)


def _reason(error: Exception) -> str:
    """Why there is no mesh, in a sentence."""
    if isinstance(error, InputError):
        return str(error)
    if is_out_of_memory(error):
        return f"There is not enough memory ({first_line(error)}): give a lower --resolution or --detail-points."
    return f"It failed in a way that nobody has foreseen ({describe(error)}); {keep_traceback('inr-fit', error)}."


def _stopped(end: SystemExit, done: int, count: int, options: FitOptions) -> KeyboardInterrupt:
    """What a training that was stopped means for the command, which ends with the same status."""
    from inr_plugins.engine.interrupt import Terminated

    kind = Terminated if end.code == 143 else KeyboardInterrupt
    return kind(f"{done} of {count} scans are fitted, {options.output / TABLE} has them; the same command goes on")


def main(arguments: Sequence[str] | None = None, *, fit: Callable[..., tuple[Row, Path]] | None = None) -> int:
    """Run the command; its exit status: 0, 1 for a mistake the user can fix, 130 for Ctrl-C, 143 for SIGTERM."""
    options = parse(FitOptions, prog="inr-fit", args=arguments)
    return run_command(
        "inr-fit",
        lambda: fit_all(options, fit=fit),
        when_stopped=lambda: f"what is fitted stands in {options.output / TABLE}; the same command goes on.",
        with_less_memory="give a lower --resolution or --detail-points",
    )


def entrypoint() -> None:
    """The inr-fit command."""
    start(main)


if __name__ == "__main__":
    entrypoint()
