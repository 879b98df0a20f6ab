"""Rays and distances by closed forms of a box and of parallel squares, near the origin and far from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

import inr_plugins
from inr_plugins.geometry.triangle_scene import TriangleScene

BOX = trimesh.creation.box((2.0, 4.0, 6.0))


@pytest.fixture(params=[0.0, 4e5], ids=["near", "far"])
def middle(request):
    return np.array([request.param, -request.param, 2 * request.param])


@pytest.fixture
def scene(middle):
    return TriangleScene(middle).add(BOX.vertices + middle, BOX.faces)


def test_a_ray_hits_the_near_side_of_a_box_at_the_place_that_its_weights_say(scene, middle):
    origins = middle + np.array([[-5.0, 0.5, 1.0], [0.3, 9.0, 0.2], [0.0, 0.0, 50.0]])
    directions = np.array([[2.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]])
    hits = scene.first_hits(origins, directions)
    assert hits.distance == pytest.approx([2.0, 7.0, np.inf], rel=1e-5)
    assert hits.face[2] == -1
    corners = BOX.vertices[BOX.faces[hits.face[:2]]]
    place = np.einsum("nk,nkd->nd", hits.barycentric[:2], corners)
    assert place == pytest.approx(np.array([[-1.0, 0.5, 1.0], [0.3, 2.0, 0.2]]), abs=1e-5)
    assert hits.normal[:2] == pytest.approx(np.array([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), abs=1e-6)


def test_one_origin_serves_many_directions(scene, middle):
    directions = np.eye(3)
    one = scene.first_hits(middle, directions)
    many = scene.first_hits(np.tile(middle, (3, 1)), directions)
    assert one.distance == pytest.approx([1.0, 2.0, 3.0], rel=1e-5)
    assert np.array_equal(one.distance, many.distance)


def test_nearest_points_of_a_box(scene, middle):
    points = np.array([[3.0, 0.5, 0.5], [0.5, 0.1, 0.2], [4.0, 5.0, 6.0]])
    found = scene.nearest(points + middle)
    truth = np.array([[1.0, 0.5, 0.5], [1.0, 0.1, 0.2], [1.0, 2.0, 3.0]])
    assert found.points == pytest.approx(truth, abs=1e-5)
    corners = BOX.vertices[BOX.faces[found.face]]
    assert np.einsum("nk,nkd->nd", found.barycentric, corners) == pytest.approx(truth, abs=1e-5)


def test_inside_and_blocked(scene, middle):
    points = middle + np.array([[0.9, 1.9, 2.9], [1.1, 0.0, 0.0]])
    assert scene.inside_by_parity(points, votes=3).tolist() == [True, False]
    away = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    assert scene.blocked(points, away).tolist() == [True, False]
    assert scene.blocked(points, away, reach=0.05).tolist() == [False, False]


def test_triangles_of_several_additions_are_numbered_on_and_all_counted():
    square = np.array([[-1.0, -1.0, 0.0], [1.0, -1.0, 0.0], [1.0, 1.0, 0.0], [-1.0, 1.0, 0.0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    scene = TriangleScene(np.zeros(3))
    for height in (1.0, 2.0, 2.0):
        scene.add(square + height * np.array([0.0, 0.0, 1.0]), faces)
    ray, face = scene.crossings(np.array([[0.5, -0.2, 0.0], [5.0, 0.0, 0.0], [-0.5, 0.2, 0.0]]), np.array([0, 0, 1.0]))
    assert np.bincount(ray, minlength=3).tolist() == [3, 0, 3]
    assert sorted(face[ray == 0].tolist()) == [0, 2, 4]
    assert sorted(face[ray == 2].tolist()) == [1, 3, 5]
    first = scene.first_hits(np.array([0.5, -0.2, 1.5]), np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]))
    assert first.face[0] in (2, 4)
    assert first.face[1] == 0
    assert scene.nearest(np.array([[0.5, -0.2, 1.4]])).face.tolist() == [0]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_vertices_that_embree_would_leave_out_are_refused(value):
    vertices = BOX.vertices.copy()
    vertices[3, 1] = value
    with pytest.raises(ValueError, match="finite"):
        TriangleScene(np.zeros(3)).add(vertices, BOX.faces)


def test_faces_without_their_vertices_are_refused():
    with pytest.raises(ValueError, match="8 vertices"):
        TriangleScene(np.zeros(3)).add(BOX.vertices, BOX.faces + 1)


def test_open3ds_scene_is_made_nowhere_else():
    package = Path(inr_plugins.__file__).parent
    makers = [path.name for path in package.rglob("*.py") if "RaycastingScene(" in path.read_text(encoding="utf-8")]
    assert makers == ["triangle_scene.py"]
