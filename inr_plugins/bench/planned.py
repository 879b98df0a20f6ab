"""Plans as files: each job under its key, so that it can be run by its key alone, anywhere that sees the folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from inr_plugins import files
from inr_plugins.bench.claims import ClaimedError, claimed
from inr_plugins.bench.plan import Job, Protocol
from inr_plugins.bench.record import FAILED, FINISHED, FORMAT, read_json, record_path, stale_because
from inr_plugins.bench.scenes import Scene, read_scene
from inr_plugins.errors import InputError

State = Literal["new", "finished", "stale", "failed", "running"]


def job_path(output: Path, key: str) -> Path:
    """The file of the planned job with this key."""
    return output / "jobs" / f"{key}.json"


def write_jobs(output: Path, jobs: Sequence[Job]) -> None:
    """Write each job into the folder of a benchmark, with the whole path of its scene.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        for job in jobs:
            content = asdict(job)
            content["scene"]["folder"] = str(job.scene.folder.resolve())
            files.write_json(job_path(output, job.key), content, durable=False)
    except OSError as error:
        raise InputError(
            f"The plan cannot be written to {output} ({error.strerror}): give an --output folder that you may write to."
        ) from error


def read_job(output: Path, key: str) -> Job:
    """A job that was planned before.

    Raises:
        InputError: there is none with this key, its file has been changed, or its scene is gone or another by now.
    """
    path = job_path(output, key)
    if not path.is_file():
        raise InputError(
            f"There is no job {key} in {output}: inr-bench plan ... --output {output} writes jobs there and prints "
            "their keys."
        )
    job = _job_of(read_json(path))
    if job is None or job.key != key:
        raise InputError(f"{path} is not the job that was planned: plan it again with inr-bench plan.")
    if not job.scene.folder.exists():
        raise InputError(f"The scene of job {key} is not at {job.scene.folder}: bring it there, or plan again.")
    if read_scene(job.scene.folder).digest != job.scene.digest:
        raise InputError(f"The scene at {job.scene.folder} has changed since job {key} was planned: plan again.")
    return job


def _job_of(content: Any) -> Job | None:
    try:
        scene, protocol = dict(content["scene"]), dict(content["protocol"])
        size = scene["resolution"]
        scene |= {"folder": Path(scene["folder"]), "resolution": None if size is None else (size[0], size[1])}
        protocol["budgets"] = tuple(protocol["budgets"])
        words = {name: tuple(content[name]) for name in ("options", "settings")}
        return Job(**{**content, **words, "scene": Scene(**scene), "protocol": Protocol(**protocol)})
    except (TypeError, KeyError, IndexError, ValueError):
        return None


def state_of(job: Job, output: Path, now: dict[str, str]) -> State:
    """What has become of a job: whether it has a record of this code and these versions, or somebody is at it.

    Args:
        job: planned.
        output: folder of the benchmark.
        now: see rules.versions_now.
    """
    if output.is_dir():
        try:
            with claimed(output, job.key):
                pass
        except ClaimedError:
            return "running"
        except OSError:
            # A folder that can only be read: nobody on this machine is at work in it.
            pass
    record = read_json(record_path(output, job.key))
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        return "new"
    if record.get("status") == FAILED:
        return "failed"
    if record.get("status") != FINISHED:
        return "new"
    return "finished" if stale_because(record, now) is None else "stale"
