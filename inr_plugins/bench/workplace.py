"""Where a job at hand has its files, and the command that trains and measures it there."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from inr_plugins.bench.parts import POINTS
from inr_plugins.bench.peers import is_stock
from inr_plugins.bench.plan import Job
from inr_plugins.bench.rules import CHECKPOINT_EVERY, WORKER


@dataclass(frozen=True)
class Workplace:
    """Files of one job while it runs.

    Attributes:
        folder: holds everything else; what a job that was killed left of itself, if it can go on.
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

    @property
    def points(self) -> Path:
        """Where it could go on."""
        return self.folder / POINTS


def worker_command(
    job: Job,
    place: Workplace,
    *,
    save: bool = False,
    worker: str = WORKER,
    checkpoint_every: float = CHECKPOINT_EVERY,
) -> list[str]:
    """The command that trains and measures `job`, by the module `worker`; it goes on from the last point there is."""
    protocol = job.protocol
    command = [sys.executable, "-m", worker, "--unit", protocol.unit]
    command += ["--budgets", *(f"{budget:g}" for budget in protocol.budgets)]
    command += ["--result", str(place.result), "--progress", str(place.progress), "--picture", str(place.picture)]
    command += ["--eval-every-view", str(protocol.eval_every_view)]
    command += ["--eval-pixel-stride", str(protocol.eval_pixel_stride), "--curve-points", str(protocol.curve_points)]
    command += ["--curve-views", str(protocol.curve_views), "--launched", f"{time.time():.3f}"]
    command += ["--mesh-resolution", str(protocol.mesh_resolution)] if protocol.mesh_resolution else []
    command += ["--points", str(place.points), "--checkpoint-every", f"{checkpoint_every:g}"]
    command += ["--stock"] if is_stock(job.method) else []
    arguments = job.ns_train_arguments(place.folder / "run")
    if save:
        command.append("--save")
        arguments[1:1] = ["--save-only-latest-checkpoint", "False"]
    return [*command, "--", *arguments]
