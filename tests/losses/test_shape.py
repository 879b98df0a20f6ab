"""Losses of shapes against sums written out."""

import math

import pytest
import torch

from inr_plugins.losses.shape import (
    coarse_to_fine,
    masked_mean,
    normal_alignment,
    occupancy_entropy,
    surface_and_offset_loss,
)


def test_at_the_authors_batch_it_is_the_authors_sum():
    """sum over 5,000 fine points of e^2 + 0.01 times the sum over 5,000 coarse ones."""
    torch.manual_seed(0)
    value, target = torch.randn(1, 10_000).double(), torch.randn(1, 10_000).double()
    fine = torch.arange(10_000)[None] % 2 == 1
    error = (value - target).square()
    expected = error[fine].sum() + 0.01 * error[~fine].sum()
    torch.testing.assert_close(coarse_to_fine(value, target, fine), expected)


def test_it_does_not_grow_with_the_batch_and_its_kinds_can_be_of_any_share():
    value, target = torch.tensor([[0.3, 0.1, -0.2]]), torch.zeros(1, 3)
    fine = torch.tensor([[True, False, False]])
    expected = 5000 * (0.09 + 0.5 * (0.01 + 0.04) / 2)
    for copies in (1, 7):
        found = coarse_to_fine(
            value.repeat(1, copies), target.repeat(1, copies), fine.repeat(1, copies), coarse_weight=0.5
        )
        assert float(found) == pytest.approx(expected, rel=1e-5)
    assert float(coarse_to_fine(value, target, torch.ones_like(fine))) == pytest.approx(5000 * 0.14 / 3, rel=1e-5)


def test_equation_17_counts_the_value_on_the_surface_and_the_distance_off_it():
    value = torch.tensor([[0.1, -0.3, 0.5, -0.2]])
    sdf = torch.tensor([[0.0, 0.0, 0.2, -0.6]])
    on = torch.tensor([[True, True, False, False]])
    assert float(surface_and_offset_loss(value, sdf, on)) == pytest.approx(0.2 + (0.3 + 0.4) / 2)
    assert float(surface_and_offset_loss(value[:, :2], sdf[:, :2], on[:, :2])) == pytest.approx(0.2)


def test_entropy_is_that_of_the_probabilities_and_leaves_points_of_the_surface_out():
    logits = torch.tensor([[2.0, -1.0, 0.5, 9.0]])
    truth = torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    counted = torch.tensor([[True, True, True, False]])
    p = [1 / (1 + math.exp(-z)) for z in (2.0, -1.0, 0.5)]
    expected = -(math.log(p[0]) + math.log(1 - p[1]) + math.log(p[2])) / 3
    assert float(occupancy_entropy(logits, truth, counted)) == pytest.approx(expected)
    assert occupancy_entropy(logits.bfloat16(), truth, counted).dtype == torch.float32


def test_alignment_is_one_less_the_cosine_where_a_normal_is_known():
    gradient = torch.tensor([[3.0, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 2.0]])
    normal = torch.tensor([[0.6, 0.8, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 0.0]])
    assert float(normal_alignment(gradient, normal)) == pytest.approx((0.4 + 2.0) / 2)


def test_alignment_has_a_gradient_where_the_fields_vanishes():
    gradient = torch.zeros(1, 3, requires_grad=True)
    normal_alignment(gradient, torch.tensor([[0.0, 0.0, 1.0]])).backward()
    assert torch.isfinite(gradient.grad).all()


def test_a_mean_over_nothing_is_zero_also_beside_values_that_are_no_numbers():
    value = torch.tensor([float("nan"), 1.0], requires_grad=True)
    mean = masked_mean(value, torch.tensor([False, True]))
    mean.backward()
    assert float(mean.detach()) == 1
    assert value.grad.tolist() == [0, 1]
    assert float(masked_mean(value.detach(), torch.zeros(2, dtype=torch.bool))) == 0
