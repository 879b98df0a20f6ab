"""Lenses that leave pixels without a ray are refused, and unlikely lenses, poses and splits are said once."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from small_datasets import blender_scene, edit_json, nerfstudio_scene

from inr_plugins.data.images.lens_checks import distorted, share_without_ray
from inr_plugins.data.images.parser import CheckedDataParser
from inr_plugins.errors import InputError

SIDE = 1000


def cameras(focal: float, *distortion: float, kind: CameraType = CameraType.PERSPECTIVE) -> Cameras:
    parameters = torch.tensor([[*distortion, *[0.0] * (6 - len(distortion))]])
    return Cameras(
        camera_to_worlds=torch.eye(4)[None, :3],
        fx=float(focal),
        fy=float(focal),
        cx=SIDE / 2,
        cy=SIDE / 2,
        width=SIDE,
        height=SIDE,
        distortion_params=parameters,
        camera_type=kind,
    )


@pytest.mark.parametrize("kind", [CameraType.PERSPECTIVE, CameraType.FISHEYE])
@pytest.mark.parametrize("k1", [-0.05, -0.3, -2.0])
def test_a_fold_is_found_where_the_corners_reach_it(k1: float, kind: CameraType) -> None:
    # r (1 + k1 r^2) is largest at r = 1 / sqrt(-3 k1), where it is two thirds of that.
    fold = 2 / 3 / np.sqrt(-3 * k1)
    corner = SIDE / np.sqrt(2)
    assert float(share_without_ray(cameras(corner / (0.98 * fold), k1, kind=kind))) == 0
    assert float(share_without_ray(cameras(corner / (1.02 * fold), k1, kind=kind))) > 0
    # Of a fold in the middle of the sides, the circle is what has rays.
    share = float(share_without_ray(cameras(SIDE / 2 / fold, k1, kind=kind)))
    assert share == pytest.approx(1 - np.pi / 4, abs=0.04)


@pytest.mark.parametrize("distortion", [(5.0,), (1000.0,), (0.1, -0.2, 0.05, 0.0, 0.01, -0.02), (0.0,) * 6])
def test_strong_lenses_that_do_not_fold_are_let_pass(distortion: tuple[float, ...]) -> None:
    assert float(share_without_ray(cameras(SIDE, *distortion))) == 0


def test_the_lens_is_that_of_opencv() -> None:
    rays = np.random.default_rng(0).uniform(-0.5, 0.5, (50, 2))
    k1, k2, k3, p1, p2 = given = (0.1, -0.05, 0.02, 0.01, -0.02)
    points = np.column_stack([rays, np.ones(50)])
    truth, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), np.eye(3), np.array([k1, k2, p1, p2, k3]))
    assert len(given) == 5
    ours = distorted(torch.from_numpy(rays), torch.tensor([k1, k2, k3, 0, p1, p2], dtype=torch.float64))
    np.testing.assert_allclose(ours, truth[:, 0], atol=1e-12)


def parser(folder: Path, kind: type = NerfstudioDataParserConfig, **options: object) -> CheckedDataParser:
    return CheckedDataParser(kind(data=folder, **options).setup(), test_mode="val")


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return nerfstudio_scene(tmp_path)


def all_frames(document: dict, **entries: float) -> None:
    for frame in document["frames"]:
        frame.update(entries)


def test_a_picture_that_is_folded_over_is_refused(scene: Path) -> None:
    edit_json(scene / "transforms.json", lambda document: document.update(k1=-5.0))
    with pytest.raises(InputError, match=r"00\.png folds its image over: \d+% of the pixels") as caught:
        parser(scene).get_dataparser_outputs("train")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"cx": 500.0}, "00.png (and 8 more cameras) has a principal point of 500, 4.8 in 12 x 10 pixels"),
        ({"fl_x": 1.0, "fl_y": 1.0}, "not millimetres"),
        ({"fl_y": 50.0}, "its pixels are not square"),
    ],
)
def test_what_is_unlikely_is_said_once(
    scene: Path, entries: dict[str, float], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    edit_json(scene / "transforms.json", lambda document: all_frames(document, **entries))
    reader = parser(scene)
    for _ in range(2):
        reader.get_dataparser_outputs("train")
    assert capsys.readouterr().out.count(words) == 1


def test_good_data_say_nothing(scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reader = parser(scene)
    for split in ("train", "val", "test"):
        reader.get_dataparser_outputs(split)
    assert str(scene) not in capsys.readouterr().out


def test_a_pose_that_two_frames_have_is_said(scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit_json(
        scene / "transforms.json",
        lambda document: document["frames"][5].update(transform_matrix=document["frames"][2]["transform_matrix"]),
    )
    parser(scene).get_dataparser_outputs("train")
    assert f"{scene / 'images/02.png'} and {scene / 'images/05.png'} have one pose" in capsys.readouterr().out


def test_held_out_images_that_are_trained_on_are_said(scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"images/{k:02d}.png" for k in range(10)]
    edit_json(scene / "transforms.json", lambda d: d.update(train_filenames=names[:7], test_filenames=names[5:]))
    reader = parser(scene)
    reader.get_dataparser_outputs("train")
    reader.get_dataparser_outputs("test")
    assert f"2 of 5 images of the test split of {scene} are in its train split too" in capsys.readouterr().out
    everything = parser(scene, eval_mode="all")
    for split in ("train", "test"):
        everything.get_dataparser_outputs(split)
    assert "split too" not in capsys.readouterr().out


def test_an_image_that_two_frames_of_blender_data_have(tmp_path: Path) -> None:
    scene = blender_scene(tmp_path)
    edit_json(scene / "transforms_train.json", lambda d: d["frames"][1].update(file_path="./train/r_2"))
    with pytest.raises(InputError, match=r"r_2\.png is the image of 2 frames of the train split"):
        parser(scene, BlenderDataParserConfig).get_dataparser_outputs("train")


@pytest.mark.parametrize("entries", [{"camera_angle_y": 0.2}, {"camera_model": "OPENCV_FISHEYE"}])
def test_what_blender_data_passes_over_is_refused(tmp_path: Path, entries: dict) -> None:
    scene = blender_scene(tmp_path)
    right = {"camera_angle_y": 2 * np.arctan(10 / 12 * np.tan(0.35)), "camera_model": "PINHOLE"}
    edit_json(scene / "transforms_train.json", lambda d: d.update(right))
    parser(scene, BlenderDataParserConfig).get_dataparser_outputs("train")
    edit_json(scene / "transforms_train.json", lambda d: d.update(entries))
    with pytest.raises(InputError, match=next(iter(entries))):
        parser(scene, BlenderDataParserConfig).get_dataparser_outputs("train")


def test_two_values_under_one_key_are_refused(scene: Path) -> None:
    path = scene / "transforms.json"
    text = path.read_text()
    path.write_text(text.replace('"w": 12', '"w": 12, "w": 12', 1))
    parser(scene).get_dataparser_outputs("train")  # both are the same
    for change, key in (
        (text.replace('"fl_x":', '"fl_x": 99.0, "fl_x":', 1), "fl_x"),
        (text[:-1] + ', "frames": []}', "frames"),
    ):
        path.write_text(change)
        assert isinstance(json.loads(change), dict)
        with pytest.raises(InputError, match=f"transforms.json gives '{key}' as .* and as "):
            parser(scene).get_dataparser_outputs("train")


@pytest.mark.parametrize("matrix", [[[0] * 4] * 3, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 2]]])
def test_an_applied_transform_that_cannot_be_undone(scene: Path, matrix: list) -> None:
    edit_json(scene / "transforms.json", lambda document: document.update(applied_transform=matrix))
    with pytest.raises(InputError, match="applied_transform"):
        parser(scene).get_dataparser_outputs("train")
