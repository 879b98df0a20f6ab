"""First-layer frequencies, against how fast the phase really turns and what initialisation says."""

import math

import torch

from inr_plugins.networks.activations.frequencies import fresh_layer, local_frequencies, points_of_cube, sine_of
from inr_plugins.networks.activations.settings import ActivationSettings, make_activation


def test_a_frequency_is_the_slope_of_the_phase():
    activation = make_activation(ActivationSettings("finer-gauss"))
    sine = sine_of(activation)
    weight, bias = torch.randn(6, 3).double(), torch.randn(6).double()
    x = torch.randn(4, 3).double().requires_grad_()
    z = x @ weight.T + bias
    phase = sine.omega * (z.abs() + 1) * z
    slopes = [torch.autograd.grad(phase[:, k].sum(), x, retain_graph=True)[0].norm(dim=1) for k in range(6)]
    found = local_frequencies(weight, bias, sine, x.detach())
    torch.testing.assert_close(found, torch.stack(slopes, 1) / (2 * math.pi))


def test_of_a_plain_sine_it_is_the_same_everywhere():
    sine = sine_of(make_activation(ActivationSettings("sine", omega=2 * math.pi)))
    weight = torch.tensor([[3.0, 4.0, 0.0]])
    found = local_frequencies(weight, torch.ones(1), sine, points_of_cube(3))
    torch.testing.assert_close(found, torch.full((125, 1), 5.0))


def test_what_is_not_periodic_has_none():
    for name in ("relu", "softplus", "gauss", "wavelet"):
        assert sine_of(make_activation(ActivationSettings(name))) is None


def test_a_fresh_layer_is_one_as_the_activation_makes_them_and_draws_nothing_from_torch():
    activation = make_activation(ActivationSettings("finer-sine", first_bias=1.0))
    # Of 20,000 biases in [-1, 1] a quantile is off by 0.007, the difference of two by 0.01: not by luck.
    torch.manual_seed(0)
    state = torch.get_rng_state()
    weight, bias = fresh_layer(activation, 3, neurons=20_000)
    assert torch.equal(state, torch.get_rng_state())
    made = torch.nn.Linear(3, 20_000)
    activation.init_linear(made, is_first=True)
    for own, theirs in ((weight, made.weight), (bias, made.bias)):
        at = torch.linspace(0.02, 0.98, 9)
        torch.testing.assert_close(own.quantile(at), theirs.detach().flatten()[:60_000].quantile(at), atol=0.02, rtol=0)


def test_points_are_those_of_a_lattice():
    assert points_of_cube(1).flatten().tolist() == [-0.8, -0.4, 0.0, 0.4, 0.8] or torch.allclose(
        points_of_cube(1).flatten(), torch.tensor([-0.8, -0.4, 0.0, 0.4, 0.8]), atol=1e-6
    )
    assert points_of_cube(3).shape == (125, 3)
