"""Networks in parts: values and gradients as those of the whole."""

from __future__ import annotations

import pytest
import torch

from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.in_parts import in_parts


@pytest.mark.parametrize("rows", [1, 7, 20, 64])
@pytest.mark.parametrize("learns_inputs", [True, False])
def test_parts_have_the_gradients_of_the_whole(rows: int, learns_inputs: bool) -> None:
    torch.manual_seed(0)
    network = CoordinateNetworkConfig(activation="sine", width=8, hidden_layers=2).build(3, 2, positions=0).double()
    inputs = torch.randn(20, 3, dtype=torch.float64, requires_grad=learns_inputs)
    wanted_of = [*network.parameters(), *([inputs] if learns_inputs else [])]
    whole, parts = network(inputs), in_parts(network, inputs, rows=rows)
    torch.testing.assert_close(parts, whole)
    wanted, found = (torch.autograd.grad(each.square().sum(), wanted_of) for each in (whole, parts))
    for one, other in zip(wanted, found, strict=True):
        torch.testing.assert_close(other, one)


def test_weights_that_are_held_stay_so() -> None:
    network = CoordinateNetworkConfig(activation="relu", width=8).build(3, 2, positions=0)
    first, *others = network.parameters()
    first.requires_grad_(False)
    in_parts(network, torch.randn(5, 3), rows=2).sum().backward()
    assert first.grad is None
    assert all(each.grad is not None for each in others)
