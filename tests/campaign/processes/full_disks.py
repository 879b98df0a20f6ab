"""Disks that are full: a small file system in memory where this is root, a limit on the size of files elsewhere."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from campaign.case import Case, Fault
from campaign.processes.judge import held, no_litter, refused, run_is_sound
from campaign.processes.kills_commands import BENCH
from campaign.processes.launch import run
from campaign.processes.runs import METHODS, SMALL_SCENE, copy_of_run, work_folder

_KILOBYTE = 1024


@contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[bool]:
    """A file system of its own at `place`, gone afterwards; whether that could be had, which takes root and Linux."""
    place.mkdir(exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "campaign", str(place)]
    try:
        mounted = subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        print("No file system of its own could be had (that takes root): files are bounded in size instead.")
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(place)], check=False)


def fill(place: Path, leave: int) -> None:
    """Fill a disk up to `leave` bytes."""
    with (place / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize - leave
            if free < 4 * _KILOBYTE:
                break
            file.write(bytes(min(free, 1 << 20)))


def _digest(path: Path) -> dict[str, str]:
    files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    return {str(each): hashlib.sha256(each.read_bytes()).hexdigest() for each in files}


def _attack(
    folder: Path, rng: random.Random, *, words: Sequence[str], runs: Sequence[str], keeps: Sequence[str], leave: int
) -> None:
    """Run a command on a full disk: what was there stays as it was, the refusal is a sentence; with room, it works."""
    work_folder(folder)
    for method in runs:
        copy_of_run(method, folder, method)
    disk = folder / "disk"
    with small_disk(disk, 24) as mounted:
        for name in keeps:
            source, target = folder / name.removeprefix("disk/"), folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                target.write_bytes(source.read_bytes() if source.exists() else b"mine")
        before = {name: _digest(folder / name) for name in keeps}
        limits = {}
        if mounted:
            fill(disk, round(leave * _KILOBYTE * rng.uniform(0.5, 1.5)))
        else:
            limits = {"RLIMIT_FSIZE": max(leave * _KILOBYTE, 1)}
        refused(run(folder, *words, limits=limits))
        for name, digests in before.items():
            after = _digest(folder / name)
            if any(after.get(path) != digest for path, digest in digests.items()):
                raise Fault("loss", f"{name} is not what it was before the disk was full")
        no_litter(disk)
        (disk / "filler").unlink(missing_ok=True)
        held(run(folder, *words))
        no_litter(disk)
        for each in disk.glob("runs/*/*/*"):
            run_is_sound(each)


def _resume(folder: Path, rng: random.Random, *, method: str, leave: int) -> None:
    """Go on in place on a full disk: configuration and checkpoint are those of before, and going on works with room."""
    work_folder(folder)
    disk = folder / "disk"
    settings = METHODS[method]
    with small_disk(disk, 24) as mounted:
        place = disk / "runs" / Path(settings.data).stem / method
        place.mkdir(parents=True)
        copy_of_run(method, place, "again")
        before = _digest(place / "again" / "nerfstudio_models") | _digest(place / "again" / "config.yml")
        words = settings.words(steps=7, output="disk/runs")
        words += ["--load-dir", str(place / "again" / "nerfstudio_models"), "--timestamp", "again"]
        limits = {}
        if mounted:
            fill(disk, round(leave * _KILOBYTE * rng.uniform(0.5, 1.5)))
        else:
            limits = {"RLIMIT_FSIZE": leave * _KILOBYTE}
        refused(run(folder, *words, limits=limits))
        run_is_sound(place / "again", at_least=settings.steps - 1)
        models = {path: digest for path, digest in before.items() if "config.yml" not in path}
        if any(_digest(Path(path)).get(path) != digest for path, digest in models.items()):
            raise Fault("loss", "the checkpoint is not what it was before the disk was full")
        (disk / "filler").unlink(missing_ok=True)
        held(run(folder, *words))
        run_is_sound(place / "again", at_least=settings.steps + 6)
        no_litter(disk)


def cases() -> list[Case]:
    """Each command with little room and with none."""
    train = METHODS["finer-sdf"].words(steps=12, output="disk/runs")
    mesh = "inr-mesh finer-sdf --resolution 64 --overwrite --output"
    scene = ["inr-scene", "knot", "disk/scene", *SMALL_SCENE, "--overwrite"]
    evaluation = "inr-eval finer-sdf --samples 2000 --resolution 16 --overwrite --output disk/e.json"
    pictures = "inr-eval cn-mipnerf --samples 2000 --resolution 16 --output e.json --overwrite --save-images disk/p"
    # Words, runs, what lies there before, and kilobytes that are left.
    commands: list[tuple[str, Sequence[str], Sequence[str], Sequence[str], Sequence[int]]] = [
        ("train", train, [], [], (0, 30)),
        ("mesh-ply", f"{mesh} disk/m.ply".split(), ["finer-sdf"], ["disk/m.ply"], (0, 60)),
        ("mesh-glb", f"{mesh} disk/m.glb --colour none".split(), ["finer-sdf"], [], (40,)),
        ("scene", scene, [], ["disk/scene"], (0, 400)),
        ("eval", evaluation.split(), ["finer-sdf"], ["disk/e.json"], (0,)),
        ("eval-pictures", pictures.split(), ["cn-mipnerf"], [], (0,)),
        ("bench", [*BENCH, "--output", "disk/bench"], [], [], (0,)),
    ]
    found = [
        Case(
            f"full-disk/{name}/{leave}",
            "full disks",
            partial(_attack, words=words, runs=runs, keeps=keeps, leave=leave),
            400.0,
            processes=4 if name == "bench" else 2,
        )
        for name, words, runs, keeps, rooms in commands
        for leave in rooms
    ]
    return found + [
        Case(
            f"full-disk/resume/{method}/{leave}",
            "full disks",
            partial(_resume, method=method, leave=leave),
            400.0,
            processes=2,
        )
        for method, leave in (("finer-sdf", 0), ("finer-sdf", 24))
    ]
