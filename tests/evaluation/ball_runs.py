"""A scene whose pictures have a formula, and runs that render it well or badly: one coloured ball at the origin.

Colours are whole 255ths, so that eight bits hold the truth exactly.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import trimesh
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManagerConfig
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.datasets.base_dataset import InputDataset
from nerfstudio.model_components.renderers import RGBRenderer
from PIL import Image

SIZE, DISTANCE, ANGLE, RADIUS = 24, 4.0, 0.8, 1.0
COLOUR = (51, 102, 153)


def camera_pose(angle: float) -> np.ndarray:
    """Camera to world, looking at the origin from the circle z = 0."""
    pose = np.eye(4)
    pose[:3, :3] = [[-np.sin(angle), 0, np.cos(angle)], [np.cos(angle), 0, np.sin(angle)], [0, 1, 0]]
    pose[:3, 3] = DISTANCE * pose[:3, 2]
    return pose


def hits_ball(radius: float, *, size: int = SIZE) -> np.ndarray:
    """Which pixels of any of the cameras see a ball around the origin: those within its angle of the middle."""
    focal = size / 2 / np.tan(ANGLE / 2)
    offset = np.arange(size) + 0.5 - size / 2
    tangent = np.hypot(*np.meshgrid(offset, offset)) / focal
    return np.arctan(tangent) < np.arcsin(radius / DISTANCE)


def make_scene(folder: Path, *, views: int = 5, alpha: bool = True, truth: bool = True) -> Path:
    """A Blender-format scene of the ball; with the ball's mesh as its truth, as inr-scene leaves it, on request."""
    inside = hits_ball(RADIUS)
    pixels = np.zeros((SIZE, SIZE, 4), dtype=np.uint8)
    pixels[inside] = (*COLOUR, 255)
    for split in ("train", "val", "test"):
        (folder / split).mkdir(parents=True)
        frames = []
        for index in range(views):
            Image.fromarray(pixels if alpha else pixels[..., :3]).save(folder / split / f"r_{index}.png")
            pose = camera_pose(2 * np.pi * index / views).tolist()
            frames.append({"file_path": f"./{split}/r_{index}", "transform_matrix": pose})
        document = {"camera_angle_x": ANGLE, "frames": frames}
        (folder / f"transforms_{split}.json").write_text(json.dumps(document), encoding="utf8")
    if truth:
        (folder / "scene.json").write_text("{}")
        trimesh.creation.icosphere(subdivisions=4, radius=RADIUS).export(folder / "mesh.ply")
    return folder


class BallModel:
    """Renders a ball of one colour as nerfstudio's models do, over the background that they are told."""

    def __init__(self, *, radius: float = RADIUS, colour=COLOUR, background: str = "white", suffix: str = "") -> None:
        self.config = SimpleNamespace(background_color=background)
        self.radius = radius
        self.colour = torch.tensor(colour) / 255
        self.suffix = suffix
        self.field = SimpleNamespace(sdf=lambda x: x.norm(dim=-1) - radius)
        self.scene_box = SimpleNamespace(aabb=torch.tensor([[-1.5] * 3, [1.5] * 3]))
        self.rendered = 0

    def get_outputs_for_camera(self, camera):
        self.rendered += 1
        rays = camera.generate_rays(camera_indices=0, keep_shape=True)
        towards = -(rays.origins * rays.directions).sum(dim=-1, keepdim=True)
        away = (rays.origins + towards * rays.directions).norm(dim=-1, keepdim=True)
        weight = (away < self.radius).float()[..., None, :]
        rgb = RGBRenderer.combine_rgb(self.colour.expand((*weight.shape[:-1], 3)), weight, self.config.background_color)
        return {f"rgb{self.suffix}": rgb, f"accumulation{self.suffix}": weight[..., 0, :]}


class BallRuns:
    """In place of engine.runs.run.load_run: the model of each run folder, by its name."""

    def __init__(
        self, data: Path, models: dict[str, BallModel], *, alpha_color: str | None = None, cameras: bool = False
    ) -> None:
        self.data, self.models, self.alpha_color, self.cameras = data, models, alpha_color, cameras
        self.loaded: list[str] = []

    def __call__(self, path, *, device, data):
        name = path.parent.name
        self.loaded.append(name)
        parser = BlenderDataParserConfig(data=data or self.data, alpha_color=self.alpha_color)
        config = VanillaDataManagerConfig(data=data or self.data, dataparser=parser)
        manager = SimpleNamespace(dataparser=parser.setup(), config=config, dataset_type=InputDataset)
        outputs = SimpleNamespace(dataparser_transform=torch.eye(4)[:3], dataparser_scale=1.0)
        if self.cameras:
            outputs.cameras = manager.dataparser.get_dataparser_outputs(split="train").cameras
        return SimpleNamespace(
            config=SimpleNamespace(method_name=name.split("-")[0], pipeline=SimpleNamespace(datamanager=config)),
            config_path=path,
            pipeline=SimpleNamespace(model=self.models[name], device=torch.device("cpu"), datamanager=manager),
            step=7,
            dataparser_outputs=outputs,
        )


def make_run(folder: Path) -> Path:
    """A run folder as far as the command looks before the run is opened."""
    folder.mkdir(parents=True)
    (folder / "config.yml").write_text("a run\n")
    return folder
