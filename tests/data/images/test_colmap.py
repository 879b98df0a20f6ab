"""COLMAP's folders are found as COLMAP makes them, and what nerfstudio would ask for is said in a sentence."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from small_datasets import colmap_scene, write_noise

from inr_plugins.data.images.datamanager import InrDataManagerConfig
from inr_plugins.data.images.parser import CheckedDataParser
from inr_plugins.errors import InputError


def read(config):
    return CheckedDataParser(config.setup(), test_mode="val").get_dataparser_outputs("train")


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())


@pytest.mark.parametrize("place", ["colmap/sparse/0", "sparse/0", "sparse", "."])
def test_a_reconstruction_is_found_and_trained_on(tmp_path: Path, place: str) -> None:
    """Two cameras, and no points3D."""
    config = InrDataManagerConfig(dataparser=ColmapDataParserConfig(data=colmap_scene(tmp_path, place=place)))
    manager = config.setup(device="cpu", test_mode="val")
    cameras = manager.train_dataset.cameras
    assert {tuple(pair) for pair in zip(cameras.fx[:, 0].tolist(), cameras.fy[:, 0].tolist(), strict=True)} == {
        (13.0, 14.0),
        (15.0, 15.0),
    }
    assert manager.next_train(0)[1]["image"].shape[1] == 3


@pytest.mark.parametrize("other", [BlenderDataParserConfig, NerfstudioDataParserConfig])
def test_the_other_parsers_name_colmap(tmp_path: Path, other) -> None:
    with pytest.raises(InputError, match="so put colmap at the end"):
        read(other(data=colmap_scene(tmp_path)))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"colmap_path": Path("wrong/0")}, "--colmap-path sparse/0"),
        ({"images_path": Path("pictures")}, "--images-path"),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, options: dict, word: str) -> None:
    with pytest.raises(InputError, match=re.escape(word)):
        read(ColmapDataParserConfig(data=colmap_scene(tmp_path), **options))


def test_a_folder_without_a_reconstruction(tmp_path: Path) -> None:
    (colmap_scene(tmp_path) / "sparse/0/cameras.txt").unlink()
    with pytest.raises(InputError, match="--colmap-path"):
        read(ColmapDataParserConfig(data=tmp_path))


def test_large_images_without_a_terminal(tmp_path: Path) -> None:
    """nerfstudio asks whether to make smaller ones."""
    colmap_scene(tmp_path)
    write_noise(tmp_path / "images/cam1/00.png", width=1700, height=10, mode="RGB")
    with pytest.raises(InputError, match="--downscale-factor 1"):
        read(ColmapDataParserConfig(data=tmp_path))


def test_cameras_of_several_kinds(tmp_path: Path) -> None:
    path = colmap_scene(tmp_path) / "sparse/0/cameras.txt"
    path.write_text(
        path.read_text().replace("SIMPLE_RADIAL 12 10 15 6 5 0.01", "OPENCV_FISHEYE 12 10 15 15 6 5 0 0 0 0")
    )
    with pytest.raises(InputError, match="several kinds"):
        read(ColmapDataParserConfig(data=tmp_path))


def test_inference_opens_no_images(tmp_path: Path) -> None:
    scene = colmap_scene(tmp_path)
    for image in scene.rglob("*.png"):
        image.unlink()
    config = InrDataManagerConfig(dataparser=ColmapDataParserConfig(data=scene))
    assert len(config.setup(device="cpu", test_mode="inference").train_dataset) == 7
