"""An image's own pixels as a field, and how far a fit is from them, against numpy by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inr_plugins.fields.image import ImageField
from inr_plugins.fields.image_views import ForegroundImage, MissedImage, StoredImage
from inr_plugins.signal_grid import PixelGrid

WIDTH, HEIGHT = 3, 2


class Ramp(ImageField):
    """Of place (column, row): column / 4 + row / 8 in every channel, which is more than 1 far to the right."""

    def forward(self, places):
        raise NotImplementedError

    def at(self, pixels):
        return (pixels[:, :1] / 4 + pixels[:, 1:] / 8).float().expand(-1, self.channels)


def pixels(kind, channels):
    most = np.iinfo(kind).max
    values = np.random.default_rng(0).integers(0, most, (HEIGHT, WIDTH, channels), endpoint=True)
    values[0, 0], values[-1, -1] = most, 0
    return values.astype(kind)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_the_file_is_seen_as_squares(kind):
    own = pixels(kind, 3)
    field = StoredImage(own)
    truth = own.astype(np.float64) / np.iinfo(kind).max
    np.testing.assert_allclose(field(None).numpy(), truth.reshape(-1, 3), rtol=1e-6)
    np.testing.assert_allclose(field(torch.tensor([1, 5])).numpy(), truth.reshape(-1, 3)[[1, 5]], rtol=1e-6)
    places = {(0.49, -0.49): (0, 0), (0.51, 0.6): (1, 1), (-7.0, 9.0): (0, 1), (2.49, 0.5): (2, 1), (40.0, 0.4): (2, 0)}
    found = field.at(torch.tensor(list(places), dtype=torch.float64)).numpy()
    np.testing.assert_allclose(found, [truth[row, column] for column, row in places.values()], rtol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_what_is_missed_is_told_of_each_pixel(channels):
    own, has_alpha = pixels(np.uint8, channels), channels in (2, 4)
    fit = Ramp(PixelGrid(WIDTH, HEIGHT), channels)
    field = MissedImage(fit, StoredImage(own), factor=10.0, has_alpha=has_alpha)
    row, column = np.meshgrid(np.arange(HEIGHT), np.arange(WIDTH), indexing="ij")
    missed = np.abs(np.minimum(column / 4 + row / 8, 1)[..., None] - own / 255.0)
    expected = 10 * missed
    if has_alpha:
        expected = np.concatenate([10 * (missed[..., :-1] + missed[..., -1:]), np.ones_like(missed[..., :1])], -1)
    np.testing.assert_allclose(field(None).numpy(), expected.reshape(-1, channels), rtol=1e-5)
    found = field.at(torch.tensor([[1.3, 0.8], [1.0, 1.0]], dtype=torch.float64)).numpy()
    np.testing.assert_allclose(found, [expected[1, 1]] * 2, rtol=1e-5)


@pytest.mark.parametrize("as_mask", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_the_foreground_is_the_file_where_any_colour_is_far_from_the_background(channels, as_mask):
    own, has_alpha = pixels(np.uint8, channels), channels in (2, 4)
    background = Ramp(PixelGrid(WIDTH, HEIGHT), channels)
    row, column = np.meshgrid(np.arange(HEIGHT), np.arange(WIDTH), indexing="ij")
    away = np.abs(np.minimum(column / 4 + row / 8, 1)[..., None] - own / 255.0)
    # Half-way between two of what there is, so that some pixels are far and some are not.
    far = np.sort(away.max(-1).flatten())
    threshold = float(far[2:4].mean())
    field = ForegroundImage(background, StoredImage(own), threshold=threshold, as_mask=as_mask, has_alpha=has_alpha)
    stands_out = (away > threshold).any(-1, keepdims=True)
    assert stands_out.sum() == 3
    expected = np.broadcast_to(stands_out, own.shape).astype(float) if as_mask else own / 255.0 * stands_out
    if as_mask and has_alpha:
        expected = np.concatenate([expected[..., :-1], np.ones_like(expected[..., :1])], -1)
    np.testing.assert_allclose(field(None).numpy(), expected.reshape(-1, channels), rtol=1e-6)
    found = field.at(torch.tensor([[1.3, 0.8], [-4.0, 0.2]], dtype=torch.float64)).numpy()
    np.testing.assert_allclose(found, [expected[1, 1], expected[0, 0]], rtol=1e-6)
