"""Scores over what cameras see, of boxes seen from one side: areas, distances and volumes by closed forms."""

from __future__ import annotations

import json

import numpy as np
import pytest
import trimesh

from inr_plugins.geometry.appearance.visibility import PointsSeen
from inr_plugins.geometry.cameras import look_at
from inr_plugins.geometry.frames import Similarity
from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.pinhole import PinholeViews
from inr_plugins.metrics.sampling import inside_mesh
from inr_plugins.metrics.seen import SeenPart
from inr_plugins.metrics.surface import surface_metrics
from inr_plugins.metrics.volume import volumetric_iou

SAMPLES = 40_000
EYE = 20.0


def box(low=(-1.0, -1.0, -1.0), high=(1.0, 1.0, 1.0)) -> Mesh:
    mesh = trimesh.creation.box(bounds=[low, high])
    return Mesh(np.array(mesh.vertices), np.array(mesh.faces))


def views(*eyes, focal: float = 100.0, size: int = 100) -> PinholeViews:
    """Cameras that look at the origin; by default they see 10 units of what is there at the distance of 20."""
    poses, ones = look_at(np.array(eyes, dtype=float)), np.ones(len(eyes))
    sizes = np.full(len(eyes), size)
    return PinholeViews(poses[:, :3], focal * ones, focal * ones, size / 2 * ones, size / 2 * ones, sizes, sizes)


FRONT = views((EYE, 0, 0))


def measured(pred: Mesh, cameras: PinholeViews = FRONT):
    truth = box()
    return surface_metrics(pred, truth, thresholds=[0.05], samples=SAMPLES, sees=PointsSeen(truth, cameras))


def test_points_are_seen_in_the_picture_before_and_beside_the_box():
    points = np.array(
        [[1.0, 0, 0], [1.5, 0, 0], [0.99, 0, 0], [-1.0, 0, 0], [-1.5, 0, 0], [-1.0, 1.5, 0], [1.0, 12, 0]]
    )
    seen = PointsSeen(box(), FRONT)(points)
    assert seen.tolist() == [True, True, False, False, False, True, False]
    both = PointsSeen(box(), views((EYE, 0, 0), (-EYE, 0, 0)))(points)
    assert both.tolist() == [True, True, False, True, True, True, False]


def test_cameras_see_the_same_in_another_frame():
    turned = Similarity.from_matrix(3 * trimesh.transformations.rotation_matrix(0.7, [1, 2, 3], [1, 0, 2])[:3])
    mirrored = Similarity(np.diag([1.0, -1.0, 1.0]), 0.5, np.array([1.0, 2.0, 3.0]))
    points = np.random.default_rng(0).uniform(-6, 6, (2000, 3))
    cameras = views((EYE, 3, 2), (1, -EYE, 4), focal=400.0)
    expected = [cameras.contains(view, points) for view in range(2)]
    assert 0.05 < np.mean(expected) < 0.9
    for similarity in (turned, mirrored):
        moved = cameras.moved(similarity)
        for view in range(2):
            assert (moved.contains(view, similarity.points(points)) == expected[view]).mean() > 0.999


def test_a_box_seen_from_one_side_has_one_face():
    found = measured(box()).seen
    assert found.unseen_share == pytest.approx(5 / 6, abs=0.01)
    assert found.left_out_share == pytest.approx(5 / 6, abs=0.01)
    assert found.scores.chamfer == pytest.approx(found.floor.chamfer, rel=0.03)
    assert found.scores.normal_consistency > 0.98
    json.dumps(found.to_json(), allow_nan=False)


def test_what_no_camera_sees_may_be_closed_in_any_way():
    whole, found = (getattr(measured(box(low=(-0.4, -1.0, -1.0))), name) for name in ("scores", "seen"))
    # There is less of it, so that its points lie closer together.
    assert 0.85 * found.floor.chamfer < found.scores.chamfer < found.floor.chamfer
    assert whole.chamfer > 5 * found.scores.chamfer


def test_a_seen_face_in_the_wrong_place_costs_its_distance():
    d = 0.1
    # Forward, the face and the rim around it stand where the camera sees that nothing is.
    found = measured(box(high=(1 + d, 1.0, 1.0))).seen.scores
    assert found.accuracy == pytest.approx((4 * d + 4 * 2 * d * d / 2) / (4 + 8 * d), rel=0.04)
    # From the true face to the rim, where that is nearer than d.
    assert found.completeness == pytest.approx(d - d**2 + d**3 / 3, rel=0.03)
    # Backward, it is nearer to the seen face than to the others but for a rim of d.
    found = measured(box(high=(1 - d, 1.0, 1.0))).seen.scores
    assert found.accuracy == pytest.approx(d, rel=0.02)
    assert found.completeness == pytest.approx(d, rel=0.02)


def test_leaving_out_what_is_seen_costs_its_distance():
    pred = box(high=(0.5, 1.0, 1.0))
    found = measured(pred).seen.scores
    # The nearest of what is left is half a side behind.
    assert found.completeness == pytest.approx(0.5, rel=0.02)
    (score,) = found.thresholds
    assert score.recall == 0.0


def test_what_stands_in_sight_counts_wherever_it_is_nearest_to():
    # Beside the back of the box, where the camera looks past the box: nearest to a face that it does not see.
    beside = box((-1.0, 2.0, -0.5), (-0.5, 3.0, 0.5))
    whole = box()
    both = Mesh(
        np.concatenate([whole.vertices, beside.vertices]),
        np.concatenate([whole.faces, beside.faces + len(whole.vertices)]),
    )
    found, alone = measured(both).seen, measured(whole).seen
    assert found.scores.accuracy > 10 * alone.scores.accuracy
    # Behind the box it is in the dark.
    dark = np.concatenate([whole.vertices, beside.vertices - [2.0, 2.5, 0.0]])
    found = measured(Mesh(dark, both.faces)).seen
    assert found.scores.accuracy == pytest.approx(alone.scores.accuracy, rel=0.05)


def test_the_volume_counts_that_is_nearest_to_what_is_seen():
    truth, d = box(), 0.2
    sampled = np.random.default_rng(0)
    points = SeenPart.of(
        np.concatenate([_face(axis, side, sampled) for axis in range(3) for side in (-1, 1)]), PointsSeen(truth, FRONT)
    )
    pred = box(high=(1 - d, 1.0, 1.0))
    inside = [inside_mesh(mesh.vertices, mesh.faces) for mesh in (pred, truth)]
    found = volumetric_iou(*inside, np.array([[-1.1] * 3, [1.1] * 3]), resolution=44, counts=points.counts)
    # Nearest to one face of a box is a pyramid, a sixth of it.
    assert found.left_out_share == pytest.approx(5 / 6, abs=0.02)
    assert found.iou == pytest.approx((1 - d) ** 3, abs=0.02)
    # What is filled in the dark does not count, what is in sight does.
    longer = box(low=(-2.0, -1.0, -1.0))
    grid = np.array([[-2.1, -1.2, -1.2], [1.5, 1.2, 1.2]])
    inside[0] = inside_mesh(longer.vertices, longer.faces)
    assert volumetric_iou(*inside, grid, resolution=36, counts=points.counts).iou == 1.0
    longer = box(high=(1.4, 1.0, 1.0))
    inside[0] = inside_mesh(longer.vertices, longer.faces)
    found = volumetric_iou(*inside, grid, resolution=36, counts=points.counts)
    assert found.iou == pytest.approx((8 / 6) / (8 / 6 + 4 * 0.4), abs=0.03)


def _face(axis: int, side: int, rng: np.random.Generator) -> np.ndarray:
    points = rng.uniform(-1, 1, (4000, 3))
    points[:, axis] = side
    return points


def test_cameras_that_see_nothing_are_an_error():
    with pytest.raises(ValueError, match="no camera sees any of the truth"):
        measured(box(), views((EYE, EYE, 0), focal=1000.0).moved(Similarity(np.eye(3), 1.0, np.array([0.0, 0, 50.0]))))
