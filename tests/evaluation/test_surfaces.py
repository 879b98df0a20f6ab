"""Surfaces against spheres with closed forms and open3d's exact distances; frames, files and volumes."""

from __future__ import annotations

import json
import math

import manifold3d
import numpy as np
import pytest
import trimesh
from long_form import long_form

from inr_plugins.errors import InputError
from inr_plugins.evaluation import surfaces
from inr_plugins.evaluation.surfaces import (
    SurfaceSettings,
    check_same_frame,
    compare_surfaces,
    read_named,
    threshold_names,
)
from inr_plugins.geometry.io.clouds.read import Cloud
from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.open3d_import import import_open3d

SAMPLES = 20_000


@pytest.fixture(autouse=True)
def _places_of_volumes_are_fewer(monkeypatch):
    monkeypatch.setattr(surfaces, "_IOU_RESOLUTION", 64)


def sphere(radius: float = 1.0, centre=(0.0, 0.0, 0.0), subdivisions: int = 4) -> Mesh:
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return Mesh(np.asarray(mesh.vertices) + centre, np.asarray(mesh.faces))


def half(mesh: Mesh) -> Mesh:
    """The part of a mesh above its middle: an open bowl."""
    return Mesh(mesh.vertices, mesh.faces[mesh.vertices[mesh.faces][..., 2].mean(axis=1) > 0])


def compared(pred, truth, **settings):
    return compare_surfaces(pred, truth, SurfaceSettings(samples=SAMPLES, **settings))


def test_concentric_spheres_are_their_distance_apart():
    found = compared(sphere(1.1), sphere(1.0))
    scores, floor = found["scores"], found["floor"]
    # Between two shells a distance d apart, a sampling of spacing s adds about s^2 / (2 d) to the distance.
    assert scores["chamfer"] == pytest.approx(0.1, rel=0.02)
    assert scores["chamfer_squared"] == pytest.approx(2 * 0.1**2, rel=0.05)
    assert floor["chamfer_squared"] == pytest.approx(2 * 4 * math.pi / (math.pi * SAMPLES), rel=0.05)
    assert found["iou"]["iou"] == pytest.approx(1 / 1.1**3, abs=0.005)
    assert found["iou_missing"] is None
    json.dumps(found, allow_nan=False)


def test_thresholds_are_parts_of_the_truths_diagonal_unless_given():
    found = compared(half(sphere(1.1)), sphere(1.0))
    diagonal = 2 * math.sqrt(3)
    thresholds = found["scores"]["thresholds"]
    assert [score["threshold"] for score in thresholds] == pytest.approx(
        [0.005 * diagonal, 0.01 * diagonal, 0.02 * diagonal], rel=1e-3
    )
    assert "0.5 %, 1 %, 2 % of the diagonal" in found["thresholds_from"]
    found = compared(half(sphere(1.1)), half(sphere(1.0)), thresholds=(0.08, 0.15))
    assert [score["f_score"] for score in found["scores"]["thresholds"]] == [0.0, 1.0]
    assert found["thresholds_from"] == "given"
    assert threshold_names(found) == ["0.08", "0.15"]


def test_accuracy_is_the_mean_of_open3ds_distances_to_the_mesh():
    pred, truth = sphere(1.0, (0.3, 0.0, 0.1)), half(sphere(1.0))
    scene = import_open3d().t.geometry.RaycastingScene()
    scene.add_triangles(truth.vertices.astype(np.float32), truth.faces.astype(np.uint32))
    points = trimesh.Trimesh(pred.vertices, pred.faces).sample(SAMPLES).astype(np.float32)
    exact = float(scene.compute_distance(points).numpy().mean())
    assert compared(pred, truth)["scores"]["accuracy"] == pytest.approx(exact, rel=0.03)


def test_equal_seeds_give_equal_scores():
    bowl = half(sphere())  # open, so that no volume is measured
    one, two, other = (compared(bowl, bowl, seed=seed)["scores"] for seed in (3, 3, 4))
    assert one == two
    assert one != other


def test_a_cloud_can_be_the_truth():
    points = trimesh.creation.icosphere(subdivisions=5).vertices
    normals = points / np.linalg.norm(points, axis=1, keepdims=True)
    found = compared(sphere(1.1), Cloud(np.asarray(points), normals, ("ignored red",)))
    assert found["samples"] == len(points) // 2
    assert found["scores"]["chamfer"] == pytest.approx(0.1, rel=0.05)
    assert found["scores"]["normal_consistency"] == pytest.approx(1.0, abs=0.01)
    box = found["truth"]["box"]
    expected = {"kind": "cloud", "points": len(points), "normals": True, "box": box, "notes": ["ignored red"]}
    assert found["truth"] == expected
    assert (found["iou"], found["iou_missing"]) == (None, "a cloud of points has no inside")
    with pytest.raises(InputError, match="no inside"):
        compared(sphere(), Cloud(np.asarray(points)), iou=True)


@long_form
def test_open_surfaces_have_an_iou_on_request_only():
    ball = sphere(subdivisions=3)
    found = compared(half(ball), ball)
    assert found["iou"] is None
    assert "not watertight: prediction (--iou" in found["iou_missing"]
    assert found["prediction"]["watertight"] is False
    found = compared(half(ball), ball, iou=True)
    assert "closed by a film" in found["iou"]["note"]
    # Beyond the rim's plane lies what sees more than half of all directions covered: a little, and not the whole ball.
    assert 0.4 < found["iou"]["iou"] < 0.6
    assert compared(ball, ball, iou=True)["iou"]["note"] is None


@pytest.mark.parametrize(
    ("truth", "words"),
    [
        (sphere(1.0, (5.0, 0.0, 0.0)), r"\(-1, -1, -1\) to \(1, 1, 1\).*\(4, -1, -1\) to \(6, 1, 1\).*do not overlap"),
        (sphere(1000.0), r"\(-1000, -1000, -1000\) to .*differ 1e\+03 times in size"),
        (sphere(0.05), r"differ 20 times in size"),
    ],
)
def test_a_truth_in_another_frame_is_refused_and_both_boxes_are_named(truth, words):
    with pytest.raises(InputError, match=words):
        compared(sphere(), truth)


def test_bad_but_comparable_surfaces_are_not_refused():
    box = np.array([[-1.0] * 3, [1.0] * 3])
    check_same_frame(9 * box, box)
    check_same_frame(box + 1.9, box)


def test_too_few_points_are_an_input_error():
    points = np.random.default_rng(0).random((50, 3))
    with pytest.raises(InputError, match="cannot be compared: samples must be at least 100"):
        compared(sphere(), Cloud(points))


def test_unreadable_files_name_their_option(tmp_path):
    (tmp_path / "truth.ply").write_bytes(b"not a mesh")
    with pytest.raises(InputError, match=r"^`truth`: .*truth\.ply"):
        read_named(tmp_path / "truth.ply", option="truth", tell=print)


def test_what_was_left_out_of_a_file_is_a_sentence_that_names_its_option(tmp_path):
    (tmp_path / "truth.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nl 1 2\nf 1 2 3\n")
    told = []
    read_named(tmp_path / "truth.obj", option="truth", tell=told.append)
    assert told == ["--truth truth.obj: 1 line left out."]


def joined(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)]),
    )


@long_form
def test_the_exact_union_gets_the_floor_against_a_file_of_overlapping_solids():
    parts = [sphere(0.7, centre) for centre in ((-0.6, 0, 0), (0, 0.15, 0), (0.6, 0.3, 0))]
    each = [manifold3d.Manifold(manifold3d.Mesh64(part.vertices, part.faces)) for part in parts]
    exact = manifold3d.Manifold.batch_boolean(each, manifold3d.OpType.Add).to_mesh64()
    union = Mesh(np.array(exact.vert_properties), np.array(exact.tri_verts, dtype=np.int64))
    file = joined(*parts)
    for pred, truth in ((file, union), (union, file)):
        found = compared(pred, truth)
        assert found["scores"]["chamfer"] == pytest.approx(found["floor"]["chamfer"], rel=0.02)
        assert found["scores"]["normal_consistency"] > 0.99
        assert found["iou"]["iou"] > 0.9999
    assert found["truth"]["parts"] == 3
    assert found["truth"]["inner_share"] > 0.3


def test_parts_of_the_truth_that_are_inside_out_count_as_solid():
    parts = [sphere(1.0, subdivisions=3), sphere(0.8, (2.5, 0.0, 0.0), subdivisions=3)]
    flipped = Mesh(parts[1].vertices, parts[1].faces[:, ::-1])
    found = compared(joined(*parts), joined(parts[0], flipped))
    assert found["iou"]["iou"] == 1.0
    assert found["truth"]["turned_parts"] == 1
    inner = sphere(0.5, subdivisions=3)
    hollow = joined(parts[0], Mesh(inner.vertices, inner.faces[:, ::-1]))
    assert compared(hollow, parts[0])["iou"]["iou"] == pytest.approx(1 - 0.5**3, abs=0.01)
