"""A surface between two parts of a volume, against the composite of all of them in order."""

import torch

from inr_plugins.rendering.distance_render import DistanceRendering
from inr_plugins.rendering.grid.march import Samples
from inr_plugins.rendering.packed import accumulate, packed_weights
from inr_plugins.rendering.surrounded import with_surroundings
from inr_plugins.rendering.voxel_render import Rendering


def volume(opacity, distance, colours, ray, count):
    weights, _ = packed_weights(-torch.log1p(-opacity), ray, count)
    samples = Samples(ray, distance, torch.zeros_like(ray), torch.zeros(len(ray), 3))
    zero = torch.zeros(count, 1)
    rgb, seen = accumulate(weights, colours, ray, count), accumulate(weights, None, ray, count)
    return Rendering(rgb, seen, zero, None, samples, weights, colours)


def test_front_surface_and_back_hide_each_other_in_order():
    torch.manual_seed(0)
    count, each = 50, 7
    ray = torch.arange(count).repeat_interleave(each)
    distance = torch.rand(count, each).sort(-1).values.reshape(-1) * 4
    opacity, colours = torch.rand(count * each), torch.rand(count * each, 3)
    # Of some rays all of the volume is behind, of some all before; some miss the box.
    enter = torch.rand(count) * 6 - 1
    enter[::7] = torch.inf
    alpha, own, depth = torch.rand(count, 1), torch.rand(count, 3), torch.rand(count, 1)
    alpha[::7] = 0
    surface = DistanceRendering(alpha * own, alpha, depth, None)
    found = with_surroundings(surface, volume(opacity, distance, colours, ray, count), enter)
    for r in range(count):
        light, rgb, way, passed = 1.0, torch.zeros(3), 0.0, False
        parts = [(float(distance[i]), float(opacity[i]), colours[i]) for i in range(r * each, (r + 1) * each)]
        for at, a, colour in [*parts, (torch.inf, 0.0, colours[0])]:
            if not passed and at >= float(enter[r]):
                passed = True
                rgb, way = rgb + light * alpha[r] * own[r], way + light * float(alpha[r] * depth[r])
                light *= 1 - float(alpha[r])
            if at < torch.inf:
                rgb, way, light = rgb + light * a * colour, way + light * a * at, light * (1 - a)
        torch.testing.assert_close(found.rgb[r], rgb, atol=1e-5, rtol=0)
        assert abs(float(found.accumulation[r]) - (1 - light)) < 1e-5
        assert abs(float(found.depth[r]) - way / (1 - light)) < 1e-4
