"""A frame's own lens goes before the file's, key by key; what nerfstudio would pass over is used or refused by name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from nerfstudio.cameras.cameras import CameraType
from nerfstudio.data.dataparsers.base_dataparser import DataParserConfig, DataparserOutputs
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.dataparsers.instant_ngp_dataparser import InstantNGPDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from small_datasets import blender_scene, edit_json, nerfstudio_scene, orbit_pose

from inr_plugins.data.images.datamanager import InrDataManagerConfig
from inr_plugins.data.images.parser import CheckedDataParser
from inr_plugins.errors import InputError

COUNT = 10


def read(config: DataParserConfig, split: str = "train") -> DataparserOutputs:
    return CheckedDataParser(config.setup(), test_mode="val").get_dataparser_outputs(split)


def nerfstudio(folder: Path) -> NerfstudioDataParserConfig:
    return NerfstudioDataParserConfig(data=folder, eval_mode="all")


def scene_with(folder: Path, change: Callable[[dict], object]) -> NerfstudioDataParserConfig:
    edit_json(nerfstudio_scene(folder, sizes=[(12, 10)] * COUNT) / "transforms.json", change)
    return nerfstudio(folder)


def to_the_file(document: dict, *keys: str) -> None:
    """Give the lens entries of the first frame to the file as a whole, and take them from the frames."""
    document.update({key: document["frames"][0][key] for key in keys})
    for frame in document["frames"]:
        for key in keys:
            del frame[key]


def test_a_frame_goes_before_the_file(tmp_path: Path) -> None:
    def change(document: dict) -> None:
        to_the_file(document, "fl_x", "fl_y", "cx", "cy", "w", "h")
        document["frames"][3].update(fl_x=30.0, cy=2.5)

    cameras = read(scene_with(tmp_path, change)).cameras
    expected = np.full(COUNT, 13.2)
    expected[3] = 30
    np.testing.assert_allclose(cameras.fx[:, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(cameras.cy[[2, 3], 0], [4.8, 2.5], rtol=1e-6)
    np.testing.assert_allclose(cameras.fy[:, 0], 14.4, rtol=1e-6)


@pytest.mark.parametrize("place", ["file", "frames"])
def test_k4_alone_is_used(tmp_path: Path, place: str) -> None:
    def change(document: dict) -> None:
        for owner in [document] if place == "file" else document["frames"]:
            owner["k4"] = 0.25

    np.testing.assert_allclose(
        read(scene_with(tmp_path, change)).cameras.distortion_params, [[0, 0, 0, 0.25, 0, 0]] * COUNT
    )


def test_distortion_of_a_frame_goes_before_the_files_key_by_key(tmp_path: Path) -> None:
    def change(document: dict) -> None:
        document.update(k1=0.1, p2=0.01)
        document["frames"][1]["k1"] = 0.2
        document["frames"][2]["distortion_params"] = [0, 0, 0.3, 0, 0, 0]

    given = read(scene_with(tmp_path, change)).cameras.distortion_params[:3]
    np.testing.assert_allclose(given, [[0.1, 0, 0, 0, 0, 0.01], [0.2, 0, 0, 0, 0, 0.01], [0, 0, 0.3, 0, 0, 0]])


@pytest.mark.parametrize("all_of_them", [True, False])
def test_camera_model_of_a_frame(tmp_path: Path, all_of_them: bool) -> None:
    def change(document: dict) -> None:
        for frame in document["frames"][0 if all_of_them else 4 :]:
            frame["camera_model"] = "OPENCV_FISHEYE"

    config = scene_with(tmp_path, change)
    fisheye, pinhole = CameraType.FISHEYE.value, CameraType.PERSPECTIVE.value
    expected = [fisheye if all_of_them or index >= 4 else pinhole for index in range(COUNT)]
    assert read(config).cameras.camera_type[:, 0].tolist() == expected
    # Rays through a fisheye: the angle from the axis is the distance from the principal point over the focal length.
    manager = InrDataManagerConfig(dataparser=config, train_num_rays_per_batch=256).setup(device="cpu", test_mode="val")
    rays, batch = manager.next_train(0)
    cameras, seen = manager.train_dataset.cameras, batch["indices"]
    offset = seen[:, [2, 1]] + 0.5 - np.array([6.3, 4.8])
    angle = np.linalg.norm(offset / np.array([13.2, 14.4]), axis=1)
    axis = -cameras.camera_to_worlds[seen[:, 0], :, 2]
    cosine = (axis * rays.directions).sum(-1).numpy()
    kinds = np.array(expected)[seen[:, 0]]
    np.testing.assert_allclose(cosine, np.where(kinds == fisheye, np.cos(angle), 1 / np.hypot(1, angle)), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda document: document["frames"][2].update(camera_model="EYE"), ["images/02.png", "EYE"]),
        (lambda document: document.update(k5=0.1), ["k5"]),
        (lambda document: document.update(b1=2.5), ["b1"]),
        (lambda document: document.update(is_fisheye=True), ["is_fisheye", "instant-ngp-data", "OPENCV_FISHEYE"]),
        (
            lambda document: document["frames"][1].update(is_fisheye=True, camera_model="OPENCV"),
            ["images/01.png", "is_fisheye"],
        ),
        (lambda document: document["frames"][2].update(k1=0.1, distortion_params=[0.2] * 6), ["images/02.png", "k1"]),
        (
            lambda document: [
                document["frames"][1].update(distortion_params=[0.1] * 12),
                document["frames"][2].update(distortion_params=[0.1] * 6),
            ],
            ["images/01.png", "images/02.png", "12", "6"],
        ),
        (
            lambda document: [
                document.update(fisheye_crop_radius=3),
                document["frames"][1].update(camera_model="OPENCV_FISHEYE"),
            ],
            ["fisheye_crop_radius"],
        ),
        (lambda document: document["frames"][2].update(file_path="images/01.png"), ["images/01.png"]),
        (lambda document: document.update(applied_scale=0), ["applied_scale"]),
        (lambda document: document.update(applied_transform=[[1, 0], [0, 1]]), ["applied_transform"]),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path, change, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        read(scene_with(tmp_path, change))
    for word in [*words, "transforms.json"]:
        assert word in str(caught.value)


def test_smaller_images_of_one_name_from_two_folders(tmp_path: Path) -> None:
    """nerfstudio looks for them in one folder, where one has taken the other's place."""

    def change(document: dict) -> None:
        for number, frame in enumerate(document["frames"]):
            (tmp_path / f"cam{number}").mkdir()
            (tmp_path / frame["file_path"]).rename(tmp_path / f"cam{number}/a.png")
            frame["file_path"] = f"cam{number}/a.png"

    config = scene_with(tmp_path, change)
    (tmp_path / "images_2").mkdir()
    (tmp_path / "images_2/a.png").write_bytes((tmp_path / "cam0/a.png").read_bytes())
    config.downscale_factor = 2
    with pytest.raises(InputError, match="--downscale-factor 1"):
        read(config)


def test_a_lens_that_blender_data_does_not_read(tmp_path: Path) -> None:
    path = blender_scene(tmp_path) / "transforms_train.json"
    width, angle = 12, 0.7
    focal = width / 2 / np.tan(angle / 2)
    edit_json(path, lambda document: document.update(fl_x=focal, fl_y=focal, cx=6.0, cy=5.0, w=12, h=10, k1=0.0))
    read(BlenderDataParserConfig(data=tmp_path))
    edit_json(path, lambda document: document.update(cx=6.5))
    with pytest.raises(InputError, match=re.escape(f"{path} gives cx as 6.5")):
        read(BlenderDataParserConfig(data=tmp_path))


# -- instant-ngp ---------------------------------------------------------------------------------------------------


def instant_ngp_scene(folder: Path, **entries: object) -> Path:
    blender_scene(folder, views=COUNT)
    path = folder / "transforms.json"
    (folder / "transforms_train.json").rename(path)
    for split in ("val", "test"):
        (folder / f"transforms_{split}.json").unlink()
    edit_json(path, lambda document: document.update(aabb_scale=1, **entries))
    return path


def test_instant_ngps_files_name_their_parser_and_train_with_it(tmp_path: Path) -> None:
    instant_ngp_scene(tmp_path)
    for other in (nerfstudio(tmp_path), BlenderDataParserConfig(data=tmp_path)):
        with pytest.raises(InputError, match="instant-ngp-data"):
            read(other)
    config = InrDataManagerConfig(dataparser=InstantNGPDataParserConfig(data=tmp_path))
    manager = config.setup(device="cpu", test_mode="val")
    assert manager.next_train(0)[1]["image"].shape[1] == 4
    # The one held-out view, whose pose nerfstudio cuts the position off.
    (held_out,) = manager.eval_dataset.cameras.camera_to_worlds
    number = int(manager.eval_dataset.image_filenames[0].stem.removeprefix("r_"))
    pose = orbit_pose(number, COUNT)
    np.testing.assert_allclose(held_out[:, :3], pose[:3, :3], atol=1e-6)
    np.testing.assert_allclose(held_out[:, 3], 0.3333 * pose[:3, 3], atol=1e-6)


def test_instant_ngps_vertical_focal_length_is_used(tmp_path: Path) -> None:
    path = instant_ngp_scene(tmp_path, fl_x=14.0, fl_y=17.0)
    cameras = read(InstantNGPDataParserConfig(data=tmp_path)).cameras
    assert cameras.fx[0].item() == 14
    assert cameras.fy[0].item() == 17
    edit_json(path, lambda document: [document.pop("fl_x"), document.pop("fl_y"), document.update(camera_angle_y=0.9)])
    cameras = read(InstantNGPDataParserConfig(data=tmp_path)).cameras
    assert cameras.fx[0].item() == pytest.approx(6 / np.tan(0.35))
    assert cameras.fy[0].item() == pytest.approx(5 / np.tan(0.45))


def test_a_lens_per_frame_is_not_instant_ngps(tmp_path: Path) -> None:
    path = instant_ngp_scene(tmp_path)
    edit_json(path, lambda document: document["frames"][1].update(fl_x=3.0))
    with pytest.raises(InputError, match="nerfstudio-data"):
        read(InstantNGPDataParserConfig(data=tmp_path))


# -- files as other programs write them ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "config"), [(nerfstudio_scene, NerfstudioDataParserConfig), (blender_scene, BlenderDataParserConfig)]
)
def test_backslashes_and_a_byte_order_mark(tmp_path: Path, make, config) -> None:
    scene = make(tmp_path)
    expected = [read(config(data=scene), split).image_filenames for split in ("train", "val")]
    for path in scene.glob("transforms*.json"):
        document = json.loads(path.read_text(encoding="utf-8"))
        for frame in document["frames"]:
            frame["file_path"] = frame["file_path"].replace("/", "\\")
        path.write_text(json.dumps(document), encoding="utf-8-sig")
    assert [read(config(data=scene), split).image_filenames for split in ("train", "val")] == expected


def test_a_name_that_has_a_backslash_keeps_it(tmp_path: Path) -> None:
    def change(document: dict) -> None:
        (tmp_path / "images/00.png").rename(tmp_path / "images\\00.png")
        document["frames"][0]["file_path"] = "images\\00.png"

    assert tmp_path / "images\\00.png" in read(scene_with(tmp_path, change)).image_filenames
