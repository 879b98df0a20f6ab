"""The page of a stream: the slider of its stages, and the table of their PSNR, against the network itself."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from viewer.fake_viewer import Ball
from viewer.served_page import served_page

from inr_plugins.fields.stream_image import StageView, StreamImage
from inr_plugins.models.signals.stream_panel import StreamPanel
from inr_plugins.networks.activations.settings import ActivationSettings
from inr_plugins.networks.stream_network import StreamNetworkConfig
from inr_plugins.signal_grid import PixelGrid

WIDTH, HEIGHT = 20, 10
MIDDLES = torch.tensor([[c, r] for r in range(HEIGHT) for c in range(WIDTH)], dtype=torch.float64)


@pytest.fixture
def opened():
    torch.manual_seed(0)
    grid = PixelGrid(WIDTH, HEIGHT)
    shape = StreamNetworkConfig(ActivationSettings(activation="sine", omega=3.0), (4, 8, 12), 2)
    stream = StreamImage(grid, 3, network=shape)
    for each in stream.network.stages:
        torch.nn.init.normal_(each.head.weight, std=0.3)
    stream.network.stage.fill_(2)
    stages = [stream.network.outputs(grid.middles(torch.arange(grid.count)), 2)[stage].detach() for stage in (0, 1)]
    model = Ball()
    model.grid, model.has_alpha, model.config = grid, False, SimpleNamespace(widths=(4, 8, 12))
    model.field = StageView(stream, 2)
    truth = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    with served_page(model, StreamPanel(), image=SimpleNamespace(pixels=truth)) as page:
        yield truth / 255, [((each + 1) / 2).numpy() for each in stages], page


def test_the_slider_chooses_the_stage_that_is_drawn(opened):
    truth, stages, page = opened

    def is_drawn(expected):
        found = page.live.snapshot.model.field.at(MIDDLES).numpy()
        return np.allclose(found, expected, atol=1e-6)

    assert np.abs(stages[0] - stages[1]).max() > 0.1
    assert is_drawn(stages[1])
    page.set("Stage", 1)
    assert page.page.wait(lambda: is_drawn(stages[0]))
    page.set("Show", "error")
    missed = 10 * np.abs(stages[0].clip(0, 1) - truth.reshape(-1, 3))
    assert page.page.wait(lambda: is_drawn(missed))
    page.set("Show", "fit")
    # A stage that has not begun is the newest one.
    page.set("Stage", 3)
    assert page.page.wait(lambda: is_drawn(stages[1]))


def test_the_page_says_the_psnr_of_every_stage(opened):
    truth, stages, page = opened
    psnr = [-10 * np.log10(np.mean((each.clip(0, 1) - truth.reshape(-1, 3)) ** 2)) for each in stages]
    assert page.says(f"| 1 | 4 | {psnr[0]:.2f} |\\n| 2 | 8 | {psnr[1]:.2f} |")
