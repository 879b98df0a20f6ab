"""The page of a video in parts: which is drawn, and what is said of a frame, against numpy by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from viewer.fake_viewer import Ball
from viewer.served_page import served_page

from inr_plugins.fields.image import ImageField
from inr_plugins.models.nid.video import PARTS, NidVideoModel
from inr_plugins.models.nid.video_panel import VideoPartsPanel
from inr_plugins.signal_grid import PixelGrid

WIDTH, HEIGHT, FRAMES = 6, 4, 2
MIDDLES = torch.tensor([[c, r, 0] for r in range(HEIGHT) for c in range(WIDTH)], dtype=torch.float64)


class Still(ImageField):
    """Half grey everywhere."""

    def forward(self, places):
        raise NotImplementedError

    def at(self, pixels):
        return torch.full((len(pixels), 3), 0.5)


class Parted(Ball):
    """What the panel asks of a model."""

    part_of, make_part = NidVideoModel.part_of, NidVideoModel.make_part


@pytest.fixture
def opened():
    model = Parted()
    model.grid, model.has_alpha, model.parts = PixelGrid(WIDTH, HEIGHT, FRAMES), False, PARTS
    model.config, model.stored = SimpleNamespace(threshold=0.1), None
    model.field = Still(model.grid, 3)
    video = np.full((FRAMES, HEIGHT, WIDTH, 3), 128, dtype=np.uint8)
    video[0, 1, 2:5], video[1, 2, 0] = (128, 250, 128), (10, 10, 10)
    with served_page(model, VideoPartsPanel(frames=FRAMES), image=SimpleNamespace(pixels=video)) as page:
        yield video, page


def test_the_part_that_is_chosen_is_drawn(opened):
    video, page = opened

    def is_drawn(expected):
        found = page.live.snapshot.model.field.at(MIDDLES).numpy()
        return np.allclose(found, np.reshape(expected, (-1, 3)), atol=1e-6)

    moves = np.zeros((HEIGHT, WIDTH, 1))
    moves[1, 2:5] = 1
    assert is_drawn(np.full((HEIGHT, WIDTH, 3), 0.5))
    page.set("Part", "mask")
    assert page.page.wait(lambda: is_drawn(np.broadcast_to(moves, (HEIGHT, WIDTH, 3))), 30)
    page.set("Part", "foreground")
    assert page.page.wait(lambda: is_drawn(video[0] / 255 * moves), 30)
    page.set("Show", "file")
    assert page.page.wait(lambda: is_drawn(video[0] / 255), 30)
    page.set("Show", "fit")
    page.set("Part", "background")
    assert page.page.wait(lambda: is_drawn(np.full((HEIGHT, WIDTH, 3), 0.5)), 30)


def test_the_page_says_how_much_of_a_frame_moves(opened):
    _, page = opened
    near = f"{-20 * np.log10(128 / 255 - 0.5):.2f} dB"
    assert page.says(
        f"Frame 0: {100 * 3 / 24:.1f} % of it is foreground, and elsewhere the background is **{near}**", 30
    )
    page.set("Frame", 1)
    assert page.says(f"Frame 1: {100 * 1 / 24:.1f} % of it is foreground", 30)
