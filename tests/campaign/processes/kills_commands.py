"""The other commands, killed, told to end and interrupted at random moments; then the same command once more."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trimesh
from campaign.case import Case, Fault
from campaign.processes.judge import held, json_is_whole, no_litter, stopped
from campaign.processes.launch import alone, run, shared, start
from campaign.processes.runs import SMALL_SCENE, copy_of_run, expect_success, work_folder

_KILLS = {"kill": signal.SIGKILL, "terminate": signal.SIGTERM, "interrupt": signal.SIGINT}


@dataclass(frozen=True)
class Attacked:
    """A command to stop.

    Attributes:
        name: of the case.
        words: the command line, run in a folder with the data and the runs in it.
        results: files and folders that it makes, none of which may ever be there in part.
        whole: faults unless a result is whole.
        runs: methods whose runs it reads; each is a folder of that name.
    """

    name: str
    words: Sequence[str]
    results: Sequence[str]
    whole: Callable[[Path], None]
    runs: Sequence[str] = ()


def _whole_mesh(path: Path) -> None:
    if path.suffix == ".json":
        json_is_whole(path)
        return
    try:
        mesh = trimesh.load(path, process=False, force="mesh")
        faces = len(mesh.faces)
    except Exception as error:  # whatever a reader says of half a file
        raise Fault("loss", f"{path.name} is not whole: {error}") from error
    if not faces:
        raise Fault("loss", f"{path.name} has no faces")


def _whole_scene(path: Path) -> None:
    for name in ("scene.json", "transforms_train.json", "transforms_val.json", "transforms_test.json"):
        json_is_whole(path / name)
    _whole_mesh(path / "mesh.ply")
    if len(list((path / "train").glob("r_*.png"))) < 6:
        raise Fault("loss", f"{path.name} lacks views")


def _whole_json(path: Path) -> None:
    if path.is_dir():
        files = list(path.glob("*.json"))
        for each in files:
            json_is_whole(each)
        return
    json_is_whole(path)


_BENCH = "inr-bench run --methods finer-sdf --scenes shapes/ball.ply --steps 4 --curve-points 1 --curve-views 1"
BENCH = [*_BENCH.split(), "--mesh-resolution", "0", "--device", "cpu"]
_MESH = "--resolution 48 --overwrite --output"
_EVALUATE = "inr-eval finer-sdf cn-mipnerf --samples 2000 --resolution 16 --output e.json"
COMMANDS = (
    Attacked(
        "mesh-ply", f"inr-mesh finer-sdf {_MESH} m.ply".split(), ["m.ply", "m.ply.json"], _whole_mesh, ["finer-sdf"]
    ),
    Attacked(
        "mesh-obj", f"inr-mesh finer-sdf {_MESH} m.obj".split(), ["m.obj", "m.obj.json"], _whole_mesh, ["finer-sdf"]
    ),
    Attacked(
        "mesh-glb",
        f"inr-mesh diner {_MESH} m.glb --texture 128".split(),
        ["m.glb", "m.glb.json"],
        _whole_mesh,
        ["diner"],
    ),
    Attacked("scene", ["inr-scene", "knot", "made", *SMALL_SCENE, "--overwrite"], ["made"], _whole_scene),
    Attacked(
        "eval",
        [
            "inr-eval",
            "finer-sdf",
            "cn-mipnerf",
            "--samples",
            "2000",
            "--resolution",
            "16",
            "--output",
            "e.json",
            "--save-images",
            "p",
            "--overwrite",
        ],
        ["e.json"],
        _whole_json,
        ["finer-sdf", "cn-mipnerf"],
    ),
    Attacked("bench", BENCH, ["bench/records"], _whole_json),
)


def prepared(command: Attacked, folder: Path) -> Path:
    """The folder with what the command reads."""
    work_folder(folder)
    for method in command.runs:
        copy_of_run(method, folder, method)
    return folder


def seconds_of(command: Attacked) -> float:
    """How long the command takes without a stop, measured once a campaign; its results lie beside."""
    place = shared() / f"whole-{command.name}"
    with alone(place.name):
        if not place.exists():
            around = place.with_name(f"{place.name}.new")
            shutil.rmtree(around, ignore_errors=True)
            ended = run(prepared(command, around), *command.words)
            expect_success(ended)
            (around / "seconds").write_text(str(ended.seconds))
            around.rename(place)
    return float((place / "seconds").read_text())


def _attack(folder: Path, rng: random.Random, *, command: Attacked, number: int) -> None:
    """Stop the command where a result is there already, or not; nothing is ever there in part, and it goes on."""
    seconds = seconds_of(command)
    prepared(command, folder)
    if rng.random() < 0.5:
        for name in command.results:
            source = shared() / f"whole-{command.name}" / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, folder / name)  # type: ignore[operator]
    there = [name for name in command.results if (folder / name).exists()]
    running = start(folder, *command.words)
    # The first moments belong to the parser of the command line.
    running.let_run((0.0 if number == signal.SIGKILL else 0.3) + rng.random() * seconds)
    running.send(number)
    stopped(running.wait(), number)
    for name in command.results:
        if (folder / name).exists():
            command.whole(folder / name)
        elif name in there:
            raise Fault("loss", f"{name} was there before the command was stopped, and is not now")
    held(run(folder, *command.words))
    for name in command.results:
        command.whole(folder / name)
    no_litter(folder)


def cases() -> list[Case]:
    """Kills of each command, and a stop by either signal."""
    found = []
    for command in COMMANDS:
        for name, number in _KILLS.items():
            # As mesh-ply but for the last moments; and the dearest.
            few = {"mesh-obj": _KILLS["kill"], "mesh-glb": _KILLS["kill"], "bench": signal.SIGTERM}
            if number not in (few.get(command.name, number), signal.SIGKILL):
                continue
            for index in range(2 if command.name in ("mesh-ply", "scene") and number == signal.SIGKILL else 1):
                attack = partial(_attack, command=command, number=number)
                processes = 4 if command.name == "bench" else 2
                case = Case(f"kills/{command.name}/{name}-{index}", "kills of commands", attack, 600.0, processes)
                found.append(case)
    return found
