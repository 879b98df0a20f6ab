"""Where up is, against cameras that are held in known ways."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from inr_plugins.photos.upright import given_up, turn_to_z, up_of_cameras


def cameras(turns, elevations, rolls=0.0):
    """Camera to world, OpenCV's axes, in a frame with z up: heading, elevation and roll in degrees."""
    turns, elevations, rolls = np.broadcast_arrays(turns, elevations, rolls)
    found = []
    for turn, elevation, roll in zip(turns, elevations, rolls, strict=True):
        heading, rise, lean = np.radians([turn, elevation, roll])
        forward = np.array([np.cos(heading) * np.cos(rise), np.sin(heading) * np.cos(rise), np.sin(rise)])
        right = np.array([np.sin(heading), -np.cos(heading), 0.0])
        down = np.cross(forward, right)
        right, down = np.cos(lean) * right + np.sin(lean) * down, np.cos(lean) * down - np.sin(lean) * right
        found.append(np.stack([right, down, forward], axis=1))
    return np.array(found)


def angle(first, second):
    return float(np.degrees(np.arccos(np.clip(first @ second, -1, 1))))


@pytest.mark.parametrize("seed", range(3))
def test_cameras_that_are_held_level_show_up_wherever_they_look(seed):
    generator = np.random.default_rng(seed)
    world = Rotation.random(random_state=seed).as_matrix()
    rotations = world @ cameras(generator.uniform(0, 120, 20), generator.uniform(-80, -30, 20))
    up = up_of_cameras(rotations)
    assert angle(up.direction, world[:, 2]) < 1e-4
    assert (up.means, round(up.tilt, 3)) == ("level", 0)
    # The mean of their own would be far off, since all look down and to one side.
    assert angle(-rotations[:, :, 1].mean(axis=0) / np.linalg.norm(rotations[:, :, 1].mean(axis=0)), world[:, 2]) > 20


def test_a_few_pictures_taken_aslant_hardly_matter():
    turns = np.linspace(0, 300, 24)
    rolls = np.where(np.arange(24) % 6 == 0, 90.0, np.random.default_rng(0).normal(0, 1, 24))
    up = up_of_cameras(cameras(turns, -25.0, rolls))
    assert angle(up.direction, np.array([0.0, 0, 1])) < 1
    assert up.means == "level"


def test_cameras_that_look_one_way_leave_it_to_their_mean():
    up = up_of_cameras(cameras(np.zeros(10), np.linspace(-40, 10, 10)))
    assert up.means == "mean"
    assert angle(up.direction, np.array([np.sin(np.radians(15)), 0, np.cos(np.radians(15))])) < 1


def test_cameras_held_anyhow_leave_it_to_their_mean():
    rolls = np.random.default_rng(1).normal(0, 50, 60)
    up = up_of_cameras(cameras(np.linspace(0, 360, 60, endpoint=False), -20.0, rolls))
    assert up.means == "mean"
    assert up.tilt > 20
    assert angle(up.direction, np.array([0.0, 0, 1])) < 15


def test_an_axis_that_is_given_is_taken_and_its_tilt_told():
    up = given_up(np.array([0.0, 0, 2]), cameras([0, 90, 200], -10.0, 5.0))
    assert (up.means, up.direction.tolist()) == ("given", [0, 0, 1])
    assert up.tilt == pytest.approx(np.degrees(np.arcsin(np.sin(np.radians(5)) * np.cos(np.radians(10)))))


@pytest.mark.parametrize("axis", [[0, 0, 1], [0, 0, -1], [0, -1, 0], [0.6, 0, -0.8], [1e-9, 0, -1]])
def test_the_turn_brings_up_to_z(axis):
    axis = np.array(axis, dtype=float) / np.linalg.norm(axis)
    turn = turn_to_z(axis)
    assert np.allclose(turn @ axis, [0, 0, 1], atol=1e-7)
    assert np.allclose(turn @ turn.T, np.eye(3), atol=1e-7)
    assert np.linalg.det(turn) == pytest.approx(1)
