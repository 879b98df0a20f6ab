"""A page that steps back sees both of two things, whatever it looked at before."""

from types import SimpleNamespace

import numpy as np
from page_client import looking_at

from inr_plugins.viewer.client_view import beside, look_from, stepped_back, view_of


def client(position=(0.0, -30.0, 0.0)):
    position = np.array(position)
    camera = SimpleNamespace(
        wxyz=looking_at(position, np.zeros(3), np.array([0.0, 0, 1])),
        position=tuple(position), look_at=(0.0, 0.0, 0.0), fov=1.0, aspect=1.5,
    )  # fmt: skip
    return SimpleNamespace(camera=camera)


def seen(client, points):
    """Places in the picture, from -1 to 1 in both directions, by the pinhole's equations."""
    camera = client.camera
    position, target = np.array(camera.position) / 10, np.array(camera.look_at) / 10
    ahead = (target - position) / np.linalg.norm(target - position)
    right = np.cross(ahead, [0.0, 0, 1])
    right /= np.linalg.norm(right)
    up = np.cross(right, ahead)
    depth = (points - position) @ ahead
    half = np.tan(camera.fov / 2)
    return np.stack(
        [(points - position) @ right / depth / half / camera.aspect, (points - position) @ up / depth / half]
    )


def test_both_are_seen_the_double_to_the_right_and_clear():
    points = np.random.default_rng(0).uniform([-0.4, -0.9, -0.8], [0.5, 0.9, 0.9], (200, 3))
    for position in ((0.0, -30.0, 0.0), (20.0, 20.0, 12.0), (0.0, -6.0, 3.0)):
        page = client(position)
        view = view_of(page)
        at = beside(points, view.right)
        look_from(page, stepped_back(view, points, at))
        first, second = seen(page, points), seen(page, points + at)
        assert max(np.abs(first).max(), np.abs(second).max()) < 1
        assert second[0].mean() > 0 > first[0].mean()
        # The same way round as before, and as near as can be.
        now = np.array(page.camera.position) - np.array(page.camera.look_at)
        assert np.dot(now, position) / np.linalg.norm(now) / np.linalg.norm(position) > 0.9999
        is_near = max(np.abs(first).max(), np.abs(second).max()) > 0.8
        assert is_near or np.isclose(np.linalg.norm(now), np.linalg.norm(position))
    gap = ((points + at) @ view.right).min() - (points @ view.right).max()
    assert 0 < gap < 0.5
