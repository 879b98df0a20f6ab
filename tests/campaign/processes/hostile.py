"""Runs that want a program run, and inputs that are pipes, devices and folders."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from campaign.case import Case, Fault
from campaign.processes.judge import refused
from campaign.processes.launch import run, start
from campaign.processes.runs import METHODS, copy_of_run, work_folder

_MARKER = "was-run"


class _Touch:
    """Unpickled, it makes the marker file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


def _config(run_folder: Path, marker: Path) -> None:
    config = run_folder / "config.yml"
    lines = config.read_text().splitlines()
    # A value of an entry that every configuration has, after the tag of the configuration's class.
    at = next(number for number, line in enumerate(lines) if line.startswith("experiment_name:"))
    lines[at : at + 1] = ["experiment_name: !!python/object/apply:os.system", f"- touch {marker}"]
    config.write_text("\n".join(lines) + "\n")


def _checkpoint(run_folder: Path, marker: Path) -> None:
    (path,) = (run_folder / "nerfstudio_models").glob("*.ckpt")
    torch.save({"step": 59, "pipeline": _Touch(marker)}, path)


_HARM = {"config": _config, "checkpoint": _checkpoint}
_READERS = {
    "mesh": ["inr-mesh", "run", "--resolution", "16"],
    "eval": ["inr-eval", "run"],
    "check": ["inr-check", "run"],
    "view": ["inr-view", "run"],
    "resume": [*METHODS["finer-sdf"].words(steps=2), "--load-dir", "run/nerfstudio_models"],
}


def _harm(folder: Path, rng: random.Random, *, harm: str, words: Sequence[str]) -> None:
    """Open a run that would run a program: it does not, and the command says what is wrong with the run."""
    work_folder(folder)
    marker = folder / _MARKER
    _HARM[harm](copy_of_run("finer-sdf", folder), marker)
    ended = run(folder, *words)
    if marker.exists():
        raise Fault("run", f"a program was run: {ended.told()}")
    if harm == "config" and words[0] == "ns-train":
        return  # It reads the checkpoint alone.
    refused(ended)
    if list(folder.glob("outputs/*/*/*")):
        raise Fault("wrong", "a run that could not begin has left a folder")


_INPUTS = {
    "mesh-run": "inr-mesh {}",
    "eval-run": "inr-eval {}",
    "check-run": "inr-check {}",
    "view-run": "inr-view {}",
    "scene-source": "inr-scene {} made",
    "eval-truth": "inr-eval run --truth {}",
    "eval-mesh": "inr-eval run --mesh {}",
    "train-data": "ns-train finer-sdf --vis tensorboard --data {}",
    "train-load-dir": "ns-train finer-sdf --vis tensorboard --data shapes/ball.ply --load-dir {}",
    "train-load-checkpoint": "ns-train finer-sdf --vis tensorboard --data shapes/ball.ply --load-checkpoint {}",
    "bench-scenes": "inr-bench run --methods finer-sdf --steps 2 --scenes {}",
    "demo-data": "inr-demo --data {}",
}


_ALSO = ("mesh-run", "scene-source", "eval-truth", "train-data", "train-load-checkpoint", "bench-scenes")


def _odd_input(folder: Path, rng: random.Random, *, words: str, kind: str) -> None:
    """Give a pipe, a device or an empty folder as an input: a sentence, at once."""
    work_folder(folder)
    copy_of_run("finer-sdf", folder)
    place = folder / "odd.ply"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to("/dev/zero")
    refused(start(folder, *words.format("odd.ply").split()).wait(60.0))
    if list(folder.glob("outputs/*/*/*")) or (folder / "made").exists():
        raise Fault("wrong", "a command that was refused has left a folder")
    if kind == "folder":
        shutil.rmtree(place)


def cases() -> list[Case]:
    """Each reader of a run, and each input."""
    found = [
        Case(f"hostile/{harm}/{name}", "hostile", partial(_harm, harm=harm, words=words), 240.0, processes=1)
        for harm in _HARM
        for name, words in _READERS.items()
    ]
    return found + [
        Case(f"odd/{name}/{kind}", "pipes and devices", partial(_odd_input, words=words, kind=kind), 240.0, processes=1)
        for name, words in _INPUTS.items()
        for kind in ("pipe", "device", "folder")
        if kind == "pipe" or name in _ALSO
    ]
