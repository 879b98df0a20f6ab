"""Every method of ours, small enough to be trained within a case, and runs of them that cases share."""

from __future__ import annotations

import copy
import fcntl
import json
import math
import shutil
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.utils import writer
from PIL import Image

from inr_plugins.engine.rng import seed_all
from inr_plugins.engine.trainer import InrTrainer, InrTrainerConfig

_SIZE, _VIEWS, _FOCAL = 16, 4, 0.8
STEPS = {"diner": 36}
"""Of a shared run, if not 4; it keeps the checkpoints of a step before the last one, too."""

_NETWORK = {"model.width": 16, "model.hidden_layers": 2}
_RAYS = {"datamanager.train_num_rays_per_batch": 32}
_MIP = {**_NETWORK, **_RAYS, "model.num_coarse_samples": 8, "model.num_fine_samples": 8}
_FINER = {**_NETWORK, **_RAYS, "model.samples_per_diagonal": 24, "model.double_samples_at": (1, 3),
          "model.grid_resolution": 8, "model.grid_refresh_every": 2, "model.grid_warm_up_steps": 2}  # fmt: skip
_NEUS = {**_NETWORK, **_RAYS, "model.skips": (), "model.colour_width": 16, "model.colour_layers": 1,
         "model.uniform_samples": 12, "model.finer_samples": 8, "model.outside_samples": 4, "model.eikonal_points": 16,
         "model.start_steps": 20}  # fmt: skip
_POINTS = {"datamanager.points_per_batch": 128, "datamanager.dataparser.pool": 500,
           "datamanager.dataparser.image_size": 12, "model.march_samples": 32}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "diner": {"datamanager.train_num_rays_per_batch": 256, "model.num_voxels": 512, "model.coarse_voxels": (216,),
              "model.coarse_steps": (30,),
              "model.coarse_prune_every": 30, "model.prune_steps": (1,), "model.warm_up_steps": 2,
              "model.network.width": 16},
    "diner-surface": {"datamanager.train_num_rays_per_batch": 256, "model.lattice_sizes": (24, 32),
                      "model.stage_steps": (2,), "model.smooth_share": (1.0, 1.0), "model.colour_degrees": (0, 2),
                      "model.refresh_every": 2, "model.hull_sizes": (16,), "model.hull_steps": (2,),
                      "model.network.width": 16},
    "finer-nerf": _FINER, "finer-gauss-nerf": _FINER, "finer-wavelet-nerf": _FINER,
    "cn-mipnerf": _MIP,
    "cn-neus": _NEUS, "finer-neus": {**_NEUS, "model.omega": 2.0, "model.start_steps": 100},
    "cn-neus-table": {**_NEUS, "datamanager.dataparser": BlenderDataParserConfig(alpha_color="white")},
    # The cameras of the small scene stand well outside of its box.
    "cn-neus-room": {**_NEUS, "datamanager.dataparser": BlenderDataParserConfig(alpha_color="white"),
                     "model.box_scale": 8.0},
    "finer-sdf": {**_NETWORK, **_POINTS}, "cn-occupancy": {**_NETWORK, **_POINTS},
    "nid-shapes": {**_POINTS, "datamanager.shapes_per_batch": 2, "model.experts": 8, "model.active": 4,
                   "model.expert_width": 4, "model.trunk_width": 8, "model.trunk_layers": 1, "model.warmup_steps": 2},
    "nid-fit": _POINTS,
}  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    **{f"cn-mipnerf+{name}": {"model.normalization": name} for name in ("none", "batch", "layer", "global")},
    "cn-neus+both": {"model.normalization_at": "both"},
    "finer-nerf+batch": {"model.normalization": "batch"},
    "cn-occupancy+global": {"model.normalization": "global"},
    "nid-shapes+patches": {"model.patches": 2},
}
"""Methods with other options, trained and shared as methods are."""
FAMILIES = ("diner", "finer-nerf", "cn-mipnerf", "cn-neus", "finer-sdf", "nid-shapes", "nid-fit")
"""A method of each kind of model."""


@cache
def presets() -> dict[str, InrTrainerConfig]:
    """The configuration of each registered method of ours; not to be changed."""
    points = entry_points(group="nerfstudio.method_configs")
    return {point.name: point.load().config for point in points if point.value.startswith("inr_plugins.")}


def shared(place: Path) -> Path:
    """A folder for all cases of a campaign, beside those of its cases, which the runner removes."""
    folder = place.parents[1] / "shared"
    folder.mkdir(exist_ok=True)
    return folder


def _made_once(place: Path, name: str, make: Callable[[Path], object]) -> Path:
    """What one case makes for all of them, in a folder `name`; the others wait."""
    folder, done = shared(place) / name, shared(place) / f"{name}.done"
    with (shared(place) / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not done.exists():
            # Made where it stays, since a run says where its folder is; what a stopped case left is no use.
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def scene(place: Path) -> Path:
    """A scene in Blender's format: a shaded disc with alpha, seen by four cameras around it."""
    return _made_once(place, "scene", _make_scene)


def _make_scene(folder: Path) -> None:
    across = np.linspace(-1, 1, _SIZE)
    x, y = np.meshgrid(across, across)
    for split in ("train", "val", "test"):
        (folder / split).mkdir(parents=True)
        frames = []
        for index in range(_VIEWS):
            angle = 2 * math.pi * index / _VIEWS
            colour = np.stack([0.5 + 0.4 * x, 0.5 + 0.4 * y, np.full_like(x, index / _VIEWS)], -1)
            alpha = (x**2 + y**2 < 0.4)[..., None].astype(float)
            pixels = np.concatenate([colour, alpha], -1)
            Image.fromarray((255 * pixels).astype(np.uint8)).save(folder / split / f"r_{index}.png")
            pose = np.eye(4)
            pose[:3, 0] = [math.cos(angle), math.sin(angle), 0]
            pose[:3, 1] = [0, 0, 1]
            pose[:3, 2] = [math.sin(angle), -math.cos(angle), 0]
            pose[:3, 3] = 4 * pose[:3, 2]
            frames.append({"file_path": f"./{split}/r_{index}", "transform_matrix": pose.tolist()})
        document = {"camera_angle_x": _FOCAL, "frames": frames}
        (folder / f"transforms_{split}.json").write_text(json.dumps(document), encoding="utf-8")


def shapes(place: Path) -> Path:
    """A folder with meshes of two shapes, ball.ply and box.ply."""
    return _made_once(place, "shapes", _make_shapes)


def _make_shapes(folder: Path) -> None:
    trimesh.creation.icosphere(subdivisions=1).export(folder / "ball.ply")
    trimesh.creation.box((1.0, 1.5, 0.8)).export(folder / "box.ply")


def data_of(method: str, place: Path) -> Path:
    """What a method, or a variant of one, is trained on."""
    method = method.partition("+")[0]
    if method == "nid-shapes":
        return shapes(place)
    return shapes(place) / "ball.ply" if method in ("finer-sdf", "cn-occupancy", "nid-fit") else scene(place)


def put(config: Any, settings: Mapping[str, Any]) -> Any:
    """Set what names with dots mean below the pipeline of a configuration; the configuration itself."""
    for name, value in settings.items():
        *path, last = name.split(".")
        holder = config.pipeline
        for part in path:
            holder = getattr(holder, part)
        if not hasattr(holder, last):
            raise AttributeError(f"no option {name}")
        setattr(holder, last, copy.deepcopy(value))
    return config


def configured(method: str, place: Path, **changes: Any) -> InrTrainerConfig:
    """A small configuration of a method, or of a variant of one, that writes below `place`.

    `changes` are fields of the trainer's configuration.
    """
    name = method.partition("+")[0]
    config = put(put(copy.deepcopy(presets()[name]), SETTINGS[name]), VARIANTS.get(method, {}))
    config.pipeline.datamanager.data = data_of(method, place)
    if method == "nid-fit":
        config.pipeline.model.dictionary = trained("nid-shapes", place)
    config.output_dir, config.vis, config.machine.device_type = place / "outputs", "tensorboard", "cpu"
    config.final_eval_images, config.eval_time_fraction = 0, 0.0
    for name, value in changes.items():
        if not hasattr(config, name):
            raise AttributeError(f"no option {name}")
        setattr(config, name, value)
    return config


def begin(config: InrTrainerConfig) -> InrTrainer:
    """Everything that ns-train does before the first step."""
    # Of another training in this process, whose folder may be gone.
    writer.EVENT_WRITERS.clear()
    writer.EVENT_STORAGE.clear()
    writer.GLOBAL_BUFFER.clear()
    config.set_timestamp()
    config.save_config()
    seed_all(config.machine.seed)
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    return trainer


def train(config: InrTrainerConfig, steps: int) -> InrTrainer:
    """As ns-train, in this process and without a viewer."""
    config.max_num_iterations = steps
    trainer = begin(config)
    trainer.train()
    return trainer


def trained(method: str, place: Path) -> Path:
    """The folder of a run that is trained once a campaign; not to be changed."""

    def make(folder: Path) -> None:
        steps = STEPS.get(method, 4)
        changes = {"steps_per_save": steps - 2, "save_only_latest_checkpoint": False, "timestamp": "run"}
        config = configured(method, place, output_dir=folder, **changes)
        train(config, steps)

    return next(_made_once(place, method, make).glob("*/*/run"))


def copied(method: str, place: Path) -> Path:
    """A copy of the shared run that a case may change."""
    return shutil.copytree(trained(method, place), place / "run")
