"""Batches of an image's pixels: passes that show each of them once, and that the step alone decides."""

from __future__ import annotations

import pytest
import torch

from inr_plugins.data.signals.batches import PixelBatches


@pytest.mark.parametrize(("pixels", "most"), [(100, 10), (101, 10), (97, 40), (7, 3), (5, 4)])
def test_a_pass_shows_every_pixel_once(pixels, most):
    batches = PixelBatches(pixels, most, seed=3)
    for passed in range(3):
        steps = range(passed * batches.of_a_pass, (passed + 1) * batches.of_a_pass)
        places = [batches.places(step) for step in steps]
        assert all(len(each) <= most for each in places)
        assert all((each.diff() > 0).all() for each in places)
        assert torch.cat(places).sort().values.tolist() == list(range(pixels))


def test_a_batch_is_spread_over_the_image_and_differs_from_pass_to_pass():
    batches = PixelBatches(10_000, 1000, seed=0)
    first, again = batches.places(0), batches.places(batches.of_a_pass)
    assert not torch.equal(first, again)
    assert torch.equal(first, PixelBatches(10_000, 1000, seed=0).places(0))
    assert not torch.equal(first, PixelBatches(10_000, 1000, seed=1).places(0))
    # One of every stretch of ten.
    assert (first // 10).tolist() == list(range(1000))
    assert len((first % 10).unique()) == 10


def test_a_small_image_is_one_batch():
    assert PixelBatches(100, 100, seed=0).places(5) is None
    assert PixelBatches(100, 100, seed=0).of_a_pass == 1


@pytest.mark.parametrize("most", [100, 10])
def test_processes_share_a_batch(most):
    alone = PixelBatches(100, most, seed=2).places(1)
    parts = [PixelBatches(100, most, seed=2, rank=rank, ranks=3).places(1) for rank in range(3)]
    alone = torch.arange(100) if alone is None else alone
    assert torch.equal(torch.cat(parts).sort().values, alone)
