"""Surface metrics against closed forms on planes and spheres, brute force and the solid-angle winding number."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields

import numpy as np
import pytest
import trimesh

from inr_plugins.metrics import sampling, volume
from inr_plugins.metrics.sampling import PointCloud, inside_mesh, sample_surface
from inr_plugins.metrics.surface import SurfaceScores, surface_metrics
from inr_plugins.metrics.volume import volumetric_iou

UNIT_BOX = np.array([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])


@dataclass(frozen=True)
class Triangles:
    vertices: np.ndarray
    faces: np.ndarray


def sphere(radius=1.0, subdivisions=5):
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return Triangles(np.asarray(mesh.vertices), np.asarray(mesh.faces))


def torus():
    mesh = trimesh.creation.torus(0.6, 0.25, major_sections=20, minor_sections=12)
    return Triangles(np.asarray(mesh.vertices), np.asarray(mesh.faces))


def rectangle(width=1.0, height=1.0, z=0.0):
    corners = np.array([[0.0, 0.0, z], [width, 0.0, z], [width, height, z], [0.0, height, z]])
    return Triangles(corners, np.array([[0, 1, 2], [0, 2, 3]]))


def cube(half=0.5):
    """A box whose faces are split along a lattice: vertices and edges lie exactly above lattice points."""
    mesh = trimesh.creation.box(extents=[2 * half] * 3).subdivide().subdivide()
    return Triangles(np.asarray(mesh.vertices), np.asarray(mesh.faces))


def joined(*meshes):
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    return Triangles(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)]),
    )


def ball(radius):
    return lambda points: np.linalg.norm(points, axis=1) < radius


def scanned(mesh, count):
    """Points and normals as a scanner would give them."""
    return sample_surface(mesh.vertices, mesh.faces, count, np.random.default_rng(0))


def brute_force(source, target):
    """Distance to and index of the nearest target point, over all pairs."""
    distance = np.sqrt(((source[:, None] - target[None]) ** 2).sum(axis=-1))
    return distance.min(axis=1), distance.argmin(axis=1)


def solid_angle_winding(mesh, points):
    """Winding numbers as sums of signed solid angles (Van Oosterom and Strackee 1983)."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]][None] - points[:, None] for k in range(3))
    la, lb, lc = (np.linalg.norm(side, axis=-1) for side in (a, b, c))

    def dot(u, v):
        return (u * v).sum(axis=-1)

    over = dot(a, np.cross(b, c))
    under = la * lb * lc + dot(a, b) * lc + dot(b, c) * la + dot(c, a) * lb
    return (2 * np.arctan2(over, under)).sum(axis=1) / (4 * math.pi)


def test_points_are_spread_over_faces_by_area():
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 3], [0, 1, 3], [0, 0, 6.0]])
    faces = np.array([[0, 1, 2], [3, 4, 5], [0, 0, 1]])  # areas 1/2, 3/2 and none
    points, normals = sample_surface(vertices, faces, 40_000, np.random.default_rng(0))
    first = points[:, 2] < 1
    assert first.mean() == pytest.approx(0.25, abs=0.01)
    assert normals[first] == pytest.approx(np.broadcast_to([0.0, 0, 1], (first.sum(), 3)))
    assert normals[~first] == pytest.approx(np.broadcast_to([1.0, 0, 0], ((~first).sum(), 3)))


def test_points_are_uniform_inside_a_triangle():
    corners = np.array([[0.0, 0.0, 1.0], [4.0, 1.0, 0.0], [1.0, 2.0, 3.0]])
    points, normals = sample_surface(corners, np.array([[0, 1, 2]]), 100_000, np.random.default_rng(0))
    away = corners - corners.mean(axis=0)
    assert points.mean(axis=0) == pytest.approx(corners.mean(axis=0), abs=0.01)
    assert np.cov(points.T, bias=True) == pytest.approx(away.T @ away / 12, abs=0.01)
    assert (points - corners[0]) @ normals[0] == pytest.approx(np.zeros(len(points)), abs=1e-12)
    barycentric = np.linalg.solve(corners.T, points.T)
    assert barycentric.min() > -1e-12


def test_floor_is_that_of_two_random_samplings():
    count, area = 20_000, 4 * math.pi
    result = surface_metrics(sphere(1.2), sphere(), samples=count, thresholds=[0.5])
    assert result.floor.chamfer_squared == pytest.approx(2 * area / (math.pi * count), rel=0.03)
    # The mean distance to the nearest of a Poisson process's points.
    assert result.floor.accuracy == pytest.approx(0.5 * math.sqrt(area / count), rel=0.03)
    assert result.floor.completeness == pytest.approx(0.5 * math.sqrt(area / count), rel=0.03)
    assert result.floor.thresholds[0].f_score == 1.0
    assert result.floor.normal_consistency == pytest.approx(0.9995, abs=0.00049)


def test_a_perfect_prediction_scores_its_floor():
    result = surface_metrics(sphere(), sphere(), samples=20_000)
    assert result.scores.chamfer_squared == pytest.approx(result.floor.chamfer_squared, rel=0.03)
    assert result.scores.chamfer_squared != result.floor.chamfer_squared


def test_concentric_spheres():
    scores = surface_metrics(sphere(1.3), sphere(1.0), samples=20_000).scores
    assert scores.accuracy == pytest.approx(0.3, rel=5e-3)
    assert scores.completeness == pytest.approx(0.3, rel=5e-3)
    assert scores.chamfer == pytest.approx(0.3, rel=5e-3)
    assert scores.chamfer_squared == pytest.approx(2 * 0.3**2, rel=1e-2)
    assert scores.normal_consistency == pytest.approx(1.0, abs=1e-3)


def test_parallel_planes():
    count, apart = 20_000, 0.02
    scores = surface_metrics(rectangle(z=apart), rectangle(), samples=count).scores
    assert scores.chamfer_squared == pytest.approx(2 * apart**2 + 2 / (math.pi * count), rel=0.01)
    assert scores.normal_consistency == pytest.approx(1.0)


def test_f_score_steps_at_the_distance_of_two_planes():
    result = surface_metrics(rectangle(z=0.1), rectangle(), samples=20_000, thresholds=[0.0999, 0.11])
    below, above = result.scores.thresholds
    assert (below.threshold, below.precision, below.recall, below.f_score) == (0.0999, 0.0, 0.0, 0.0)
    assert (above.precision, above.recall, above.f_score) == (1.0, 1.0, 1.0)


def test_precision_is_of_the_prediction_and_recall_of_the_truth():
    half, whole = rectangle(1.0), rectangle(2.0)
    (score,) = surface_metrics(half, whole, samples=20_000, thresholds=[0.1]).scores.thresholds
    # Half of the truth is covered, and a strip as wide as the threshold is near enough.
    assert score.precision == 1.0
    assert score.recall == pytest.approx(0.55, abs=0.01)
    assert score.f_score == pytest.approx(2 * score.recall / (1 + score.recall))


@pytest.mark.parametrize("turn", [0.5, 1.2, math.pi])
def test_normal_consistency_of_a_rotated_plane_is_its_cosine(turn):
    rotation = np.array([[1, 0, 0], [0, math.cos(turn), -math.sin(turn)], [0, math.sin(turn), math.cos(turn)]])
    flat = rectangle()
    turned = Triangles(flat.vertices @ rotation.T, flat.faces)
    assert surface_metrics(turned, flat, samples=200).scores.normal_consistency == pytest.approx(abs(math.cos(turn)))


def test_swapping_surfaces_swaps_the_directions():
    large, small = torus(), rectangle()
    there = surface_metrics(large, small, samples=10_000, thresholds=[0.2]).scores
    back = surface_metrics(small, large, samples=10_000, thresholds=[0.2]).scores
    assert there.accuracy == pytest.approx(back.completeness, rel=0.03)
    assert there.completeness == pytest.approx(back.accuracy, rel=0.03)
    assert abs(there.accuracy - there.completeness) > 0.1 * there.accuracy
    assert there.chamfer == pytest.approx(back.chamfer, rel=0.02)
    assert there.chamfer_squared == pytest.approx(back.chamfer_squared, rel=0.03)
    assert there.normal_consistency == pytest.approx(back.normal_consistency, abs=0.02)
    assert there.thresholds[0].precision == pytest.approx(back.thresholds[0].recall, abs=0.02)


def test_scores_equal_brute_force(monkeypatch):
    pred, truth = torus(), sphere(0.7, subdivisions=3)
    drawn: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"pred": [], "truth": []}

    def recorded(vertices, faces, count, rng):
        result = sample_surface(vertices, faces, count, rng)
        drawn["pred" if vertices is pred.vertices else "truth"].append(result)
        return result

    monkeypatch.setattr(sampling, "sample_surface", recorded)
    result = surface_metrics(pred, truth, samples=300, thresholds=[0.15])
    (p, p_normals), (t, t_normals) = drawn["pred"][0], drawn["truth"][0]
    there, to = brute_force(p, t)
    back, fro = brute_force(t, p)
    scores = result.scores
    assert scores.accuracy == pytest.approx(there.mean())
    assert scores.completeness == pytest.approx(back.mean())
    assert scores.chamfer == pytest.approx((there.mean() + back.mean()) / 2)
    assert scores.chamfer_squared == pytest.approx((there**2).mean() + (back**2).mean())
    agreement = np.abs((p_normals * t_normals[to]).sum(-1)).mean() + np.abs((t_normals * p_normals[fro]).sum(-1)).mean()
    assert scores.normal_consistency == pytest.approx(agreement / 2)
    assert scores.thresholds[0].precision == pytest.approx((there < 0.15).mean())
    floor, _ = brute_force(drawn["truth"][1][0], t)
    assert result.floor.accuracy == pytest.approx(floor.mean())


def test_equal_seeds_give_equal_scores():
    first, second, other = (surface_metrics(torus(), sphere(), samples=500, seed=seed) for seed in (3, 3, 4))
    assert first == second
    assert first.scores.chamfer != other.scores.chamfer


def test_a_true_cloud_is_split_in_halves_that_share_no_point():
    points, normals = scanned(sphere(), 4_000)
    result = surface_metrics(sphere(), PointCloud(points, normals))
    assert result.samples == 2_000
    assert result.floor.chamfer_squared == pytest.approx(2 * 4 / 2_000, rel=0.1)
    assert result.scores.chamfer_squared == pytest.approx(2 * 4 / 2_000, rel=0.1)
    assert result.floor.normal_consistency == pytest.approx(1.0, abs=0.01)


def test_a_predicted_cloud_limits_the_samples_and_may_lack_normals():
    points, _ = scanned(sphere(1.5), 700)
    result = surface_metrics(PointCloud(points.astype(np.float32)), sphere())
    assert result.samples == 700
    assert result.scores.normal_consistency is None
    assert result.floor.normal_consistency == pytest.approx(1.0, abs=0.01)
    assert json.loads(json.dumps(result.to_json()))["scores"]["normal_consistency"] is None


def test_json_defines_every_score():
    result = surface_metrics(torus(), sphere(), samples=200, thresholds=[0.1, 0.2], seed=5)
    record = json.loads(json.dumps(result.to_json(), allow_nan=False))
    names = {field.name for field in fields(SurfaceScores)} - {"thresholds"} | {"precision", "recall", "f_score"}
    assert names | {"floor", "samples"} == set(record["definitions"])
    assert record["scores"]["chamfer"] == result.scores.chamfer
    assert record["floor"]["thresholds"][1]["threshold"] == 0.2
    assert (record["samples"], record["seed"]) == (200, 5)


EMPTY = Triangles(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64))
WITHOUT_FACES = Triangles(np.zeros((3, 3)), np.zeros((0, 3), dtype=np.int64))
NOT_FINITE = Triangles(np.array([[0.0, 0, 0], [1, 0, 0], [0, np.nan, 0]]), np.array([[0, 1, 2]]))
OUT_OF_RANGE = Triangles(np.eye(3), np.array([[0, 1, 3]]))


@pytest.mark.parametrize("broken", [EMPTY, WITHOUT_FACES, NOT_FINITE, OUT_OF_RANGE])
def test_a_broken_mesh_is_refused_by_its_name(broken):
    with pytest.raises(ValueError, match=r"^pred "):
        surface_metrics(broken, sphere(), samples=200)
    with pytest.raises(ValueError, match=r"^truth "):
        surface_metrics(sphere(), broken, samples=200)
    with pytest.raises(ValueError, match="the mesh"):
        sample_surface(broken.vertices, broken.faces, 10, np.random.default_rng(0))
    with pytest.raises(ValueError, match="the mesh"):
        inside_mesh(broken.vertices, broken.faces)


def test_a_mesh_without_area_is_refused():
    with pytest.raises(ValueError, match="area"):
        sample_surface(np.zeros((3, 3)), np.array([[0, 1, 2]]), 10, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"thresholds": [0.1, 0.0]}, "thresholds"),
        ({"thresholds": [-0.1]}, "thresholds"),
        ({"thresholds": [math.nan]}, "thresholds"),
        ({"thresholds": [math.inf]}, "thresholds"),
        ({"samples": 99}, "samples"),
        ({"samples": 0}, "samples"),
    ],
)
def test_wrong_options_are_refused_by_their_name(options, named):
    with pytest.raises(ValueError, match=f"^{named} must"):
        surface_metrics(sphere(), sphere(), **options)


@pytest.mark.parametrize(
    ("cloud", "complaint"),
    [
        (PointCloud(np.zeros((0, 3))), "truth must have points"),
        (PointCloud(np.full((300, 3), np.nan)), "truth has points that are not finite"),
        (PointCloud(np.zeros((300, 3)), np.full((300, 3), 1.0)), "truth has normals"),
        (PointCloud(np.zeros((199, 3))), "samples must be at least 100, not the 99"),
    ],
)
def test_a_broken_cloud_is_refused(cloud, complaint):
    with pytest.raises(ValueError, match=complaint):
        surface_metrics(sphere(), cloud)


def test_iou_of_spheres_on_a_grid():
    result = volumetric_iou(ball(0.6), ball(0.9), UNIT_BOX, resolution=96)
    assert result.iou == pytest.approx((0.6 / 0.9) ** 3, rel=5e-3)
    assert result.pred_volume == pytest.approx(4 / 3 * math.pi * 0.6**3, rel=5e-3)
    assert result.truth_volume == pytest.approx(4 / 3 * math.pi * 0.9**3, rel=5e-3)
    assert (result.points, result.standard_error) == (96**3, None)
    assert "96^3" in result.definition
    assert json.loads(json.dumps(result.to_json()))["iou"] == result.iou


def test_iou_of_spheres_at_random_points():
    results = [volumetric_iou(ball(0.6), ball(0.9), UNIT_BOX, points=10_000, seed=seed) for seed in range(40)]
    errors = np.array([result.iou for result in results]) - (0.6 / 0.9) ** 3
    assert errors.mean() == pytest.approx(0.0, abs=4 * errors.std() / math.sqrt(40))
    assert errors.std() == pytest.approx(results[0].standard_error, rel=0.4)


def test_iou_does_not_depend_on_the_order_or_the_batches(monkeypatch):
    box = np.array([[-1.0, 0.0, -2.0], [1.0, 1.0, 3.0]])
    whole = volumetric_iou(ball(0.6), ball(0.9), box, resolution=20)
    monkeypatch.setattr(volume, "_POINTS_AT_A_TIME", 999)
    assert volumetric_iou(ball(0.6), ball(0.9), box, resolution=20) == whole
    assert volumetric_iou(ball(0.9), ball(0.6), box, resolution=20).iou == whole.iou
    assert volumetric_iou(ball(0.6), ball(0.6), box, resolution=20).iou == 1.0


def test_the_grid_is_of_cell_centres_of_the_box():
    asked = []

    def inside(points):
        asked.append(points)
        return np.ones(len(points), dtype=bool)

    volumetric_iou(inside, inside, np.array([[0.0, 0.0, 0.0], [2.0, 4.0, 8.0]]), resolution=2)
    assert sorted(map(tuple, asked[0])) == [(x, y, z) for x in (0.5, 1.5) for y in (1.0, 3.0) for z in (2.0, 6.0)]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "exactly one"),
        ({"resolution": 8, "points": 8}, "exactly one"),
        ({"resolution": 0}, "^resolution must be at least 1, not 0"),
        ({"points": -3}, "^points must be at least 1, not -3"),
        ({"resolution": 8, "box": UNIT_BOX[::-1]}, "^box"),
        ({"resolution": 8, "box": UNIT_BOX * np.inf}, "^box"),
        ({"resolution": 8, "inside_pred": lambda points: points[:, 0]}, "^inside_pred must return a bool"),
        ({"resolution": 8, "inside_truth": lambda points: np.ones((1,), dtype=bool)}, "^inside_truth must"),
        ({"resolution": 8, "box": UNIT_BOX + 5.0}, "Neither"),
    ],
)
def test_iou_refuses_what_it_cannot_measure(options, complaint):
    arguments = {"inside_pred": ball(0.5), "inside_truth": ball(0.5), "box": UNIT_BOX} | options
    with pytest.raises(ValueError, match=complaint):
        volumetric_iou(**arguments)


@pytest.mark.parametrize("mesh", [torus(), sphere(0.8, subdivisions=2), cube()])
@pytest.mark.parametrize("at", ["random", "lattice"])
def test_inside_equals_the_solid_angle_winding_number(mesh, at):
    if at == "random":
        points = np.random.default_rng(0).uniform(-1, 1, (1500, 3))
    else:
        axis = np.linspace(-0.875, 0.875, 15)
        # Columns run exactly through vertices and along edges; heights stay off the cube's own faces.
        points = np.stack(np.meshgrid(axis, axis, axis[:-1] + 0.03), axis=-1).reshape(-1, 3)
        # On a side of the cube a point is neither inside nor outside.
        points = points[(np.abs(np.abs(points) - 0.5) > 1e-9).all(axis=1)]
    expected = np.round(solid_angle_winding(mesh, points)) != 0
    assert 0.02 < expected.mean() < 0.8
    assert (inside_mesh(mesh.vertices, mesh.faces)(points) == expected).all()


def test_inside_does_not_depend_on_batches_or_orientation(monkeypatch):
    mesh = torus()
    points = np.random.default_rng(0).uniform(-1, 1, (2000, 3))
    expected = inside_mesh(mesh.vertices, mesh.faces)(points)
    assert (inside_mesh(mesh.vertices, mesh.faces[:, ::-1])(points) == expected).all()
    monkeypatch.setattr(sampling, "_FACES_AT_A_TIME", 7)
    monkeypatch.setattr(sampling, "_PAIRS_AT_A_TIME", 13)
    assert (inside_mesh(mesh.vertices, mesh.faces)(points) == expected).all()


def test_a_cavity_is_outside_and_an_overlap_inside():
    wall = sphere(0.4, subdivisions=3)
    hollow = joined(sphere(0.9, subdivisions=3), Triangles(wall.vertices, wall.faces[:, ::-1]))
    double = joined(sphere(0.9, subdivisions=3), wall)
    points = np.array([[0.0, 0.01, 0.02], [0.6, 0.0, 0.0], [0.0, 0.0, -0.6], [0.95, 0.0, 0.0], [0.0, 0.0, 3.0]])
    assert inside_mesh(hollow.vertices, hollow.faces)(points).tolist() == [False, True, True, False, False]
    assert inside_mesh(double.vertices, double.faces)(points).tolist() == [True, True, True, False, False]


def test_iou_of_meshes_far_from_the_origin():
    shift = np.array([5e5, 4e6, 100.0])
    large, small = sphere(0.9, subdivisions=4), sphere(0.6, subdivisions=4)
    inside_large, inside_small = (inside_mesh(mesh.vertices + shift, mesh.faces) for mesh in (large, small))
    result = volumetric_iou(inside_small, inside_large, UNIT_BOX + shift, resolution=64)
    assert result.iou == pytest.approx((0.6 / 0.9) ** 3, rel=0.01)


def test_points_outside_all_columns_of_a_mesh_are_outside():
    mesh = cube()
    inside = inside_mesh(mesh.vertices, mesh.faces)
    assert not inside(np.array([[5.0, 5.0, 0.0], [5.0, 0.0, 0.0]])).any()
    assert inside(np.zeros((0, 3))).shape == (0,)


def test_a_single_point_and_points_in_a_plane_are_told_apart():
    ball_mesh = sphere(0.8, subdivisions=3)
    inside = inside_mesh(ball_mesh.vertices, ball_mesh.faces)
    with np.errstate(divide="raise", invalid="raise"):
        assert inside(np.array([[0.1, 0.2, 0.3]])).tolist() == [True]
        across = np.array([[0.1, y, 0.3] for y in (-0.9, -0.2, 0.5, 0.9)])
        assert inside(across).tolist() == [False, True, True, False]


def test_columns_through_vertices_and_edges_of_crooked_solids_are_counted_once():
    rng = np.random.default_rng(0)
    axis = np.arange(5.0)
    points = np.stack(np.meshgrid(axis, axis, axis + 0.3717), axis=-1).reshape(-1, 3)
    for _ in range(60):
        corners = rng.integers(0, 5, (4, 3)).astype(np.float64)
        if abs(np.linalg.det(corners[1:] - corners[0])) < 0.5:
            continue
        weights = np.linalg.solve(np.vstack([corners.T, np.ones(4)]), np.vstack([points.T, np.ones(len(points))]))
        # The faces, in an order that agrees along every edge.
        inside = inside_mesh(corners, np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]))
        # Points on a vertical side are neither inside nor outside.
        clear = np.abs(weights).min(axis=0) > 1e-9
        assert (inside(points) == (weights > 0).all(axis=0))[clear].all()


def test_no_ray_slips_between_two_faces_or_is_counted_twice():
    mesh = sphere(subdivisions=4)
    start, end = mesh.vertices[mesh.faces], mesh.vertices[np.roll(mesh.faces, 1, axis=1)]
    share = np.random.default_rng(0).random((*mesh.faces.shape, 1))
    # Columns on the edges, but for rounding.
    on_edges = ((1 - share) * start + share * end).reshape(-1, 3)[:, :2]
    inside = inside_mesh(mesh.vertices, mesh.faces)
    assert not inside(np.column_stack([on_edges, np.full(len(on_edges), -2.0)])).any()
    core = on_edges[np.linalg.norm(on_edges, axis=1) < 0.9]
    assert inside(np.column_stack([core, np.full(len(core), 0.1)])).all()
