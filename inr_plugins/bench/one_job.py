"""One job of a benchmark: its process, how it ended, and the record of it."""

from __future__ import annotations

import shlex
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from inr_plugins import files, machine
from inr_plugins.bench import process
from inr_plugins.bench.claims import neighbours
from inr_plugins.bench.parts import Attempt, begin_part, end_part
from inr_plugins.bench.plan import Job
from inr_plugins.bench.progress import ProgressLine
from inr_plugins.bench.record import FAILED, FINISHED, FORMAT, Record, describe_protocol, read_json, record_path
from inr_plugins.bench.resume_points import last_point
from inr_plugins.bench.rules import Rules, versions_now
from inr_plugins.bench.workplace import Workplace, worker_command
from inr_plugins.errors import InputError

_POLL_SECONDS = 0.2
_KILLED = 128
"""A status above is this and the number of a signal."""


def run_job(
    job: Job,
    output: Path,
    *,
    rules: Rules,
    command_of: Callable[[Workplace], list[str]] | None,
    line: ProgressLine,
    device: str | None,
    stop: threading.Event,
) -> Record | None:
    """Run one job, whose claim is held, and write its record; None if it was stopped.

    Args:
        job: what is asked for.
        output: folder of the benchmark.
        rules: how it is run.
        command_of: its command, in place of `worker_command`.
        line: where progress is shown.
        device: number of the CUDA device that it has to itself; None is all that there is.
        stop: ends it when it is set.

    Raises:
        InputError: the folder cannot be written.
    """
    place = Workplace((output / "work" / job.key).resolve(), (output / "pictures" / f"{job.key}.png").resolve())
    # Where the package can be edited, its code may change while a benchmark runs; a job has that of its start.
    versions = versions_now()
    attempt = begin_part(place.folder, device=job.protocol.device, versions=versions, anew=rules.rerun == "all")
    command = _command(job, place, rules) if command_of is None else command_of(place)
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
        _leave(place, attempt)
        raise
    was_stopped = stop.is_set() and not process.has_ended(running)
    status = process.end(running)
    if was_stopped:
        _leave(place, attempt)
        return None
    measured, error = read_json(place.result), None
    attempt = end_part(place.folder, attempt)
    # What has ended by itself would end so again.
    was_killed = is_late or status < 0 or status > _KILLED
    point = last_point(place.points) if was_killed else None
    goes_on = "" if point is None else f"; run again, it goes on from step {point.step + 1}"
    if is_late:
        measured, error = None, f"The training was ended after {rules.time_limit:g} s, the --time-limit{goes_on}."
    elif status != 0 or not isinstance(measured, dict):
        measured, error = None, _what_went_wrong(running, status, goes_on)
    record = make_record(job, command, measured, error=error)
    record["versions"] = versions
    record["resumed"] = attempt.described()
    record["date"] = date.isoformat(timespec="seconds")
    record["wall_seconds"] = round(time.perf_counter() - begin, 1)
    record["load_average"] = {"before": load, "after": machine.load_average()}
    record["neighbours"] = beside
    record["device_number"] = device
    try:
        files.write_json(record_path(output, job.key), record)
    except OSError as problem:
        raise InputError(f"A record cannot be written to {output} ({problem.strerror}): make room.") from problem
    _tidy(job, output, place, failed=error is not None, goes_on=point is not None, keep_runs=rules.keep_runs)
    return record


def _command(job: Job, place: Workplace, rules: Rules) -> list[str]:
    every = rules.checkpoint_every
    return worker_command(job, place, save=rules.keep_runs, worker=rules.worker, checkpoint_every=every)


def _leave(place: Workplace, attempt: Attempt) -> None:
    """Leave what a job that was stopped can go on from, if there is anything."""
    end_part(place.folder, attempt)
    if last_point(place.points) is None:
        shutil.rmtree(place.folder, ignore_errors=True)


def _what_went_wrong(running: process.JobProcess, status: int, goes_on: str) -> str:
    words = process.last_words(running)
    how = "ended without a result" if status == 0 else process.how_it_ended(status)
    return f"The training {how}{goes_on}.\n{words}".strip()


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


def _tidy(job: Job, output: Path, place: Workplace, *, failed: bool, goes_on: bool, keep_runs: bool) -> None:
    """Clear the work folder away, unless the job can go on; what a failed one wrote is kept, and its run on demand."""
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
    if not goes_on:
        shutil.rmtree(place.folder, ignore_errors=True)
