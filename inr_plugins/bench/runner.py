"""Run the jobs of a plan, one at a time on each device, each in its own process, and write a record of each.

The folder of a benchmark:

    records/KEY.json    one record a job
    pictures/KEY.png    a test view as it was rendered in the end, truth beside it
    logs/KEY/           what a job that failed wrote
    runs/KEY/           the run folder of each job, with --keep-runs
    work/KEY/           of a job at hand, or of one that was killed and can go on
    claims/KEY          which process is at it
"""

from __future__ import annotations

import platform
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from inr_plugins import files
from inr_plugins.bench.claims import ClaimedError, claimed, claims_folder
from inr_plugins.bench.crew import Crew
from inr_plugins.bench.one_job import run_job
from inr_plugins.bench.parts import can_go_on
from inr_plugins.bench.plan import Job
from inr_plugins.bench.progress import ProgressLine
from inr_plugins.bench.record import FAILED, Record, finished_record, record_path, records_folder
from inr_plugins.bench.rules import Rules, finished_keys, versions_now
from inr_plugins.bench.workplace import Workplace
from inr_plugins.errors import InputError


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
        KeyboardInterrupt: Ctrl-C; the jobs at hand are ended with all their processes, and go on from their last
            checkpoints when they are run again, if they have any.
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
        record = run_job(job, output, rules=rules, command_of=command, line=line, device=device, stop=stop)
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
    """Remove what a benchmark that was killed left, but nothing that somebody is at, and no job that can go on."""
    files.sweep(output, records_folder(output), output / "pictures")
    versions = versions_now()
    for place in (output / "work").iterdir():
        with suppress(ClaimedError), claimed(output, place.name):
            if finished_record(output, place.name) is not None or not can_go_on(place, versions):
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
