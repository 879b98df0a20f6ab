"""The methods that are measured: presets at their published size, or small, and rays or points to train them with."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import SceneBox
from torch import Tensor
from torch.nn.functional import normalize

from inr_plugins.shape_points import ShapePoints
from inr_plugins.signal_grid import SignalPixels

from . import measured

IMAGES = (
    *("diner", "diner-surface", "finer-nerf", "finer-gauss-nerf", "finer-wavelet-nerf", "cn-mipnerf"),
    *("cn-neus", "cn-neus-table", "cn-neus-room", "finer-neus"),
)
SHAPES = ("finer-sdf", "cn-occupancy", "nid-shapes")
"""nid-fit wants a dictionary that has been learnt, and is not among them."""
SIGNALS = ("diner-image", "finer-image", "cn-image", "finer-stream")
MEASURED = measured.METHODS
PEERS = ("nerfacto", "tensorf", "vanilla-nerf")

_BOX = torch.tensor([[-1.5] * 3, [1.5] * 3])
_BALL, _COLOUR = 0.9, (0.8, 0.3, 0.1)


def preset(method: str) -> Any:
    """A copy of the configuration of a method of this package or of nerfstudio's."""
    for point in entry_points(group="nerfstudio.method_configs"):
        if point.name == method and point.value.startswith("inr_plugins."):
            return copy.deepcopy(point.load().config)
    from nerfstudio.configs.method_configs import method_configs

    return copy.deepcopy(method_configs[method])


def make_small(config: Any, *, tiny: bool = False) -> Any:
    """Cut a preset down, in place, to what 50 steps of a CPU take seconds for; `tiny`: two."""
    name, model, manager = config.method_name, config.pipeline.model, config.pipeline.datamanager
    if name in SHAPES:
        manager.points_per_batch = 256 if tiny else 2048
    elif name in (*SIGNALS, *MEASURED):
        manager.pixels_per_batch = 64 if tiny else 4096
    else:
        manager.train_num_rays_per_batch = 64 if tiny else 256
    wide = 16 if tiny else 64
    if name == "diner":
        # Both changes of stage, and a pruning, within 50 steps; a cell has to be seen sooner than it usually is.
        model.num_voxels, model.coarse_voxels, model.coarse_steps = 30**3, (12**3, 20**3), (30, 10)
        model.coarse_prune_every, model.prune_steps, model.warm_up_steps = 1000, (5,), 5
        model.visible_weight = 0.01
        manager.train_num_rays_per_batch = 256
    elif name == "diner-surface":
        # A refined density, a refined lattice, and a band that follows the surface, within 50 steps.
        model.hull_sizes, model.hull_steps, model.coarse_prune_every = (16, 24), (10, 10), 1000
        model.visible_weight = 0.01
        model.lattice_sizes, model.stage_steps, model.sharpening_steps = (24, 32), (12,), 12
        model.smooth_share, model.colour_degrees, model.refresh_every = (1.0, 1.0), (0, 2), 10
        model.network.width = wide
    elif name in ("finer-nerf", "finer-gauss-nerf", "finer-wavelet-nerf"):
        model.width, model.samples_per_diagonal, model.double_samples_at = wide, 128, (20, 35)
        model.grid_resolution, model.grid_refresh_every, model.grid_warm_up_steps = 32, 8, 16
    elif name == "cn-mipnerf":
        model.width, model.num_coarse_samples, model.num_fine_samples = wide, 32, 32
    elif name in IMAGES:
        model.width, model.colour_width, model.start_steps = wide, wide, 0 if tiny else 100
        model.uniform_samples, model.finer_samples, model.outside_samples, model.eikonal_points = 24, 16, 8, 128
        model.hidden_layers, model.skips, model.colour_layers = 3, (), 1
        if name == "finer-neus":
            model.omega = 10.0  # of so small a network, for which the method's own is too rough to become a sphere
    elif name == "nid-shapes":
        model.experts, model.active, model.trunk_width, model.warmup_steps = 64, 16, wide, 10
        manager.shapes_per_batch = 4
    elif name in ("diner-image", "diner-lensless", "diner-tomography"):
        model.network.width = wide
    elif name == "finer-stream":
        model.widths, model.stage_steps = (wide // 2, wide), (2 if tiny else 25,)
    else:
        model.width = wide
    return config


@dataclass
class Balls:
    """Rays around a ball of one colour, or points around balls, of closed form: no file is read, and nothing is asked
    of a library that may be missing. A batch is a function of its step.

    Attributes:
        count: rays or points of a batch.
        masked: whether batches have masks beside alpha.
        shapes: balls that points are drawn around; 0: rays.
        per_batch: balls in a batch.
    """

    count: int
    masked: bool = False
    shapes: int = 0
    per_batch: int = 1

    @classmethod
    def for_config(cls, config: Any) -> Balls:
        """What a method's datamanager would give, of balls."""
        manager = config.pipeline.datamanager
        if config.method_name in SHAPES:
            several = config.method_name == "nid-shapes"
            shapes = 12 if several else 1
            return cls(manager.points_per_batch, shapes=shapes, per_batch=manager.shapes_per_batch if several else 1)
        return cls(manager.train_num_rays_per_batch)

    def scene(self) -> dict[str, Any]:
        """What a model is told of the data."""
        names = [f"ball {number}" for number in range(self.shapes)]
        box = _BOX / 1.5 if self.shapes else _BOX
        metadata = {"shapes": names, "file_unit": 1.0} if names else {"opaque": False}
        return {"scene_box": SceneBox(aabb=box), "num_train_data": 100, "metadata": metadata}

    def batch(self, step: int, device: torch.device) -> tuple[Any, dict[str, Tensor]]:
        """What to evaluate in a step, and what is known of it."""
        drawn = torch.Generator().manual_seed(step)
        given, known = self._points(drawn) if self.shapes else self._rays(drawn)
        return given.to(device), {name: value.to(device) for name, value in known.items()}

    def _lines(self, drawn: torch.Generator) -> tuple[Tensor, Tensor]:
        """Origins and directions of rays from all around."""
        origins = normalize(torch.randn(self.count, 3, generator=drawn), dim=-1) * 4
        return origins, normalize(torch.randn(self.count, 3, generator=drawn) * 0.6 - origins, dim=-1)

    def _rays(self, drawn: torch.Generator) -> tuple[Any, dict[str, Tensor]]:
        origins, directions = self._lines(drawn)
        closest = (origins - (origins * directions).sum(-1, keepdim=True) * directions).norm(dim=-1)
        hit = (closest < _BALL)[:, None]
        image = torch.cat([torch.where(hit, torch.tensor(_COLOUR), torch.zeros(3)), hit.float()], -1)
        area = torch.full((self.count, 1), (1 / 400) ** 2)
        bundle = RayBundle(origins, directions, area, camera_indices=torch.zeros(self.count, 1, dtype=torch.long))
        bundle.metadata = {"directions_norm": torch.ones(self.count, 1)}
        return bundle, {"image": image}

    def _points(self, drawn: torch.Generator) -> tuple[Any, dict[str, Tensor]]:
        shape = torch.randperm(self.shapes, generator=drawn)[: self.per_batch]
        size = (len(shape), self.count // len(shape))
        radius = (0.4 + 0.5 * shape / max(self.shapes, 1))[:, None]
        direction = normalize(torch.randn(*size, 3, generator=drawn), dim=-1)
        kind = torch.arange(size[1]).expand(size) % 4
        height = torch.where(kind == 0, 0.0, 0.05 * torch.randn(size, generator=drawn))
        anywhere = 2 * torch.rand(*size, 3, generator=drawn) - 1
        points = torch.where((kind < 2)[..., None], direction * (radius + height)[..., None], anywhere)
        sdf = torch.where(kind == 0, 0.0, points.norm(dim=-1) - radius)
        on = kind == 0
        known = {"sdf": sdf, "near": kind == 1, "on": on, "normal": direction * on[..., None]}
        return _Points(points, shape), {**known, "occupancy": (sdf < 0).float()}


@dataclass
class Chart:
    """All pixels of a square image in closed form: waves that become shorter to the right and downwards.

    Attributes:
        side: its pixels across.
    """

    side: int

    @classmethod
    def for_config(cls, config: Any) -> Chart:
        """An image that a step sees whole, of 512 pixels across at the most."""
        return cls(min(512, int(config.pipeline.datamanager.pixels_per_batch**0.5)))

    @property
    def count(self) -> int:
        """Pixels of a step."""
        return self.side**2

    def scene(self) -> dict[str, Any]:
        """What a model is told of the data."""
        signal = {"width": self.side, "height": self.side, "channels": 3, "bits": 8, "has_alpha": False, "frames": 1}
        signal["span"] = (0.0, 255.0)
        return {"scene_box": SceneBox(aabb=_BOX / 1.5), "num_train_data": 1, "metadata": {"signal": signal}}

    def batch(self, step: int, device: torch.device) -> tuple[Any, dict[str, Tensor]]:
        """All pixels, and their values."""
        along = torch.linspace(0, 1, self.side, device=device)
        across, down = torch.sin(40 * along**2)[None, :], torch.cos(30 * along**2)[:, None]
        values = torch.stack([across * down, (across + down) / 2, across.expand(self.side, -1)], -1)
        return SignalPixels(None), {"values": (values.reshape(-1, 3) + 1) / 2}


def made_source(config: Any) -> Balls | Chart | measured.Measured:
    """What a method learns from where no data are given."""
    if config.method_name in MEASURED:
        return measured.Measured.for_config(config)
    return Chart.for_config(config) if config.method_name in SIGNALS else Balls.for_config(config)


class _Points(ShapePoints):
    """Points of shapes that can be moved like rays."""

    def to(self, device: torch.device) -> ShapePoints:
        return ShapePoints(self.points.to(device), self.shape.to(device))


class Pictures:
    """Rays through the pixels of a folder of pictures, as a method's datamanager draws them; on the device."""

    def __init__(self, config: Any, data: Path, device: torch.device, *, stride: int = 1, scale: float = 1.0) -> None:
        from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig

        from inr_plugins.data.images.datamanager import InrDataManagerConfig

        parser = BlenderDataParserConfig(data=data)
        ours = config.pipeline.datamanager
        if isinstance(ours, InrDataManagerConfig):
            parser.alpha_color = getattr(ours.dataparser, "alpha_color", "white")
        rays = getattr(ours, "train_num_rays_per_batch", 4096)
        self.manager = InrDataManagerConfig(
            data=data,
            dataparser=parser,
            masks=getattr(ours, "masks", "sample-inside"),
            train_num_rays_per_batch=rays,
            train_view_stride=stride,
            camera_res_scale_factor=scale,
        ).setup(device=device, test_mode="val", world_size=1, local_rank=0)
        self.manager.to(device)
        self.count = rays

    def scene(self) -> dict[str, Any]:
        """What a model is told of the data."""
        data = self.manager.train_dataset
        return {"scene_box": data.scene_box, "num_train_data": len(data), "metadata": data.metadata}

    def batch(self, step: int, device: torch.device) -> tuple[Any, dict[str, Tensor]]:
        """The rays of a step, and their pixels."""
        return self.manager.next_train(step)


def seed_everything(seed: int) -> None:
    """Draw the same numbers from here on, on every device."""
    np.random.seed(seed)
    torch.manual_seed(seed)
