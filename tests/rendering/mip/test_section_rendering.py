import math

import pytest
import torch

from inr_plugins.rendering.mip.section_rendering import (
    Sections,
    dark_from,
    heaviest,
    pack_sections,
    render_sections,
)


def seen_by_loop(edges, density):
    """Weights and depth of one ray."""
    light, weights, depth = 1.0, [], 0.0
    for i, sigma in enumerate(density.tolist()):
        start, end = float(edges[i]), float(edges[i + 1])
        weights.append(light * (1 - math.exp(-sigma * (end - start))))
        depth += weights[-1] * (start + end) / 2
        light *= math.exp(-sigma * (end - start))
    return weights, depth / max(sum(weights), 1e-6)


def test_rays_see_what_a_loop_over_their_sections_sees():
    torch.manual_seed(0)
    edges = torch.rand(5, 9).sort(-1).values * 3
    density = torch.rand(40) * 4
    seen = render_sections(pack_sections(edges), density, 5)
    for ray in range(5):
        part = slice(8 * ray, 8 * ray + 8)
        weights, depth = seen_by_loop(edges[ray], density[part])
        assert seen.weights[part].tolist() == pytest.approx(weights, rel=1e-5)
        assert float(seen.accumulation[ray]) == pytest.approx(sum(weights), rel=1e-5)
        assert float(seen.depth[ray]) == pytest.approx(depth, rel=1e-5)


def test_sections_beyond_a_distance_are_left_out_and_rays_without_any_see_nothing():
    edges = torch.tensor([[0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0]])
    sections = pack_sections(edges, torch.tensor([1.5, math.inf, 1.0]))
    assert sections.ray.tolist() == [0, 0, 1, 1, 1]
    assert sections.start.tolist() == [0.0, 1.0, 0.0, 1.0, 2.0]
    assert sections.end.tolist() == [1.0, 2.0, 1.0, 2.0, 3.0]
    seen = render_sections(sections, torch.ones(5), 3)
    assert float(seen.accumulation[0]) == pytest.approx(1 - math.exp(-2))
    assert float(seen.accumulation[2]) == float(seen.depth[2]) == 0
    assert len(sections) == 5


def test_the_gradient_agrees_with_finite_differences():
    torch.manual_seed(0)
    sections = pack_sections(torch.rand(2, 5, dtype=torch.float64).sort(-1).values)
    density = torch.rand(8, dtype=torch.float64, requires_grad=True)

    def weights_and_opacity(density):
        seen = render_sections(sections, density, 2)
        return seen.weights, seen.accumulation

    assert torch.autograd.gradcheck(weights_and_opacity, (density,))


def test_it_is_dark_behind_the_first_section_that_leaves_too_little_light():
    edges = torch.tensor([[0.0, 1.0, 2.0, 4.0], [0.0, 1.0, 2.0, 4.0], [0.0, 1.0, 2.0, 4.0]])
    weights = torch.tensor([[0.5, 0.4995, 0.0005], [0.2, 0.2, 0.2], [1.0, 0.0, 0.0]])
    assert dark_from(edges, weights, 1e-3).tolist() == [2.0, math.inf, 1.0]
    assert dark_from(edges, weights, 1e-4).tolist() == [4.0, math.inf, 1.0]
    assert dark_from(edges, weights, 0.0).tolist() == [math.inf] * 3
    # Ten times 0.1 is more than 1 in float32.
    assert dark_from(torch.arange(11.0)[None], torch.full((1, 10), 0.1), 0.0).tolist() == [math.inf]


def test_the_heaviest_section_of_each_ray_that_has_any():
    ray = torch.tensor([0, 0, 0, 2, 2, 3])
    sections = Sections(ray, torch.zeros(6), torch.ones(6))
    weights = torch.tensor([0.1, 0.7, 0.2, 0.3, 0.1, 0.0])
    rays, place = heaviest(sections, weights, 5)
    assert rays.tolist() == [0, 2, 3]
    assert place.tolist() == [1, 3, 5]
