"""The same command several times at once."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

from campaign.case import Case, Fault
from campaign.processes.judge import held, no_complaints, no_litter, refused, run_is_sound
from campaign.processes.kills_commands import COMMANDS, Attacked, prepared
from campaign.processes.launch import Ended, start
from campaign.processes.runs import METHODS, copy_of_run, run_folders, steps_of, work_folder


def _trainings(folder: Path, rng: random.Random, *, method: str) -> None:
    """Three trainings of one second: each has a folder of its own, with its last checkpoint in it."""
    settings = METHODS[method]
    work_folder(folder)
    running = [start(folder, *settings.words(steps=6), "--machine.seed", seed) for seed in range(3)]
    for each in running:
        held(each.wait())
    found = run_folders(folder)
    if len(found) != 3 or any(max(steps_of(each), default=-1) != 5 for each in found):
        raise Fault("loss", f"three trainings have left {[(each.name, steps_of(each)) for each in found]}")
    for each in found:
        run_is_sound(each)
    no_litter(folder)


def _one_name(folder: Path, rng: random.Random, *, in_place: bool) -> None:
    """Three trainings into one named folder: one of them trains, the others say why not."""
    settings = METHODS["finer-sdf"]
    work_folder(folder)
    words = [*settings.words(steps=40), "--timestamp", "mine"]
    if in_place:
        place = folder / "outputs" / "ball" / "finer-sdf"
        place.mkdir(parents=True)
        words += ["--load-dir", str(copy_of_run("finer-sdf", place, "mine") / "nerfstudio_models")]
    ended = [each.wait() for each in [start(folder, *words) for _ in range(3)]]
    _winners(ended, 1 if not in_place else None)
    (found,) = run_folders(folder)
    run_is_sound(found, at_least=39 + (settings.steps if in_place else 0))
    no_litter(folder)


def _winners(ended: list[Ended], number: int | None) -> None:
    """Fault unless so many (None: at least one) have done their work, and the others have said why not."""
    won = [no_complaints(each).status == 0 for each in ended]
    if sum(won) != number if number is not None else not any(won):
        raise Fault("wrong", f"{sum(won)} of {len(won)} have done it: " + "\n".join(each.told() for each in ended))
    for each, has_won in zip(ended, won, strict=True):
        if not has_won:
            refused(each)


def _commands(folder: Path, rng: random.Random, *, command: Attacked, overwrite: bool, times: int) -> None:
    """A command several times at once: the result is one of theirs, and whole."""
    prepared(command, folder)
    words = [word for word in command.words if overwrite or word != "--overwrite"]
    ended = [each.wait() for each in [start(folder, *words) for _ in range(times)]]
    # Without --overwrite a result that appears meanwhile is somebody's, and is kept.
    _winners(ended, None)
    for name in command.results:
        command.whole(folder / name)
    no_litter(folder)


def cases() -> list[Case]:
    """Trainings, and each other command."""
    found = [
        Case(f"together/trainings/{method}", "at once", partial(_trainings, method=method), 300.0, processes=3)
        for method in ("finer-sdf", "cn-mipnerf")
    ]
    found += [
        Case(f"together/{name}", "at once", partial(_one_name, in_place=name == "one-resumed"), 300.0, processes=3)
        for name in ("one-name", "one-resumed")
    ]
    for command in COMMANDS:
        if command.name in ("mesh-ply", "scene", "eval", "bench"):
            for overwrite in (True, False) if "--overwrite" in command.words else (False,):
                attack = partial(_commands, command=command, overwrite=overwrite, times=2)
                name = f"together/{command.name}/{'over' if overwrite else 'new'}"
                found.append(Case(name, "at once", attack, 300.0, processes=3 if command.name == "bench" else 2))
    return found
