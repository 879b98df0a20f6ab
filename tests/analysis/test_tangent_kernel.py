"""Tangent kernels, against closed forms and against differences of outputs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from inr_plugins.analysis import tangent_kernel as module
from inr_plugins.analysis.findings import image_kernel
from inr_plugins.analysis.tangent_kernel import eigenvalues, in_float64, summary, tangent_kernel
from inr_plugins.fields.image import CoordinateImage, ImageField, KeyImage
from inr_plugins.fields.stream_image import StreamImage
from inr_plugins.networks.activations.settings import ActivationSettings
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.stream_network import StreamNetworkConfig
from inr_plugins.signal_grid import PixelGrid


def test_of_a_linear_map_it_is_the_inputs_products_and_one_for_the_bias():
    x = torch.randn(7, 3, dtype=torch.float64, generator=torch.manual_seed(0))
    layer = nn.Linear(3, 2).double()
    assert torch.allclose(tangent_kernel(lambda: layer(x), layer.parameters()), x @ x.T + 1)


def test_of_one_hidden_layer_it_is_the_closed_form():
    torch.manual_seed(1)
    x = torch.randn(9, 2, dtype=torch.float64)
    first, last = nn.Linear(2, 16).double(), nn.Linear(16, 1).double()
    z = first(x)
    active = (z > 0).double() * last.weight
    expected = (active @ active.T) * (x @ x.T + 1) + z.relu() @ z.relu().T + 1
    weights = [*first.parameters(), *last.parameters()]
    assert torch.allclose(tangent_kernel(lambda: last(first(x).relu()), weights), expected)


def test_the_parts_of_a_complex_weight_are_two_weights():
    weight = nn.Parameter(torch.tensor([0.3 + 0.4j], dtype=torch.complex128))
    z = torch.tensor([1 + 2j, 3 - 1j], dtype=torch.complex128)
    # Re(w z) has the derivatives Re z and -Im z.
    expected = torch.tensor([[5.0, 1], [1, 10]], dtype=torch.float64)
    assert torch.allclose(tangent_kernel(lambda: (weight * z).real[:, None], [weight]), expected)


@pytest.mark.parametrize("points", [7, 8])
def test_in_blocks_it_is_the_same_and_every_row_is_told(points, monkeypatch):
    x = torch.randn(points, 3, dtype=torch.float64, generator=torch.manual_seed(2))
    layer = nn.Linear(3, 2).double()
    whole = tangent_kernel(lambda: layer(x), layer.parameters())
    monkeypatch.setattr(module, "_BYTES_AT_ONCE", 3 * 8 * 8)
    told = []
    parts = tangent_kernel(lambda: layer(x), layer.parameters(), on_rows=lambda *each: told.append(each))
    assert torch.allclose(parts, whole)
    assert told[-1][0] == told[-1][1]
    assert [done for done, _ in told] == sorted({done for done, _ in told})


def by_differences(network: nn.Module, inputs: nn.Parameter | torch.Tensor, weights: list[torch.Tensor]) -> np.ndarray:
    """The kernel from differences of the outputs as each weight moves, in training mode."""
    step, rows = 1e-6, []
    with torch.no_grad():
        for weight in weights:
            flat = weight.view(-1)
            for i, turn in itertools.product(range(len(flat)), (1, 1j) if weight.is_complex() else (1,)):
                old = flat[i].clone()
                flat[i] = old + step * turn
                above = network(inputs)
                flat[i] = old - step * turn
                rows.append(((above - network(inputs)) / (2 * step)).numpy())
                flat[i] = old
    jacobian = np.stack(rows, -1)
    return np.einsum("icw,jcw->ij", jacobian, jacobian) / jacobian.shape[1]


def image(kind: str) -> ImageField:
    torch.manual_seed(3)
    grid = PixelGrid(4, 3)
    if kind == "keys":
        return KeyImage(grid, 3, key_width=2, network=CoordinateNetworkConfig(width=5, hidden_layers=1), init_range=1.0)
    network = CoordinateNetworkConfig(width=6, hidden_layers=2, activation="finer-sine")
    if kind.startswith("finer"):
        network.activation = kind
    else:
        network.normalization = kind
    return CoordinateImage(grid, 2, network=network)


@pytest.mark.parametrize("kind", ["keys", "none", "batch", "layer", "cross", "finer-wavelet"])
def test_of_an_image_it_is_what_differences_say_keys_and_statistics_included(kind):
    field = image(kind)
    places = np.arange(0, 12, 2)
    state = {name: value.clone() for name, value in field.state_dict().items()}
    found = image_kernel(field, places).numpy()
    assert all(torch.equal(value, state[name]) for name, value in field.state_dict().items())
    in_float64(field).train()
    if isinstance(field, KeyImage):
        keys = field.table.keys
        expected = by_differences(lambda _: field.network(keys[places]), keys, [keys, *field.network.parameters()])
    else:
        middles = field.grid.middles(torch.from_numpy(places)).double()
        expected = by_differences(field.network, middles, list(field.network.parameters()))
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


def test_of_a_stream_it_is_of_the_weights_that_the_stage_learns():
    torch.manual_seed(3)
    settings = ActivationSettings(activation="finer-sine", omega=5.0)
    field = StreamImage(PixelGrid(4, 3), 2, network=StreamNetworkConfig(settings, (3, 6), 2))
    head = field.network.stages[1].head
    torch.nn.init.normal_(head.weight)
    found = image_kernel(field, np.arange(0, 12, 2)).numpy()
    in_float64(field).eval()
    middles = field.grid.middles(torch.arange(0, 12, 2)).double()
    expected = by_differences(field.network, middles, list(field.network.stages[1].parameters()))
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


def test_what_is_said_of_a_kernel():
    kernel = torch.diag(torch.tensor([0.5, 6.0, 2.0, 1.5], dtype=torch.float64))
    kernel[0, 1] = kernel[1, 0] = 0.3
    values = eigenvalues(kernel)
    assert np.allclose(values, np.linalg.eigvalsh(kernel.numpy())[::-1])
    said = summary(kernel)
    assert (said.points, said.above_one, said.half) == (4, 3, 1)
    assert said.largest == pytest.approx(values[0])
    assert said.mean == pytest.approx(2.5)
    assert said.variance == pytest.approx(values.var())
    assert said.diagonal == pytest.approx(2.5 / (0.6 / 12))
    assert summary(torch.eye(5, dtype=torch.float64)).half == 3
