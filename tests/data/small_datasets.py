"""Small datasets in the formats of blender-data and nerfstudio-data, to be read and to be broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation


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


def colmap_scene(
    folder: Path, *, views: int = 9, place: str = "sparse/0", shift: tuple[float, ...] = (0, 0, 0)
) -> Path:
    """Write a reconstruction as COLMAP's text, with two cameras in two folders, the second of one focal length.

    Args:
        folder: where to.
        views: images, taken by the cameras in turn.
        place: of the reconstruction, below the folder.
        shift: added to all positions.
    """
    model = folder / place
    model.mkdir(parents=True, exist_ok=True)
    lines = []
    for index in range(views):
        name = f"cam{index % 2 + 1}/{index:02d}.png"
        write_noise(folder / "images" / name, width=12, height=10, mode="RGB", seed=index)
        pose = colmap_pose(index, views)
        # COLMAP's cameras look along +z with y down, and it keeps world to camera.
        turn = (pose[:3, :3] * np.array([1, -1, -1])).T
        x, y, z, w = Rotation.from_matrix(turn).as_quat()
        move = -turn @ (pose[:3, 3] + shift)
        numbers = " ".join(repr(float(value)) for value in (w, x, y, z, *move))
        lines += [f"{index + 1} {numbers} {index % 2 + 1} {name}", ""]
    (model / "images.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    cameras = "1 PINHOLE 12 10 13 14 6.5 4.5\n2 SIMPLE_RADIAL 12 10 15 6 5 0.01\n"
    (model / "cameras.txt").write_text(cameras, encoding="utf-8")
    return folder


def colmap_pose(index: int, count: int) -> np.ndarray:
    """The pose of `colmap_scene`'s view, 4x4, camera to world, OpenGL axes, in COLMAP's frame, which has y down."""
    turned = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    return turned @ orbit_pose(index, count)
