"""Double and stray points, beside sets and distances by brute force."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from inr_plugins.geometry.repair.cloud_cleaning import first_of_each, first_of_each_place, stray_points

RNG = np.random.default_rng(11)


def ball(count=1500, seed=0):
    points = np.random.default_rng(seed).normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def test_the_first_of_equal_points_is_kept():
    points = RNG.integers(-1, 2, (200, 3)).astype(float) * np.where(RNG.random((200, 3)) < 0.5, -1.0, 1.0)
    first = {}
    for number, point in enumerate(points):
        first.setdefault(tuple(point + 0.0), number)
    assert first_of_each(points).tolist() == sorted(first.values())
    assert first_of_each(np.zeros((0, 3))).tolist() == []


@pytest.mark.parametrize("copies", [3, 20, 60])
def test_copies_that_rounding_set_apart_become_one(copies):
    truth = ball()
    points = np.repeat(truth, copies, axis=0)
    points = RNG.permutation(points + RNG.uniform(-1e-6, 1e-6, points.shape))
    kept, within = first_of_each_place(points)
    assert 2e-6 < within < 1e-4
    assert len(kept) == len(truth)
    apart, nearest = cKDTree(points[kept]).query(truth)
    assert apart.max() < 2e-6
    assert len(set(nearest)) == len(truth)


@pytest.mark.parametrize(
    "points",
    [
        ball(),
        np.stack(np.meshgrid(*2 * [np.arange(40.0)], [0.0]), -1).reshape(-1, 3),
        # Lines of a scanner, ten times closer along them than across.
        np.stack(np.meshgrid(np.arange(400) * 0.1, np.arange(40.0), [0.0]), -1).reshape(-1, 3),
        # Two sides of a plate, with a point below each.
        np.repeat(np.c_[np.random.default_rng(1).random((800, 2)), np.zeros(800)], 2, 0)
        + 800 * [[0, 0, 0], [0, 0, 1e-5]],
    ],
)
def test_clouds_without_clusters_stay_whole(points):
    kept, within = first_of_each_place(points)
    assert within == 0
    assert len(kept) == len(points)


def test_points_far_from_all_others_are_stray():
    far = np.array([[30.0, 0, 0], [-1e6, 1e9, 0], [3, 3, 3], [3.1, 3, 3], [2, 0, 0]])
    assert stray_points(np.concatenate([far, ball()])).tolist() == [True] * len(far) + [False] * 1500
    around = RNG.uniform(-20, 20, (60, 3))
    found = stray_points(np.concatenate([ball(), around]))
    assert not found[:1500].any()
    assert found[1500:].mean() > 0.95


def test_a_scan_that_thins_out_has_no_stray_points():
    # Ground around a scanner, from a tenth to ten times the usual distance.
    tail = RNG.normal(size=20_000)
    radius, angle = np.exp(0.9 * tail[np.abs(tail) < 2.5]), 2 * np.pi * RNG.random((np.abs(tail) < 2.5).sum())
    ground = np.stack([radius * np.cos(angle), radius * np.sin(angle), 0 * angle], axis=1)
    assert not stray_points(ground).any()
    # The same sparse ring with nothing between it and the middle is no part of it.
    apart = np.concatenate([ground[radius < 1], ground[radius > 7]])
    assert np.array_equal(stray_points(apart), np.arange(len(apart)) >= (radius < 1).sum())


def test_small_and_separate_parts_are_not_stray():
    screw = 0.05 * ball(40) + [5, 0, 0]
    assert not stray_points(np.concatenate([ball(), screw])).any()
    assert not stray_points(ball(12)).any()
    assert not stray_points(ball(5)).any()
