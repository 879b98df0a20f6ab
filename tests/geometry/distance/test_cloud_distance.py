"""Distances to clouds of points beside those of the surfaces that the points were taken from."""

import numpy as np
import pytest

from inr_plugins.geometry.distance.cloud_distance import CloudDistance, PlaneDistance


def ball(count=20_000, *, seed=0) -> np.ndarray:
    points = np.random.default_rng(seed).normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def square(*, height=0.3, cells=30) -> tuple[np.ndarray, np.ndarray]:
    """A grid in the plane z = height, seen from above."""
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, cells), np.linspace(-0.5, 0.5, cells))
    points = np.stack([x.ravel(), y.ravel(), np.full(x.size, height)], axis=1)
    return points, np.tile([0.0, 0.0, 1.0], (x.size, 1))


def test_points_of_a_sphere_give_its_distance():
    points = np.random.default_rng(1).uniform(-1.5, 1.5, (3000, 3))
    found = CloudDistance(ball(), ball())(points)
    truth = np.linalg.norm(points, axis=1) - 1
    assert found.dtype == np.float32
    assert np.quantile(np.abs(found - truth), 0.99) < 1e-3
    assert np.abs(found - truth).max() < 0.01


def test_near_the_surface_the_distance_does_not_rise_between_the_points():
    close = 1.001 * ball(3000, seed=2)
    found = CloudDistance(ball(), ball())(close)
    # The nearest of 20,000 bare points is about 0.013 away.
    assert np.median(np.abs(found - 0.001)) < 1e-4
    assert np.quantile(np.abs(found - 0.001), 0.95) < 5e-4


def test_beyond_the_rim_of_a_sheet_the_distance_is_that_to_the_rim():
    points, normals = square()
    away = np.array([[2.0, 0.1, 0.3], [0.0, -3.0, 0.3], [0.2, 0.1, 1.3], [0.2, 0.1, -0.7]])
    found = CloudDistance(points, normals)(away)
    spacing = 1 / 29
    assert np.abs(np.abs(found[:2]) - [1.5, 2.5]).max() < 2.2 * spacing
    assert np.allclose(found[2:], [1.0, -1.0], atol=1e-6)


def test_the_plane_target_of_a_plane_is_exact_everywhere():
    points = np.random.default_rng(3).uniform(-1, 1, (500, 3))
    found = PlaneDistance(*square())(points)
    assert np.abs(found - (points[:, 2] - 0.3)).max() < 1e-6


def test_the_plane_target_takes_the_nearest_point_and_the_mean_of_three_normals():
    rng = np.random.default_rng(4)
    cloud, normals = rng.normal(size=(40, 3)), ball(40)
    points = rng.normal(size=(60, 3))
    for point, found in zip(points, PlaneDistance(cloud, normals)(points), strict=True):
        order = np.argsort(((cloud - point) ** 2).sum(axis=1))
        assert found == pytest.approx((point - cloud[order[0]]) @ normals[order[:3]].mean(axis=0), abs=1e-6)


def test_a_stray_point_has_no_huge_disc():
    points, normals = square()
    points = np.concatenate([points, [[0.0, 0.0, 5.0]]])
    normals = np.concatenate([normals, [[0.0, 0.0, 1.0]]])
    found = CloudDistance(points, normals)
    assert found.reach.max() < 0.2
    assert abs(found(np.array([[2.0, 0.0, 5.0]]))[0]) == pytest.approx(2.0, abs=0.2)


def test_too_few_points_or_normals_are_refused():
    with pytest.raises(ValueError, match="4 points"):
        CloudDistance(ball(4), ball(4))
    with pytest.raises(ValueError, match="7 normals for 8 points"):
        PlaneDistance(ball(8), ball(7))
    with pytest.raises(ValueError, match="neighbours"):
        CloudDistance(ball(8), ball(8), neighbours=0)
