import math

import pytest
import torch

from inr_plugins.rendering.packed import accumulate, packed_weights


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


def test_the_gradient_of_the_gradient_agrees_with_finite_differences():
    ray = packed([3, 0, 4, 9])
    depth = torch.rand(16, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda d: packed_weights(d, ray, 4)[0], (depth,))


def ray_by_ray(counts, depth, pull):
    """Weights, transmittances and gradients of rays that are rendered one at a time."""
    found = []
    for one, wanted in zip(depth.split(counts), pull.split(counts), strict=True):
        one = one.clone().requires_grad_()
        weights, light = packed_weights(one, torch.zeros(len(one), dtype=torch.long), 1)
        (gradient,) = torch.autograd.grad((weights * wanted).sum(), one)
        found.append((weights.detach(), light.detach(), gradient))
    return [torch.cat(parts) for parts in zip(*found, strict=True)]


@pytest.mark.parametrize("dense", [1e18, 1e30, math.exp(80), math.inf, math.nan])
def test_no_neighbour_changes_a_bit_of_a_ray(dense):
    counts = torch.randint(0, 40, (50,)).tolist()
    ray, neighbour = packed(counts), packed(counts) % 2 == 1
    depth, pull = torch.rand(len(ray)), torch.rand(len(ray))
    depth[neighbour & (torch.rand(len(ray)) < 0.3)] = dense
    together = depth.clone().requires_grad_()
    weights, light = packed_weights(together, ray, 50)
    (gradient,) = torch.autograd.grad((weights * pull).sum(), together)
    alone = ray_by_ray(counts, depth, pull)
    for found, expected in zip((weights, light, gradient), alone, strict=True):
        assert torch.equal(found[~neighbour], expected[~neighbour])
        assert torch.isfinite(found[~neighbour]).all()
        torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dense", [1e18, 1e30, math.inf])
def test_what_is_dense_stops_all_light_and_swallows_none_of_what_lies_before_it(dense):
    ray = packed([1, 5, 1])
    depth = torch.tensor([dense, 0.3, 0.7, dense, 0.2, dense, 0.1], requires_grad=True)
    weights, light = packed_weights(depth, ray, 3)
    before = math.exp(-1.0)
    expected = [1, 1 - math.exp(-0.3), math.exp(-0.3) - before, before, 0, 0, 1 - math.exp(-0.1)]
    torch.testing.assert_close(weights, torch.tensor(expected))
    torch.testing.assert_close(light, torch.tensor([1, 1, math.exp(-0.3), before, 0, 0, 1]))
    weights.sum().backward()
    # The ray is dark whatever it holds: only the last ray's opacity can change.
    torch.testing.assert_close(depth.grad, torch.tensor([0, 0, 0, 0, 0, 0, math.exp(-0.1)]))


def test_a_gradient_that_is_not_finite_stays_on_its_ray():
    ray = packed([4, 3])
    depth = torch.rand(7, requires_grad=True)
    weights, _ = packed_weights(depth, ray, 2)
    weights.backward(torch.tensor([math.inf, 1, math.nan, 1, 1, 1, 1]))
    torch.testing.assert_close(depth.grad[4:], torch.exp(-depth.detach()[4:].sum()).expand(3))


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
