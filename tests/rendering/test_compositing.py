import math

import torch

from inr_plugins.rendering.compositing import accumulate, packed_weights


def packed(counts):
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))


def loop_weights(depth, ray, num_rays):
    weights = []
    light = [1.0] * num_rays
    for tau, r in zip(depth.tolist(), ray.tolist(), strict=True):
        weights.append(light[r] * (1 - math.exp(-tau)))
        light[r] *= math.exp(-tau)
    return torch.tensor(weights, dtype=torch.float64)


def test_weights_agree_with_a_loop_over_each_ray():
    ray = packed([3, 0, 5, 1, 0, 7])
    depth = torch.rand(16, dtype=torch.float64) * 2
    weights, light = packed_weights(depth, ray, 6)
    torch.testing.assert_close(weights, loop_weights(depth, ray, 6))
    torch.testing.assert_close(weights, light * (1 - torch.exp(-depth)))


def test_the_gradient_agrees_with_finite_differences():
    ray = packed([3, 0, 4])
    depth = torch.rand(7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda d: packed_weights(d, ray, 3)[0], (depth,))


def test_a_homogeneous_medium_stops_the_light_that_beer_says():
    steps, length, density = 64, 2.0, 1.3
    ray = packed([steps, steps // 2])
    depth = torch.full((len(ray),), density * length / steps)
    opacity = accumulate(packed_weights(depth, ray, 2)[0], None, ray, 2)[:, 0]
    expected = torch.tensor([1 - math.exp(-density * length), 1 - math.exp(-density * length / 2)])
    torch.testing.assert_close(opacity, expected)


def test_a_ray_deep_in_a_long_batch_loses_no_precision():
    ray = packed([1000] * 300)
    depth = torch.full((300_000,), 5.0)
    depth[-1000:] = 1e-3
    weights, _ = packed_weights(depth, ray, 300)
    assert abs(weights[-1000:].sum().item() - (1 - math.exp(-1.0))) < 1e-5


def test_no_samples_give_nothing():
    empty = torch.zeros(0, dtype=torch.long)
    weights, _ = packed_weights(torch.zeros(0), empty, 4)
    assert accumulate(weights, torch.zeros(0, 3), empty, 4).tolist() == [[0.0] * 3] * 4
