"""Panels of networks: which models have them, what they show of statistics that are known, what they cost training."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from viewer.fake_viewer import BOX
from viewer.served import eventually, served

from inr_plugins.models.common.panels import (
    FrequencyPanel,
    StatisticsPanel,
    apart,
    layer_name,
    network_panels,
    periodic_network,
    statistics_of,
)
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.normalization.running_statistics import RunningColumns, use_sampling_level


class Small(nn.Module):
    """A model of one network, whose pictures are white."""

    def __init__(self, sampling_levels: int = 1, **settings) -> None:
        super().__init__()
        torch.manual_seed(0)
        config = CoordinateNetworkConfig(width=8, hidden_layers=2, **settings)
        self.field = nn.Module()
        self.field.distance_network = config.build(3, 1, sampling_levels=sampling_levels)
        self.scene_box = SimpleNamespace(aabb=BOX)

    @property
    def device(self):
        return torch.device("cpu")

    def forward(self, ray_bundle):
        count = len(ray_bundle.origins)
        return {"rgb": torch.ones(count, 3), "accumulation": torch.zeros(count, 1), "depth": torch.ones(count, 1)}


def test_networks_have_the_panels_of_what_is_in_them():
    assert network_panels(Small()) == []
    assert [type(each) for each in network_panels(Small(activation="finer-sine"))] == [FrequencyPanel]
    assert [type(each) for each in network_panels(Small(normalization="cross"))] == [StatisticsPanel]
    # Octaves are not positions, and a plain sine has one frequency a neuron.
    assert periodic_network(Small(activation="finer-sine", encoding="positional")) is None
    assert periodic_network(Small(activation="sine")) is None


def test_frequencies_move_with_the_weights(recwarn):
    model, panel = Small(activation="finer-sine"), FrequencyPanel()
    with served(model, panel) as page:
        page.open()
        page.live.retake()
        assert panel._text.content == ""
        panel._show.value = True
        assert eventually(lambda: "data:image/svg" in panel._text.content)
        before = medians(panel)
        with torch.no_grad():
            model.field.distance_network.layers[0].weight.mul_(1e-3)
            model.field.distance_network.layers[0].bias.zero_()
        page.live.retake()
        assert eventually(lambda: medians(panel)[0] < 0.01 * before[0])
        # ω |w| / 2π of what is left.
        weight = model.field.distance_network.layers[0].weight.detach().norm(dim=1)
        assert medians(panel)[0] == pytest.approx(np.median(30 * weight.numpy() / (2 * np.pi)), rel=0.02)
        assert medians(panel)[1] == before[1]
    # viser wants to know where pictures lie that are files.
    assert [str(each.message) for each in recwarn if "image_root" in str(each.message)] == []


def medians(panel) -> list[float]:
    rows = [each for each in panel._text.content.splitlines() if each.startswith("| St")]
    return [float(each.split("|")[2]) for each in rows]


def test_layers_are_called_by_their_network():
    assert layer_name("field.distance_network.norms.2.statistics") == "distance 3"
    assert layer_name("network.norms.0.statistics") == "1"


def test_how_far_a_batch_is_from_running_averages():
    rows = torch.tensor(10.0)
    running = RunningColumns(torch.zeros(2), torch.tensor([4.0, 1.0]), rows)
    batch = RunningColumns(torch.tensor([2.0, -1.0]), torch.tensor([16.0, 4.0]), rows)
    assert apart(batch, running) == pytest.approx((1.0, 2.0))


@pytest.mark.parametrize("name", ["batch", "global", "cross"])
def test_the_last_batch_is_kept_when_asked_for_and_changes_no_bit(name):
    x = torch.randn(50, 3)
    plain, kept = (
        Small(normalization=name, sampling_levels=2).train(),
        Small(normalization=name, sampling_levels=2).train(),
    )
    for each in statistics_of(kept).values():
        each.keep_last(True)
    for model in (plain, kept):
        for level in (0, 1, 0):
            with use_sampling_level(model, level):
                model.field.distance_network(x * (1 + level)).sum().backward()
    state, other = plain.state_dict(), kept.state_dict()
    assert list(state) == list(other)
    assert all(torch.equal(state[key], other[key]) for key in state)
    for one, two in zip(plain.parameters(), kept.parameters(), strict=True):
        assert torch.equal(one.grad, two.grad)
    assert all(each.last == {} for each in statistics_of(plain).values())
    first = statistics_of(kept)["distance 1"]
    z = kept.field.distance_network.layers[0](2 * x).detach()
    expected = z.mean() if name == "global" else z.mean(0)
    torch.testing.assert_close(first.last[1].mean.squeeze(), expected, atol=1e-5, rtol=1e-4)
    assert float(first.last[1].rows) == 50
    # Asked for anew, it is still there: training may stand still.
    first.keep_last(True)
    assert set(first.last) == {0, 1}
    first.keep_last(False)
    assert first.last == {}


def test_the_page_shows_batch_against_running_for_each_layer():
    model, panel = Small(normalization="batch").train(), StatisticsPanel()
    network = model.field.distance_network
    with served(model, panel) as page:
        page.open()
        page.live.retake()
        panel._show.value = True
        assert eventually(lambda: panel._text.content == "Waiting for the next training step.")
        for scale in (1.0, 1.0, 3.0):
            network(scale * torch.randn(400, 3))
        page.live.retake()
        assert eventually(lambda: "data:image/svg" in panel._text.content)
        rows = [each.split("|")[1:4] for each in panel._text.content.splitlines() if each.startswith("| dist")]
        assert [each[0].strip() for each in rows] == ["distance 1", "distance 2"]
        # Variances of 1, 1 and 9 on average 11 / 3, of which the last one is the root of 27 / 11.
        assert float(rows[0][2].replace("x", "")) == pytest.approx((27 / 11) ** 0.5, rel=0.1)
        assert "400 rows" in panel._text.content
        panel._show.value = False
        assert eventually(lambda: all(each.last == {} for each in statistics_of(model).values()))
        network(torch.randn(400, 3))
        assert all(each.last == {} for each in statistics_of(model).values())
