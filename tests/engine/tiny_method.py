"""A method and a scene small enough to train for a few steps in a test; imported by tests and by what they start."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManagerConfig
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.engine.optimizers import AdamOptimizerConfig
from nerfstudio.models.base_model import Model, ModelConfig
from nerfstudio.plugins.types import MethodSpecification
from PIL import Image
from torch import nn

from inr_plugins.engine.optimization.schedulers import ExponentialDecayConfig
from inr_plugins.engine.pipeline import InrPipelineConfig
from inr_plugins.engine.trainer import InrTrainerConfig
from inr_plugins.metrics.image import ImageMetrics


def make_scene(folder: Path, *, views: int = 4, size: int = 16) -> Path:
    """Write a Blender-format scene of coloured noise seen from a circle of cameras."""
    generator = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        (folder / split).mkdir(parents=True)
        frames = []
        for index in range(views):
            image = generator.integers(0, 256, (size, size, 4), dtype=np.uint8)
            Image.fromarray(image).save(folder / split / f"r_{index}.png")
            angle = 2 * np.pi * index / views
            pose = np.eye(4)
            pose[:3, :3] = [
                [np.cos(angle), 0, np.sin(angle)],
                [np.sin(angle), 0, -np.cos(angle)],
                [0, 1, 0],
            ]
            pose[:3, 3] = 4 * pose[:3, 2]
            frames.append({"file_path": f"./{split}/r_{index}", "transform_matrix": pose.tolist()})
        document = {"camera_angle_x": 0.7, "frames": frames}
        (folder / f"transforms_{split}.json").write_text(json.dumps(document), encoding="utf8")
    return folder


@dataclass
class TinyModelConfig(ModelConfig):
    """A network from rays to colours that draws random numbers as it trains and can fail on purpose."""

    _target: type = field(default_factory=lambda: TinyModel)
    nan_at: int = -1
    """Step at which the loss becomes NaN; -1: never."""
    grow_at: int = -1
    """Step after which the table of the model is replaced by one of twice the rows; -1: never."""


class TinyModel(Model):
    """Colour = network(origin, direction) + a row of a table, with noise in training."""

    config: TinyModelConfig

    def populate_modules(self) -> None:
        super().populate_modules()
        self.network = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
        self.table = nn.Parameter(torch.zeros(8, 3))
        self.metrics = ImageMetrics()
        self.steps = 0

    def load_state_dict(self, state_dict, *args, **kwargs):
        self.table = nn.Parameter(torch.zeros_like(state_dict["table"], device=self.table.device))
        return super().load_state_dict(state_dict, *args, **kwargs)

    def update_to_step(self, step: int) -> None:
        self.steps = step + 1

    def get_training_callbacks(self, training_callback_attributes):
        from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackLocation

        from inr_plugins.engine.optimization.optimizers import rebuild_param_group

        def grow(step: int) -> None:
            if step != self.config.grow_at:
                return
            index = torch.cat([torch.arange(8), torch.full((8,), -1)])
            old = self.table
            self.table = nn.Parameter(torch.cat([old.detach(), old.detach().flip(0)]))
            rebuild_param_group(
                training_callback_attributes.optimizers, "table", [self.table], carry_state_index={0: index}
            )

        return [TrainingCallback([TrainingCallbackLocation.AFTER_TRAIN_ITERATION], grow)]

    def get_param_groups(self):
        return {"network": list(self.network.parameters()), "table": [self.table]}

    def get_outputs(self, ray_bundle):
        rgb = self.network(torch.cat([ray_bundle.origins, ray_bundle.directions], dim=-1))
        rows = (ray_bundle.directions[..., 0].abs() * len(self.table)).long().clamp(max=len(self.table) - 1)
        rgb = torch.sigmoid(rgb + self.table[rows])
        if self.training:
            rgb = rgb + 0.01 * torch.randn_like(rgb)
        return {"rgb": rgb, "accumulation": torch.ones_like(rgb[..., :1]), "depth": torch.ones_like(rgb[..., :1])}

    def get_loss_dict(self, outputs, batch, metrics_dict=None):
        loss = torch.mean((outputs["rgb"] - batch["image"][..., :3].to(self.device)) ** 2)
        if self.training:
            if self.steps == self.config.nan_at:
                loss = loss * float("nan")
            self.steps += 1
        return {"rgb_loss": loss}

    def get_image_metrics_and_images(self, outputs, batch):
        image = batch["image"][..., :3].to(self.device)
        return self.metrics(outputs["rgb"], image), {"img": torch.cat([image, outputs["rgb"]], dim=1)}


def tiny_config(data: Path, output: Path, **overrides) -> InrTrainerConfig:
    """A trainer configuration that writes under `output`, evaluates, and does not open a viewer."""
    config = InrTrainerConfig(
        method_name="tiny",
        output_dir=output,
        vis="tensorboard",
        steps_per_save=4,
        steps_per_eval_batch=3,
        steps_per_eval_image=5,
        eval_time_fraction=1.0,
        max_num_iterations=8,
        pipeline=InrPipelineConfig(
            datamanager=VanillaDataManagerConfig(
                data=data,
                dataparser=BlenderDataParserConfig(),
                train_num_rays_per_batch=32,
                eval_num_rays_per_batch=32,
            ),
            model=TinyModelConfig(eval_num_rays_per_chunk=128),
        ),
        optimizers={
            "network": {
                "optimizer": AdamOptimizerConfig(lr=1e-2),
                "scheduler": ExponentialDecayConfig(lr_final=1e-3, max_steps=20, warmup_steps=3),
            },
            "table": {
                "optimizer": AdamOptimizerConfig(lr=1e-1),
                "scheduler": ExponentialDecayConfig(lr_final=1e-2, max_steps=20),
            },
        },
    )
    config.viewer.quit_on_train_completion = True
    config.machine.device_type = "cpu"
    for name, value in overrides.items():
        setattr(config, name, value)
    return config


def specification() -> MethodSpecification:
    """The method as nerfstudio's NERFSTUDIO_METHOD_CONFIGS variable wants it."""
    config = tiny_config(Path(), Path("outputs"))
    config.pipeline.datamanager.data = None
    return MethodSpecification(config, "A method for tests.")
