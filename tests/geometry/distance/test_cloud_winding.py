"""Winding numbers of clouds beside what is known of the solids that the points were taken from."""

import numpy as np
import pytest

from inr_plugins.geometry.distance.cloud_distance import CloudDistance
from inr_plugins.geometry.distance.cloud_winding import CloudWinding


def ball(count, *, seed=0):
    points = np.random.default_rng(seed).normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def blade(count, *, half=(0.8, 0.5, 0.03), seed=0):
    """Points of a thin box and their normals, spread evenly."""
    rng, half = np.random.default_rng(seed), np.array(half)
    sides = np.array([half[1] * half[2], half[0] * half[2], half[0] * half[1]])
    axis = rng.choice(3, count, p=sides / sides.sum())
    sign = rng.choice([-1.0, 1.0], count)
    points = rng.uniform(-1, 1, (count, 3)) * half
    rows = np.arange(count)
    points[rows, axis] = sign * half[axis]
    normals = np.zeros((count, 3))
    normals[rows, axis] = sign
    return points, normals


@pytest.mark.parametrize("count", [2000, 20_000])
def test_it_is_one_in_a_ball_and_zero_outside(count):
    winding = CloudWinding(2 * ball(count) + 7, ball(count))
    assert winding.closed
    points = np.random.default_rng(1).uniform(-4, 4, (2000, 3))
    away = np.linalg.norm(points, axis=1) - 2
    points, away = points[np.abs(away) > winding.reliable_from], away[np.abs(away) > winding.reliable_from]
    found = winding(points + 7)
    assert (away < 0).sum() > 20
    assert np.abs(found - (away < 0)).max() < 0.08
    assert np.abs(found - (away < 0)).mean() < 0.06


def test_a_shell_has_a_hollow():
    points = np.concatenate([ball(2000), 0.5 * ball(1000, seed=1)])
    winding = CloudWinding(points, np.concatenate([ball(2000), -ball(1000, seed=1)]))
    found = winding(np.array([[0.0, 0.0, 0.0], [0.75, 0.0, 0.0], [1.5, 0.0, 0.0]]))
    assert np.abs(found - [0, 1, 0]).max() < 0.2


def test_sheets_and_half_balls_are_not_closed():
    half = ball(3000)
    half = half[half[:, 2] > 0]
    assert not CloudWinding(half, half).closed
    points = np.random.default_rng(0).uniform(-1, 1, (500, 3)) * [1, 1, 0]
    assert not CloudWinding(points, np.tile([0.0, 0.0, 1.0], (500, 1))).closed


def test_beyond_sharp_edges_the_distance_to_a_cloud_has_the_right_sign():
    points, normals = blade(1000)
    away = np.random.default_rng(2).uniform(-1, 1, (20_000, 3))
    truth = np.linalg.norm(np.maximum(np.abs(away) - [0.8, 0.5, 0.03], 0), axis=1)
    found = CloudDistance(points, normals)
    far = truth > 0.25
    assert (found(away[far]) > 0).all()
    # What is near keeps the sign of the discs: the inside of the blade is thinner than its points are apart.
    inside = np.random.default_rng(3).uniform(-0.9, 0.9, (500, 3)) * [0.7, 0.4, 0.02]
    assert (found(inside) < 0).mean() > 0.9
