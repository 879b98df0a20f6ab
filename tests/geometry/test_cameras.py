"""Where cameras stand and how they are turned."""

from __future__ import annotations

import numpy as np
import pytest

from inr_plugins.geometry.cameras import look_at, orbit, spread


def assert_rigid_and_central(poses: np.ndarray, radius: float) -> None:
    rotation, eye = poses[:, :3, :3], poses[:, :3, 3]
    assert np.allclose(rotation @ rotation.transpose(0, 2, 1), np.eye(3), atol=1e-12)
    assert np.allclose(np.linalg.det(rotation), 1)
    assert np.allclose(np.linalg.norm(eye, axis=1), radius)
    assert np.allclose(-rotation[:, :, 2] * radius, -eye)  # -z of the camera points at the origin
    assert (rotation[:, 2, 1] >= -1e-12).all()  # the picture's up is never down


def test_look_at_is_upright_and_survives_the_poles():
    poses = look_at(np.array([[3.0, 0, 0], [0, 0, 2.0], [0, 0, -2.0], [1e-12, 0, 2.0]]))
    assert np.allclose(poses[0, :3, :3], np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]]))
    rotation = poses[:, :3, :3]
    assert np.allclose(rotation @ rotation.transpose(0, 2, 1), np.eye(3))
    assert np.isfinite(poses).all()


@pytest.mark.parametrize("coverage", ["sphere", "hemisphere"])
@pytest.mark.parametrize("count", [1, 7, 100])
def test_spread_cameras_stand_on_the_right_part_of_the_sphere(coverage: str, count: int):
    poses = spread(count, radius=4.0, coverage=coverage, generator=np.random.default_rng(3))
    assert_rigid_and_central(poses, 4.0)
    if coverage == "hemisphere":
        assert (poses[:, 2, 3] > 0).all()


def test_spread_cameras_leave_no_gap():
    eyes = spread(200, radius=1.0, coverage="sphere", generator=np.random.default_rng(0))[:, :3, 3]
    anywhere = np.random.default_rng(1).normal(size=(4000, 3))
    anywhere /= np.linalg.norm(anywhere, axis=1, keepdims=True)
    gap = np.degrees(np.arccos(np.clip((anywhere @ eyes.T).max(1), -1, 1))).max()
    # 200 equal caps have a half-angle of 8 degrees; the worst gap of 200 cameras thrown at random is near 25.
    assert gap < 16
    apart = np.degrees(np.arccos(np.clip(eyes @ eyes.T - 2 * np.eye(200), -1, 1))).min()
    assert apart > 4


def test_another_generator_gives_other_cameras_and_the_same_one_the_same():
    def eyes(seed: int) -> np.ndarray:
        return spread(20, radius=4.0, coverage="sphere", generator=np.random.default_rng(seed))[:, :3, 3]

    assert np.array_equal(eyes(1), eyes(1))
    assert np.linalg.norm(eyes(1)[:, None] - eyes(2)[None], axis=-1).min() > 1e-3


@pytest.mark.parametrize("coverage", ["sphere", "hemisphere"])
def test_the_orbit_is_one_smooth_closed_turn(coverage: str):
    poses = orbit(60, radius=4.0, coverage=coverage)
    assert_rigid_and_central(poses, 4.0)
    step = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0, append=poses[:1, :3, 3]), axis=1)
    assert step.max() < 2.2 * step.min()
    assert step.max() < 0.8
