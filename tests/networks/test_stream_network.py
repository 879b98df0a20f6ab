"""Networks in stages against numpy by hand, and what a later stage leaves of earlier ones."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

from inr_plugins.networks.activations.settings import ActivationSettings
from inr_plugins.networks.stream_network import StreamNetwork, StreamNetworkConfig

WIDTHS, LAYERS, OMEGA = (4, 7, 12), 3, 6.0
PLACES = torch.linspace(-1, 1, 60).reshape(30, 2)


def network(activation="finer-sine", seed=0, **constants):
    torch.manual_seed(seed)
    settings = ActivationSettings(activation=activation, omega=OMEGA, first_bias=0.7, **constants)
    return StreamNetwork(2, 3, config=StreamNetworkConfig(settings, WIDTHS, LAYERS))


def stirred(seed=1):
    """No weight is zero, so that each counts."""
    made = network(seed=seed)
    with torch.no_grad():
        for each in made.parameters():
            each.add_(0.2 * torch.randn_like(each))
    return made


def dense(made, stage):
    """The network of the first stages as one of plain matrices, in which weights from new to old neurons are 0."""
    width, layers = WIDTHS[stage - 1], []
    for place in range(LAYERS):
        weight, bias = np.zeros((width, 2 if place == 0 else width)), np.zeros(width)
        for number in range(stage):
            old, new = (WIDTHS[number - 1] if number else 0), WIDTHS[number]
            own = made.stages[number].layers[place]
            weight[old:new, : 2 if place == 0 else new] = own.weight.detach().double().numpy()
            bias[old:new] = own.bias.detach().double().numpy()
        layers.append((weight, bias))
    heads = [made.stages[number].head for number in range(stage)]
    last = np.concatenate([each.weight.detach().double().numpy() for each in heads], axis=1)
    return layers, last, heads[0].bias.detach().double().numpy()


def by_hand(made, stage, x):
    layers, last, bias = dense(made, stage)
    hidden = x.double().numpy()
    for weight, shift in layers:
        z = hidden @ weight.T + shift
        hidden = np.sin(OMEGA * (np.abs(z) + 1) * z)
    return hidden @ last.T + bias


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_stage_is_a_network_of_matrices_without_weights_from_new_to_old(stage):
    made = stirred()
    expected = by_hand(made, stage, PLACES)
    made.stage.fill_(stage)
    assert np.abs(made(PLACES).detach().numpy() - expected).max() < 2e-4
    assert np.abs(expected).max() > 1
    # All that a stage has counts in it.
    assert np.abs(by_hand(made, max(1, stage - 1), PLACES) - expected).max() > 0.1 or stage == 1


def test_a_stage_has_the_same_bits_with_later_ones():
    made = stirred()
    for training in (True, False):
        made.train(training)
        whole = made.outputs(PLACES, 3)
        for stage in (1, 2):
            assert all(torch.equal(a, b) for a, b in zip(whole, made.outputs(PLACES, stage), strict=False))


def test_a_later_stage_leaves_earlier_ones_as_they_are_to_the_bit():
    made, wanted = network(), torch.rand(30, 3)
    optimizer = torch.optim.Adam(made.parameters(), lr=1e-2)
    kept = {}
    for stage in (1, 2, 3):
        before = copy.deepcopy(made.state_dict())
        made.stage.fill_(stage)
        for _ in range(4):
            optimizer.zero_grad()
            (made(PLACES) - wanted).square().mean().backward()
            optimizer.step()
        for name, value in made.state_dict().items():
            if name == "stage":
                continue
            is_own = name.startswith(f"stages.{stage - 1}.")
            assert torch.equal(value, before[name]) != is_own, name
        kept[stage] = made(PLACES).detach().clone()
        assert all(torch.equal(made.outputs(PLACES, done)[-1], kept[done]) for done in range(1, stage + 1))
    assert (kept[3] - kept[1]).abs().max() > 1e-3


def test_a_stage_begins_with_the_output_of_the_one_before():
    made = network()
    first, second, third = made.outputs(PLACES, 3)
    assert torch.equal(first, second)
    assert torch.equal(first, third)
    assert first.abs().max() > 0.01


def test_new_neurons_start_with_biases_further_out():
    settings = ActivationSettings(activation="finer-sine", first_bias=0.5)
    made = StreamNetwork(2, 3, config=StreamNetworkConfig(settings, (2000, 4000, 6000), 1))
    sizes = [each.layers[0].bias.detach().abs() for each in made.stages]
    for size, least, most in zip(sizes, (0, 1.0, 1.5), (0.5, 1.5, 2.0), strict=True):
        assert least <= size.min() < least + 0.01
        assert most - 0.01 < size.max() <= most
        assert size.mean() == pytest.approx((least + most) / 2, abs=0.02)
    assert all(abs(float((each.layers[0].bias > 0).float().mean()) - 0.5) < 0.05 for each in made.stages)


def test_old_neurons_reach_new_ones_with_phases_of_the_same_size():
    made = network()
    weight = made.stages[2].layers[1].weight.detach()
    assert weight.shape == (5, 12)
    assert (weight[:, 7:] == 0).all()
    bound = math.sqrt(6 / 7) / OMEGA
    assert 0.6 * bound < weight[:, :7].abs().max() <= bound


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_weights_are_counted(stage):
    made = network()
    expected = sum(each.numel() for part in made.stages[:stage] for each in part.parameters())
    assert made.config.weights(stage, inputs=2, outputs=3) == expected


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"activation": "relu"}, "a stream has no activation 'relu'"),
        ({"activation": "finer-wavelet"}, "choose one of finer-sine"),
        ({"activation": "gauss", "omega": 3.0}, "omega is no setting of the activation gauss"),
        ({"widths": ()}, "at least one number"),
        ({"widths": (8, 8)}, "must grow from stage to stage, got 8 8"),
        ({"layers": 0}, "hidden_layers must be at least 1"),
    ],
)
def test_what_no_stream_can_be_is_a_sentence(changes, words):
    widths, layers = changes.pop("widths", (4, 8)), changes.pop("layers", 2)
    with pytest.raises(ValueError, match=words):
        StreamNetworkConfig(ActivationSettings(**{"activation": "sine", **changes}), widths, layers).check()
