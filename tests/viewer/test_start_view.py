from types import SimpleNamespace

import numpy as np
import torch
from nerfstudio.viewer.viewer import VISER_NERFSTUDIO_SCALE_RATIO

from inr_plugins.viewer.start_view import StartView, view_from

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


def test_every_browser_that_connects_starts_there():
    handlers = []
    cameras = type("Cameras", (), {"camera_to_worlds": torch.tensor(POSE)[None], "__len__": lambda self: 1})()
    dataset = SimpleNamespace(cameras=cameras)
    viewer = SimpleNamespace(
        viser_server=SimpleNamespace(on_client_connect=handlers.append),
        pipeline=SimpleNamespace(datamanager=SimpleNamespace(train_dataset=dataset)),
    )
    StartView()._setup(viewer)
    client = SimpleNamespace(camera=SimpleNamespace())
    handlers[0](client)
    np.testing.assert_allclose(client.camera.position, np.array([3.8, 0.5, 0.0]) * VISER_NERFSTUDIO_SCALE_RATIO)
    np.testing.assert_allclose(client.camera.look_at, np.array([0.0, 0.5, 0.0]) * VISER_NERFSTUDIO_SCALE_RATIO)
