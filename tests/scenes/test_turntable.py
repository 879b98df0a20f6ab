import numpy as np
import torch
from nerfstudio.cameras.camera_paths import get_path_from_json

from inr_plugins.geometry.cameras import look_at
from inr_plugins.scenes.turntable import focus_point, turntable_path

TARGET = np.array([0.3, -0.2, 0.5])


def ring(count=12, radius=2.0, height=0.7):
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    eyes = TARGET + np.stack([radius * np.cos(angles), radius * np.sin(angles), np.full(count, height)], -1)
    return look_at(eyes, TARGET)[:, :3]


def test_the_focus_of_cameras_that_look_at_a_point_is_that_point():
    np.testing.assert_allclose(focus_point(ring()), TARGET, atol=1e-4)


def test_parallel_cameras_have_a_finite_focus():
    poses = np.stack([np.hstack([np.eye(3), [[x], [0.0], [1.0]]]) for x in (-1.0, 0.0, 1.0)])
    np.testing.assert_allclose(focus_point(poses), [0.0, 0.0, 1.0], atol=1e-6)


def test_a_camera_that_looks_at_a_point_has_it_on_its_axis_and_up_above():
    (pose,) = look_at(np.array([[2.0, 1.0, 1.0]]), TARGET)
    seen = np.linalg.inv(pose) @ np.append(TARGET, 1.0)
    np.testing.assert_allclose(seen[:2], 0.0, atol=1e-12)
    assert seen[2] < 0
    assert pose[2, 1] > 0
    np.testing.assert_allclose(pose[:3, :3].T @ pose[:3, :3], np.eye(3), atol=1e-12)


def test_nerfstudio_reads_the_path_as_one_turn_at_the_cameras_distance_and_height():
    turn = turntable_path(ring(), width=64, height=48, vertical_fov=40.0, frames=8)
    cameras = get_path_from_json(turn)
    eyes = cameras.camera_to_worlds[:, :, 3].double().numpy()
    assert len(eyes) == 8
    np.testing.assert_allclose(np.linalg.norm(eyes - TARGET, axis=-1), np.hypot(2.0, 0.7), atol=1e-3)
    np.testing.assert_allclose(eyes[:, 2] - TARGET[2], 0.7, atol=1e-3)
    turned = np.unwrap(np.arctan2(eyes[:, 1] - TARGET[1], eyes[:, 0] - TARGET[0]))
    np.testing.assert_allclose(np.diff(turned), 2 * np.pi / 8, atol=1e-3)
    expected = 48 / 2 / np.tan(np.radians(20.0))
    torch.testing.assert_close(cameras.fy.flatten()[0].item(), expected, rtol=1e-5, atol=0.0)


def directions_of(turn):
    poses = np.array([np.array(each["camera_to_world"]).reshape(4, 4) for each in turn["camera_path"]])
    return np.degrees(np.arctan2(poses[:, 1, 3] - TARGET[1], poses[:, 0, 3] - TARGET[0])) % 360


def test_the_way_goes_to_and_fro_where_cameras_stand_on_one_side_only():
    angles = np.radians(np.linspace(130, 230, 9))
    eyes = TARGET + np.stack([2 * np.cos(angles), 2 * np.sin(angles), np.full(9, 0.7)], -1)
    turn = turntable_path(look_at(eyes, TARGET)[:, :3], width=64, height=48, vertical_fov=40.0, frames=16)
    found = directions_of(turn)
    np.testing.assert_allclose([found.min(), found.max()], [135, 225], atol=0.1)
    # It ends beside where it began, and no two frames are farther apart than the sine's steepest part.
    steps = np.abs(np.diff(found, append=found[0]))
    assert steps.max() < 50 * 2 * np.pi / 16 + 0.1
    np.testing.assert_allclose(found[1:8], found[7:0:-1], atol=0.1)


def test_cameras_all_around_but_for_a_quarter_are_turned_about():
    angles = np.radians(np.linspace(0, 270, 10))
    eyes = TARGET + np.stack([2 * np.cos(angles), 2 * np.sin(angles), np.full(10, 0.7)], -1)
    turn = turntable_path(look_at(eyes, TARGET)[:, :3], width=64, height=48, vertical_fov=40.0, frames=8)
    np.testing.assert_allclose(np.sort(directions_of(turn)), np.arange(0, 360, 45), atol=0.5)


def test_cameras_straight_above_still_give_an_orbit():
    poses = look_at(TARGET + np.array([[0.01 * k, 0.02, 3.0] for k in range(1, 4)]), TARGET)[:, :3]
    turn = turntable_path(poses, width=64, height=64, vertical_fov=40.0, frames=4)
    eyes = np.array([np.array(c["camera_to_world"]).reshape(4, 4)[:3, 3] for c in turn["camera_path"]])
    assert np.linalg.norm(eyes[0] - eyes[2]) > 1.0
