"""Small mesh files in frames of their own, and a datamanager of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh

from inr_plugins.data.shapes.datamanager import ShapeDataManager, ShapeDataManagerConfig
from inr_plugins.data.shapes.parser import ShapeDataParserConfig

BALLS = {"a": (5.0, (10.0, -20.0, 30.0)), "b": (2.0, (0.0, 100.0, 0.0)), "c": (4.0, (-7.0, 0.0, 1.0))}
"""Radius and centre of each ball, in the units of its file."""


def write_ball(path: Path, *, radius: float = 1.0, centre=(0.0, 0.0, 0.0), subdivisions: int = 3) -> Path:
    made = trimesh.creation.icosphere(subdivisions, radius)
    made.apply_translation(centre)
    made.export(path)
    return path


def ball_folder(folder: Path, *, broken: bool = False) -> Path:
    """The balls as files a.ply, b.ply and c.ply; on request one more that cannot be read."""
    folder.mkdir()
    for name, (radius, centre) in BALLS.items():
        write_ball(folder / f"{name}.ply", radius=radius, centre=centre)
    if broken:
        (folder / "bad.ply").write_bytes(b"ply\nthis is none")
    return folder


def manager(data: Path, *, test_mode: str = "val", parser=(), **options) -> ShapeDataManager:
    """A datamanager of small batches and small pictures."""
    small = {"image_size": 24, "train_views": 3, "val_views": 2, "test_views": 2, "pool": 0, **dict(parser)}
    config = ShapeDataManagerConfig(
        data=data, dataparser=ShapeDataParserConfig(**small), **{"points_per_batch": 300, "seed": 0, **options}
    )
    return config.setup(device="cpu", test_mode=test_mode)


def to_file(similarity, points: np.ndarray) -> np.ndarray:
    """Points of the normalised frame in a file's."""
    return similarity.inverse().points(points)
