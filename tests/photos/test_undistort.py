"""Undistorted pictures, against a scene whose colours are a known function of the direction."""

from __future__ import annotations

import numpy as np
import pytest
from with_pycolmap import needs_pycolmap

from inr_plugins.photos.pycolmap_import import import_pycolmap
from inr_plugins.photos.undistort import Undistorter

pytestmark = needs_pycolmap
WIDTH, HEIGHT, FOCAL, K1, K2, P1 = 160, 120, 130.0, -0.18, 0.05, 0.004


def shade(x, y):
    """Of a direction (x, y, 1); smooth, so that looking in between pixels is exact to a level or two."""
    return 127 + 100 * np.stack([np.sin(3 * x), np.cos(2 * y), np.sin(x + 2 * y)], axis=-1)


def directions():
    """Of the distorted pixels, by fixed-point iteration of OpenCV's formula."""
    column, row = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    u, v = (column - WIDTH / 2) / FOCAL, (row - HEIGHT / 2) / FOCAL
    x, y = u.copy(), v.copy()
    for _ in range(100):
        r2 = x * x + y * y
        factor = 1 + K1 * r2 + K2 * r2**2
        x, y = (u - 2 * P1 * x * y) / factor, (v - P1 * (r2 + 2 * y * y)) / factor
    return x, y


@pytest.fixture(scope="module")
def undistorter():
    params = [FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2, K1, K2, P1, 0.0]
    lens = import_pycolmap().Camera(model="OPENCV", width=WIDTH, height=HEIGHT, params=params, camera_id=1)
    return Undistorter(lens, 1600)


def flat_directions(lens):
    column, row = np.meshgrid(np.arange(lens.width) + 0.5, np.arange(lens.height) + 0.5)
    return (column - lens.cx) / lens.fl_x, (row - lens.cy) / lens.fl_y


def test_each_pixel_shows_what_a_pinhole_sees(undistorter):
    picture = np.round(shade(*directions())).astype(np.uint8)
    flat = undistorter.picture(picture).astype(float)
    assert flat.shape == (undistorter.pinhole.height, undistorter.pinhole.width, 3)
    apart = np.abs(flat - shade(*flat_directions(undistorter.pinhole)))[2:-2, 2:-2]
    assert apart.max() < 2.5
    # Left as it was, it would be off by more.
    ends = min(flat.shape[0], HEIGHT), min(flat.shape[1], WIDTH)
    assert np.abs(flat[: ends[0], : ends[1]] - picture[: ends[0], : ends[1]]).max() > 10


def test_transparency_and_masks_go_the_same_way(undistorter):
    x, y = directions()
    inside = x**2 + y**2 < 0.1
    picture = np.dstack([np.full((HEIGHT, WIDTH, 3), 200, np.uint8), np.where(inside, 255, 0).astype(np.uint8)])
    picture[~inside, :3] = 0  # what is not seen has no say in the colours
    flat, mask = undistorter.picture(picture), undistorter.mask(inside)
    x, y = flat_directions(undistorter.pinhole)
    radius = np.hypot(x, y)
    near_edge = np.abs(radius - np.sqrt(0.1)) < 2 / FOCAL
    assert np.array_equal(mask[~near_edge], (radius**2 < 0.1)[~near_edge])
    assert np.array_equal(flat[..., 3][~near_edge] > 127, mask[~near_edge])
    assert np.abs(flat[flat[..., 3] > 20][:, :3].astype(int) - 200).max() <= 12


def test_no_picture_becomes_larger_than_asked(undistorter):
    small = Undistorter(undistorter._lens, 80)
    assert max(small.pinhole.width, small.pinhole.height) <= 80
