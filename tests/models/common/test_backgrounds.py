"""Colours behind pixels, against compositing by hand."""

import pytest
import torch
from nerfstudio.model_components import renderers

from inr_plugins.models.common.backgrounds import Background, over

RGBA = torch.tensor([[0.2, 0.4, 0.6, 0.5], [1.0, 0.0, 0.0, 0.0]])


def test_straight_alpha_is_composited_and_colours_without_alpha_are_left():
    red = torch.tensor([[1.0, 0.0, 0.0]]).expand(2, 3)
    torch.testing.assert_close(over(RGBA, red), torch.tensor([[0.6, 0.2, 0.3], [1.0, 0.0, 0.0]]))
    assert torch.equal(over(RGBA[:, :3], red), RGBA[:, :3])


@pytest.mark.parametrize(
    ("wanted", "opaque", "channels", "has_mask", "expected"),
    [
        ("white", False, 4, False, 1.0),
        ("black", False, 4, False, 0.0),
        ("auto", False, 3, False, 1.0),
        ("auto", False, 4, False, None),
        ("auto", True, 3, False, None),
        ("auto", False, 3, True, None),
        ("random", False, 3, False, None),
    ],
)
def test_the_background_of_training_is_one_colour_or_random(wanted, opaque, channels, has_mask, expected):
    image = torch.rand(500, channels)
    found = Background(wanted, opaque).for_training(image, has_mask=has_mask)
    assert found.shape == (500, 3)
    if expected is None:
        assert 0.4 < found.mean() < 0.6
        assert found.std(0).min() > 0.2
    else:
        assert (found == expected).all()


@pytest.mark.parametrize(("wanted", "expected"), [("auto", 1.0), ("random", 1.0), ("white", 1.0), ("black", 0.0)])
def test_evaluation_is_over_white_or_black_unless_a_command_says_otherwise(wanted, expected, monkeypatch):
    background = Background(wanted, False)
    torch.testing.assert_close(background.under_image(RGBA)[1], torch.full((3,), expected))
    monkeypatch.setattr(renderers, "BACKGROUND_COLOR_OVERRIDE", torch.tensor([0.0, 0.5, 0.0]))
    assert background.for_evaluation(torch.zeros(4, 5, 3)).shape == (4, 5, 3)
    torch.testing.assert_close(background.under_image(RGBA)[1], torch.tensor([0.0, 0.5, 0.0]))
