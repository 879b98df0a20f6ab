"""Run the jobs of a plan, one at a time on each device, each in its own process, and write a record of each.

The folder of a benchmark:

    records/KEY.json    one record a job
    pictures/KEY.png    a test view as it was rendered in the end, truth beside it
    logs/KEY/           what a job that failed wrote
    runs/KEY/           the run folder of each job, with --keep-runs
    work/KEY/           of a job at hand
    claims/KEY          which process is at it
"""

from __future__ import annotations

import platform
import shlex
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from inr_plugins import files, machine
from inr_plugins.bench import process
from inr_plugins.bench.claims import ClaimedError, claimed, claims_folder, neighbours
from inr_plugins.bench.crew import Crew
from inr_plugins.bench.peers import is_stock
from inr_plugins.bench.plan import Job
from inr_plugins.bench.progress import ProgressLine
from inr_plugins.bench.record import (
    FAILED,
    FINISHED,
    FORMAT,
    Record,
    describe_protocol,
    finished_record,
    read_json,
    record_path,
    records_folder,
)
from inr_plugins.bench.rules import WORKER, Rules, finished_keys
from inr_plugins.errors import InputError

_POLL_SECONDS = 0.2


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


def worker_command(job: Job, place: Workplace, *, save: bool = False, worker: str = WORKER) -> list[str]:
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
    rules: Rules | None = None,
    devices: Sequence[str | None] = (None,),
    command_of: Callable[[Job, Workplace], list[str]] | None = None,
    line: ProgressLine | None = None,
) -> list[Record]:
    """Run what is not finished yet; returns the records of jobs that failed.

    Several machines can share the folder: each job is run by one of them (`claims`).

    Args:
        jobs: in the order to run them in.
        output: folder of the benchmark; records of other definitions in it are kept.
        rules: how; the defaults by default.
        devices: numbers of CUDA devices, each of which has one job at a time to itself; None is all that there is.
        command_of: the command of a job, in place of :func:`worker_command`.
        line: where progress is shown.

    Raises:
        InputError: the folder cannot be written, another benchmark of this machine is at work in it, or there are
            records of other code and nobody has said what to do with them.
        KeyboardInterrupt: Ctrl-C; the jobs at hand are ended with all their processes, and will be run anew.
    """
    prepare(output)
    with only_one(output):
        return run_claimed(jobs, output, rules=rules, devices=devices, command_of=command_of, line=line)


def run_claimed(
    jobs: Sequence[Job],
    output: Path,
    *,
    rules: Rules | None = None,
    devices: Sequence[str | None] = (None,),
    command_of: Callable[[Job, Workplace], list[str]] | None = None,
    line: ProgressLine | None = None,
) -> list[Record]:
    """As :func:`run_jobs`, but beside others of this machine that are at work in the folder."""
    rules = rules or Rules()
    prepare(output)
    line = line or ProgressLine(len(jobs), abreast=len(devices))
    failed: list[Record] = []
    line.expect(list(jobs))
    kept = finished_keys(jobs, output, rules)
    before = {job.key: _stamp(output, job) for job in jobs}

    def is_done(job: Job) -> bool:
        # By another process meanwhile, where not before.
        meanwhile = _stamp(output, job) != before[job.key] and finished_record(output, job.key) is not None
        done = job.key in kept or meanwhile
        if done:
            line.skip(job)
        return done

    def run(job: Job, device: str | None, stop: threading.Event) -> None:
        line.begin(job)
        command = None if command_of is None else lambda place: command_of(job, place)
        record = _run(job, output, rules=rules, command_of=command, line=line, device=device, stop=stop)
        if record is None:
            return
        line.end(job, record)
        if record["status"] == FAILED:
            failed.append(record)

    with line:
        _clear_up(output)
        Crew(output, jobs, run=run, is_done=is_done, wait=line.wait_for_others).work(devices)
    return failed


def _stamp(output: Path, job: Job) -> int | None:
    """When the record of a job was written; None without one."""
    try:
        return record_path(output, job.key).stat().st_mtime_ns
    except OSError:
        return None


def prepare(output: Path) -> None:
    """Make the folders of a benchmark.

    Raises:
        InputError: they cannot be written.
    """
    try:
        for folder in (records_folder(output), claims_folder(output), output / "pictures", output / "work"):
            folder.mkdir(parents=True, exist_ok=True)
        files.check_takes_files(records_folder(output))
    except OSError as error:
        raise InputError(
            f"The benchmark cannot write to {output} ({error.strerror}): give an --output folder that you may write to."
        ) from error


def _clear_up(output: Path) -> None:
    """Remove what a benchmark that was killed left, and nothing that somebody is at."""
    files.sweep(output, records_folder(output), output / "pictures")
    for place in (output / "work").iterdir():
        with suppress(ClaimedError), claimed(output, place.name):
            shutil.rmtree(place, ignore_errors=True)


@contextmanager
def only_one(output: Path) -> Iterator[None]:
    """Refuse a second benchmark of this machine in the same folder: they would slow each other down.

    Raises:
        InputError: there is one. The lock goes with the process that holds it, however that ends.
    """
    try:
        with files.locked(output / f".lock-{platform.node()}"):
            yield
    except BlockingIOError as error:
        raise InputError(
            f"Another benchmark of this machine is at work in {output}: wait for it, or give another --output."
        ) from error


def _run(
    job: Job,
    output: Path,
    *,
    rules: Rules,
    command_of: Callable[[Workplace], list[str]] | None,
    line: ProgressLine,
    device: str | None,
    stop: threading.Event,
) -> Record | None:
    """Run one job, whose claim is held, and write its record; None if it was stopped."""
    place = Workplace((output / "work" / job.key).resolve(), (output / "pictures" / f"{job.key}.png").resolve())
    place.folder.mkdir(parents=True, exist_ok=True)
    command = (
        worker_command(job, place, save=rules.keep_runs, worker=rules.worker)
        if command_of is None
        else command_of(place)
    )
    # Where the package can be edited, its code may change while a benchmark runs; a job has that of its start.
    code = machine.code_digest()
    date, load, begin = datetime.now(timezone.utc), machine.load_average(), time.perf_counter()
    beside = neighbours(output, job.key)
    running = process.start(command, place.folder, device=device)
    is_late = False
    try:
        while not process.has_ended(running) and not stop.is_set() and not is_late:
            line.show(job, read_json(place.progress))
            time.sleep(_POLL_SECONDS)
            is_late = rules.time_limit is not None and time.perf_counter() - begin > rules.time_limit
            beside = max(beside, neighbours(output, job.key))
    except BaseException:
        process.end(running)
        shutil.rmtree(place.folder, ignore_errors=True)
        raise
    was_stopped = stop.is_set() and not process.has_ended(running)
    status = process.end(running)
    if was_stopped:
        shutil.rmtree(place.folder, ignore_errors=True)
        return None
    measured, error = read_json(place.result), None
    if is_late:
        measured, error = None, f"The training was ended after {rules.time_limit:g} s, the --time-limit."
    elif status != 0 or not isinstance(measured, dict):
        measured, error = None, _what_went_wrong(running, status)
    record = make_record(job, command, measured, error=error)
    record["versions"]["code"] = code
    record["date"] = date.isoformat(timespec="seconds")
    record["wall_seconds"] = round(time.perf_counter() - begin, 1)
    record["load_average"] = {"before": load, "after": machine.load_average()}
    record["neighbours"] = beside
    record["device_number"] = device
    try:
        files.write_json(record_path(output, job.key), record)
    except OSError as problem:
        raise InputError(f"A record cannot be written to {output} ({problem.strerror}): make room.") from problem
    _tidy(job, output, place, failed=error is not None, keep_runs=rules.keep_runs)
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
