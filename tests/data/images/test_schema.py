"""Entries of a dataset's JSON file that are of another kind or out of range are named, and nothing waits for ever."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from small_datasets import blender_scene, edit_json, nerfstudio_scene

from inr_plugins.data.images.parser import CheckedDataParser
from inr_plugins.errors import InputError


def read(folder: Path, kind: type = NerfstudioDataParserConfig) -> Any:
    parser = CheckedDataParser(kind(data=folder).setup(), test_mode="val")
    return parser.get_dataparser_outputs("train")


def refused(folder: Path, kind: type = NerfstudioDataParserConfig) -> str:
    with pytest.raises(InputError) as error:
        read(folder, kind)
    text = str(error.value)
    assert "\n" not in text
    assert "dataparser cannot read" not in text  # an exception that nobody has thought of
    return text


HUGE = int("9" * 400)
ENTRIES = [
    ({"distortion_params": [0.1, 0.1]}, "distortion_params"),
    ({"distortion_params": 0.1}, "distortion_params"),
    ({"distortion_params": "none"}, "distortion_params"),
    ({"distortion_params": [[0.1] * 6]}, "distortion_params"),
    ({"train_filenames": 3}, "train_filenames"),
    ({"train_filenames": [1, 2]}, "train_filenames"),
    ({"val_filenames": {"a": 1}}, "val_filenames"),
    ({"train_filenames": ["x" * 5000]}, "train_filenames"),
    ({"k1": HUGE}, "k1"),
    ({"k1": "0.1"}, "k1"),
    ({"fisheye_crop_radius": -1.0}, "fisheye_crop_radius"),
    ({"fisheye_crop_radius": "1"}, "fisheye_crop_radius"),
    ({"applied_scale": 0}, "applied_scale"),
    ({"applied_scale": HUGE}, "applied_scale"),
    ({"applied_transform": [[float("nan")] * 4] * 3}, "applied_transform"),
    ({"applied_transform": [[HUGE] * 4] * 3}, "applied_transform"),
    ({"camera_model": 7}, "camera_model"),
    ({"camera_model": ["OPENCV"]}, "camera_model"),
    ({"orientation_override": 3}, "orientation_override"),
]
IN_FRAMES = [
    ({"w": 12.5}, "w"),
    ({"h": HUGE}, "h"),
    ({"w": 1e9}, "w"),
    ({"fl_x": 1e30}, "fl_x"),
    ({"fl_x": HUGE}, "fl_x"),
    ({"fl_y": -2}, "fl_y"),
    ({"cx": HUGE}, "cx"),
    ({"cy": True}, "cy"),
    ({"distortion_params": [0.0] * 7}, "distortion_params"),
    ({"file_path": "x" * 5000}, "file_path"),
    ({"file_path": "/".join(["x" * 100] * 60)}, "file_path"),
    ({"file_path": "a\0b"}, "file_path"),
    ({"mask_path": 5}, "mask_path"),
    ({"depth_file_path": ["a"]}, "depth_file_path"),
    ({"transform_matrix": [[HUGE] * 4] * 4}, "transform_matrix"),
]


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Path:
    return nerfstudio_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture
def broken(scene, tmp_path) -> Path:
    """A copy to be broken that shares the images."""
    (tmp_path / "images").symlink_to(scene / "images")
    (tmp_path / "transforms.json").write_bytes((scene / "transforms.json").read_bytes())
    return tmp_path


@pytest.mark.parametrize(("entries", "named"), ENTRIES, ids=lambda value: str(value)[:40])
def test_an_entry_of_the_file_is_named(entries, named, broken):
    edit_json(broken / "transforms.json", lambda document: document.update(entries))
    text = refused(broken)
    assert f"{broken / 'transforms.json'} " in text
    assert named in text


@pytest.mark.parametrize(("entries", "named"), IN_FRAMES, ids=lambda value: str(value)[:40])
def test_an_entry_of_a_frame_is_named(entries, named, broken):
    edit_json(broken / "transforms.json", lambda document: document["frames"][3].update(entries))
    text = refused(broken)
    assert text.startswith("Frame ")
    assert named in text
    assert len(text) < 600


def test_whole_sizes_written_as_floats_are_taken(broken):
    edit_json(broken / "transforms.json", lambda d: [frame.update(w=12.0, h=10.0) for frame in d["frames"]])
    assert int(read(broken).cameras.width[0]) == 12


def test_deep_json_is_refused(broken):
    (broken / "transforms.json").write_text("[" * 100_000 + "]" * 100_000)
    assert "nested too deeply" in refused(broken)
    document = json.dumps({"frames": [{"file_path": "a"}], "more": 1})
    (broken / "transforms.json").write_text(document.replace('"more": 1', '"more": ' + "[" * 100_000 + "]" * 100_000))
    assert "nested too deeply" in refused(broken)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("place", ["images/00.png", "images/05.png", "transforms.json"])
def test_a_pipe_is_refused_and_not_waited_for(place, tmp_path):
    nerfstudio_scene(tmp_path)
    (tmp_path / place).unlink()
    os.mkfifo(tmp_path / place)
    assert f"{tmp_path / place} is a pipe or a device" in refused(tmp_path)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("place", ["masks/00.png", "masks/05.png"])
def test_a_mask_that_is_a_pipe_is_refused(place, tmp_path):
    nerfstudio_scene(tmp_path, masks=True)
    (tmp_path / place).unlink()
    os.mkfifo(tmp_path / place)
    assert f"Mask {tmp_path / place} is a pipe or a device" in refused(tmp_path)


@pytest.mark.parametrize("angle", [HUGE, "0.7", [0.7], -1e30])
def test_blender_data(angle, tmp_path):
    blender_scene(tmp_path, views=2)
    edit_json(tmp_path / "transforms_train.json", lambda document: document.update(camera_angle_x=angle))
    assert "camera_angle_x" in refused(tmp_path, BlenderDataParserConfig)
