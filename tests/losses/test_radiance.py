import math

import torch

from inr_plugins.losses.radiance import background_entropy, per_point_colour


def test_entropy_is_largest_at_one_half_and_vanishes_at_the_ends():
    assert background_entropy(torch.tensor([[0.5]])).item() == torch.tensor(math.log(2)).item()
    assert background_entropy(torch.tensor([[0.0], [1.0]])) < 2e-5
    settled = torch.tensor([[0.0], [1.0]], requires_grad=True)
    background_entropy(settled).backward()
    assert torch.isfinite(settled.grad).all()


def test_point_loss_weighs_each_samples_own_error_and_leaves_weights_alone():
    weights = torch.tensor([0.5, 0.25], requires_grad=True)
    colours = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.5, 0.0]], requires_grad=True)
    target = torch.zeros(4, 3)
    loss = per_point_colour(weights, colours, torch.tensor([0, 3]), target)
    assert loss.item() == (0.5 * 1.0 + 0.25 * 0.25) / 4
    loss.backward()
    assert weights.grad is None
    assert colours.grad.abs().sum() > 0
