"""Data and trained runs that cases start from: made once a campaign by the commands themselves, copied by each case."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import trimesh
from campaign.case import Fault
from campaign.processes.launch import Ended, alone, run, shared

from inr_plugins.engine.runs import checkpoints

_MODEL, _MANAGER = "--pipeline.model.", "--pipeline.datamanager."


@dataclass(frozen=True)
class Method:
    """A method of ours with settings that train in seconds.

    Attributes:
        name: as ns-train knows it.
        settings: its options.
        steps: of a whole training.
        data: below the folder of :func:`data`.
    """

    name: str
    settings: str
    steps: int
    data: str = "scene"

    def words(self, *, steps: int | None = None, output: str = "outputs") -> list[str]:
        """The command that trains it in a folder that has the data in it."""
        usual = f"--vis tensorboard --steps-per-save 5 --max-num-iterations {steps or self.steps} --output-dir {output}"
        return ["ns-train", self.name, *usual.split(), *self.settings.split(), "--data", self.data]


def _method(name: str, steps: int, manager: str, model: str, data: str = "scene") -> Method:
    options = [_MANAGER + each for each in manager.split(";")] + [_MODEL + each for each in model.split(";")]
    return Method(name, " ".join(options), steps, data)


# Stages, new cells and denser samples come within these few steps, as they do in whole trainings.
METHODS = {
    each.name: each
    for each in (
        _method(
            "diner",
            90,
            "train-num-rays-per-batch 512",
            "num-voxels 8000;coarse-voxels 1000 3000;coarse-steps 50 20;coarse-prune-every 40;prune-steps 10 25;"
            "warm-up-steps 5",
        ),
        _method(
            "finer-nerf",
            40,
            "train-num-rays-per-batch 256",
            "width 32;hidden-layers 2;omega 10;samples-per-diagonal 96;double-samples-at 12 30;grid-resolution 16;"
            "grid-refresh-every 4;grid-warm-up-steps 16",
        ),
        _method(
            "cn-mipnerf",
            30,
            "train-num-rays-per-batch 128",
            "width 32;hidden-layers 3;num-coarse-samples 16;num-fine-samples 16",
        ),
        _method(
            "cn-neus",
            30,
            "train-num-rays-per-batch 96",
            "width 24;hidden-layers 2;skips;colour-width 16;colour-layers 1;uniform-samples 24;finer-samples 16;"
            "outside-samples 8;eikonal-points 64;start-steps 40",
        ),
        _method(
            "finer-sdf",
            60,
            "points-per-batch 600;dataparser.pool 3000;dataparser.image-size 24",
            "width 32;hidden-layers 2;omega 10",
            "shapes/ball.ply",
        ),
        _method(
            "nid-shapes",
            30,
            "points-per-batch 800;dataparser.pool 2000;dataparser.image-size 16;shapes-per-batch 2",
            "experts 24;active 12;expert-width 6;trunk-width 24;trunk-layers 2;omega 5;warmup-steps 5",
            "shapes",
        ),
    )
}
SMALL_SCENE = ["--resolution", "24", "--num-train", "6", "--num-val", "1", "--num-test", "2", "--samples", "1"]


def work_folder(folder: Path) -> Path:
    """A folder to run commands in, with a scene and shapes in it."""
    made = data()
    folder.mkdir(parents=True, exist_ok=True)
    for each in ("scene", "shapes"):
        shutil.copytree(made / each, folder / each)
    return folder


def data() -> Path:
    """The folder with a made scene ("scene") and meshes of two shapes ("shapes")."""
    place = shared() / "data"
    with alone("data"):
        if not place.exists():
            around = place.with_name("data.new")
            shutil.rmtree(around, ignore_errors=True)
            (around / "shapes").mkdir(parents=True)
            expect_success(run(around, "inr-scene", "knot", "scene", *SMALL_SCENE))
            trimesh.creation.icosphere(subdivisions=2).export(around / "shapes" / "ball.ply")
            trimesh.creation.box((1.0, 1.5, 0.8)).export(around / "shapes" / "box.ply")
            around.rename(place)
    return place


@dataclass(frozen=True)
class Trained:
    """A run that was trained without a stop.

    Attributes:
        folder: the run folder; not to be changed.
        seconds: how long the command took.
    """

    folder: Path
    seconds: float

    @property
    def models(self) -> Path:
        """Its checkpoints."""
        return self.folder / "nerfstudio_models"


def straight(method: str) -> Trained:
    """The run of a method, trained once a campaign."""
    place = shared() / f"straight-{method}"
    with alone(place.name):
        if not place.exists():
            around = place.with_name(f"{place.name}.new")
            shutil.rmtree(around, ignore_errors=True)
            ended = run(work_folder(around), *METHODS[method].words())
            expect_success(ended)
            (around / "seconds").write_text(str(ended.seconds))
            around.rename(place)
    return Trained(run_folders(place)[0], float((place / "seconds").read_text()))


def copy_of_run(method: str, folder: Path, name: str = "run") -> Path:
    """A copy of the trained run in a folder that has the data in it."""
    return shutil.copytree(straight(method).folder, folder / name)


def run_folders(folder: Path) -> list[Path]:
    """Run folders below a folder that commands were run in, oldest first."""
    return sorted(path for path in folder.glob("outputs/*/*/*") if path.is_dir())


def steps_of(run_folder: Path) -> list[int]:
    """Steps of the checkpoints of a run, newest first; sound or not."""
    return checkpoints.checkpoint_steps(run_folder / "nerfstudio_models")


def expect_success(ended: Ended) -> None:
    """Fault unless the command has ended well."""
    if ended.status != 0:
        kind = "traceback" if "Traceback (most recent call last)" in ended.said else "wrong"
        raise Fault(kind, ended.told())
