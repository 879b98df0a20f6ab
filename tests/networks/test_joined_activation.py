"""ReLU done in cross normalization's own passes is ReLU done after it."""

import pytest
import torch

from inr_plugins.networks.activations.settings import ReLU
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.kernels import cross_norm as cross_norm_kernels
from inr_plugins.networks.normalization.cross import cross_normalize
from inr_plugins.networks.normalization.registry import CrossNorm, frozen_statistics, rowwise_gradients

TOLERANCE = {torch.float64: 1e-11, torch.float32: 2e-5, torch.bfloat16: 3e-2}


def make(width):
    norm = CrossNorm(width)
    with torch.no_grad():
        norm.weight.add_(torch.linspace(-2, 2, width))
        norm.bias.add_(torch.linspace(-1, 1, width))
    return norm


def plain(norm, x):
    """ReLU of the authors' formula with the batch's own statistics, all of it left to autograd in float64."""
    mean, variance = x.mean(0), x.var(0)
    weight, bias = norm.weight.double(), norm.bias.double()
    return torch.relu(cross_normalize(x, mean, variance, x.new_tensor(len(x)), norm.eps) * weight + bias)


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("dtype", list(TOLERANCE))
def test_values_and_gradients_are_those_of_relu_after_the_formula(dtype, kernels, monkeypatch):
    if not kernels:
        monkeypatch.setattr(cross_norm_kernels, "fits", lambda *matrices: False)
    torch.manual_seed(0)
    x, weight = (torch.randn(70, 24) * 2 + 1).to(dtype), torch.randn(70, 24).to(dtype)
    norm = make(24).double()
    position = x.double().requires_grad_()
    expected = plain(norm, position)
    wanted = torch.autograd.grad((expected * weight).sum(), [position, norm.weight, norm.bias])
    norm = norm.to(torch.float32 if dtype != torch.float64 else dtype)
    position = x.clone().requires_grad_()
    out = norm.activated(position, ReLU())
    found = torch.autograd.grad((out * weight).sum(), [position, norm.weight, norm.bias])
    assert 0.2 < float((out == 0).float().mean()) < 0.8
    for value, right in zip((out, *found), (expected, *wanted), strict=True):
        scale = max(1.0, float(right.detach().abs().max()))
        # A value near zero may fall on either side of it in eight bits; the mean does not mind.
        error = (value.detach().double() - right.detach()).abs()
        worst = error.max() if dtype != torch.bfloat16 else error.mean()
        assert float(worst) / scale < TOLERANCE[dtype]


def test_running_statistics_are_recorded_and_used_alike():
    torch.manual_seed(0)
    joined, apart = make(16), make(16)
    for _ in range(3):
        x = torch.randn(40, 16) + 1
        joined.activated(x, ReLU())
        apart(x)
    assert torch.equal(joined.statistics.mean, apart.statistics.mean)
    with torch.no_grad(), frozen_statistics(joined), frozen_statistics(apart):
        torch.testing.assert_close(joined.activated(x, ReLU()), torch.relu(apart(x)))
    joined.eval(), apart.eval()
    position = x.clone().requires_grad_()
    (found,) = torch.autograd.grad(joined.activated(position, ReLU()).square().sum(), position)
    (wanted,) = torch.autograd.grad(torch.relu(apart(position)).square().sum(), position)
    torch.testing.assert_close(found, wanted)


def test_who_hooks_a_normalization_sees_its_values_before_the_activation():
    norm, seen = make(8), []
    norm.register_forward_hook(lambda module, inputs, output: seen.append(output))
    out = norm.activated(torch.randn(30, 8), ReLU())
    assert bool((seen[0] < 0).any())
    torch.testing.assert_close(out, torch.relu(seen[0]))


def test_the_spatial_gradient_of_a_loss_is_left_as_it_was():
    torch.manual_seed(0)
    network = CoordinateNetworkConfig(normalization="cross", width=16, hidden_layers=2).build(3, 1)
    x = torch.randn(20, 3, requires_grad=True)
    with rowwise_gradients(network):
        out = network(x)
        (gradient,) = torch.autograd.grad(out.sum(), x, create_graph=True)
    gradient.square().sum().backward()
    assert network.layers[0].weight.grad.abs().max() > 0
