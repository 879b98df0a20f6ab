"""A video as a mixture of pictures, against sums over experts one by one."""

import pytest
import torch

from inr_plugins.fields.dictionary_video import DictionaryVideo
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.signal_grid import PixelGrid

WIDTH, HEIGHT, FRAMES, EXPERTS = 7, 5, 6, 3


@pytest.fixture
def field():
    torch.manual_seed(0)
    made = DictionaryVideo(
        PixelGrid(WIDTH, HEIGHT, FRAMES),
        2,
        trunk=CoordinateNetworkConfig(activation="sine", omega=6.0, width=12, hidden_layers=2),
        weights=CoordinateNetworkConfig(activation="sine", omega=4.0, width=10, hidden_layers=2),
        experts=EXPERTS,
        expert_width=4,
    )
    with torch.no_grad():
        # Weights start small, and experts without a constant.
        made.weights.layers[-1].bias.normal_() if hasattr(made.weights, "layers") else None
        made.bank.last_bias.normal_()
    return made


def by_hand(field, column, row, frame):
    """Σ_i α_i(t) b_i(x, y) at one place, as a value."""
    x = torch.tensor([[(2 * column + 1 - WIDTH) / WIDTH, (2 * row + 1 - HEIGHT) / WIDTH]])
    t = torch.tensor([[(2 * frame + 1 - FRAMES) / FRAMES]])
    weights, h, total = field.weights(t)[0], field.trunk(x)[0], torch.zeros(2)
    bank = field.bank
    for i in range(EXPERTS):
        hidden = torch.sin(6.0 * (bank.hidden_weight[i] @ h + bank.hidden_bias[i]))
        total = total + weights[i] * (bank.last_weight[i].T @ hidden + bank.last_bias[i])
    return (total + 1) / 2


def test_values_are_sums_over_experts_anywhere(field):
    places = torch.tensor([0, 8, 8 + WIDTH * HEIGHT, WIDTH * HEIGHT * FRAMES - 1, 3])
    indices = field.grid.indices(places)
    wanted = torch.stack([by_hand(field, *index.tolist()) for index in indices])
    torch.testing.assert_close(field(places), wanted, atol=1e-5, rtol=0)
    torch.testing.assert_close(field(None)[places], wanted, atol=1e-5, rtol=0)
    torch.testing.assert_close(field.at(indices.double()), wanted, atol=1e-5, rtol=0)
    between = torch.tensor([[2.25, 1.5, 3.75]], dtype=torch.float64)
    torch.testing.assert_close(field.at(between)[0], by_hand(field, 2.25, 1.5, 3.75), atol=1e-5, rtol=0)
    # Outside is what is at the edge.
    outside = torch.tensor([[-3.0, 1.0, 9.0]], dtype=torch.float64)
    torch.testing.assert_close(field.at(outside)[0], by_hand(field, -0.5, 1.0, FRAMES - 0.5), atol=1e-5, rtol=0)


def test_columns_are_all_frames_of_some_pixels(field):
    rows = torch.tensor([1, 4, 30])
    values, weights, sizes = field.columns(rows)
    assert values.shape == (FRAMES, 3, 2)
    for frame in range(FRAMES):
        torch.testing.assert_close(values[frame], field(rows + frame * WIDTH * HEIGHT), atol=1e-6, rtol=0)
        own = field.weights(torch.tensor([[(2 * frame + 1 - FRAMES) / FRAMES]]))[0]
        torch.testing.assert_close(weights[frame], own, atol=1e-6, rtol=0)
    experts = field.bank.all_outputs(field.trunk(field.picture.middles(rows)))
    torch.testing.assert_close(sizes, experts.square().mean((0, 2)).sqrt(), atol=1e-6, rtol=0)


def test_a_video_has_no_higher_rank_than_there_are_experts(field):
    matrix = (2 * field(None).double() - 1).view(FRAMES, -1)
    found = torch.linalg.svdvals(matrix)
    assert found[EXPERTS] < 1e-5 * found[0] < found[EXPERTS - 1]
