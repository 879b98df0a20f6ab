"""Coordinates of pixels: the convention in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inr_plugins.signal_grid import PixelGrid


@pytest.mark.parametrize(("width", "height"), [(4, 4), (6, 2), (3, 5), (1, 1), (1, 7)])
def test_pixels_are_squares_that_fill_the_longer_side(width, height):
    grid = PixelGrid(width, height)
    middles = grid.middles(torch.arange(grid.count)).reshape(height, width, 2).double().numpy()
    # Cut [-1, 1] of the longer side into its pixels; the other side has pixels of the same size, about 0.
    edge = 2 / max(width, height)
    x = -width * edge / 2 + edge * (np.arange(width) + 0.5)
    y = -height * edge / 2 + edge * (np.arange(height) + 0.5)
    assert np.allclose(middles[..., 0], x[None, :], rtol=0, atol=1e-7)
    assert np.allclose(middles[..., 1], y[:, None], rtol=0, atol=1e-7)
    assert max(grid.half_extent) == 1
    assert grid.half_extent == pytest.approx((width * edge / 2, height * edge / 2))


def test_numbers_go_row_by_row_from_the_upper_left_corner():
    grid = PixelGrid(3, 2)
    first, second, below = grid.middles(torch.tensor([0, 1, 3]))
    assert second[0] > first[0]
    assert second[1] == first[1]
    assert below[1] > first[1]
    assert below[0] == first[0]


def test_coordinates_and_pixels_are_inverse_and_agree_with_the_middles():
    grid = PixelGrid(7, 4)
    pixels = torch.tensor([[-0.5, -0.5], [6.5, 3.5], [2.25, 1.75]], dtype=torch.float64)
    coordinates = grid.to_coordinates(pixels)
    assert torch.allclose(grid.to_pixels(coordinates), pixels, rtol=0, atol=1e-12)
    assert coordinates[0].tolist() == pytest.approx([-1.0, -4 / 7])
    places = torch.arange(grid.count)
    whole = torch.stack([places % 7, places // 7], -1).double()
    assert torch.equal(grid.to_coordinates(whole).float(), grid.middles(places))


def test_middles_of_a_large_image_are_correctly_rounded():
    grid = PixelGrid(8192, 8192)
    places = torch.tensor([0, 8191, 8192 * 4096 + 4095, grid.count - 1])
    found = grid.middles(places).numpy()
    for (x, y), place in zip(found, places.tolist(), strict=True):
        assert x == np.float32((2 * (place % 8192) + 1 - 8192) / 8192)
        assert y == np.float32((2 * (place // 8192) + 1 - 8192) / 8192)


def test_frames_are_slices_that_fill_the_third_axis_and_come_one_after_another():
    grid = PixelGrid(3, 2, 4)
    assert (grid.dimensions, grid.count, grid.sides) == (3, 24, (3, 2, 4))
    middles = grid.middles(torch.arange(24)).reshape(4, 2, 3, 3).double().numpy()
    x, y = np.array([-2, 0, 2]) / 3, np.array([-1, 1]) / 3
    assert np.allclose(middles[..., 0], x, rtol=0, atol=1e-7)
    assert np.allclose(middles[..., 1], y[:, None], rtol=0, atol=1e-7)
    assert np.allclose(middles[..., 2], np.array([-0.75, -0.25, 0.25, 0.75])[:, None, None], rtol=0, atol=1e-7)
    indices = grid.indices(torch.arange(24))
    assert indices[13].tolist() == [1, 0, 2]
    assert grid.numbers(indices).tolist() == list(range(24))
    whole = indices.double()
    assert torch.equal(grid.to_coordinates(whole).float(), grid.middles(torch.arange(24)))
    assert torch.allclose(grid.to_pixels(grid.to_coordinates(whole)), whole, rtol=0, atol=1e-12)


def test_an_image_has_no_axis_of_frames():
    grid = PixelGrid(3, 2)
    assert (grid.dimensions, grid.is_video, grid.middles(torch.tensor([0])).shape) == (2, False, (1, 2))
