"""Trainings that are killed, told to end and interrupted at random moments, and then go on."""

from __future__ import annotations

import random
import signal
from functools import partial
from pathlib import Path

from campaign.case import Case
from campaign.processes.judge import held, no_litter, run_is_sound, same_weights, stopped
from campaign.processes.launch import start
from campaign.processes.runs import METHODS, Method, run_folders, steps_of, straight, work_folder

_KILLS = {"kill": signal.SIGKILL, "terminate": signal.SIGTERM, "interrupt": signal.SIGINT}


def _chain(folder: Path, rng: random.Random, *, method: str, number: int, stops: int) -> None:
    """Stop a training `stops` times, going on after each; what comes out is bit for bit what no stop gives."""
    settings, whole = METHODS[method], straight(method)
    work_folder(folder)
    for _ in range(stops):
        _train(folder, settings, rng, number)
    _train(folder, settings, rng, None)
    newest = run_folders(folder)[-1]
    same_weights(newest / "nerfstudio_models", whole.models)
    no_litter(folder)


def _train(folder: Path, method: Method, rng: random.Random, number: int | None) -> None:
    """Train to the end, or until a signal comes at a random moment, from the newest checkpoint if there is one."""
    before = [path for path in run_folders(folder) if steps_of(path)]
    done = max(steps_of(before[-1])) + 1 if before else 0
    if done == method.steps:
        return
    words = method.words(steps=method.steps - done)
    if before:
        # In place, or in a new folder; both are ways to go on.
        place = before[-1]
        words += ["--load-dir", place / "nerfstudio_models"]
        words += ["--timestamp", place.name] if rng.random() < 0.5 else []
    command = start(folder, *words)
    if number is None:
        held(command.wait())
        return
    # Before a run folder is there, a signal other than SIGKILL ends nerfstudio's own code.
    if number != signal.SIGKILL or rng.random() < 0.8:
        command.wait_for(lambda: any((path / ".training.lock").exists() for path in run_folders(folder)), 120.0)
    # By its checkpoints and not by the clock: a machine may be busy.
    if rng.random() < 0.8:
        aim = done + rng.randrange(method.steps - done)
        command.wait_for(lambda: max(map(_newest, run_folders(folder)), default=-1) >= aim - 5, 120.0)
    command.let_run(rng.random() * 0.15)
    seen = {path: _newest(path) for path in run_folders(folder)}
    command.send(number)
    stopped(command.wait(), number)
    for path in run_folders(folder):
        run_is_sound(path, at_least=seen.get(path))


def _newest(run_folder: Path) -> int:
    return max(steps_of(run_folder), default=-1)


def cases() -> list[Case]:
    """A chain of two kills for each method, and one stop by the signals."""
    found = []
    for method in METHODS:
        for name, number in _KILLS.items():
            if name != "kill" and method not in ("diner", "finer-sdf", "cn-neus"):
                continue
            stops = 2 if name == "kill" else 1
            attack = partial(_chain, method=method, number=number, stops=stops)
            found.append(Case(f"kills/{method}/{name}", "kills of trainings", attack, 600.0, processes=stops + 1))
    return found
