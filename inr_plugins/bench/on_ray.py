"""The jobs of a plan on a Ray cluster: one task a training, whose record comes back to the folder of the benchmark.

Ray finds each training a machine with what it asks for, and runs it again elsewhere if that machine, or the process
there, is lost. No folder is shared but that of the scenes, which all machines see at one path.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inr_plugins import files
from inr_plugins.bench.claims import ClaimedError, claimed
from inr_plugins.bench.plan import Job
from inr_plugins.bench.progress import ProgressLine
from inr_plugins.bench.record import FAILED, Record, record_path
from inr_plugins.bench.rules import Rules, finished_keys
from inr_plugins.bench.runner import only_one, prepare, run_claimed
from inr_plugins.bench.workplace import Workplace
from inr_plugins.errors import InputError
from inr_plugins.signals_kept import sigterm_kept

_LOST = 3
"""Times that a training is begun anew after its machine was lost."""
_LOOK_EVERY = 0.5
_SECONDS_TO_REACH = 10.0


@dataclass(frozen=True)
class Brought:
    """What comes back of a training.

    Attributes:
        record: as the machine that ran it wrote it.
        picture: PNG file, if one was made.
        logs: what a failed training wrote, by file name.
    """

    record: Record
    picture: bytes | None
    logs: dict[str, bytes]


def run_on_ray(
    jobs: Sequence[Job],
    output: Path,
    *,
    address: str = "local",
    rules: Rules | None = None,
    command_of: Callable[[Job, Workplace], list[str]] | None = None,
    line: ProgressLine | None = None,
) -> list[Record]:
    """As `runner.run_jobs`, each training on some machine of a Ray cluster; one on a CPU has a machine to itself.

    Args:
        jobs: in the order to begin them in.
        output: folder of the benchmark, seen by this process only.
        address: of the cluster, as ray.init takes it; "auto": the one that this machine is in, "local": it alone.
        rules: how; run folders are not brought back, so `keep_runs` is refused.
        command_of: see `runner.run_jobs`; goes to the machines.
        line: where progress is shown.

    Raises:
        InputError: Ray is not installed, there is no cluster at the address, none of its machines has what a training
            asks for, or see `runner.run_jobs`.
        KeyboardInterrupt: Ctrl-C; the trainings at hand are ended, and will be run anew.
    """
    rules = rules or Rules()
    if rules.keep_runs:
        raise InputError("--keep-runs cannot be had with --ray: run folders stay on the machines. Leave one out.")
    prepare(output)
    with only_one(output), sigterm_kept():
        kept = finished_keys(jobs, output, rules)
        ray = _begun(address)
        try:
            line = line or ProgressLine(len(jobs))
            line.expect(list(jobs))
            with line:
                todo = []
                for job in jobs:
                    if job.key in kept:
                        line.skip(job)
                    else:
                        todo.append(job)
                return _Driver(ray, output, rules, command_of, line).run(todo)
        finally:
            ray.shutdown()


def _begun(address: str) -> Any:
    """The library, joined to a cluster."""
    try:
        import ray
    except ImportError as error:
        raise InputError('Ray is not installed: pip install "inr-plugins[cluster]".') from error
    _check_reachable(address)
    try:
        alone: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **alone)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(f"There is no Ray cluster at {address} ({error}): see ray status there.") from error
    return ray


def _check_reachable(address: str) -> None:
    """Ray itself would wait for minutes, and then end this process."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or "//" in host:
        return
    try:
        socket.create_connection((host, int(port)), timeout=_SECONDS_TO_REACH).close()
    except OSError as error:
        raise InputError(f"There is no Ray cluster at {address} ({error}): see ray status there.") from error


class _Driver:
    """Hands trainings to Ray and takes in what comes back."""

    def __init__(
        self,
        ray: Any,
        output: Path,
        rules: Rules,
        command_of: Callable[[Job, Workplace], list[str]] | None,
        line: ProgressLine,
    ) -> None:
        self._ray, self._output, self._rules, self._command_of, self._line = ray, output, rules, command_of, line

    def run(self, jobs: Sequence[Job]) -> list[Record]:
        """Run all of them; the records of those that failed."""
        ray, failed = self._ray, []
        # What another process in this folder is at is left to it.
        waiting: dict[Any, Job] = {}
        for job in jobs:
            waiting[self._task(job).remote(job, self._rules, self._command_of)] = job
            self._line.begin(job)
        try:
            while waiting:
                (ready, _) = ray.wait([*waiting], num_returns=1, timeout=_LOOK_EVERY)
                for each in ready:
                    job = waiting.pop(each)
                    record = self._take(job, ray.get(each))
                    self._line.end(job, record)
                    failed += [record] if record["status"] == FAILED else []
                for job in waiting.values():
                    self._line.show(job, None)
        except ray.exceptions.RayError as error:
            raise InputError(
                f"Ray has given a training up ({type(error).__name__}): give the same command again."
            ) from error
        finally:
            for each in waiting:
                ray.cancel(each, force=True)
        return failed

    def _task(self, job: Job) -> Any:
        """What Ray runs, with what it asks for."""
        ray, on_gpu = self._ray, job.protocol.device == "cuda"
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) > 0]
        if on_gpu:
            machines = [each for each in machines if each.get("GPU", 0) > 0]
        if not machines:
            what = "a GPU: train with --device cpu, or add one that has" if on_gpu else "a processor to give"
            raise InputError(f"No machine of the Ray cluster has {what}.")
        # Two trainings on one processor, or on one GPU, would slow each other down. Ray also has torch use so many.
        shares = [each["CPU"] // each["GPU"] if on_gpu else each["CPU"] for each in machines]
        wants = {"num_gpus": 1.0 if on_gpu else 0.0, "num_cpus": max(1.0, min(shares))}
        return ray.remote(run_elsewhere).options(**wants, max_retries=_LOST, name=f"{job.label} {job.scene.name}")

    def _take(self, job: Job, brought: Brought) -> Record:
        """Write down what has come back."""
        output, key = self._output, job.key
        try:
            with claimed(output, key):
                if brought.picture is not None:
                    with files.replacing(output / "pictures" / f"{key}.png") as partial:
                        partial.write_bytes(brought.picture)
                for name, content in brought.logs.items():
                    place = output / "logs" / key / name
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_bytes(content)
                files.write_json(record_path(output, key), brought.record)
        except ClaimedError:
            # Another process has begun it meanwhile, and writes its own.
            return brought.record
        except OSError as problem:
            raise InputError(f"A record cannot be written to {output} ({problem.strerror}): make room.") from problem
        return brought.record


def run_elsewhere(job: Job, rules: Rules, command_of: Callable[[Job, Workplace], list[str]] | None = None) -> Brought:
    """Run a training in a folder that is gone afterwards; called on a machine of the cluster."""
    with files.temporary_folder("inr-bench-") as folder:
        # Nothing is finished in a new folder.
        run_claimed([job], folder, rules=replace(rules, rerun="all"), command_of=command_of)
        picture = folder / "pictures" / f"{job.key}.png"
        logs = folder / "logs" / job.key
        return Brought(
            record=_read(record_path(folder, job.key)),
            picture=picture.read_bytes() if picture.is_file() else None,
            logs={each.name: each.read_bytes() for each in logs.iterdir()} if logs.is_dir() else {},
        )


def _read(path: Path) -> Record:
    from inr_plugins.bench.record import read_json

    record = read_json(path)
    if not isinstance(record, dict):
        raise RuntimeError(f"There is no record at {path}.")
    return record
