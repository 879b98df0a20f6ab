"""Datasets of images: every entry of the JSON file at values that it cannot have, damage, and odd files as images."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from campaign import damage
from campaign.case import Case
from campaign.rules import Refused, hold, read, refused, untouched

from inr_plugins.data.images.datamanager import InrDataManager, InrDataManagerConfig

sys.path.append(str(Path(__file__).resolve().parents[2] / "data"))
from small_datasets import blender_scene, colmap_scene, nerfstudio_scene

VALUES: dict[str, Any] = {
    "text": "x",
    "empty-text": "",
    "null": None,
    "list": [],
    "mapping": {},
    "true": True,
    "nan": float("nan"),
    "inf": float("inf"),
    "negative": -3,
    "zero": 0,
    "huge": 10**400,
    "large": 1e30,
    "half": 48.5,
    "nested": [[[1]]],
}
FILE_KEYS = (
    "w",
    "h",
    "fl_x",
    "fl_y",
    "cx",
    "cy",
    "k1",
    "p2",
    "camera_model",
    "distortion_params",
    "applied_transform",
    "applied_scale",
    "frames",
    "train_filenames",
    "fisheye_crop_radius",
    "orientation_override",
)
FRAME_KEYS = ("file_path", "transform_matrix", "w", "fl_x", "cx", "mask_path", "depth_file_path", "distortion_params")


def _manager(folder: Path, parser: str) -> InrDataManager:
    from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
    from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParserConfig
    from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig

    kinds = {
        "blender": BlenderDataParserConfig,
        "nerfstudio": NerfstudioDataParserConfig,
        "colmap": ColmapDataParserConfig,
    }
    more = {"nerfstudio": {"downscale_factor": 1}, "colmap": {"downscale_factor": 1}}.get(parser, {})
    config = InrDataManagerConfig(dataparser=kinds[parser](data=folder, **more), train_num_rays_per_batch=32)
    return config.setup(device="cpu", test_mode="val")


def _made(parser: str, folder: Path) -> Path:
    """A dataset; returns its JSON file, or one of COLMAP's."""
    if parser == "blender":
        return blender_scene(folder) / "transforms_train.json"
    if parser == "colmap":
        return colmap_scene(folder) / "sparse/0/images.txt"
    return nerfstudio_scene(folder) / "transforms.json"


def _check(folder: Path, parser: str) -> None:
    """A refusal, or a batch of finite rays and colours from 0 to 1."""
    with untouched(folder):
        found = read(partial(_manager, folder, parser))
        if isinstance(found, Refused):
            return
        rays, batch = found.next_train(0)
    hold(bool(torch.isfinite(rays.origins).all() and torch.isfinite(rays.directions).all()), "rays that are not finite")
    hold(bool(((batch["image"] >= 0) & (batch["image"] <= 1)).all()), "colours out of range")


def _value(parser: str, key: str, in_frame: bool, value: Any, place: Path, rng: random.Random) -> None:
    path = _made(parser, place)
    document = json.loads(path.read_text())
    (document["frames"][1] if in_frame else document)[key] = value
    path.write_text(json.dumps(document))
    _check(place, parser)


def _damaged(parser: str, way: str, place: Path, rng: random.Random) -> None:
    path = _made(parser, place)
    content = path.read_bytes()
    for _ in range(3):
        path.write_bytes(damage.WAYS[way](content, rng))
        _check(place, parser)


def _damaged_image(parser: str, way: str, place: Path, rng: random.Random) -> None:
    _made(parser, place)
    path = sorted(place.rglob("*.png"))[1]
    content = path.read_bytes()
    for _ in range(3):
        path.write_bytes(damage.WAYS[way](content, rng))
        _check(place, parser)


def _special(parser: str, what: str, image: bool, place: Path, rng: random.Random) -> None:
    path = _made(parser, place)
    # The last image of the training split is read by all parsers.
    path = sorted((place / ("train" if parser == "blender" else "images")).rglob("*.png"))[1] if image else path
    path.unlink()
    damage.SPECIAL[what](path)
    with untouched(place):
        refused(partial(_manager, place, parser))


def _odd_json(content: bytes, place: Path, rng: random.Random) -> None:
    path = _made("nerfstudio", place)
    path.write_bytes(content)
    with untouched(place):
        refused(partial(_manager, place, "nerfstudio"), "transforms.json")


def _right(parser: str, place: Path, rng: random.Random) -> None:
    from PIL import Image

    _made(parser, place)
    data = _manager(place, parser)
    for index, name in enumerate(data.train_dataset.image_filenames):
        truth = np.asarray(Image.open(name).convert("RGBA"), dtype=np.float64) / 255
        mixed = truth[..., :3] * truth[..., 3:] + (1 - truth[..., 3:])
        image = data.train_dataset[index]["image"][..., :3].double().numpy()
        hold(bool(np.abs(image - mixed).max() < 1e-6), f"other colours than those of {name}")


_ODD = {
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "deep-mapping": b'{"a":' * 100_000,
    "text": b'"x"',
    "number": b"3",
    "null": b"null",
    "empty-list": b"[]",
    "no-frames": b"{}",
    "empty-frames": b'{"frames": []}',
    "utf16": "{}".encode("utf-16"),
    "frames-of-numbers": b'{"frames": [1, 2]}',
    "frames-of-null": b'{"frames": [null]}',
    "nul": b"\0" * 50,
    "latin": b'{"frames": "\xe9"}',
    "huge-number": b'{"frames": [' + b"9" * 6000 + b"]}",
    "long-path": b'{"frames": [{"file_path": "' + b"x" * 5000 + b'"}]}',
    "trailing": b'{"frames": [{}]} x',
}


def cases() -> list[Case]:
    """All of the group."""
    made: dict[str, Callable[[Path, random.Random], None]] = {}
    for name, value in VALUES.items():
        made |= {f"nerfstudio/{key}/{name}": partial(_value, "nerfstudio", key, False, value) for key in FILE_KEYS}
        made |= {
            f"nerfstudio/frame/{key}/{name}": partial(_value, "nerfstudio", key, True, value) for key in FRAME_KEYS
        }
        made |= {
            f"blender/{key}/{name}": partial(_value, "blender", key, False, value)
            for key in ("camera_angle_x", "frames")
        }
        for key in ("file_path", "transform_matrix"):
            made[f"blender/frame/{key}/{name}"] = partial(_value, "blender", key, True, value)
    for parser in ("blender", "nerfstudio", "colmap"):
        made[f"right/{parser}"] = partial(_right, parser)
        made |= {f"damaged/{parser}/{way}": partial(_damaged, parser, way) for way in damage.WAYS}
        made |= {f"damaged-image/{parser}/{way}": partial(_damaged_image, parser, way) for way in damage.WAYS}
        for what in damage.SPECIAL:
            made[f"special/{parser}/image-{what}"] = partial(_special, parser, what, True)
            if parser != "colmap":
                made[f"special/{parser}/file-{what}"] = partial(_special, parser, what, False)
    made |= {f"odd/{name}": partial(_odd_json, content) for name, content in _ODD.items()}
    return [Case(f"datasets/{name}", "datasets", attack, 60) for name, attack in made.items()]
