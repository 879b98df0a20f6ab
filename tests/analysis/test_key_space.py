"""The signal over keys, against the network asked for one key after another."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from inr_plugins.analysis.key_space import key_space, mesh_sides
from inr_plugins.fields.image import KeyImage
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.signal_grid import PixelGrid


def field(width: int) -> KeyImage:
    torch.manual_seed(0)
    network = CoordinateNetworkConfig(width=8, hidden_layers=2)
    return KeyImage(PixelGrid(6, 5), 3, key_width=width, network=network, init_range=1.0).eval()


@pytest.mark.parametrize("width", [1, 2, 3])
def test_corners_are_what_pixels_with_their_keys_would_have(width):
    image = field(width)
    keys = image.table.keys.detach()
    space = key_space(image, side=3)
    assert space.values.shape == (*[3] * width, 3)
    assert space.low == keys.amin(0).tolist()
    assert space.high == keys.amax(0).tolist()
    assert np.array_equal(space.keys, keys.numpy())
    planted = field(width)
    for place in itertools.product(range(3), repeat=width):
        part = torch.tensor(place) / 2
        with torch.no_grad():
            planted.table.keys[7] = torch.tensor(space.low) * (1 - part) + torch.tensor(space.high) * part
        (value,) = planted.at(torch.tensor([[1.0, 1.0]])).numpy()
        assert space.values[place] == pytest.approx(value, abs=1e-6)


def test_a_mesh_has_about_as_many_corners_as_there_are_pixels():
    assert [mesh_sides(16_384, width) for width in (1, 2, 3)] == [16_384, 128, 25]
    assert mesh_sides(1, 3) == 2
    assert key_space(field(2)).values.shape == (5, 5, 3)


def test_keys_that_are_too_long_for_a_mesh_are_refused():
    with pytest.raises(ValueError, match="keys of 4 numbers"):
        key_space(field(4))
