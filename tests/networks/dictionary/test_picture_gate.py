"""The encoder of pictures: sizes of all kinds, and that it can learn what is linear and what is not."""

from __future__ import annotations

import pytest
import torch

from inr_plugins.networks.dictionary.picture_gate import PictureGate


@pytest.mark.parametrize(("width", "height", "channels"), [(16, 16, 1), (5, 9, 3), (3, 2, 1), (33, 17, 2)])
def test_pictures_of_any_size_have_a_code(width, height, channels):
    gate = PictureGate(width, height, channels, 7)
    pictures = torch.rand(4, width * height, channels)
    codes = gate(pictures)
    assert codes.shape == (4, 7)
    # Every pixel counts, wherever it is.
    pictures.requires_grad_()
    gate(pictures).square().sum().backward()
    assert bool((pictures.grad != 0).all())


def test_rows_and_columns_are_told_apart():
    torch.manual_seed(0)
    gate = PictureGate(6, 4, 1, 3)
    picture = torch.rand(1, 24, 1)
    planes = picture.view(1, 1, 4, 6)
    with torch.no_grad():
        gate.beside.weight.zero_()
        found = gate(picture)
        torch.testing.assert_close(found, gate.decide(gate.look(planes)))


def test_sizes_below_one_are_refused():
    with pytest.raises(ValueError, match="channels of an encoder of pictures must be at least 1, got 0"):
        PictureGate(4, 4, 0, 7)
