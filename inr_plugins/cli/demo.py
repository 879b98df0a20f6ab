"""inr-demo: the whole way, from nothing to a trained field, a video and a mesh; `scripts/demo` runs it too."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from rich.console import Console
from rich.table import Table

from inr_plugins.cli.arguments import CommonOptions, Groups, parse
from inr_plugins.cli.ending import run_command, start
from inr_plugins.cli.result import print_places
from inr_plugins.engine.host.ffmpeg import ensure_ffmpeg_somewhere
from inr_plugins.engine.interrupt import Terminated
from inr_plugins.errors import InputError
from inr_plugins.files import write_json
from inr_plugins.geometry.io.output_place import check_place
from inr_plugins.options import COMMANDS, check_numbers, told
from inr_plugins.scenes.turntable import turntable_path

_CONSOLE = Console(highlight=False)
AT_THE_END = ["--viewer.quit-on-train-completion", "True"]
"""Options of ns-train with which the demo goes on."""


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Make a scene, train diner on it, then evaluate, render a turntable video and extract a mesh.

    Every step is an ordinary command that is printed before it runs, so that it can be run again by hand.
    """

    GROUPS: ClassVar[Groups] = {
        "data": "data photos photo_size scene",
        "training": "steps train",
        "output": "output frames video_size mesh_resolution",
    }

    data: Annotated[Path | None, told("PATH", "a made scene")] = None
    """Your own data instead of the made scene: a folder with transforms_train.json (Blender) or transforms.json
    (nerfstudio)."""
    photos: Annotated[Path | None, told("PATH", "none")] = None
    """A folder of photographs, or a video, instead: inr-photos finds out where they were taken from."""
    photo_size: int = 800
    """Longer side of the images that are made of --photos, in pixels; so few steps learn no more detail."""
    output: Path = Path("demo")
    """Folder for everything that is made, in the folder that one is in."""
    scene: str = "windmill"
    """Built-in object or mesh file that inr-scene makes the scene from."""
    steps: int = 1500
    """Training steps of diner. The surface that --photos adds has its own, whatever this is."""
    frames: int = 48
    """Frames of the turntable video."""
    video_size: int = 480
    """Longer side of the video at most, in pixels; it is never larger than the images."""
    mesh_resolution: int = 256
    """Samples of the mesh's grid along its longest side."""
    train: Annotated[str, told("OPTIONS", "none")] = ""
    """More options for ns-train diner, for instance: --train="--pipeline.model.key-width 9"."""


class SaidWhy(InputError):
    """A step failed whose command has said why, in a sentence of its own."""


@dataclass(frozen=True)
class Step:
    """One command of the demo and how long it took."""

    title: str
    command: list[str]
    seconds: float


def parser_of(data: Path) -> str:
    """The nerfstudio dataparser for a dataset folder, by the files in it.

    Raises:
        InputError: the folder holds neither kind of file.
    """
    if (data / "transforms_train.json").is_file():
        return "blender-data"
    if (data / "transforms.json").is_file() or data.suffix == ".json":
        return "nerfstudio-data"
    raise InputError(
        f"{data} holds neither transforms_train.json (Blender data) nor transforms.json (nerfstudio data): "
        "give --data the folder of one of the two, or leave it out for a made scene."
    )


def name_of_run() -> str:
    """The time as a name for a run: to the microsecond, so that those that begin together have different ones."""
    return datetime.now().strftime("%Y-%m-%d_%H%M%S-%f")


def run_step(title: str, command: Sequence[str], *, quiet: bool = False) -> Step:
    """Print a command, run it with its output shown, and time it; with `quiet`, only its errors are shown.

    Raises:
        SaidWhy: a command of this package ended with what is wrong with what it was given.
        InputError: the command is not there, or failed otherwise; the message names it.
        KeyboardInterrupt: the demo was stopped, and the command has stopped too.
    """
    program = _program(command[0])
    if not quiet:
        _CONSOLE.rule(f"[bold]{title}")
        _CONSOLE.print(f"$ {shlex.join(command)}", soft_wrap=True, markup=False)
    start = time.perf_counter()
    # The commands of this environment, whether or not it has been activated.
    path = os.pathsep.join(
        [str(Path(program).parent), os.environ.get("PATH", os.defpath), str(ensure_ffmpeg_somewhere().parent)]
    )
    output = subprocess.DEVNULL if quiet else None
    # What torch says to nerfstudio's authors, with each command, is nothing to who watches.
    environment = {"PYTHONWARNINGS": "ignore::FutureWarning", **os.environ, "PATH": path}
    process = subprocess.Popen([program, *command[1:]], env=environment, stdout=output)
    try:
        status = process.wait()
    except KeyboardInterrupt as stop:
        # Ctrl-C reaches the command itself, which saves what it can; SIGTERM is passed on. A second one ends it.
        if isinstance(stop, Terminated):
            process.terminate()
        try:
            process.wait()
        finally:
            process.kill()
        raise
    if status != 0:
        failed = SaidWhy if status == 1 and command[0].startswith("inr-") else InputError
        raise failed(
            f"The step '{title}' failed with status {status}; run it again with "
            f"{shlex.join(command) if quiet else 'the command above'}."
        )
    return Step(title, list(command), time.perf_counter() - start)


def _program(name: str) -> str:
    """Where a command of this package's environment is.

    Raises:
        InputError: it is nowhere.
    """
    schemes = ("", f"{os.name}_user")
    folders = [sysconfig.get_path("scripts", scheme) if scheme else sysconfig.get_path("scripts") for scheme in schemes]
    search = os.pathsep.join([str(Path(sys.executable).parent), *folders, os.environ.get("PATH", os.defpath)])
    found = shutil.which(name, path=search)
    if found is None:
        raise InputError(f"The command {name} was not found: install inr-plugins into the environment of this Python.")
    return found


def run_demo(options: Options) -> None:
    """Run every step and print what came of it.

    Raises:
        InputError: data that is not there, a place that takes no files, or a step that failed.
    """
    check_numbers(options, COMMANDS["inr-demo"])
    if options.photos is not None and options.data is not None:
        raise InputError("--photos makes a dataset, and --data names one: give one of the two.")
    output, more = options.output, _words(options.train)
    ensure_ffmpeg_somewhere()
    check_place(output / "runs")
    output.mkdir(parents=True, exist_ok=True)
    steps: list[Step] = []
    step = partial(run_step, quiet=options.quiet)
    quietly = ["--quiet"] if options.quiet else []
    if options.photos is not None:
        data = output / "datasets" / options.photos.resolve().stem
        command = ["inr-photos", str(options.photos), str(data), "--max-size", str(options.photo_size), *quietly]
        steps.append(step("Find out where the photos were taken from", command))
    elif options.data is None:
        data = output / Path(options.scene).stem
        if not (data / "scene.json").is_file():
            views = ["--num-train", "100", "--num-val", "5", "--num-test", "20"]
            steps.append(step("Make the scene", ["inr-scene", options.scene, str(data), *views, *quietly]))
    else:
        data = options.data
    parser = parser_of(data)

    stamp = name_of_run()
    name = data.resolve().stem
    run = output / "runs" / name / "diner" / stamp
    train = ["ns-train", "diner", "--output-dir", str(output / "runs"), "--experiment-name", name, "--timestamp", stamp]
    train += ["--max-num-iterations", str(options.steps), *AT_THE_END]
    # Learning rates fall over as many steps as there are.
    for group in ("density", "keys", "network"):
        train += [f"--optimizers.{group}.scheduler.max-steps", str(options.steps)]
    train += more
    steps.append(step("Train (open the viewer's address in a browser)", [*train, parser, "--data", str(data)]))
    config = str(run / "config.yml")

    metrics = run / "metrics.json"
    steps.append(
        step("Evaluate on the test views", ["ns-eval", "--load-config", config, "--output-path", str(metrics)])
    )

    path, video = run / "turntable.json", run / "turntable.mp4"
    write_turntable(run, path, frames=options.frames, longest=options.video_size)
    render = ["ns-render", "camera-path", "--load-config", config, "--camera-path-filename", str(path)]
    steps.append(step("Render a turn around it", [*render, "--output-path", str(video)]))

    meshed = run
    if options.photos is not None:
        # A density that was learnt from photographs is pitted, and has specks where only one of them could see.
        meshed = output / "runs" / name / "diner-surface" / stamp
        learn = [train[0], "diner-surface", *train[2 : train.index("--max-num-iterations")], *AT_THE_END]
        try:
            steps.append(
                step("Learn the surface (ten to twenty-five minutes on a CPU)", [*learn, parser, "--data", str(data)])
            )
        except InputError as error:
            meshed = run
            print(f"inr-demo: {error} The mesh is made of diner's density.", file=sys.stderr)
    mesh = meshed / "mesh.ply"
    extract = ["inr-mesh", str(meshed), "--output", str(mesh), "--resolution", str(options.mesh_resolution), *quietly]
    if options.photos is not None:
        # Photographs show a room too, and what is behind the thing nobody has seen.
        extract += ["--keep-largest", "--drop-unseen", "--colour", "views"]
    steps.append(step("Extract the mesh", extract))
    if options.quiet:
        print_places(run, mesh, video, metrics)
    else:
        summarise(steps, run=run, metrics=metrics, video=video, mesh=mesh)


def _run_or_leave_nothing(options: Options) -> int:
    """Run every step; where one failed, folders that were made for nothing go. The exit status.

    Raises:
        InputError: as `run_demo`, unless the step's own command has said why.
    """
    try:
        run_demo(options)
    except InputError as error:
        for made in (options.output / "datasets", options.output):
            with suppress(OSError):
                made.rmdir()
        if isinstance(error, SaidWhy):
            return 1
        raise
    return 0


def _words(options: str) -> list[str]:
    """The words of --train, before anything is made.

    Raises:
        InputError: they cannot be told apart.
    """
    try:
        return shlex.split(options)
    except ValueError as error:
        raise InputError(f"--train {options} cannot be split into words ({error}): close its quotes.") from error


def write_turntable(run: Path, path: Path, *, frames: int, longest: int) -> None:
    """Write the camera path of a turn around what the run's training cameras see.

    Args:
        run: the run's folder.
        path: the file to write.
        frames: of the turn.
        longest: the most that the frames' longer side may have, pixels.
    """
    from inr_plugins.engine.runs.run import load_run

    cameras = load_run(run).dataparser_outputs.cameras
    size = [int(side.flatten()[0]) for side in (cameras.width, cameras.height)]
    fov = float(np.degrees(2 * np.arctan(size[1] / 2 / float(cameras.fy.flatten()[0]))))
    # Video codecs want even sizes.
    width, height = (max(2, int(side * min(1.0, longest / max(size))) // 2 * 2) for side in size)
    poses = cameras.camera_to_worlds.double().numpy()
    turn = turntable_path(poses, width=width, height=height, vertical_fov=fov, frames=frames)
    write_json(path, turn)


def summarise(steps: list[Step], *, run: Path, metrics: Path, video: Path, mesh: Path) -> None:
    """Print the results, the seconds of each step, and what to type next."""
    results = json.loads(metrics.read_text(encoding="utf-8"))["results"]
    table = Table(title="What was made", show_header=False)
    for key, name in (("psnr", "test PSNR (dB)"), ("ssim", "test SSIM"), ("lpips", "test LPIPS")):
        if key in results:
            table.add_row(name, f"{results[key]:.2f}" if key == "psnr" else f"{results[key]:.3f}")
    for step in steps:
        table.add_row(step.title.split(" (")[0], f"{step.seconds:.0f} s")
    table.add_row("everything", f"{sum(step.seconds for step in steps):.0f} s")
    _CONSOLE.rule()
    _CONSOLE.print(table)
    for name, path in (("video", video), ("mesh", mesh), ("metrics", metrics), ("run", run)):
        _CONSOLE.print(f"{name:>8}  {path}", soft_wrap=True, markup=False)
    train = next(step.command for step in steps if step.command[0] == "ns-train")
    activate = Path(sys.executable).parent / "activate"
    if activate.is_file():
        _CONSOLE.print("To type these commands:")
        _CONSOLE.print(f"  source {shlex.quote(str(activate))}", soft_wrap=True, markup=False)
    _CONSOLE.print("Look at it in the browser:")
    _CONSOLE.print(f"  {shlex.join(['inr-view', str(run)])}", soft_wrap=True, markup=False)
    _CONSOLE.print("Train on from here (the schedule of learning rates stays as it is):")
    more = [*train[:2], "--load-dir", str(run / "nerfstudio_models"), *train[-3:]]
    _CONSOLE.print(f"  {shlex.join(more)}", soft_wrap=True, markup=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; its exit status: 0, 1 for a step that failed, 130 for Ctrl-C, 143 for SIGTERM."""
    options = parse(Options, prog="inr-demo", args=arguments)
    return run_command(
        "inr-demo",
        lambda: _run_or_leave_nothing(options),
        when_stopped=lambda: f"what the finished steps made is kept in {options.output}.",
    )


def entrypoint() -> None:
    """The inr-demo command."""
    start(main)


if __name__ == "__main__":
    entrypoint()
