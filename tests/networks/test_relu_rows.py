"""The network of one hidden ReLU layer that goes through its rows part by part, against the same as layers."""

import pytest
import torch
from torch import nn

from inr_plugins.networks import relu_rows
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.relu_rows import network_of_rows, relu_of_rows


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(relu_rows, "_ROWS", 16)


def layers(dtype=torch.float64) -> tuple[nn.Linear, nn.Linear]:
    torch.manual_seed(0)
    return nn.Linear(5, 12, dtype=dtype), nn.Linear(12, 7, dtype=dtype)


@pytest.mark.parametrize("count", [0, 1, 16, 53])
def test_values_and_all_gradients_are_those_of_the_layers(count):
    first, last = layers()
    x = torch.randn(count, 5, dtype=torch.float64, requires_grad=True)
    above = torch.randn(count, 7, dtype=torch.float64)
    wanted = [x, *first.parameters(), *last.parameters()]
    own, plain = relu_of_rows(x, first, last, torch.float64), last(torch.relu(first(x)))
    torch.testing.assert_close(own, plain)
    for found, expected in zip(
        torch.autograd.grad(own, wanted, above), torch.autograd.grad(plain, wanted, above), strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_in_bfloat16_it_is_as_near_as_eight_bits_let_it():
    first, last = layers(torch.float32)
    x = torch.randn(500, 5, requires_grad=True)
    own, exact = relu_of_rows(x, first, last, torch.bfloat16), last(torch.relu(first(x)))
    assert own.dtype == torch.float32
    assert 0 < (own - exact).abs().max() < 0.02
    weights = [x, *first.parameters(), *last.parameters()]
    of_own, of_exact = (torch.autograd.grad(each.square().sum(), weights) for each in (own, exact))
    for found, expected in zip(of_own, of_exact, strict=True):
        assert found.dtype == torch.float32
        assert (found - expected).norm() < 0.02 * expected.norm()


def test_what_its_input_is_made_of_is_not_rounded():
    first, last = layers(torch.float32)
    x = torch.full((1, 5), 300.0)
    near = x + torch.tensor([0.5, 0, 0, 0, 0])
    assert torch.equal(x.bfloat16(), near.bfloat16())
    with torch.no_grad():
        first.bias -= first(x)[0] - 0.5
        moved = relu_of_rows(near, first, last, torch.bfloat16) - relu_of_rows(x, first, last, torch.bfloat16)
        expected = last(torch.relu(first(near))) - last(torch.relu(first(x)))
    torch.testing.assert_close(moved, expected, atol=0.01, rtol=0.05)


def test_only_networks_that_are_nothing_else_have_such_a_pair():
    plain = CoordinateNetworkConfig(width=8).build(5, 3)
    pair = plain.relu_pair
    assert pair is not None
    x = torch.randn(9, 5)
    torch.testing.assert_close(relu_of_rows(x, *pair, torch.float32), plain(x))
    for other in (
        {"activation": "sine"},
        {"hidden_layers": 2},
        {"normalization": "layer"},
        {"encoding": "positional"},
    ):
        assert CoordinateNetworkConfig(width=8, **other).build(5, 3).relu_pair is None, other


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
def test_any_network_goes_through_rows_and_is_rounded_in_training_only(training, layers):
    network = CoordinateNetworkConfig(width=32, hidden_layers=layers).build(5, 3)
    x = torch.randn(200, 5)
    found = network_of_rows(network, x, "bfloat16", training=training)
    assert found.dtype == torch.float32
    error = (found - network(x)).abs().max()
    assert (1e-5 < error < 0.02) if training else error == 0
