from types import SimpleNamespace

import numpy as np
import pytest
import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.viewer.viewer import VISER_NERFSTUDIO_SCALE_RATIO

from inr_plugins.viewer.start_view import StartView, camera_to_start_from, stand_before, view_from

POSE = np.array([[0.0, 0.0, 1.0, 4.0], [1.0, 0.0, 0.0, 0.5], [0.0, 1.0, 0.0, 0.0]])


def test_the_target_is_the_nearest_point_of_the_axis_to_the_middle():
    position, target = view_from(POSE)
    # A twentieth of the way ahead: the camera's own picture hangs in between.
    np.testing.assert_allclose(position, [3.8, 0.5, 0.0])
    np.testing.assert_allclose(target, [0.0, 0.5, 0.0])


def test_a_camera_that_looks_away_looks_ahead():
    away = POSE.copy()
    away[:, 2] *= -1
    np.testing.assert_allclose(view_from(away)[1], [5.0, 0.5, 0.0])


def looking_down(degrees, azimuth=0.0):
    """A camera four units from the origin, which it looks at, `degrees` above the horizon."""
    pitch, turn = np.radians((degrees, azimuth))
    back = np.array([np.cos(pitch) * np.cos(turn), np.cos(pitch) * np.sin(turn), np.sin(pitch)])
    right = np.array([-np.sin(turn), np.cos(turn), 0.0])
    return np.stack([right, np.cross(back, right), back, 4 * back], axis=1)


def test_the_camera_that_looks_slightly_down_is_taken():
    poses = np.stack([looking_down(each) for each in (-60, 85, 35, 12, -20)])
    assert camera_to_start_from(poses) == 3
    assert camera_to_start_from(poses[:2]) == 1
    assert camera_to_start_from(np.stack([looking_down(-30), looking_down(25), looking_down(25, azimuth=90)])) == 1


def start(poses, fy, height=200.0, host="127.0.0.1"):
    """The camera of a browser that has just connected."""
    handlers = []
    count = len(poses)
    cameras = SimpleNamespace(
        camera_to_worlds=torch.tensor(poses), fy=torch.full((count, 1), fy), height=torch.full((count, 1), height)
    )
    cameras = type("Cameras", (), {**vars(cameras), "__len__": lambda self: count})()
    dataset = SimpleNamespace(cameras=cameras)
    viewer = SimpleNamespace(
        config=SimpleNamespace(websocket_host=host),
        viser_server=SimpleNamespace(on_client_connect=handlers.append),
        pipeline=SimpleNamespace(datamanager=SimpleNamespace(train_dataset=dataset)),
    )
    StartView()._setup(viewer)
    client = SimpleNamespace(camera=SimpleNamespace())
    handlers[0](client)
    return client.camera


def test_every_browser_that_connects_starts_there():
    camera = start(np.stack([looking_down(-50), POSE]), fy=200.0)
    np.testing.assert_allclose(camera.position, np.array([3.8, 0.5, 0.0]) * VISER_NERFSTUDIO_SCALE_RATIO)
    np.testing.assert_allclose(camera.look_at, np.array([0.0, 0.5, 0.0]) * VISER_NERFSTUDIO_SCALE_RATIO)
    assert camera.up_direction == (0.0, 0.0, 1.0)


def test_a_browser_sees_as_much_as_the_camera_did():
    """Half the height is half the focal length away: 2 atan(1 / 2); wider and narrower ones are held in range."""
    assert start(POSE[None], fy=200.0).fov == pytest.approx(2 * np.arctan(0.5))
    assert start(POSE[None], fy=20.0).fov == pytest.approx(np.radians(75))
    assert start(POSE[None], fy=5000.0).fov == pytest.approx(np.radians(20))


def test_a_viewer_that_listens_on_all_interfaces_says_so(capsys):
    """ns-viewer takes that address unless told otherwise, whatever the run's configuration says."""
    start(POSE[None], fy=200.0)
    assert capsys.readouterr().out == ""
    start(POSE[None], fy=200.0, host="0.0.0.0")
    assert "listens on all interfaces" in capsys.readouterr().out


@pytest.mark.parametrize("aspect", [2.0, 0.5])
def test_all_that_a_camera_saw_is_in_the_page(aspect):
    """A picture of 40 by 30 pixels, 30 pixels of focal length, four units from the middle."""
    pose = torch.eye(4)[:3]
    pose[2, 3] = 4.0
    camera = Cameras(pose[None], fx=30.0, fy=30.0, cx=20.0, cy=15.0, width=40, height=30)
    client = SimpleNamespace(camera=SimpleNamespace(aspect=aspect))
    stand_before(client, camera)
    assert client.camera.position == pytest.approx((0, 0, 38.0))
    assert client.camera.look_at == pytest.approx((0, 0, 0))
    height = np.tan(client.camera.fov / 2)
    assert height == pytest.approx(0.5 if aspect == 2.0 else 20 / 30 / 0.5)
    assert height * aspect >= 20 / 30 - 1e-6
