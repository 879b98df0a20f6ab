"""A scene of one shaded ball whose pictures are computed here, for machines without a renderer of meshes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

_RADIUS, _DISTANCE, _ANGLE = 0.9, 4.0, 0.63


def make_disc(folder: Path, size: int, *, views: int = 12) -> None:
    """Write a dataset in Blender's format: a ball coloured by its normals, seen from a ring of cameras."""
    focal = size / 2 / np.tan(_ANGLE / 2)
    x, y = (np.mgrid[:size, :size][::-1] + 0.5 - size / 2) / focal
    rays = np.stack([x, -y, -np.ones_like(x)], -1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    for split in ("train", "val", "test"):
        (folder / split).mkdir(parents=True)
        frames = []
        for index in range(views if split == "train" else 2):
            angle = 2 * np.pi * index / views
            back = np.array([np.cos(angle), np.sin(angle), 0.4])
            back /= np.linalg.norm(back)
            right = np.cross([0.0, 0.0, 1.0], back)
            right /= np.linalg.norm(right)
            pose = np.eye(4)
            pose[:3, :3] = np.stack([right, np.cross(back, right), back], -1)
            pose[:3, 3] = _DISTANCE * back
            directions = rays @ pose[:3, :3].T
            along = -(directions @ pose[:3, 3])
            inner = along**2 - _DISTANCE**2 + _RADIUS**2
            depth = along - np.sqrt(np.maximum(inner, 0))
            normal = (pose[:3, 3] + directions * depth[..., None]) / _RADIUS
            image = np.concatenate([0.5 + 0.5 * normal, np.ones((size, size, 1))], -1) * (inner > 0)[..., None]
            Image.fromarray((image * 255).round().astype(np.uint8)).save(folder / split / f"r_{index}.png")
            frames.append({"file_path": f"./{split}/r_{index}", "transform_matrix": pose.tolist()})
        document = {"camera_angle_x": _ANGLE, "frames": frames}
        (folder / f"transforms_{split}.json").write_text(json.dumps(document), encoding="utf-8")
