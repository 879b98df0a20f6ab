"""A run of a stock method whose dataset lists train and val alone can be opened: val stands in for test."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from PIL import Image

from inr_plugins.engine.runs.stand_in import let_val_stand_in


def scene(folder: Path, *splits: str) -> Path:
    frames = []
    for index in range(4):
        Image.fromarray(np.zeros((4, 5, 3), dtype=np.uint8)).save(folder / f"{index}.png")
        pose = np.eye(4)
        pose[0, 3] = index
        frames.append({"file_path": f"{index}.png", "transform_matrix": pose.tolist()})
    lists = {f"{split}_filenames": [f"{index}.png"] for index, split in enumerate(splits)}
    lens = {"fl_x": 5, "fl_y": 5, "cx": 2, "cy": 2, "w": 5, "h": 4}
    (folder / "transforms.json").write_text(json.dumps({**lens, **lists, "frames": frames}))
    return folder


def test_val_stands_in_for_test_alone(tmp_path: Path) -> None:
    config = NerfstudioDataParserConfig(data=scene(tmp_path, "train", "val"))
    let_val_stand_in(config)
    parser = config.setup()
    assert parser.get_dataparser_outputs("train").image_filenames == [tmp_path / "0.png"]
    for split in ("val", "test"):
        outputs = parser.get_dataparser_outputs(split)
        assert outputs.image_filenames == [tmp_path / "1.png"]
        assert outputs.metadata.get("stands_in") == (None if split == "val" else "val")


def test_a_test_split_of_its_own_is_kept(tmp_path: Path) -> None:
    config = NerfstudioDataParserConfig(data=scene(tmp_path, "train", "val", "test"))
    let_val_stand_in(config)
    assert config.setup().get_dataparser_outputs("test").image_filenames == [tmp_path / "2.png"]


def test_what_has_neither_still_fails(tmp_path: Path) -> None:
    config = NerfstudioDataParserConfig(data=scene(tmp_path, "train"))
    let_val_stand_in(config)
    with pytest.raises(RuntimeError, match="split val is missing"):
        config.setup().get_dataparser_outputs("test")
    config = BlenderDataParserConfig(data=tmp_path)
    let_val_stand_in(config)
    with pytest.raises(FileNotFoundError):
        config.setup().get_dataparser_outputs("test")
