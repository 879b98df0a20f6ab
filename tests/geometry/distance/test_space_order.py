"""Points put in an order in which neighbours follow one another."""

import numpy as np
import pytest

from inr_plugins.geometry.distance.space_order import space_order


def test_the_corners_of_a_cube_come_in_mortons_order():
    corners = np.array([[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1)], dtype=float)
    order = space_order(corners)
    assert corners[order].tolist() == sorted(corners.tolist())


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_every_point_comes_once_and_steps_are_short(scale):
    points = scale * np.random.default_rng(0).random((4000, 3))
    order = space_order(points)
    assert np.array_equal(np.sort(order), np.arange(4000))
    step = np.linalg.norm(np.diff(points[order], axis=0), axis=1).mean()
    # Two random points of a unit cube are 0.66 apart, neighbours among 4,000 about 0.035.
    assert step < 0.12 * scale


def test_no_points_and_points_in_one_place():
    assert len(space_order(np.zeros((0, 3)))) == 0
    assert np.array_equal(space_order(np.ones((3, 3))), [0, 1, 2])
