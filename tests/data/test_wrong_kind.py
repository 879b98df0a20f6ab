"""Files of another kind than a method reads: a sentence says what they are for, or that they were passed over."""

from __future__ import annotations

from pathlib import Path

import pytest
import trimesh
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig

from inr_plugins.data.images.files import check_dataset_files
from inr_plugins.data.shapes.files import ShapeSettings, read_shapes
from inr_plugins.errors import InputError
from inr_plugins.shape_names import number_of_shape


@pytest.mark.parametrize(("name", "kind"), [("x.obj", "mesh"), ("X.PLY", "mesh"), ("scan.pts", "point cloud")])
def test_a_shape_given_to_a_method_of_images_names_what_takes_it(name, kind, tmp_path):
    (tmp_path / name).touch()
    with pytest.raises(InputError, match=f"is a {kind} by its extension") as refused:
        check_dataset_files(BlenderDataParserConfig(data=tmp_path / name), split="train")
    assert f"ns-train finer-sdf --data {tmp_path / name}." in str(refused.value)
    assert ("inr-scene" in str(refused.value)) == (kind == "mesh")


@pytest.fixture
def shapes(tmp_path) -> Path:
    for name in ("a", "b"):
        trimesh.creation.icosphere(subdivisions=1).export(tmp_path / f"{name}.ply")
    return tmp_path


def test_what_is_no_shape_in_a_folder_of_shapes_is_counted_and_named(shapes):
    assert read_shapes(shapes, ShapeSettings()).passed_over is None
    (shapes / "notes.txt2").touch()
    (shapes / "deep").mkdir()
    (shapes / "deep" / "c.ply").touch()
    (shapes / ".hidden").touch()
    found = read_shapes(shapes, ShapeSettings())
    assert found.names == ("a", "b")
    assert found.passed_over == f"Passed over in {shapes}, as no shapes: 1 folder (deep), 1 file .txt2."


def test_names_left_out_by_a_pattern_are_not_called_no_shapes(shapes):
    assert read_shapes(shapes, ShapeSettings(only="a")).passed_over is None


def test_an_unknown_shape_lists_the_nearest_names_first():
    names = [f"chair_{index:02}" for index in range(30)] + ["stool_7"]
    with pytest.raises(InputError, match=r"give a name \(stool_7, "):
        number_of_shape("stol_7", names, given_by="--shape")
