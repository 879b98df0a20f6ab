"""Commands that are stopped while they import, each a program of its own; nerfstudio's commands on runs of ours."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from campaign.case import Case, Fault
from campaign.processes.judge import held, json_is_whole, no_complaints, no_litter, refused, run_is_sound, stopped
from campaign.processes.launch import run, start
from campaign.processes.runs import METHODS, copy_of_run, work_folder
from campaign.rules import untouched

from inr_plugins.engine.runs.checkpoints import checkpoint_path, checkpoint_steps
from inr_plugins.geometry.io.mesh_read import read_mesh

_SIGNALS = {"kill": signal.SIGKILL, "terminate": signal.SIGTERM, "interrupt": signal.SIGINT}
_LATEST = 10.0
"""Seconds by which imports are done, or nearly, on a machine that is not busy."""
_COMMANDS = {
    "train": " ".join(METHODS["finer-sdf"].words(steps=4)),
    "mesh": "inr-mesh run --resolution 24 --output m.ply",
    "eval": "inr-eval run --samples 2000 --resolution 16 --output e.json",
    "check": "inr-check run",
    "view": "inr-view views",
    "scene": "inr-scene knot made --resolution 16 --num-train 2 --num-val 1 --num-test 1 --samples 1",
    "demo": "inr-demo --output made --steps 4 --frames 2",
    "bench-report": "inr-bench report bench",
    "bench-presets": "inr-bench presets",
}
_EVALUATE = "ns-eval --load-config views/config.yml --output-path e.json"
_RENDER = (
    "ns-render interpolate --load-config views/config.yml --output-path r --output-format images "
    "--interpolation-steps 2 --pose-source eval"
)


def _while_importing(folder: Path, rng: random.Random, *, words: str, number: int) -> None:
    """Stopped before it has begun: it ends by the signal, and nothing is there."""
    work_folder(folder)
    copy_of_run("finer-sdf", folder)
    copy_of_run("cn-mipnerf", folder, "views")
    (folder / "bench").mkdir()
    before = sorted(folder.iterdir())
    with untouched(folder / "run"), untouched(folder / "views"), untouched(folder / "bench"):
        running = start(folder, *words.split(), fresh=True)
        running.let_run(rng.random() * _LATEST)
        running.send(number)
        ended = running.wait()
    if words.startswith("ns-") and number != signal.SIGKILL:
        # nerfstudio imports for seconds before it knows of any method, and says what Python says.
        if ended.status not in (-number, 128 + number, 0, 1):
            raise Fault("wrong", ended.told())
    else:
        # A report on an empty folder is refused, and a presets' table may be there in time.
        stopped(ended, number, also=(1, 2) if "bench" in words else ())
    left = [path.name for path in sorted(folder.iterdir()) if path not in before and path.name != ".said"]
    for name in left:
        if name == "outputs":
            for path in folder.glob("outputs/*/*/*"):
                run_is_sound(path)
        elif name.endswith(".json"):
            json_is_whole(folder / name)
        elif name.endswith(".ply"):
            # The signal may have come when all was done; half a mesh is refused by the reader.
            read_mesh(folder / name)
        elif ended.status != 0 and name not in ("made",):
            raise Fault("wrong", f"{name} is there of a command that was stopped: {ended.told()}")
    no_litter(folder)


def _stock(folder: Path, rng: random.Random, *, words: str, number: int) -> None:
    """nerfstudio's command on a run of ours is stopped: the run is as it was, and the command works once more."""
    work_folder(folder)
    copy_of_run("cn-mipnerf", folder, "views")
    with untouched(folder / "views"):
        running = start(folder, *words.split())
        running.let_run(rng.random() * 4.0)
        running.send(number)
        ended = running.wait()
        if number == signal.SIGKILL:
            stopped(ended, number)
        held(run(folder, *words.split()))
    if "e.json" in words:
        json_is_whole(folder / "e.json")
    elif not list((folder / "r").rglob("*.jpg")) + list((folder / "r").rglob("*.png")):
        raise Fault("loss", "no picture was rendered")


def _spoil_cut(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: 1 + rng.randrange(len(content) - 1)])


def _spoil_pipe(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.mkdir()


def _spoil_lacking(path: Path, rng: random.Random) -> None:
    state = torch.load(path, map_location="cpu", weights_only=True)
    del state["pipeline"][rng.choice([name for name in state["pipeline"] if name.startswith("_model.field")])]
    torch.save(state, path)


_SPOILT: dict[str, Callable[[Path, random.Random], None]] = {
    "cut": _spoil_cut,
    "folder": _spoil_pipe,
    "lacking": _spoil_lacking,
}


def _broken(folder: Path, rng: random.Random, *, words: str, spoil: str, older: bool) -> None:
    """nerfstudio's command on a run of ours whose newest checkpoint is broken: the older one, or a sentence."""
    work_folder(folder)
    models = copy_of_run("cn-mipnerf", folder, "views") / "nerfstudio_models"
    newest = checkpoint_path(models, checkpoint_steps(models)[0])
    if older:
        state = torch.load(newest, map_location="cpu", weights_only=True)
        torch.save({**state, "step": 3}, checkpoint_path(models, 3))
    _SPOILT[spoil](newest, rng)
    ended = run(folder, *words.split())
    if older and spoil != "lacking":
        held(ended)
        if newest.name not in "".join(ended.said.split()):
            raise Fault("wrong", f"nothing is said of {newest.name}: {ended.told()}")
    else:
        refused(no_complaints(ended))
        if (folder / "e.json").exists():
            raise Fault("wrong", "figures of a model that could not be read")
    shutil.rmtree(folder / "views")


def cases() -> list[Case]:
    """Each command by each signal where it matters, and nerfstudio's two."""
    made: dict[str, Callable[[Path, random.Random], None]] = {}
    for name, words in _COMMANDS.items():
        for stop, number in _SIGNALS.items():
            if stop != "kill" or name in ("train", "scene"):
                made[f"early/{name}/{stop}"] = partial(_while_importing, words=words, number=number)
    for name, words in (("ns-eval", _EVALUATE), ("ns-render", _RENDER)):
        for stop, number in _SIGNALS.items():
            made[f"early/{name}/{stop}"] = partial(_stock, words=words, number=number)
        for spoil in _SPOILT:
            for older in (True, False) if spoil != "lacking" else (False,):
                attack = partial(_broken, words=words, spoil=spoil, older=older)
                made[f"early/{name}/{spoil}-{'older' if older else 'alone'}"] = attack
    return [Case(name, "early stops", attack, 400.0, processes=2) for name, attack in made.items()]
