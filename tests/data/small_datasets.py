"""Small datasets in the formats of blender-data and nerfstudio-data, to be read and to be broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def orbit_pose(index: int, count: int) -> np.ndarray:
    """A camera on a tilted circle of radius 4 around the origin, looking at it; 4x4, camera to world, OpenGL axes."""
    angle = 2 * np.pi * index / count + 0.3
    position = 4 * np.array([np.cos(angle) * 0.8, np.sin(angle) * 0.8, 0.6])
    back = position / np.linalg.norm(position)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :4] = np.stack([right, np.cross(back, right), back, position], axis=1)
    return pose


def write_noise(path: Path, *, width: int, height: int, mode: str = "RGBA", seed: int = 0) -> None:
    """Write an image of noise, so that no two pixels are alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = len(mode) if mode in ("RGB", "RGBA") else 1
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    Image.fromarray(noise.squeeze()).convert(mode).save(path)


def edit_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Apply `change` to the JSON object in `path`."""
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def blender_scene(folder: Path, *, views: int = 4, width: int = 12, height: int = 10, mode: str = "RGBA") -> Path:
    """Write a scene in the format of blender-data, `views` images in each split."""
    for number, split in enumerate(("train", "val", "test")):
        frames = []
        for index in range(views):
            write_noise(
                folder / split / f"r_{index}.png", width=width, height=height, mode=mode, seed=100 * number + index
            )
            frames.append({"file_path": f"./{split}/r_{index}", "transform_matrix": orbit_pose(index, views).tolist()})
        (folder / f"transforms_{split}.json").write_text(
            json.dumps({"camera_angle_x": 0.7, "frames": frames}), encoding="utf-8"
        )
    return folder


def nerfstudio_scene(
    folder: Path,
    *,
    sizes: list[tuple[int, int]] | None = None,
    mode: str = "RGB",
    masks: bool = False,
    distortion: dict[str, float] | None = None,
) -> Path:
    """Write a scene in the format of nerfstudio-data, with the intrinsics in each frame; every 8th frame is held out.

    Args:
        folder: where to.
        sizes: width and height of each image.
        mode: Pillow's mode of the images.
        masks: give each image a mask, white in the left half.
        distortion: OpenCV's k1, k2, p1, p2, the same for all frames.
    """
    frames = []
    sizes = sizes or [(12, 10)] * 10
    for index, (width, height) in enumerate(sizes):
        write_noise(folder / f"images/{index:02d}.png", width=width, height=height, mode=mode, seed=index)
        frame = {
            "file_path": f"images/{index:02d}.png",
            "transform_matrix": orbit_pose(index, len(sizes)).tolist(),
            "fl_x": 1.1 * width,
            "fl_y": 1.2 * width,
            "cx": 0.5 * width + 0.3,
            "cy": 0.5 * height - 0.2,
            "w": width,
            "h": height,
        }
        if masks:
            mask = np.zeros((height, width), dtype=np.uint8)
            mask[:, : width // 2] = 255
            (folder / "masks").mkdir(exist_ok=True)
            Image.fromarray(mask).save(folder / f"masks/{index:02d}.png")
            frame["mask_path"] = f"masks/{index:02d}.png"
        frames.append(frame)
    document = {"camera_model": "OPENCV", "frames": frames, **(distortion or {})}
    (folder / "transforms.json").write_text(json.dumps(document), encoding="utf-8")
    return folder
