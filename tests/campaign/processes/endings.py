"""What is around a command: addresses, streams, places to write to, a device that is not there, files that were cut."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import urllib.request
from functools import partial
from pathlib import Path

from campaign.case import Case, Fault
from campaign.processes.judge import held, no_complaints, refused, stopped
from campaign.processes.launch import run, start
from campaign.processes.runs import METHODS, copy_of_run, work_folder

_TRAIN = " ".join(METHODS["finer-sdf"].words(steps=6))
_WITH_VIEWER = " ".join(METHODS["cn-mipnerf"].words(steps=6)).replace("--vis tensorboard", "--vis viewer+tensorboard")


def _prepare(folder: Path) -> None:
    work_folder(folder)
    copy_of_run("finer-sdf", folder)
    copy_of_run("cn-mipnerf", folder, "views")


def _refusal(folder: Path, rng: random.Random, *, words: str, names: str = "") -> None:
    """A sentence at once, and nothing left behind."""
    _prepare(folder)
    (folder / "file").write_text("mine")
    refused(start(folder, *words.split()).wait(90.0), *names.split())
    if (folder / "file").read_text() != "mine":
        raise Fault("loss", "a file that stood in the way was written over")
    if list(folder.glob("outputs/*/*/*")):
        raise Fault("wrong", "a training that could not begin has left a folder")


def _taken_port(folder: Path, rng: random.Random, *, words: str) -> None:
    """A port that another program has."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        _refusal(folder, rng, words=words.format(other.getsockname()[1]))


def _viewed(folder: Path, rng: random.Random, *, number: int, ready: bool) -> None:
    """inr-view, ended while a page is loaded, or before it serves."""
    _prepare(folder)
    command = start(folder, "inr-view", "views")
    if ready:
        command.wait_for(lambda: "is at http" in command.said(), 120.0)
        found = re.search(r"http://localhost:(\d+)|http://127\.0\.0\.1:(\d+)", command.said())
        if found is None:
            raise Fault("wrong", f"inr-view gives no address: {command.said()}")
        urllib.request.urlopen(found[0], timeout=30).read()
    else:
        command.wait_for(lambda: command.poll(0.3 + rng.random()) is None, 30.0)
    command.send(number)
    ended = stopped(command.wait(60.0), number)
    if ready and number != signal.SIGKILL and ended.status != 0:
        raise Fault("wrong", f"that is how a viewer is ended: {ended.told()}")


def _without_input(folder: Path, rng: random.Random, *, words: str) -> None:
    _prepare(folder)
    held(run(folder, *words.split(), closed=["stdin"]))


def _without_output(folder: Path, rng: random.Random, *, words: str) -> None:
    _prepare(folder)
    held(run(folder, *words.split(), closed=["stdout"]))


def _closed_pipe(folder: Path, rng: random.Random, *, words: str) -> None:
    """Standard output is a pipe whose reader has gone, as behind `| head`: no traceback, and files are written."""
    _prepare(folder)
    reading, writing = os.pipe()
    command = start(folder, *words.split(), stdout=writing)
    os.close(reading)
    os.close(writing)
    ended = no_complaints(command.wait())
    if "BrokenPipe" in ended.said:
        raise Fault("traceback", ended.told())


_CUT = {
    "config": ("config.yml", "inr-mesh run"),
    "config-eval": ("config.yml", "inr-eval run"),
    "frame": ("dataparser_transforms.json", "inr-check run"),
    "checkpoint": ("nerfstudio_models/step-000000059.ckpt", "inr-mesh run"),
    "checkpoint-check": ("nerfstudio_models/step-000000059.ckpt", "inr-check run"),
}


def _cut(folder: Path, rng: random.Random, *, name: str, words: str) -> None:
    """A file of the run ends at a random byte."""
    _prepare(folder)
    file = folder / "run" / name
    if not file.exists():
        file.write_text('{"transform": [[1.0, 0.0')
    data = file.read_bytes()
    file.write_bytes(data[: 1 + rng.randrange(len(data) * 9 // 10)])
    refused(no_complaints(run(folder, *words.split())))


def cases() -> list[Case]:
    """All of them, one process each."""
    host, port = "--viewer.websocket-host", "--viewer.websocket-port"
    refusals = {
        "viewer/no-such-host": (f"{_WITH_VIEWER} {host} no.such.host.invalid", "no.such.host.invalid"),
        "viewer/foreign-host": (f"{_WITH_VIEWER} {host} 203.0.113.7", "203.0.113.7"),
        "viewer/port-80000": (f"{_WITH_VIEWER} {port} 80000", "80000"),
        "viewer/view-host": ("inr-view views --host no.such.host.invalid", "no.such.host.invalid"),
        "viewer/view-port": ("inr-view views --port 80000", "80000"),
        "places/mesh": ("inr-mesh run --output file/m.ply", "file"),
        "places/scene": ("inr-scene knot file/made --num-train 2", "file"),
        "places/scene-itself": ("inr-scene knot file --num-train 2", "file"),
        "places/eval": ("inr-eval run --output file/e.json", "file"),
        "places/eval-pictures": ("inr-eval views --save-images file/p --output e.json", "file"),
        "places/bench": (
            "inr-bench run --methods finer-sdf --scenes shapes/ball.ply --steps 2 --output file/b",
            "file",
        ),
        "places/demo": ("inr-demo --output file/demo", "file"),
        "places/train": (f"{_TRAIN} --output-dir file/runs", "file"),
        "devices/mesh-tpu": ("inr-mesh run --device tpu", "tpu"),
        "devices/view-tpu": ("inr-view views --device tpu", "tpu"),
        "devices/train-cuda": (f"{_TRAIN} --machine.device-type cuda", "CUDA"),
    }
    attacks = {
        f"endings/{name}": partial(_refusal, words=words, names=names) for name, (words, names) in refusals.items()
    }
    attacks["endings/viewer/train-taken"] = partial(_taken_port, words=f"{_WITH_VIEWER} {port} {{}}")
    attacks["endings/viewer/view-taken"] = partial(_taken_port, words="inr-view views --port {}")
    for name, number in {"kill": signal.SIGKILL, "terminate": signal.SIGTERM, "interrupt": signal.SIGINT}.items():
        attacks[f"kills/view/{name}"] = partial(_viewed, number=number, ready=True)
        if number != signal.SIGKILL:
            attacks[f"kills/view-early/{name}"] = partial(_viewed, number=number, ready=False)
    commands = {
        "train": _TRAIN,
        "mesh": "inr-mesh run --resolution 24",
        "scene": "inr-scene knot made --resolution 16 --num-train 2 --num-val 1 --num-test 1 --samples 1",
        "eval": "inr-eval run --samples 2000 --resolution 16",
        "check": "inr-check run",
    }
    for name, words in commands.items():
        if name in ("train", "mesh", "eval"):
            attacks[f"endings/stdin-closed/{name}"] = partial(_without_input, words=words)
        attacks[f"endings/pipe-closed/{name}"] = partial(_closed_pipe, words=words)
    for name in ("mesh", "check"):
        attacks[f"endings/stdout-closed/{name}"] = partial(_without_output, words=commands[name])
    attacks["endings/pipe-closed/presets"] = partial(_closed_pipe, words="inr-bench presets")
    for name, (file, words) in _CUT.items():
        attacks[f"endings/cut/{name}"] = partial(_cut, name=file, words=words)
    return [Case(name, "endings", attack, 240.0, processes=1) for name, attack in attacks.items()]
