"""What is learnt in how many seconds: trainings under inr-bench's clock, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

_STARTING, _EVALUATING = 40.0, 25.0
"""Seconds that a training takes to start, and each of its evaluations."""


@dataclass(frozen=True)
class Trial:
    """A training that is measured.

    Attributes:
        method: of ns-train.
        data: the scene.
        seconds: of training at which it is judged.
        options: of ns-train.
        parser_options: of its dataparser.
    """

    method: str
    data: Path
    seconds: tuple[float, ...]
    options: tuple[str, ...] = ()

    @property
    def longest(self) -> float:
        """Seconds that it takes in all, at the most."""
        return _STARTING + self.seconds[-1] + _EVALUATING * len(self.seconds)


_FEW_VIEWS = ("--pipeline.datamanager.train-view-stride", "4", "--pipeline.datamanager.camera-res-scale-factor", "0.5")


def trials(*, scene: Path | None, data: Path | None) -> dict[str, Trial]:
    """What is trained, by name; those whose scene is not given are left out.

    Args:
        scene: a made scene of 400 x 400 pixels and about 100 training views.
        data: a captured or rendered one of that size, lego.
    """
    found: dict[str, Trial] = {}
    for name, folder in (("made", scene), ("data", data)):
        if folder is None:
            continue
        for seconds in ((60.0, 120.0), (420.0,)):
            found[f"diner/{name}/{seconds[-1]:.0f}"] = Trial("diner", folder, seconds)
        found[f"finer-nerf/{name}/25 views"] = Trial("finer-nerf", folder, (60.0, 300.0), _FEW_VIEWS)
        for method in ("cn-mipnerf", "cn-neus"):
            found[f"{method}/{name}"] = Trial(method, folder, (60.0, 240.0))
    return found


def measurements(
    device: torch.device, *, scene: Path | None, data: Path | None, tiny: bool
) -> dict[str, tuple[float, Callable[[], dict[str, Any]]]]:
    """How long each trial takes at the most, and the trial."""

    def bound(trial: Trial) -> Callable[[], dict[str, Any]]:
        return lambda: measure(trial, device, tiny=tiny)

    wanted = trials(scene=scene, data=data)
    if tiny:
        wanted = dict(list(wanted.items())[:1])
    return {name: (0.0 if tiny else trial.longest, bound(trial)) for name, trial in wanted.items()}


def command(trial: Trial, device: torch.device, folder: Path, *, tiny: bool) -> list[str]:
    """The training and its clock, as a command."""
    budgets = ["2"] if tiny else [f"{each:g}" for each in trial.seconds]
    views = ["--eval-every-view", "1000" if tiny else "10", "--curve-points", "1", "--curve-views", "1"]
    clock = ["--unit", "steps" if tiny else "seconds", "--budgets", *budgets, *views]
    small = ["--pipeline.datamanager.train-num-rays-per-batch", "64"] if tiny else []
    return [
        *(sys.executable, "-m", "inr_plugins.bench.worker", *clock, "--result", str(folder / "result.json"), "--"),
        *(trial.method, "--vis", "tensorboard", "--machine.device-type", device.type, "--output-dir", str(folder)),
        *("--steps-per-eval-image", "0", "--steps-per-eval-batch", "0", "--final-eval-images", "0"),
        *("--viewer.quit-on-train-completion", "True", *small, *trial.options, "--data", str(trial.data)),
    ]


def measure(trial: Trial, device: torch.device, *, tiny: bool) -> dict[str, Any]:
    """Train, and give what inr-bench keeps of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        done = subprocess.run(
            command(trial, device, folder, tiny=tiny),
            capture_output=True,
            text=True,
            timeout=trial.longest + 300,
            check=False,
            start_new_session=True,
        )
        result = folder / "result.json"
        if not result.exists():
            said = (done.stderr + done.stdout).strip().splitlines()
            raise RuntimeError(f"the training ended with {done.returncode}: {' / '.join(said[-5:])}")
        return {"options": list(trial.options), **json.loads(result.read_text(encoding="utf-8"))}
