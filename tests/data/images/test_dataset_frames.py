"""The dataset's frame is the one of the poses in its files, whatever nerfstudio's parsers do to them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManagerConfig
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParserConfig
from nerfstudio.data.dataparsers.instant_ngp_dataparser import InstantNGPDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig
from small_datasets import blender_scene, colmap_pose, colmap_scene, edit_json, nerfstudio_scene

from inr_plugins.data.images.parser import CheckedDataParser
from inr_plugins.errors import InputError
from inr_plugins.geometry.frames import Similarity
from inr_plugins.meshing.shapes import frame_of

TURNED = [[1.0, 0.0, 0.0, 0.3], [0.0, 0.0, 1.0, -0.2], [0.0, -1.0, 0.0, 0.1]]
UTM = np.array([512_345.25, 5_412_345.5, 431.0])


def read(config, split: str = "train") -> DataparserOutputs:
    return CheckedDataParser(config.setup(), test_mode="val").get_dataparser_outputs(split)


def map_of(outputs: DataparserOutputs) -> Similarity:
    """The map that the commands use, for a run with these outputs."""
    return frame_of(SimpleNamespace(dataparser_outputs=outputs, config=None), None)


def json_poses(path: Path) -> dict[str, np.ndarray]:
    """The poses of a JSON file by the stem of their image."""
    frames = json.loads(path.read_text(encoding="utf-8"))["frames"]
    return {Path(frame["file_path"]).stem: np.array(frame["transform_matrix"]) for frame in frames}


def assert_map_leads_to_the_cameras(
    outputs: DataparserOutputs, poses: dict[str, np.ndarray], *, tolerance: float = 2e-6
) -> None:
    """The poses of the files, moved by the map, are those of the model's cameras."""
    to_normalised = map_of(outputs)
    assert len(outputs.image_filenames) > 0
    for image, camera in zip(outputs.image_filenames, outputs.cameras.camera_to_worlds.numpy(), strict=True):
        pose = poses[Path(image).stem]
        place = to_normalised.points(pose[None, :3, 3])[0]
        np.testing.assert_allclose(camera[:, 3], place, atol=tolerance * max(1, np.abs(place).max()))
        np.testing.assert_allclose(camera[:, :3], to_normalised.rotation @ pose[:3, :3], atol=2e-6)


def nerfstudio(folder: Path, **options) -> NerfstudioDataParserConfig:
    return NerfstudioDataParserConfig(data=folder, eval_mode="interval", **options)


@pytest.mark.parametrize(
    "applied", [{}, {"applied_transform": TURNED}, {"applied_transform": TURNED, "applied_scale": 3}]
)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"orientation_method": "none", "center_method": "none", "auto_scale_poses": False},
        {"orientation_method": "vertical", "center_method": "focus", "scale_factor": 0.5},
    ],
)
def test_nerfstudio_data(tmp_path: Path, applied: dict, options: dict) -> None:
    """Also: what nerfstudio says of its own frame stays as it is, for ns-export."""
    path = nerfstudio_scene(tmp_path) / "transforms.json"
    edit_json(path, lambda document: document.update(applied))
    outputs = read(nerfstudio(tmp_path, **options))
    assert_map_leads_to_the_cameras(outputs, json_poses(path))
    stock = nerfstudio(tmp_path, **options).setup().get_dataparser_outputs("train")
    np.testing.assert_allclose(outputs.dataparser_transform, stock.dataparser_transform, atol=1e-6)
    assert outputs.dataparser_scale == pytest.approx(stock.dataparser_scale)


def test_runs_of_nerfstudios_own_methods_have_the_same_frame(tmp_path: Path) -> None:
    path = nerfstudio_scene(tmp_path) / "transforms.json"
    edit_json(path, lambda document: document.update(applied_transform=TURNED, applied_scale=3))
    config = nerfstudio(tmp_path)
    manager = VanillaDataManagerConfig(dataparser=config, data=tmp_path)
    run = SimpleNamespace(
        dataparser_outputs=config.setup().get_dataparser_outputs("train"),
        config=SimpleNamespace(pipeline=SimpleNamespace(datamanager=manager)),
    )
    ours = map_of(read(config))
    np.testing.assert_allclose(frame_of(run, None).matrix, ours.matrix, atol=1e-6)


def test_files_of_colmap_beside_an_old_transforms_json(tmp_path: Path) -> None:
    """nerfstudio then takes an applied_transform that the file does not name."""
    path = nerfstudio_scene(tmp_path) / "transforms.json"
    (tmp_path / "colmap/sparse/0").mkdir(parents=True)
    outputs = read(nerfstudio(tmp_path))
    assert_map_leads_to_the_cameras(outputs, json_poses(path))
    stock = nerfstudio(tmp_path).setup().get_dataparser_outputs("train")
    np.testing.assert_allclose(outputs.dataparser_transform, stock.dataparser_transform, atol=1e-6)


@pytest.mark.parametrize("center", ["poses", "focus"])
def test_cameras_in_utm_coordinates_keep_their_differences(tmp_path: Path, center: str) -> None:
    """float32 counts in half metres there; the model must get what it gets of the scene at the origin."""
    near = nerfstudio_scene(tmp_path / "near")
    far = nerfstudio_scene(tmp_path / "far")

    def move(document: dict) -> None:
        document["applied_transform"] = TURNED
        for frame in document["frames"]:
            pose = np.array(frame["transform_matrix"])
            pose[:3, 3] += UTM
            frame["transform_matrix"] = pose.tolist()

    edit_json(far / "transforms.json", move)
    outputs = read(nerfstudio(far, center_method=center))
    # Cameras, which alone are looked at, lie a distance of about 1 apart: 1e-9 of the coordinates is float64's.
    assert_map_leads_to_the_cameras(outputs, json_poses(far / "transforms.json"), tolerance=1e-5)
    at_origin = read(nerfstudio(near, center_method=center)).cameras.camera_to_worlds
    np.testing.assert_allclose(outputs.cameras.camera_to_worlds, at_origin, atol=1e-5)


def test_far_cameras_that_stay_far_are_refused(tmp_path: Path) -> None:
    path = nerfstudio_scene(tmp_path) / "transforms.json"

    def move(document: dict) -> None:
        for frame in document["frames"]:
            frame["transform_matrix"][0][3] += 5e5

    edit_json(path, move)
    stay = {"center_method": "none", "auto_scale_poses": False}
    # Moved to the origin before the parser: the model's own frame is then only a shift away.
    assert_map_leads_to_the_cameras(read(nerfstudio(tmp_path, **stay)), json_poses(path), tolerance=1e-5)
    blender_scene(tmp_path / "blender")
    edit_json(tmp_path / "blender/transforms_train.json", move)
    with pytest.raises(InputError, match="float32"):
        read(BlenderDataParserConfig(data=tmp_path / "blender"))


def test_an_orientation_that_turns_some_cameras_only_is_refused(tmp_path: Path) -> None:
    """nerfstudio's pca turns the cameras of number 1 and 2 over where it means the axes of that number."""
    path = nerfstudio_scene(tmp_path) / "transforms.json"

    def turn_over(document: dict) -> None:
        for frame in document["frames"]:
            pose = np.diag([1.0, -1.0, -1.0, 1.0]) @ np.array(frame["transform_matrix"])
            frame["transform_matrix"] = pose.tolist()

    sentences = []
    for _ in range(2):
        try:
            outputs = read(nerfstudio(tmp_path, orientation_method="pca"))
            assert_map_leads_to_the_cameras(outputs, json_poses(path))
        except InputError as error:
            sentences.append(str(error))
        edit_json(path, turn_over)
    assert len(sentences) == 1
    assert "--orientation-method" in sentences[0]


@pytest.mark.parametrize("shift", [(0, 0, 0), (40_000.0, 5e6, -3000.0)])
@pytest.mark.parametrize("options", [{}, {"orientation_method": "none", "center_method": "focus"}])
@pytest.mark.parametrize("assumed", [True, False])
def test_colmap(tmp_path: Path, shift: tuple[float, ...], options: dict, assumed: bool) -> None:
    """The reconstruction's own frame, which nerfstudio turns twice."""
    colmap_scene(tmp_path, shift=shift)
    config = ColmapDataParserConfig(data=tmp_path, assume_colmap_world_coordinate_convention=assumed, **options)
    poses = {f"{index:02d}": colmap_pose(index, 9) for index in range(9)}
    for pose in poses.values():
        pose[:3, 3] += shift
    assert_map_leads_to_the_cameras(read(config), poses, tolerance=1e-5)


def test_blender_and_instant_ngp_data(tmp_path: Path) -> None:
    scene = blender_scene(tmp_path)
    config = BlenderDataParserConfig(data=scene, scale_factor=0.5)
    assert_map_leads_to_the_cameras(read(config), json_poses(scene / "transforms_train.json"))
    config = InstantNGPDataParserConfig(data=scene / "transforms_train.json")
    assert_map_leads_to_the_cameras(read(config), json_poses(scene / "transforms_train.json"))
