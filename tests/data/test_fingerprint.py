"""Fingerprints: the same shape and the same views are known again in other files, and others are not."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from PIL import Image
from shape_folders import manager as shape_manager
from small_datasets import blender_scene, edit_json
from trimesh.sample import sample_surface

from inr_plugins.data.fingerprint import fingerprint_of_surfaces, fingerprint_of_views
from inr_plugins.data.images.images import InrDataset
from inr_plugins.engine.runs.same_data import what_differs
from inr_plugins.geometry.io.clouds.read import Cloud
from inr_plugins.geometry.mesh import Mesh


def lopsided() -> trimesh.Trimesh:
    """A cone that leans, far from any symmetry."""
    shape = trimesh.creation.cone(0.4, 1.2, sections=24)
    shape.apply_transform(trimesh.transformations.euler_matrix(0.4, -0.7, 0.2))
    return shape


def mesh_of(shape: trimesh.Trimesh) -> Mesh:
    return Mesh(np.asarray(shape.vertices), np.asarray(shape.faces))


def test_moments_are_those_of_points_drawn_from_the_surface():
    shape = lopsided()
    points, _ = sample_surface(shape, 400_000, seed=0)
    offsets = points - points.mean(axis=0)
    covariance = offsets.T @ offsets / len(points)
    beside = covariance[[0, 0, 1], [1, 2, 2]]
    expected = [*points.mean(axis=0), *np.sqrt(np.diag(covariance)), *beside]
    found = fingerprint_of_surfaces([mesh_of(shape)])
    assert found["count"] == [1.0]
    assert found["surfaces"] == pytest.approx(expected, abs=3e-3)
    cut_up = shape.subdivide().subdivide()
    assert fingerprint_of_surfaces([mesh_of(cut_up)])["surfaces"] == pytest.approx(found["surfaces"], abs=1e-9)
    cloud = Cloud(points=points, normals=None)
    assert fingerprint_of_surfaces([cloud])["surfaces"] == pytest.approx(expected, abs=1e-9)


def test_a_shape_is_known_again_in_another_format_place_and_unit_and_no_other_is(tmp_path: Path):
    shape = lopsided()
    shape.export(tmp_path / "first.ply")
    (tmp_path / "moved").mkdir()
    shape.subdivide().apply_scale(1000.0).export(tmp_path / "moved" / "second.obj")
    trimesh.creation.cylinder(0.4, 1.2).export(tmp_path / "other.ply")
    first, second, other = (
        shape_manager(tmp_path / name).data_fingerprint() for name in ("first.ply", "moved/second.obj", "other.ply")
    )
    assert what_differs(first, second) is None
    assert what_differs(first, other) == "its surfaces are others"


def views(folder: Path) -> dict[str, list[float]]:
    outputs = BlenderDataParserConfig(data=folder).setup().get_dataparser_outputs("train")
    return fingerprint_of_views(InrDataset(outputs))


def change_pictures(folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> Path:
    for file in folder.glob("train/*.png"):
        Image.fromarray(change(np.array(Image.open(file)))).save(file)
    return folder


def test_views_are_known_again_at_another_resolution_and_others_are_not(tmp_path: Path):
    first = views(blender_scene(tmp_path / "first"))
    larger = change_pictures(
        blender_scene(tmp_path / "larger"), lambda image: image.repeat(3, axis=0).repeat(3, axis=1)
    )
    assert what_differs(first, views(larger)) is None
    darker = change_pictures(blender_scene(tmp_path / "darker"), lambda image: image // np.uint8([2, 2, 2, 1]))
    assert what_differs(first, views(darker)) == "its pictures are others"


def test_other_cameras_and_other_numbers_of_them_are_not_the_same(tmp_path: Path):
    folder = blender_scene(tmp_path / "scene")
    first = views(folder)

    def further(document):
        for frame in document["frames"]:
            for row in frame["transform_matrix"][:3]:
                row[3] *= 1.2

    edit_json(folder / "transforms_train.json", further)
    assert what_differs(first, views(folder)) == "its cameras are others"
    edit_json(folder / "transforms_train.json", lambda document: document["frames"].pop())
    assert what_differs(first, views(folder)) == "there were 4 pictures, and here are 3"


def test_numbers_that_are_none_are_never_the_same():
    good, broken = {"count": [1.0], "surfaces": [0.5]}, {"count": [1.0], "surfaces": [math.nan]}
    assert what_differs(good, good) is None
    assert what_differs(good, broken) == what_differs(broken, good) == "its surfaces are others"
    assert "it was trained on surfaces" in what_differs(good, {"count": [1.0], "cameras": [0.5]})
