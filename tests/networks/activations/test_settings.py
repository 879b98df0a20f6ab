import math
from typing import get_args

import jaxtyping
import pytest
import torch
from torch import nn

from inr_plugins.networks.activations.settings import ActivationName, ActivationSettings, make_activation

NAMES = get_args(ActivationName)
COMPLEX = ("wavelet", "finer-wavelet")


def make(name, *, detach_scale=False, **constants):
    return make_activation(ActivationSettings(name, **constants), detach_scale=detach_scale)


def linear(activation, fan_in, width, *, is_first=False):
    layer = nn.Linear(fan_in, width, dtype=torch.complex64 if activation.is_complex and not is_first else None)
    activation.init_linear(layer, is_first=is_first)
    return layer


def parts(values):
    return (torch.view_as_real(values) if values.is_complex() else values).detach().flatten()


def assert_uniform(values, bound):
    numbers = parts(values)
    assert numbers.abs().max() <= bound
    assert numbers.std() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert numbers.mean().abs() < 0.1 * bound


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("relu", 0.2),
        ("softplus", math.log(1 + math.exp(20)) / 100),
        ("sine", math.sin(30 * 0.2)),
        ("gauss", math.exp(-((30 * 0.2) ** 2))),
        ("wavelet", math.exp(-((10 * 0.2) ** 2)) * complex(math.cos(4), math.sin(4))),
        ("finer-sine", math.sin(30 * 1.2 * 0.2)),
        ("finer-gauss", math.exp(-((3 * math.sin(10 * 1.2 * 0.2)) ** 2))),
        (
            "finer-wavelet",
            math.exp(-((2 * math.sin(1.2)) ** 2)) * complex(math.cos(4 * math.sin(1.2)), math.sin(4 * math.sin(1.2))),
        ),
    ],
)
def test_constants_left_out_are_the_published_ones(name, value):
    z = torch.tensor([[0.2]], dtype=torch.float64)
    assert make(name)(z).item() == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "settings", "value"),
    [
        ("softplus", {"beta": 2}, math.log(1 + math.exp(0.6)) / 2),
        ("sine", {"omega": 4}, math.sin(1.2)),
        ("gauss", {"scale": 2}, math.exp(-0.36)),
        ("wavelet", {"scale": 2, "carrier": 5}, math.exp(-0.36) * complex(math.cos(1.5), math.sin(1.5))),
        ("finer-sine", {"omega": 4}, math.sin(4 * 0.39)),
        ("finer-gauss", {"omega": 4, "scale": 2}, math.exp(-((2 * math.sin(4 * 0.39)) ** 2))),
        ("finer-wavelet", {"omega": math.pi / 0.78, "scale": 2, "carrier": math.pi}, -math.exp(-4)),
    ],
)
def test_given_constants_are_used(name, settings, value):
    assert make(name, **settings)(torch.tensor(0.3, dtype=torch.float64)).item() == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "frequency"), [("sine", 30), ("finer-sine", 30), ("finer-gauss", 10), ("finer-wavelet", 20)]
)
def test_periodic_activations_start_as_siren(name, frequency):
    activation = make(name)
    assert_uniform(linear(activation, 3, 4000, is_first=True).weight, 1 / 3)
    assert_uniform(linear(activation, 100, 100).weight, math.sqrt(6 / 100) / frequency)
    last = nn.Linear(100, 100, dtype=torch.complex64 if activation.is_complex else None)
    activation.init_last(last)
    assert_uniform(last.weight, math.sqrt(6 / 100) / frequency)


@pytest.mark.parametrize("name", ["relu", "softplus", "gauss", "wavelet"])
def test_other_activations_start_as_pytorchs_layers(name):
    activation = make(name)
    assert_uniform(linear(activation, 3, 4000, is_first=True).weight, 1 / math.sqrt(3))
    assert_uniform(linear(activation, 100, 100).weight, 0.1)


@pytest.mark.parametrize(
    ("name", "settings", "bound"),
    [
        *((name, {}, 1 / math.sqrt(3)) for name in NAMES if name not in ("finer-gauss", "finer-wavelet")),
        ("finer-gauss", {}, 1),
        ("finer-wavelet", {}, 1),
        ("finer-sine", {"first_bias": 5}, 5),
        ("finer-wavelet", {"first_bias": 0.3}, 0.3),
    ],
)
def test_only_the_first_bias_has_a_range_of_its_own(name, settings, bound):
    activation = make(name, **settings)
    assert_uniform(linear(activation, 3, 4000, is_first=True).bias, bound)
    assert_uniform(linear(activation, 4, 4000).bias, 1 / 2)
    last = nn.Linear(4, 4000)
    activation.init_last(last)
    assert_uniform(last.bias, 1 / 2)


def test_a_layer_without_bias_is_initialised():
    layer = nn.Linear(4, 4000, bias=False)
    make("finer-sine").init_linear(layer, is_first=False)
    assert_uniform(layer.weight, math.sqrt(6 / 4) / 30)


def test_sine_layers_pass_on_their_spread_whatever_the_depth():
    torch.manual_seed(0)
    activation = make("sine")
    x = 2 * torch.rand(2000, 3) - 1
    for i in range(6):
        x = activation(linear(activation, x.shape[-1], 256, is_first=i == 0)(x))
        # sin of a phase spread over many periods has variance 1/2 (SIREN, theorem 1.8).
        assert x.std().item() == pytest.approx(math.sqrt(0.5), rel=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_a_complex_activation_needs_narrower_layers_of_as_many_numbers(name):
    activation = make(name)
    assert activation.is_complex == (name in COMPLEX)
    assert activation(torch.zeros(2, 3)).is_complex() == activation.is_complex
    width = activation.hidden_width(256)
    assert width == (181 if name in COMPLEX else 256)
    assert (2 if name in COMPLEX else 1) * width**2 == pytest.approx(256**2, rel=0.01)
    with pytest.raises(ValueError, match="width must be at least"):
        activation.hidden_width(1 if name in COMPLEX else 0)


@pytest.mark.parametrize("name", NAMES)
def test_both_kinds_of_layers_train_every_activation(name):
    torch.manual_seed(0)
    activation = make(name)
    first, second = linear(activation, 3, 8, is_first=True), linear(activation, 8, 8)
    value = activation(second(activation(first(torch.randn(5, 3)))))
    value.real.square().sum().backward()
    for parameter in (*first.parameters(), *second.parameters()):
        assert parameter.grad.isfinite().all()
        assert parameter.grad.abs().max() > 0


@pytest.mark.parametrize("name", ["finer-sine", "finer-gauss", "finer-wavelet"])
def test_a_detached_scale_says_so_and_changes_the_gradient_only(name):
    true, detached = make(name), make(name, detach_scale=True)
    assert (true.detached, detached.detached) == (False, True)
    z = torch.full((1,), 0.2, requires_grad=True)
    (a, b) = (activation(z) for activation in (true, detached))
    assert torch.equal(a, b)
    (slope,), (short,) = (torch.autograd.grad(value.real.sum(), z) for value in (a, b))
    # d/dz (|z| + 1) z is 2|z| + 1; with the first factor constant it is |z| + 1.
    assert (slope / short).item() == pytest.approx(1.4 / 1.2, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("relu", {"omega": 1}, "omega is no setting of the activation relu"),
        ("softplus", {"scale": 1}, "scale is no setting of .*it has beta"),
        ("sine", {"carrier": 1}, "carrier is no setting"),
        ("gauss", {"beta": 1}, "beta is no setting"),
        ("sine", {"first_bias": 1}, "first_bias is no setting"),
        ("sine", {"detach_scale": True}, "detach_scale is a setting of the finer"),
        ("softplus", {"beta": 0}, "beta .* > 0, got 0"),
        ("sine", {"omega": -30}, "omega .* > 0, got -30"),
        ("gauss", {"scale": math.inf}, "scale .* finite and > 0, got inf"),
        ("wavelet", {"carrier": 0}, "carrier .* > 0, got 0"),
        ("finer-sine", {"first_bias": 0}, "first_bias .* > 0, got 0"),
        ("finer-gauss", {"omega": math.nan}, "omega .* > 0, got nan"),
        ("wavelet", {"carrier": 200}, "carrier .* at most 17.9 times scale, got 200 and 10"),
        ("finer-wavelet", {"scale": 0.1}, "carrier .* at most 17.9 times scale, got 4.0 and 0.1"),
    ],
)
def test_a_bad_setting_is_refused_by_name_and_range(name, settings, message):
    with pytest.raises(ValueError, match=message):
        make(name, **settings)


def test_an_unknown_name_is_refused_with_those_there_are(monkeypatch):
    # As a user meets it: without the tests' own checks of types, which come first.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match="unknown activation 'tanh': choose one of relu, softplus"):
        make("tanh")


def test_the_largest_allowed_wavelet_is_finite():
    activation = make("wavelet", carrier=178.0, scale=10.0)
    # The largest |f| is at Im z = -c / (2 s²).
    z = torch.tensor([complex(0, -178 / 200)])
    assert activation(z).abs().item() == pytest.approx(math.exp(8.9**2), rel=1e-3)
