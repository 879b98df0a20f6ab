"""Folders that grow: pictures of 1920 x 1080 for a diner, shapes for nid-shapes."""

from __future__ import annotations

import io
import json
import shutil
import statistics
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.gpu_report.training import Training

from .meter import Peak, Task, repeated, seconds_of, steps_of
from .trainings import diner_config, nid_config

WIDTH, HEIGHT, RAYS = 1920, 1080, 4096
_DIFFERENT = 8
"""Pictures that are encoded; the others are copies of them, which are read and decoded like any."""
_FIRST_BATCHES, _LATER_BATCHES = 25, 15


class Drawn:
    """Batches of a datamanager, for a training."""

    def __init__(self, manager: Any, count: int) -> None:
        self.manager, self.count = manager, count

    def scene(self) -> dict[str, Any]:
        """What a model is told of the data."""
        data = self.manager.train_dataset
        return {"scene_box": data.scene_box, "num_train_data": len(data), "metadata": data.metadata}

    def batch(self, step: int, device: torch.device) -> tuple[Any, dict[str, Any]]:
        """Of a step."""
        return self.manager.next_train(step)


# -- views -------------------------------------------------------------------------------------------------------------


def views(task: Task) -> dict[str, Any]:
    """Loading so many pictures, and diner's steps on rays through their pixels."""
    from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig

    from inr_plugins.data.images.datamanager import InrDataManagerConfig

    size = (96, 54) if task.tiny else (WIDTH, HEIGHT)
    on_disk = write_pictures(task.folder / "pictures", task.size, size)
    parser = NerfstudioDataParserConfig(
        data=task.folder / "pictures", downscale_factor=1, eval_mode="interval", eval_interval=max(2, task.size // 2)
    )
    config = InrDataManagerConfig(
        dataparser=parser, train_num_rays_per_batch=64 if task.tiny else RAYS, cache_folder=task.folder / "cache"
    )
    peak, found = Peak(task), {}
    managers: list[Any] = []
    found["load_seconds"] = seconds_of(
        lambda: managers.append(config.setup(device=task.device, test_mode="val")), task.device
    )
    found["loading_mib"] = peak.mib()
    manager = managers[0]
    manager.to(task.device)
    training = Training(diner_config(12 if task.tiny else 128), Drawn(manager, RAYS), task.device, last_step=1000)
    found |= steps_of(training, task, first=0)
    batches = repeated(lambda number: manager.next_train(number), task)
    return {**found, "batch_seconds": statistics.median(batches), "files_mib": on_disk / (1 << 20)}


def write_pictures(folder: Path, count: int, size: tuple[int, int]) -> int:
    """A dataset in nerfstudio's format, of cameras on a ring that look at its middle; bytes of its pictures."""
    (folder / "images").mkdir(parents=True)
    width, height = size
    encoded = [_jpeg(width, height, number) for number in range(min(_DIFFERENT, count))]
    frames = []
    for index in range(count):
        name = f"images/{index:05d}.jpg"
        (folder / name).write_bytes(encoded[index % len(encoded)])
        frames.append({"file_path": name, "transform_matrix": _pose(2 * np.pi * index / count).tolist()})
    lens = {"fl_x": 0.8 * width, "fl_y": 0.8 * width, "cx": width / 2, "cy": height / 2, "w": width, "h": height}
    (folder / "transforms.json").write_text(json.dumps({**lens, "frames": frames}), encoding="utf-8")
    return sum(len(encoded[index % len(encoded)]) for index in range(count))


def _jpeg(width: int, height: int, number: int) -> bytes:
    column, line = np.arange(width) / width, np.arange(height)[:, None] / height
    waves = [np.sin((3 + k) * column + number) * np.cos((5 - k) * line) for k in range(3)]
    written = io.BytesIO()
    Image.fromarray(np.uint8(127 + 120 * np.stack(waves, axis=-1))).save(written, "JPEG", quality=80)
    return written.getvalue()


def _pose(angle: float) -> np.ndarray:
    back = np.array([np.cos(angle), np.sin(angle), 0.3])
    back /= np.linalg.norm(back)
    right = np.array([-np.sin(angle), np.cos(angle), 0.0])
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(back, right), back], -1)
    pose[:3, 3] = 4 * back
    return pose


# -- shapes ------------------------------------------------------------------------------------------------------------


class Again:
    """The batches of the first steps, again and again: points of shapes that were drawn from before."""

    def __init__(self, manager: Any, batches: Any, steps: int) -> None:
        self.manager, self.batches, self.steps, self.count = manager, batches, steps, batches.size

    def scene(self) -> dict[str, Any]:
        """What a model is told of the data."""
        data = self.manager.train_dataset
        return {"scene_box": data.scene_box, "num_train_data": len(data), "metadata": data.metadata}

    def batch(self, step: int, device: torch.device) -> tuple[Any, dict[str, Any]]:
        """Of a step, made in it: nothing is made ahead in the background."""
        from inr_plugins.data.shapes.batches import moved

        return moved(self.batches(step % self.steps), device)


def shapes(task: Task) -> dict[str, Any]:
    """Reading so many shapes, drawing points around them, and nid-shapes' steps on these."""
    from inr_plugins.data.shapes.batches import PointBatches, divide_points

    write_shapes(task.folder / "shapes", task.size)
    config = nid_config(16 if task.tiny else 1024, tiny=task.tiny)
    config.pipeline.model.warmup_steps = 0
    manager_config = config.pipeline.datamanager
    manager_config.dataparser.data = task.folder / "shapes"
    if task.tiny:
        manager_config.dataparser.pool = 1000
    peak, managers = Peak(task), []
    # Without a test split or a training's stream of batches, which would be made in the background.
    load = seconds_of(
        lambda: managers.append(manager_config.setup(device=task.device, test_mode="inference")), task.device
    )
    manager = managers[0]
    shares = {name: getattr(manager_config, f"{name}_share") for name in ("near", "far", "uniform")}
    shares["on"] = manager_config.surface_share
    several = min(manager_config.shapes_per_batch, task.size)
    batches = PointBatches(
        [shape.source for shape in manager.dataparser.shapes.shapes],
        divide_points(manager_config.points_per_batch // several, shares),
        shapes=several,
        entropy=(0,),
    )
    first, later = (2, 2) if task.tiny else (_FIRST_BATCHES, _LATER_BATCHES)
    first_seconds = [seconds_of(partial(batches, step), task.device) for step in range(first)]
    loading = peak.mib()
    training = Training(config, Again(manager, batches, later), task.device, last_step=1000)
    return {
        "load_seconds": load,
        "loading_mib": loading,
        "first_batch_seconds": statistics.fmean(first_seconds),
        "batch_seconds": statistics.median(repeated(lambda number: batches(number % later), task)),
        **steps_of(training, task, first=0),
    }


def write_shapes(folder: Path, count: int) -> None:
    """Balls whose radius goes up and down along three waves, all different, of 1,280 faces each."""
    import trimesh

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ball = trimesh.creation.icosphere(subdivisions=3)
    rng = np.random.default_rng(0)
    for number in range(count):
        waves = sum(np.sin(ball.vertices @ rng.normal(scale=3, size=3) + rng.uniform(0, 6)) for _ in range(3))
        lumpy = trimesh.Trimesh(ball.vertices * (1 + 0.1 * waves[:, None]), ball.faces, process=False)
        lumpy.export(folder / f"shape_{number:05d}.ply")
