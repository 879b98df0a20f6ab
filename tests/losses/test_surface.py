"""NeuS's losses against torch's own and by hand."""

import math

import pytest
import torch

from inr_plugins.losses.surface import eikonal, mask_entropy, masked_l1, smeared_area


def test_absolute_errors_are_summed_over_channels_and_averaged_over_masked_rays():
    rgb = torch.tensor([[0.1, 0.2, 0.3], [1.0, 1.0, 1.0], [0.5, 0.5, 0.5]])
    target = torch.zeros(3, 3)
    mask = torch.tensor([[1.0], [0.0], [1.0]])
    assert float(masked_l1(rgb, target, mask)) == pytest.approx((0.6 + 1.5) / 2, rel=1e-4)
    assert float(masked_l1(rgb, target)) == pytest.approx((0.6 + 3 + 1.5) / 3)
    assert masked_l1(rgb, target, torch.zeros(3, 1)) == 0


def test_the_eikonal_loss_is_the_squared_deviation_of_lengths_from_one():
    gradient = torch.tensor([[3.0, 4.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]], requires_grad=True)
    loss = eikonal(gradient)
    assert float(loss.detach()) == pytest.approx((16 + 0 + 1) / 3, rel=1e-4)
    loss.backward()
    assert torch.isfinite(gradient.grad).all()
    assert eikonal(torch.zeros(0, 3)) == 0


def test_mask_entropy_is_torchs_and_finite_at_the_ends():
    torch.manual_seed(0)
    p, mask = torch.rand(50, 1) * 0.9 + 0.05, torch.rand(50, 1)
    torch.testing.assert_close(mask_entropy(p, mask), torch.nn.functional.binary_cross_entropy(p, mask))
    ends = torch.tensor([[0.0], [1.0]], requires_grad=True)
    loss = mask_entropy(ends, torch.tensor([[1.0], [0.0]]))
    assert float(loss.detach()) == pytest.approx(6.9078, abs=1e-3)


def test_mask_entropy_runs_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        assert mask_entropy(torch.rand(5, 1).bfloat16(), torch.ones(5, 1)).dtype == torch.float32


def test_smeared_area_of_a_ball_is_the_mean_of_the_areas_around_it():
    axis = torch.arange(-20, 21).float()
    x = torch.cartesian_prod(axis, axis, axis)
    radius = x.norm(dim=-1)
    found = smeared_area(radius - 12, x / radius[:, None].clamp(min=1e-6)) * len(x)
    # The mean of 4 pi r^2 over a normal distribution about 12 of deviation 1.
    assert float(found) == pytest.approx(4 * math.pi * (144 + 1), rel=0.01)
