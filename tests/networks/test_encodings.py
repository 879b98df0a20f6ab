import math

import numpy as np
import pytest
import torch
from long_form import long_form

from inr_plugins.networks.encodings import Integrated, Positional, RandomFourier, make_encoding


@pytest.mark.parametrize("pi", [True, False])
@pytest.mark.parametrize("include_input", [True, False])
def test_positional_features_stand_in_mip_nerfs_order(include_input, pi):
    x = np.array([0.3, -0.7])
    expected = list(x) if include_input else []
    for function in (np.sin, np.cos):
        for octave in range(3):
            expected += [function(2**octave * (math.pi if pi else 1) * value) for value in x]
    encoding = Positional(2, octaves=3, include_input=include_input, pi=pi)
    actual = encoding(torch.from_numpy(x))
    assert len(actual) == encoding.out_dim
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-12)


def test_integrated_features_are_expectations_of_positional_ones():
    mean = torch.tensor([0.2, -1.1, 0.6], dtype=torch.float64)
    root = torch.tensor([[0.3, 0.0, 0.0], [0.1, 0.05, 0.0], [-0.2, 0.1, 0.4]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    draws = mean + torch.randn(200_000, 3, generator=generator, dtype=torch.float64) @ root.T
    expected = Positional(3, octaves=5, include_input=False)(draws).mean(0)
    actual = Integrated(3, octaves=5)(mean, root @ root.T)
    # Five standard errors of a mean of values in [-1, 1].
    torch.testing.assert_close(actual, expected, rtol=0, atol=5 / math.sqrt(200_000))
    assert actual.abs().max() > 0.5


def test_integrated_features_without_spread_are_positional_ones():
    x = torch.randn(10, 3)
    positional = Positional(3, octaves=16, include_input=False)(x)
    assert torch.equal(Integrated(3)(x, torch.zeros(10, 3)), positional)
    assert Integrated(3).out_dim == 96


def test_only_the_diagonal_of_a_covariance_counts():
    x = torch.randn(2, 5, 3)
    root = torch.randn(2, 5, 3, 3)
    covariance = root @ root.mT
    encoding = Integrated(3, octaves=4)
    assert torch.equal(encoding(x, covariance), encoding(x, covariance.diagonal(dim1=-2, dim2=-1)))


def test_a_missing_covariance_is_refused_and_a_misshapen_one():
    encoding = make_encoding("integrated", 3)
    assert encoding.needs_covariance
    with pytest.raises(ValueError, match="needs the covariance"):
        encoding(torch.zeros(4, 3))
    with pytest.raises(ValueError, match=r"shape \(4, 3\) has shape \(4, 2\)"):
        encoding.forward(torch.zeros(4, 3), torch.zeros(4, 2))
    with pytest.raises(ValueError, match="in_dim 3 got positions of 2 coordinates"):
        make_encoding("positional", 3)(torch.zeros(4, 2))


def test_fourier_features_are_those_of_their_equation_and_normal():
    encoding = RandomFourier(2, features=4000, std=3.0, seed=5)
    x = torch.randn(6, 2)
    phase = 2 * math.pi * x.double() @ encoding.basis.double().T
    torch.testing.assert_close(encoding(x).double(), torch.cat([phase.sin(), phase.cos()], -1), rtol=0, atol=1e-4)
    assert encoding.basis.std().item() == pytest.approx(3.0, rel=0.05)
    assert abs(encoding.basis.mean().item()) < 0.15


def test_fourier_features_come_back_from_the_state_dict_and_from_the_seed():
    x = torch.randn(6, 2)
    encoding = make_encoding("fourier", 2, features=8, std=2.0, seed=1)
    other = make_encoding("fourier", 2, features=8, std=7.0, seed=2)
    assert not torch.equal(other(x), encoding(x))
    other.load_state_dict(encoding.state_dict())
    assert torch.equal(other(x), encoding(x))
    state = torch.random.get_rng_state()
    assert torch.equal(make_encoding("fourier", 2, features=8, std=2.0, seed=1)(x), encoding(x))
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("name", ["identity", "positional", "integrated", pytest.param("fourier", marks=long_form)])
def test_every_encoding_is_differentiable_twice_in_any_shape(name):
    encoding = make_encoding(name, 3, **({"octaves": 3} if name in ("positional", "integrated") else {}))
    x = torch.rand(2, 2, 3, dtype=torch.float64, requires_grad=True)
    covariance = torch.full((2, 2, 3), 1e-2, dtype=torch.float64) if encoding.needs_covariance else None
    assert encoding(x, covariance).shape == (2, 2, encoding.out_dim)
    assert encoding(x[:0], None if covariance is None else covariance[:0]).shape == (0, 2, encoding.out_dim)
    assert torch.autograd.gradcheck(lambda x: encoding(x, covariance), (x,))
    assert torch.autograd.gradgradcheck(lambda x: encoding(x, covariance), (x,))


@pytest.mark.parametrize("name", ["positional", "integrated", "fourier"])
def test_phases_stay_in_full_precision_under_half_and_autocast(name):
    encoding = make_encoding(name, 3)
    x = torch.rand(50, 3).half()
    covariance = torch.full((50, 3), 1e-4).half() if encoding.needs_covariance else None
    expected = encoding(x.float(), None if covariance is None else covariance.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(encoding(x.float(), covariance), expected)
    half = encoding.half()(x, covariance)
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float(), expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("hash", {}, "unknown encoding 'hash': choose one of identity, positional"),
        ("positional", {"octaves": 0}, r"octaves .* \[1, 24\], got 0"),
        ("integrated", {"octaves": 25}, r"octaves .* \[1, 24\], got 25"),
        ("integrated", {"pi": True}, "integrated has no setting 'pi'; it has octaves"),
        ("identity", {"octaves": 3}, "identity has no setting 'octaves'; it has none"),
        ("fourier", {"features": 0}, "features .* at least 1"),
        ("fourier", {"std": 0.0}, "std .* positive"),
        ("positional", {"in_dim": 0}, "in_dim .* at least 1"),
    ],
)
def test_impossible_settings_are_refused(name, settings, message):
    with pytest.raises(ValueError, match=message):
        make_encoding(name, **{"in_dim": 3, **settings})
