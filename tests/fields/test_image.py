"""An image as a function of the place: its own numbers in the middles of pixels, and what is between them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inr_plugins.fields.image import CoordinateImage, KeyImage, before_positive_part, positive_part
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.signal_grid import PixelGrid

WIDTH, HEIGHT = 5, 4


@pytest.fixture
def keys():
    """A field whose keys and values are far from each other."""
    torch.manual_seed(0)
    network = CoordinateNetworkConfig(activation="sine", width=16, hidden_layers=2)
    field = KeyImage(PixelGrid(WIDTH, HEIGHT), 3, key_width=2, network=network)
    torch.nn.init.normal_(field.table.keys)
    return field


def bilinear(values: np.ndarray, column: float, row: float) -> np.ndarray:
    """By hand, of (rows, columns, channels)."""
    column, row = np.clip(column, 0, WIDTH - 1), np.clip(row, 0, HEIGHT - 1)
    j, i = min(int(column), WIDTH - 2), min(int(row), HEIGHT - 2)
    a, b = column - j, row - i
    above = (1 - a) * values[i, j] + a * values[i, j + 1]
    below = (1 - a) * values[i + 1, j] + a * values[i + 1, j + 1]
    return (1 - b) * above + b * below


def test_between_pixels_outputs_are_interpolated_and_not_keys(keys):
    with torch.no_grad():
        values = keys(None).reshape(HEIGHT, WIDTH, 3).double().numpy()
        places = torch.tensor([[0.25, 0.5], [3.9, 2.1], [4.0, 1.5], [2.5, 3.0], [-0.4, 1.25], [4.49, 3.49]]).double()
        found = keys.at(places).double().numpy()
        wanted = np.stack([bilinear(values, *place) for place in places.tolist()])
        assert np.allclose(found, wanted, rtol=0, atol=1e-6)
        # What the network makes of a key in the middle of two others is something else.
        between = keys.table.keys[:2].mean(0, keepdim=True)
        wrong = (keys.network(between) + 1) / 2
        right = keys.at(torch.tensor([[0.5, 0.0]]))
        assert (wrong - right).abs().max() > 1e-3


def test_the_middle_of_a_pixel_has_the_value_of_its_own_key(keys):
    with torch.no_grad():
        places = torch.tensor([[j, i] for i in range(HEIGHT) for j in range(WIDTH)]).double()
        assert torch.allclose(keys.at(places), keys(None), rtol=0, atol=1e-6)
        # Rays do not meet middles to the last bit.
        assert torch.equal(keys.at(places + 1e-4), keys.at(places))
        assert torch.allclose(keys(torch.tensor([3, 7])), keys(None)[[3, 7]], rtol=0, atol=1e-6)


def test_an_image_of_one_pixel_or_one_row_has_values_everywhere():
    network = CoordinateNetworkConfig(width=8)
    for width, height in ((1, 1), (1, 3), (3, 1)):
        field = KeyImage(PixelGrid(width, height), 1, key_width=1, network=network)
        torch.nn.init.normal_(field.table.keys)
        with torch.no_grad():
            corner = field.at(torch.tensor([[width - 0.5, height - 0.5]]).double())
            assert torch.allclose(corner, field(None)[-1:], rtol=0, atol=1e-6)


def test_only_the_keys_of_a_batch_have_gradients(keys):
    keys(torch.tensor([1, 6])).sum().backward()
    gradient = keys.table.keys.grad
    assert gradient.is_sparse
    assert gradient.coalesce().indices()[0].tolist() == [1, 6]
    keys.table.keys.grad = None
    keys(None).sum().backward()
    assert not keys.table.keys.grad.is_sparse


def test_keys_start_as_asked_for():
    network = CoordinateNetworkConfig(width=8)
    grid = PixelGrid(40, 40)
    equal = KeyImage(grid, 3, key_width=3, network=network, init_range=0.0)
    assert (equal.table.keys == 0).all()
    drawn = KeyImage(grid, 3, key_width=3, network=network).table.keys
    assert 0.9e-4 < drawn.abs().max() <= 1e-4


@pytest.mark.parametrize("normalization", ["none", "cross"])
def test_a_coordinate_network_sees_the_coordinates_of_the_convention(normalization):
    network = CoordinateNetworkConfig(width=16, hidden_layers=2, normalization=normalization)
    field = CoordinateImage(PixelGrid(WIDTH, HEIGHT), 3, network=network)
    for _ in range(3):
        field(None)
    field.eval()
    places = torch.tensor([[1.0, 2.0], [0.25, 3.5]]).double()
    x = (2 * places[:, 0] + 1 - WIDTH) / WIDTH
    y = (2 * places[:, 1] + 1 - HEIGHT) / WIDTH
    with torch.no_grad():
        wanted = (field.network(torch.stack([x, y], -1).float()) + 1) / 2
    assert torch.allclose(field.at(places), wanted, rtol=0, atol=1e-6)
    field.train()
    assert torch.allclose(field.at(places), wanted, rtol=0, atol=1e-6)


def test_between_frames_the_eight_pixels_around_are_interpolated():
    torch.manual_seed(0)
    frames = 3
    network = CoordinateNetworkConfig(activation="sine", width=16, hidden_layers=2)
    field = KeyImage(PixelGrid(WIDTH, HEIGHT, frames), 3, key_width=2, network=network)
    torch.nn.init.normal_(field.table.keys)
    with torch.no_grad():
        values = field(None).reshape(frames, HEIGHT, WIDTH, 3).double().numpy()
        places = [[0.25, 0.5, 1.25], [3.9, 2.1, 0.5], [1.0, 2.0, 1.0], [4.4, -0.3, 2.4], [2.0, 1.0, -0.2]]
        found = field.at(torch.tensor(places).double()).double().numpy()
    for (column, row, frame), each in zip(places, found, strict=True):
        k = int(min(max(frame, 0), frames - 2))
        c = min(max(frame, 0), frames - 1) - k
        wanted = (1 - c) * bilinear(values[k], column, row) + c * bilinear(values[k + 1], column, row)
        assert np.allclose(each, wanted, rtol=0, atol=1e-6)


def test_a_network_of_a_video_sees_the_time_of_the_convention():
    network = CoordinateNetworkConfig(width=16, hidden_layers=2)
    field = CoordinateImage(PixelGrid(WIDTH, HEIGHT, 8), 3, network=network)
    place = torch.tensor([[1.0, 2.0, 5.0]]).double()
    with torch.no_grad():
        wanted = (field.network(torch.tensor([[(2 + 1 - 5) / 5, (4 + 1 - 4) / 5, (10 + 1 - 8) / 8]])) + 1) / 2
        assert torch.allclose(field.at(place), wanted, rtol=0, atol=1e-6)
        assert torch.allclose(field(torch.tensor([1 + 5 * (2 + 4 * 5)])), wanted, rtol=0, atol=1e-6)


def test_values_of_0_and_more_keep_a_slope_and_hardly_change_above_0():
    x = torch.tensor([-30.0, -1.0, 0.0, 0.5, 1.0], dtype=torch.float64, requires_grad=True)
    found = positive_part(x, 0.1)
    # y (y - x) = bend² / 4.
    torch.testing.assert_close(found * (found - x), torch.full_like(x, 0.0025), rtol=1e-6, atol=1e-9)
    assert float(found.min()) > 0
    found.sum().backward()
    assert float(x.grad.min()) == pytest.approx(0.01 / 4 / 900, rel=0.01)
    settings = {"grid": PixelGrid(5, 4), "channels": 1, "network": CoordinateNetworkConfig(width=8)}
    torch.manual_seed(0)
    plain = CoordinateImage(**settings).eval()
    torch.manual_seed(0)
    positive = CoordinateImage(**settings, positive=True).eval()
    with torch.no_grad():
        for each in (plain, positive):
            each.network.layers[-1].bias -= 2
    torch.testing.assert_close(positive(None), positive_part(plain(None), 0.1))
    assert float(plain(None).max()) < 0 < float(positive(None).min())


def one_channel(*, spread: float = 0.3) -> KeyImage:
    torch.manual_seed(0)
    network = CoordinateNetworkConfig(activation="sine", width=16, hidden_layers=2)
    field = KeyImage(PixelGrid(20, 15), 1, key_width=2, network=network)
    torch.nn.init.normal_(field.table.keys, std=spread)
    return field


def hidden(field: KeyImage) -> list[torch.Tensor]:
    return [each.clone() for name, each in field.network.state_dict().items() if "layers.2" not in name]


def test_keys_are_moved_to_where_the_network_has_what_is_wanted() -> None:
    field = one_channel()
    before, network = field.all_values(), {name: each.clone() for name, each in field.network.state_dict().items()}
    low, high = float(before.min()), float(before.max())
    torch.manual_seed(1)
    wanted = low + (high - low) * (0.05 + 0.9 * torch.rand_like(before))
    right = torch.arange(300) % 3 == 0
    wanted[right] = before[right]
    keys = field.table.keys.detach().clone()
    found = field.move_keys(wanted)
    assert torch.allclose(found, wanted, rtol=0, atol=2e-5)
    assert torch.allclose(field.all_values(), found, rtol=0, atol=1e-6)
    with torch.no_grad():
        assert torch.allclose(field(None), found, rtol=0, atol=1e-6)
    # What was right stays as it was, and so does the network, which has all of it.
    assert torch.equal(field.table.keys[right], keys[right])
    assert all(torch.equal(each, network[name]) for name, each in field.network.state_dict().items())


def test_keys_go_the_shortest_way() -> None:
    field = one_channel()
    keys, before = field.table.keys.detach().clone(), field.all_values()
    slopes = field._with_slopes(keys)[1].norm(dim=-1)
    wanted = before + 1e-3 * torch.where(before > before.median(), -1, 1)
    field.move_keys(wanted)
    way = (field.table.keys.detach() - keys).norm(dim=-1)
    steep = slopes > 0.5 * slopes.median()
    assert int(steep.sum()) > 200
    torch.testing.assert_close(way[steep], 1e-3 / slopes[steep], rtol=0.2, atol=0)


def test_a_key_on_a_ridge_begins_elsewhere() -> None:
    field = one_channel()
    keys = field.table.keys.data
    for _ in range(300):
        # Uphill, until the first key is at a top.
        keys[0] += 0.2 * field._with_slopes(keys[:1])[1][0]
    values, slopes = field._with_slopes(keys)
    assert float(slopes[0].norm()) < 1e-2 * float(slopes.norm(dim=-1).median())
    wanted = values.clone()
    wanted[0] = values.median()
    assert torch.allclose(field.move_keys(wanted), wanted, rtol=0, atol=2e-5)


def test_a_network_is_widened_to_what_it_does_not_reach() -> None:
    field = one_channel()
    before, kept = field.all_values(), hidden(field)
    wanted = before.clone()
    wanted[:2] = torch.tensor([[float(before.max()) + 5], [float(before.min()) - 3]])
    found = field.move_keys(wanted)
    assert torch.allclose(found, wanted, rtol=0, atol=5e-5)
    assert torch.allclose(field.all_values(), found, rtol=0, atol=5e-6)
    assert all(torch.equal(*pair) for pair in zip(kept, hidden(field), strict=True))
    assert len(kept) == 4


def test_the_positive_part_is_undone() -> None:
    x = torch.linspace(-0.5, 3, 200, dtype=torch.float64)
    torch.testing.assert_close(before_positive_part(positive_part(x, 0.2), 0.2), x)
    # Of nothing, and of less, it is as far down as of a hundredth of the bend.
    low = before_positive_part(torch.tensor([0.0, -1.0, 0.002]), 0.2)
    assert float(low.max() - low.min()) < 1e-5
    assert float(positive_part(low, 0.2).max()) < 0.0021
