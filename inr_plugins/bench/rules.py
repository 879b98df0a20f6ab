"""How the jobs of a plan are run, and which of those with a record need not be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inr_plugins import machine
from inr_plugins.bench.plan import Job
from inr_plugins.bench.record import finished_record, stale_because
from inr_plugins.errors import InputError

WORKER = "inr_plugins.bench.worker"
"""Module that trains and measures a job; it makes no meshes."""

CHECKPOINT_EVERY = 300.0
"""Seconds between the checkpoints that a training goes on from when it was killed."""

OtherCode = Literal["refuse", "keep"]
"""What to do with trainings that other code or versions have measured: refuse them, or count them as finished."""
Rerun = Literal["failed", "stale", "all"]
"""What is run again of what has a record: what failed, also what other code or versions have measured, or all of it."""


@dataclass(frozen=True)
class Rules:
    """How jobs are run.

    Attributes:
        keep_runs: keep each job's run folder, with a checkpoint at each budget.
        rerun: what is run again of what has a record.
        other_code: what to do with finished trainings that are stale and are not to be run again.
        time_limit: seconds after which a job is ended and has failed, start-up and evaluation included; None: none.
        checkpoint_every: seconds between the checkpoints that a job goes on from when it was killed; 0: none.
        worker: module that trains and measures one job.
    """

    keep_runs: bool = False
    rerun: Rerun = "failed"
    other_code: OtherCode = "refuse"
    time_limit: float | None = None
    checkpoint_every: float = CHECKPOINT_EVERY
    worker: str = WORKER


def versions_now() -> dict[str, str]:
    """Versions of packages by their names, and under "code" the digest of this one's."""
    return {**machine.versions(), "code": machine.code_digest()}


def finished_keys(jobs: Sequence[Job], output: Path, rules: Rules) -> set[str]:
    """Keys of the jobs that need not be run.

    Raises:
        InputError: some were measured by other code or versions, and the rules refuse that.
    """
    if rules.rerun == "all":
        return set()
    now = versions_now()
    found = {job.key: finished_record(output, job.key) for job in jobs}
    stale = {key: stale_because(record, now) for key, record in found.items() if record is not None}
    others = {key: why for key, why in stale.items() if why is not None}
    if others and rules.rerun == "failed" and rules.other_code == "refuse":
        raise InputError(
            f"{len(others)} of the {len(jobs)} trainings were measured by other code or versions than these "
            f"({'; '.join(sorted(set(others.values())))}): give --rerun stale to run them again, --other-code keep to "
            "count them as finished, or another --output."
        )
    return set(stale) - (set(others) if rules.rerun == "stale" else set())
