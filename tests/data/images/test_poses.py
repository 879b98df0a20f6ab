"""Which way cameras look, told from their poses alone."""

from __future__ import annotations

import numpy as np
import pytest

from inr_plugins.data.images.poses import looking_away

COUNT = 24
OPENCV = np.diag([1.0, -1.0, -1.0])


def poses(origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Camera-to-world matrices, looking along -z with z of the world up as far as that goes."""
    back = -directions / np.linalg.norm(directions, axis=1, keepdims=True)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    rotation = np.stack([right, np.cross(back, right), back], axis=2)
    return np.concatenate([rotation, origins[:, :, None]], axis=2)


@pytest.fixture
def ring() -> np.ndarray:
    """Points around an object that stands somewhere else than at the origin, from two heights."""
    angle = np.linspace(0, 2 * np.pi, COUNT, endpoint=False)
    height = np.where(np.arange(COUNT) % 2, 1.0, 2.0)
    return np.stack([3 * np.cos(angle) + 5, 3 * np.sin(angle) - 7, height], axis=1)


def test_cameras_around_an_object_look_at_it_and_with_opencvs_axes_away(ring):
    target = np.array([5.0, -7.0, 0.5])
    # People do not aim exactly.
    aim = target + np.random.default_rng(0).normal(0, 0.2, (COUNT, 3))
    right = poses(ring, aim - ring)
    assert looking_away(right) == 0
    wrong = right.copy()
    wrong[:, :, :3] = right[:, :, :3] @ OPENCV
    assert looking_away(wrong) == COUNT


def test_a_few_that_look_elsewhere_change_nothing(ring):
    directions = np.array([5.0, -7.0, 0.5]) - ring
    directions[:2] *= -1
    assert looking_away(poses(ring, directions)) == 0


def test_cameras_without_a_common_point_are_not_judged(ring):
    ahead = np.tile([0.0, 1.0, 0.1], (COUNT, 1)) + np.random.default_rng(1).normal(0, 0.02, (COUNT, 3))
    walk = np.stack([np.linspace(0, 9, COUNT), np.zeros(COUNT), np.ones(COUNT)], axis=1)
    assert looking_away(poses(walk, ahead)) == 0
    anywhere = np.random.default_rng(2).normal(size=(COUNT, 3))
    assert looking_away(poses(walk, anywhere)) == 0
    assert looking_away(poses(ring[:4], ring[:4] - np.array([5.0, -7.0, 0.5]))) == 0
