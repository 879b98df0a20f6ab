"""Every activation x normalization x encoding, as density, signed distance and occupancy."""

import itertools
import math
import types
from typing import get_args

import pytest
import torch
from torch import nn

from inr_plugins.networks import tcnn_network
from inr_plugins.networks.activations.settings import ActivationName
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.encodings import EncodingName
from inr_plugins.networks.normalization.registry import NormalizationName, use_sampling_level

ACTIVATIONS, NORMS, ENCODINGS = get_args(ActivationName), get_args(NormalizationName), get_args(EncodingName)
COMPLEX = ("wavelet", "finer-wavelet")
HEADS = {"density": torch.exp, "sdf": lambda y: y, "occupancy": torch.sigmoid}
CELLS = [
    (activation, norm, encoding)
    for activation, norm, encoding in itertools.product(ACTIVATIONS, NORMS, ENCODINGS)
    if not (activation in COMPLEX and norm != "none")
]
every_cell = pytest.mark.parametrize(("activation", "norm", "encoding"), CELLS)


def build(activation, norm, encoding, *, out=2, dtype=torch.float64, **settings):
    """A small network in eval mode whose running statistics have seen some batches."""
    torch.manual_seed(0)
    own = {"positional": {"octaves": 3}, "integrated": {"octaves": 3}, "fourier": {"fourier_features": 6}}.get(
        encoding, {}
    )
    config = CoordinateNetworkConfig(
        activation=activation, normalization=norm, encoding=encoding, width=12, hidden_layers=2, **own, **settings
    )
    network = config.build(3, out, spatial_gradient=True, has_covariance=True)
    if dtype == torch.float64:
        # double() leaves complex weights as they are.
        network.double()
        if network.activation.is_complex:
            network.layers[1:].to(torch.complex128)
    for _ in range(3):
        network(*inputs(64, dtype=dtype))
    return network.eval()


def inputs(count, *, dtype=torch.float64, seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(count, 3, generator=generator, dtype=torch.float64) * 2 - 1
    covariance = torch.rand(count, 3, generator=generator, dtype=torch.float64) * 0.01
    return x.to(dtype), covariance.to(dtype)


@every_cell
def test_gradients_of_every_head_are_finite_differences(activation, norm, encoding):
    network = build(activation, norm, encoding)
    x, covariance = inputs(6)
    h = 2e-7
    for head in HEADS.values():

        def scalar(x, head=head):
            return head(network(x, covariance)[:, 0])

        leaf = x.clone().requires_grad_()
        value = scalar(leaf)
        (gradient,) = torch.autograd.grad(value.sum(), leaf, create_graph=True)
        assert torch.isfinite(value).all()
        with torch.no_grad():
            step = h * torch.eye(3, dtype=x.dtype)
            expected = torch.stack([(scalar(x + e) - scalar(x - e)) / (2 * h) for e in step], -1)
        scale = expected.abs().max().clamp(min=1e-3)
        assert (gradient - expected).abs().max() < 1e-4 * scale
        # An eikonal term differentiates once more, with respect to the weights.
        weights = [p for p in network.parameters() if p.requires_grad]
        second = torch.autograd.grad(gradient.square().sum(), weights, allow_unused=True)
        assert all(torch.isfinite(g.resolve_conj().abs()).all() for g in second if g is not None)


@every_cell
def test_a_row_does_not_depend_on_the_others_or_on_chunks(activation, norm, encoding):
    network = build(activation, norm, encoding)
    x, covariance = inputs(40)
    whole = network(x, covariance)
    chunks = [network(a, b) for a, b in zip(x.split(7), covariance.split(7), strict=True)]
    torch.testing.assert_close(torch.cat(chunks), whole, rtol=1e-10, atol=1e-10)
    others = torch.cat([x[:5], 100 * x[5:]])
    torch.testing.assert_close(network(others, covariance)[:5], whole[:5], rtol=1e-10, atol=1e-10)


@every_cell
def test_a_state_dict_brings_the_function_back(activation, norm, encoding):
    network = build(activation, norm, encoding, dtype=torch.float32)
    torch.manual_seed(99)
    copy = build(activation, norm, encoding, dtype=torch.float32)
    for p in copy.parameters():
        torch.nn.init.zeros_(p)
    copy.load_state_dict(network.state_dict())
    x, covariance = inputs(9, dtype=torch.float32)
    assert torch.equal(copy(x, covariance), network(x, covariance))


@every_cell
def test_bfloat16_stays_near_float32(activation, norm, encoding):
    network = build(activation, norm, encoding, dtype=torch.float32)
    x, covariance = inputs(200, dtype=torch.float32)
    exact = network(x, covariance)
    with torch.autocast("cpu", torch.bfloat16):
        low = network(x, covariance)
    assert torch.isfinite(low).all()
    # Complex layers and phases stay in float32; a phase error of omega * 2^-9 is what bfloat16 inputs cost.
    assert (low.float() - exact).pow(2).mean().sqrt() < 0.5 * exact.std() + 0.02


def test_positions_keep_their_precision_under_bfloat16():
    torch.manual_seed(0)
    network = CoordinateNetworkConfig(activation="finer-sine", width=32, hidden_layers=2).build(3, 1)
    # Nearer to each other than bfloat16 can tell.
    x = torch.tensor([[0.5, 0.5, 0.5], [0.5009, 0.5009, 0.5009]])
    assert torch.equal(x[0].bfloat16(), x[1].bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        low = network.activation(network.layers[0](x))
        first, second = network(x).float()
    assert torch.equal(low[0], low[1])
    assert (first - second).abs() > 1e-4


@pytest.mark.parametrize("activation", COMPLEX)
@pytest.mark.parametrize("norm", [name for name in NORMS if name != "none"])
def test_complex_activations_refuse_normalization(activation, norm):
    with pytest.raises(ValueError, match=r"normalization.*set normalization to 'none'"):
        CoordinateNetworkConfig(activation=activation, normalization=norm)


@pytest.mark.parametrize(
    ("settings", "build_settings", "message"),
    [
        ({"encoding": "integrated"}, {}, "covariance.*'positional'"),
        ({"activation": "finer-sine", "detach_scale": True}, {"spatial_gradient": True}, "turn detach_scale off"),
        ({"implementation": "tcnn"}, {"spatial_gradient": True}, "second derivatives"),
        ({"implementation": "tcnn"}, {"make_head": nn.Identity}, "own last layer: set it to 'torch'"),
    ],
)
def test_a_field_is_refused_what_it_cannot_use(settings, build_settings, message):
    config = CoordinateNetworkConfig(**settings)
    with pytest.raises(ValueError, match=message):
        config.build(3, 1, **build_settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 0}, "width.*at least 1"),
        ({"hidden_layers": 0}, "hidden_layers.*at least 1"),
        ({"activation": "tanh"}, "activation.*finer-sine"),
        ({"normalization": "group"}, "normalization.*cross"),
        ({"encoding": "hash"}, "encoding.*fourier"),
        ({"implementation": "jax"}, "implementation.*tcnn"),
        ({"hidden_layers": 3, "skips": (3,)}, "skips.*hidden_layers - 1 = 2"),
        ({"hidden_layers": 3, "skips": (0,)}, "skips"),
        ({"activation": "sine", "omega": -1.0}, "omega"),
        ({"activation": "relu", "omega": 30.0}, "omega"),
        ({"activation": "gauss", "scale": 0.0}, "scale"),
        ({"activation": "finer-sine", "first_bias": -1.0}, "first_bias"),
        ({"activation": "relu", "detach_scale": True}, "detach_scale"),
        ({"encoding": "identity", "octaves": 4}, "octaves"),
        ({"encoding": "positional", "octaves": 0}, "octaves"),
        ({"encoding": "fourier", "fourier_std": 0.0}, "std"),
        ({"normalization": "batch", "cross_variance": True}, "cross_variance"),
        ({"implementation": "tcnn", "activation": "sine"}, "activation.*'relu'"),
        ({"implementation": "tcnn", "normalization": "cross"}, "normalization.*'none'"),
        ({"implementation": "tcnn", "initialization": "glorot"}, "initialization.*'own'"),
        ({"initialization": "he"}, "initialization.*glorot"),
        ({"initialization": "glorot", "activation": "sine"}, "glorot.*'relu'"),
    ],
)
def test_bad_settings_are_refused_when_the_configuration_is_made(settings, message):
    # Set afterwards, since run-time type checks would refuse an unknown name before the configuration can.
    config = CoordinateNetworkConfig()
    for name, value in settings.items():
        setattr(config, name, value)
    with pytest.raises(ValueError, match=message):
        config.__post_init__()


def test_glorot_starts_weights_uniform_by_both_fans_and_biases_at_zero():
    network = CoordinateNetworkConfig(initialization="glorot", width=300, hidden_layers=2).build(100, 4)
    for layer, bound in zip(network.layers, (math.sqrt(6 / 400), math.sqrt(6 / 600), math.sqrt(6 / 304)), strict=True):
        assert 0.98 * bound < layer.weight.abs().max() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
        assert not layer.bias.any()


def test_levels_reach_the_normalizations():
    network = CoordinateNetworkConfig(normalization="cross", width=4).build(3, 1, sampling_levels=2)
    with use_sampling_level(network, 1):
        network(torch.randn(9, 3))
    assert network.norms[0].statistics.batches.tolist() == [0, 1]


def test_diners_network_has_the_papers_size():
    network = CoordinateNetworkConfig().build(15, 27)
    assert [tuple(p.shape) for p in network.parameters()] == [(128, 15), (128,), (27, 128), (27,)]


def test_the_sigma_and_colour_networks_of_finer_have_the_published_number_of_weights():
    config = CoordinateNetworkConfig(activation="finer-sine", width=182, hidden_layers=3)
    networks = [config.build(3, 183), config.build(185, 3)]
    assert sum(p.numel() for network in networks for p in network.parameters()) == 201_842


@pytest.mark.parametrize("activation", ["relu", "sine"])
def test_the_network_is_what_its_formula_says(activation):
    network = CoordinateNetworkConfig(activation=activation, width=16, hidden_layers=3, skips=(2,)).build(3, 4).double()
    x = torch.randn(10, 3, dtype=torch.float64)
    h = x
    for i, layer in enumerate(network.layers[:-1]):
        z = (torch.cat([h, x], -1) if i == 2 else h) @ layer.weight.T + layer.bias
        h = z.clamp(min=0) if activation == "relu" else torch.sin(30 * z)
    torch.testing.assert_close(network(x), h @ network.layers[-1].weight.T + network.layers[-1].bias)


def test_a_normalised_sine_network_starts_at_the_scale_of_the_plain_one():
    x = torch.rand(4096, 3) * 2 - 1
    spread = {}
    for norm in ("none", "batch"):
        torch.manual_seed(0)
        network = CoordinateNetworkConfig(activation="sine", normalization=norm, width=128, hidden_layers=3).build(3, 1)
        h, stds = x, []
        for layer, normalise in zip(network.layers[:-1], network.norms, strict=True):
            z = normalise(layer(h))
            stds.append(float(z.std()))
            h = network.activation(z)
        spread[norm] = stds
    for plain, normalised in zip(spread["none"], spread["batch"], strict=True):
        # The plain first layer has PyTorch's bias on top.
        assert plain / 2.5 < normalised < plain * 1.5


def test_wavelet_networks_have_about_as_many_real_weights_as_real_ones():
    def numbers(activation):
        network = CoordinateNetworkConfig(activation=activation, width=64, hidden_layers=4).build(3, 1)
        return sum(p.numel() * (2 if p.is_complex() else 1) for p in network.parameters())

    assert numbers("wavelet") == pytest.approx(numbers("relu"), rel=0.1)
    assert CoordinateNetworkConfig(activation="wavelet", width=64).build(3, 1).layers[0].weight.shape == (
        int(64 / math.sqrt(2)),
        3,
    )


def test_without_cuda_tcnn_says_what_to_do(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"CUDA.*'torch'"):
        CoordinateNetworkConfig(implementation="tcnn").build(3, 1)


def test_without_tinycudann_tcnn_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setitem(__import__("sys").modules, "tinycudann", None)
    with pytest.raises(ValueError, match="install"):
        CoordinateNetworkConfig(implementation="tcnn").build(3, 1)


@pytest.mark.parametrize(("width", "kind"), [(64, "FullyFusedMLP"), (48, "CutlassMLP")])
def test_tcnn_is_given_the_networks_shape_behind_the_encoding(monkeypatch, width, kind):
    asked = {}

    class Network(torch.nn.Module):
        def __init__(self, n_input_dims, n_output_dims, network_config):
            super().__init__()
            asked.update(network_config, inputs=n_input_dims, outputs=n_output_dims)
            self.weight = torch.nn.Parameter(torch.ones(n_output_dims, n_input_dims))

        def forward(self, x):
            return (x @ self.weight.T).half()

    monkeypatch.setattr(tcnn_network, "import_tcnn", lambda: types.SimpleNamespace(Network=Network))
    config = CoordinateNetworkConfig(
        implementation="tcnn", encoding="positional", octaves=2, width=width, hidden_layers=3
    )
    network = config.build(3, 5)
    out = network(torch.zeros(4, 7, 3))
    assert out.shape == (4, 7, 5)
    assert out.dtype == torch.float32
    assert (asked["inputs"], asked["outputs"], asked["n_neurons"], asked["n_hidden_layers"]) == (15, 5, width, 3)
    assert asked["otype"] == kind
    # Identity and sines are zero at the origin, the six cosines one.
    torch.testing.assert_close(out, torch.full_like(out, 6.0))


def test_a_field_makes_its_own_last_module_of_the_started_layer():
    config = CoordinateNetworkConfig(activation="sine", width=8, hidden_layers=2)
    torch.manual_seed(3)
    plain = config.build(3, 2)
    seen = []

    def make_head(linear):
        seen.append(linear)
        return nn.Identity()

    torch.manual_seed(3)
    network = config.build(3, 2, make_head=make_head)
    assert torch.equal(seen[0].weight, plain.head.weight)
    assert torch.equal(network.layers[0].weight, plain.layers[0].weight)
    assert isinstance(network.head, nn.Identity)
    assert network(torch.rand(5, 3)).shape == (5, network.features) == (5, 8)
