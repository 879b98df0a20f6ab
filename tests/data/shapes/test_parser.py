"""The dataparser of shapes: frames, cameras and names for nerfstudio, read once."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
import yaml
from shape_folders import BALLS, ball_folder, write_ball

from inr_plugins.data.shapes import parser as shape_parser
from inr_plugins.data.shapes.parser import ShapeDataParserConfig
from inr_plugins.errors import InputError
from inr_plugins.geometry.frames import Similarity


def parser(data: Path, **options):
    return ShapeDataParserConfig(data=data, **{"image_size": 24, **options}).setup()


def box_file(path: Path, *, extents=(1.0, 2.0, 4.0), centre=(5.0, -6.0, 7.0)) -> Path:
    made = trimesh.creation.box(extents=extents)
    made.apply_translation(centre)
    made.export(path)
    return path


@pytest.mark.parametrize("up", ["z", "y", "x", "-z"])
def test_the_transform_and_the_scale_take_the_file_to_the_box_and_its_up_axis_to_z(tmp_path, up):
    path = box_file(tmp_path / "box.ply")
    outputs = parser(path, up=up).get_dataparser_outputs("train")
    vertices = np.array(trimesh.load(path, process=False).vertices)
    transform = outputs.dataparser_transform.double().numpy()
    found = outputs.dataparser_scale * (vertices @ transform[:, :3].T + transform[:, 3])
    sides = np.ptp(found, axis=0)
    assert np.abs(found.min(axis=0) + found.max(axis=0)).max() < 1e-5
    # The longest side, the file's z, is 1.8, and the file's up axis is now z.
    assert sides.max() == pytest.approx(1.8, abs=1e-5)
    axis = "xyz".index(up[-1])
    assert sides[2] == pytest.approx(1.8 * (1, 2, 4)[axis] / 4, abs=1e-5)
    upward = np.eye(3)[axis] * (-1 if up.startswith("-") else 1)
    assert np.abs(transform[:, :3] @ upward - [0, 0, 1]).max() < 1e-6
    assert np.linalg.det(transform[:, :3]) == pytest.approx(1, abs=1e-6)
    assert outputs.dataparser_transform.dtype == torch.float32
    # nerfstudio's two numbers are the shape's own similarity.
    similarity = Similarity.from_dataparser(transform, outputs.dataparser_scale)
    assert np.abs(similarity.points(vertices) - found).max() < 1e-9
    assert outputs.scene_box.aabb.tolist() == [[-1, -1, -1], [1, 1, 1]]


def test_a_file_has_one_shape_and_views_of_it_in_every_split(tmp_path):
    path = write_ball(tmp_path / "ball.ply", radius=3.0)
    made = parser(path, train_views=5, val_views=3, test_views=2)
    for split, views in (("train", 5), ("val", 3), ("test", 2)):
        outputs = made.get_dataparser_outputs(split)
        assert outputs.image_filenames == [tmp_path / "ball" / f"{split}_{view:03d}.png" for view in range(views)]
        assert len(outputs.cameras) == views
        assert outputs.cameras.metadata["shape"].tolist() == [[0]] * views
        assert outputs.cameras.metadata["shape"].dtype == torch.int64
        assert int(outputs.cameras.width[0]) == int(outputs.cameras.height[0]) == 24
        assert outputs.metadata == {"shapes": ("ball",), "file_unit": pytest.approx(0.3, rel=1e-6), "up": "auto"}
        assert outputs.alpha_color.tolist() == [1, 1, 1]


def test_a_folder_has_a_view_of_each_shape_at_least_and_one_scale_unless_told_otherwise(tmp_path):
    folder = ball_folder(tmp_path / "balls")
    outputs = parser(folder, train_views=4, test_views=2).get_dataparser_outputs("test")
    assert outputs.metadata == {"shapes": ("a", "b", "c"), "file_unit": pytest.approx(0.9 / 5, rel=1e-3), "up": "auto"}
    assert outputs.image_filenames == [folder / name / "test_000.png" for name in BALLS]
    assert len(parser(folder, train_views=4).get_dataparser_outputs("train").image_filenames) == 6
    # Each camera is as far in as its own ball lets it: small balls have long lenses.
    assert torch.argsort(outputs.cameras.fx[:, 0]).tolist() == [0, 2, 1]
    each = parser(folder, scale="each", test_views=2).get_dataparser_outputs("test")
    assert each.metadata["file_unit"] is None
    torch.testing.assert_close(each.cameras.fx[:, 0], each.cameras.fx[:1, 0].expand(3), rtol=1e-4, atol=0)


def test_files_are_read_once_for_all_splits_and_not_before_they_are_needed(tmp_path, monkeypatch):
    reads = []

    def counted(path, settings):
        reads.append(path)
        return read(path, settings)

    read = shape_parser.read_shapes
    monkeypatch.setattr(shape_parser, "read_shapes", counted)
    made = parser(write_ball(tmp_path / "ball.ply"))
    assert reads == []
    for split in ("train", "val", "test"):
        made.get_dataparser_outputs(split)
    assert reads == [tmp_path / "ball.ply"]


def test_a_broken_file_of_a_folder_is_left_out_and_named(tmp_path):
    made = parser(ball_folder(tmp_path / "balls", broken=True))
    assert made.get_dataparser_outputs("train").metadata["shapes"] == ("a", "b", "c")
    (sentence,) = made.shapes.skipped
    assert "bad.ply" in sentence


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image_size": 4}, "--pipeline.datamanager.dataparser.image-size must be between 8 and 4096"),
        ({"train_views": 1}, "--pipeline.datamanager.dataparser.train-views must be at least 2"),
        ({"test_views": 0}, "--pipeline.datamanager.dataparser.test-views must be at least 2"),
    ],
)
def test_options_out_of_range_are_refused_by_name(tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        parser(tmp_path / "ball.ply", **options)


def test_a_missing_file_and_an_unknown_split_are_refused_in_a_sentence(tmp_path):
    with pytest.raises(InputError, match=r"There is no shape at .*none\.ply: give --data"):
        parser(tmp_path / "none.ply").get_dataparser_outputs("train")
    with pytest.raises(InputError, match="no all split"):
        parser(write_ball(tmp_path / "ball.ply")).get_dataparser_outputs("all")


def test_the_configuration_can_be_written_to_a_config_yml_and_read_again(tmp_path):
    config = ShapeDataParserConfig(data=tmp_path / "ball.ply", image_size=33, up="y")
    assert yaml.load(yaml.dump(config), Loader=yaml.Loader) == config
    assert pickle.loads(pickle.dumps(config)) == config
