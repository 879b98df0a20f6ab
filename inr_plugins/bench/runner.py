"""Run the jobs of a plan one at a time, each in its own process, and write a record of each; finished ones are skipped.

The folder of a benchmark:

    records/KEY.json    one record a job
    pictures/KEY.png    a test view as it was rendered in the end, truth beside it
    logs/KEY/           what a job that failed wrote
    runs/KEY/           the run folder of each job, with --keep-runs
    work/KEY/           of the job at hand
"""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from inr_plugins import files, machine
from inr_plugins.bench import process
from inr_plugins.bench.peers import is_stock
from inr_plugins.bench.plan import Job
from inr_plugins.bench.progress import ProgressLine
from inr_plugins.bench.record import (
    FAILED,
    FINISHED,
    FORMAT,
    Record,
    code_of,
    describe_protocol,
    finished_record,
    read_json,
    record_path,
    records_folder,
)
from inr_plugins.errors import InputError

_POLL_SECONDS = 0.2
_WORKER = "inr_plugins.bench.worker"

OtherCode = Literal["refuse", "again", "keep"]
"""What to do with trainings that other code of this package has measured: refuse, run again, count as finished."""


@dataclass(frozen=True)
class Workplace:
    """Files of one job while it runs.

    Attributes:
        folder: holds everything, and is emptied before.
        result: what the job's process measured.
        progress: how far it is.
        picture: a rendered view.
    """

    folder: Path
    picture: Path

    @property
    def result(self) -> Path:
        """What the job's process measured."""
        return self.folder / "result.json"

    @property
    def progress(self) -> Path:
        """How far it is."""
        return self.folder / "progress.json"


def worker_command(job: Job, place: Workplace, *, save: bool = False, worker: str = _WORKER) -> list[str]:
    """The command that trains and measures `job`, by the module `worker`."""
    protocol = job.protocol
    command = [sys.executable, "-m", worker, "--unit", protocol.unit]
    command += ["--budgets", *(f"{budget:g}" for budget in protocol.budgets)]
    command += ["--result", str(place.result), "--progress", str(place.progress), "--picture", str(place.picture)]
    command += ["--eval-every-view", str(protocol.eval_every_view)]
    command += ["--eval-pixel-stride", str(protocol.eval_pixel_stride), "--curve-points", str(protocol.curve_points)]
    command += ["--curve-views", str(protocol.curve_views), "--launched", f"{time.time():.3f}"]
    command += ["--mesh-resolution", str(protocol.mesh_resolution)] if protocol.mesh_resolution else []
    command += ["--stock"] if is_stock(job.method) else []
    arguments = job.ns_train_arguments(place.folder / "run")
    if save:
        command.append("--save")
        arguments[1:1] = ["--save-only-latest-checkpoint", "False"]
    return [*command, "--", *arguments]


def run_jobs(
    jobs: Sequence[Job],
    output: Path,
    *,
    keep_runs: bool = False,
    other_code: OtherCode = "refuse",
    worker: str = _WORKER,
    command_of: Callable[[Job, Workplace], list[str]] | None = None,
    line: ProgressLine | None = None,
) -> list[Record]:
    """Run what is not finished yet; returns the records of jobs that failed.

    Args:
        jobs: in the order to run them in.
        output: folder of the benchmark; records of other definitions in it are kept.
        keep_runs: keep each job's run folder, with a checkpoint at each budget.
        other_code: what to do where a job was finished by other code of this package.
        worker: module that trains and measures one job; that of this layer makes no meshes.
        command_of: the command of a job, in place of :func:`worker_command`.
        line: where progress is shown.

    Raises:
        InputError: the folder cannot be written, another benchmark is at work in it, or there are records of other code
            and nobody has said what to do with them.
        KeyboardInterrupt: Ctrl-C; the job at hand is ended with all its processes, and will be run anew.
    """
    _prepare(output)
    if command_of is None:

        def command_of(job: Job, place: Workplace) -> list[str]:
            return worker_command(job, place, save=keep_runs, worker=worker)

    line = line or ProgressLine(len(jobs))
    failed = []
    line.expect(list(jobs))
    with only_one(output), line:
        _clear_up(output)
        finished = _finished_keys(jobs, output, other_code)
        for job in jobs:
            if job.key in finished:
                line.skip(job)
                continue
            line.begin(job)
            record = _run(job, output, command_of=command_of, line=line, keep_runs=keep_runs)
            line.end(record)
            if record["status"] == FAILED:
                failed.append(record)
    return failed


def _finished_keys(jobs: Sequence[Job], output: Path, other_code: OtherCode) -> set[str]:
    """Keys of the jobs that need not be run.

    Raises:
        InputError: some were measured by other code, and `other_code` is "refuse".
    """
    now = machine.code_digest()
    found = {job.key: finished_record(output, job.key) for job in jobs}
    codes = {key: code_of(record) for key, record in found.items() if record is not None}
    others = {key: code for key, code in codes.items() if code != now}
    if others and other_code == "refuse":
        raise InputError(
            f"{len(others)} of the {len(jobs)} trainings were measured by other code of inr-plugins than this (code "
            f"{', '.join(sorted(set(others.values())))}; this is {now}): give --other-code again to run them again, "
            "--other-code keep to count them as finished, or another --output."
        )
    return set(codes) - (set(others) if other_code == "again" else set())


def _prepare(output: Path) -> None:
    try:
        for folder in (records_folder(output), output / "pictures", output / "work"):
            folder.mkdir(parents=True, exist_ok=True)
        files.check_takes_files(records_folder(output))
    except OSError as error:
        raise InputError(
            f"The benchmark cannot write to {output} ({error.strerror}): give an --output folder that you may write to."
        ) from error


def _clear_up(output: Path) -> None:
    """Remove what a benchmark that was killed left; nobody else is at work here."""
    files.sweep(output, records_folder(output), output / "pictures")
    for place in (output / "work").iterdir():
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def only_one(output: Path) -> Iterator[None]:
    """Refuse a second benchmark in the same folder: they would run the same jobs, and slow each other down.

    Raises:
        InputError: there is one. The lock goes with the process that holds it, however that ends.
    """
    try:
        with files.locked(output / ".lock"):
            yield
    except BlockingIOError as error:
        raise InputError(f"Another benchmark is at work in {output}: wait for it, or give another --output.") from error


def _run(
    job: Job,
    output: Path,
    *,
    command_of: Callable[[Job, Workplace], list[str]],
    line: ProgressLine,
    keep_runs: bool,
) -> Record:
    """Run one job and write its record."""
    place = Workplace((output / "work" / job.key).resolve(), (output / "pictures" / f"{job.key}.png").resolve())
    place.folder.mkdir(parents=True, exist_ok=True)
    command = command_of(job, place)
    # Where the package can be edited, its code may change while a benchmark runs; a job has that of its start.
    code = machine.code_digest()
    date, load, begin = datetime.now(timezone.utc), machine.load_average(), time.perf_counter()
    running = process.start(command, place.folder)
    try:
        while not process.has_ended(running):
            line.show(read_json(place.progress))
            time.sleep(_POLL_SECONDS)
    except BaseException:
        process.end(running)
        shutil.rmtree(place.folder, ignore_errors=True)
        raise
    status = process.end(running)
    measured, error = read_json(place.result), None
    if status != 0 or not isinstance(measured, dict):
        measured, error = None, _what_went_wrong(running, status)
    record = make_record(job, command, measured, error=error)
    record["versions"]["code"] = code
    record["date"] = date.isoformat(timespec="seconds")
    record["wall_seconds"] = round(time.perf_counter() - begin, 1)
    record["load_average"] = {"before": load, "after": machine.load_average()}
    try:
        files.write_json(record_path(output, job.key), record)
    except OSError as problem:
        raise InputError(f"A record cannot be written to {output} ({problem.strerror}): make room.") from problem
    _tidy(job, output, place, failed=error is not None, keep_runs=keep_runs)
    return record


def _what_went_wrong(running: process.JobProcess, status: int) -> str:
    words = process.last_words(running)
    how = "ended without a result" if status == 0 else process.how_it_ended(status)
    return f"The training {how}.\n{words}".strip()


def make_record(job: Job, command: Sequence[str], measured: dict[str, Any] | None, *, error: str | None) -> Record:
    """The record of a job, but for when it ran and how long.

    Args:
        job: what was asked for.
        command: what was started.
        measured: what came of it, or None with an `error`.
        error: what went wrong.
    """
    scene = job.scene
    return {
        "format": FORMAT,
        "key": job.key,
        "status": FINISHED if error is None else FAILED,
        "error": error,
        "definition": job.definition(),
        "scene": {
            "folder": str(scene.folder),
            "resolution": None if scene.resolution is None else list(scene.resolution),
            "train_views": scene.train_views,
            "test_views": scene.test_views,
        },
        "protocol": describe_protocol(job.definition()),
        "command": shlex.join(command),
        "versions": machine.versions(),
        "hardware": machine.hardware(device=job.protocol.device),
        "environment": machine.environment(),
        "measured": measured,
    }


def _tidy(job: Job, output: Path, place: Workplace, *, failed: bool, keep_runs: bool) -> None:
    """Clear the work folder away; what a failed job wrote is kept, and its run folder if that is wanted."""
    logs = output / "logs" / job.key
    shutil.rmtree(logs, ignore_errors=True)
    if failed:
        logs.mkdir(parents=True)
        for name in ("stdout.txt", "stderr.txt"):
            files.move(place.folder / name, logs / name)
    elif keep_runs and (place.folder / "run").is_dir():
        kept = output / "runs" / job.key
        shutil.rmtree(kept, ignore_errors=True)
        files.move(place.folder / "run", kept)
    shutil.rmtree(place.folder, ignore_errors=True)
