import math

import pytest
import torch

from inr_plugins.networks.coordinate_network import SINE_FREQUENCY, CoordinateNetworkConfig


def test_one_hidden_layer_of_128_has_the_papers_size():
    network = CoordinateNetworkConfig().build(15, 27)
    assert [tuple(p.shape) for p in network.parameters()] == [(128, 15), (128,), (27, 128), (27,)]


@pytest.mark.parametrize("activation", ["relu", "sine"])
def test_the_network_is_what_its_formula_says(activation):
    network = CoordinateNetworkConfig(activation=activation, width=16, hidden_layers=2).build(3, 4).double()
    x = torch.randn(10, 3, dtype=torch.float64)
    h = x
    for layer in network.layers[:-1]:
        z = h @ layer.weight.T + layer.bias
        h = z.clamp(min=0) if activation == "relu" else torch.sin(30 * z.float())
        h = h.double()
    expected = h @ network.layers[-1].weight.T + network.layers[-1].bias
    actual = network.float()(x.float())
    torch.testing.assert_close(actual.double(), expected, rtol=1e-4, atol=1e-4)


def test_sine_layers_start_in_sirens_ranges():
    network = CoordinateNetworkConfig(activation="sine", width=64, hidden_layers=2).build(4, 3)
    bounds = [1 / 4, math.sqrt(6 / 64) / SINE_FREQUENCY, math.sqrt(6 / 64) / SINE_FREQUENCY]
    for layer, bound in zip(network.layers, bounds, strict=True):
        assert bound * 0.9 < layer.weight.abs().max() <= bound


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"width": 0}, "width"), ({"hidden_layers": 0}, "hidden_layers"), ({"activation": "tanh"}, "relu or sine")],
)
def test_impossible_settings_are_refused(settings, message):
    config = CoordinateNetworkConfig()
    for name, value in settings.items():
        setattr(config, name, value)
    with pytest.raises(ValueError, match=message):
        config.build(3, 3)
