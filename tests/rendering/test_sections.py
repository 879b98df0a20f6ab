"""Sections of rays against plain loops: where they are, which are kept, how much of a pixel each makes up."""

import math

import pytest
import torch

from inr_plugins.rendering.sections import between, even_edges, pack_sections, quantiles, weigh_sections


def test_even_edges_are_even_and_reach_from_near_to_far():
    edges = even_edges(torch.tensor([1.0, 0.0]), torch.tensor([3.0, 8.0]), 4)
    assert edges.tolist() == [[1.0, 1.5, 2.0, 2.5, 3.0], [0.0, 2.0, 4.0, 6.0, 8.0]]


def test_jittered_edges_stay_between_the_middles_beside_them():
    near, far, count = torch.zeros(2000), torch.full((2000,), 8.0), 8
    edges = even_edges(near, far, count, jitter=torch.rand(2000, count + 1))
    low = torch.tensor([0.0, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5])
    high = torch.tensor([0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.0])
    assert (edges >= low).all()
    assert (edges <= high).all()
    torch.testing.assert_close(edges.mean(0), (low + high) / 2, atol=0.05, rtol=0)


def test_quantiles_are_where_the_weight_before_them_is_what_is_wanted():
    torch.manual_seed(0)
    weights = torch.rand(3, 6, dtype=torch.float64) + 0.01
    wanted = torch.rand(3, 40, dtype=torch.float64).sort(-1).values
    section, part = quantiles(weights, wanted)
    for ray in range(3):
        for k in range(40):
            before = sum(weights[ray, : section[ray, k]]) + part[ray, k] * weights[ray, section[ray, k]]
            assert float(before / weights[ray].sum()) == pytest.approx(float(wanted[ray, k]), rel=1e-9)
    ends = quantiles(weights, torch.tensor([[0.0, 1.0]], dtype=torch.float64).expand(3, 2).contiguous())
    assert [(int(s), float(p)) for s, p in zip(ends[0][0], ends[1][0], strict=True)] == [(0, 0.0), (5, 1.0)]


def test_values_between_edges_are_linear():
    values = torch.tensor([[0.0, 2.0, 10.0]])
    found = between(values, torch.tensor([[0, 1, 1]]), torch.tensor([[0.5, 0.25, 1.0]]))
    assert found.tolist() == [[1.0, 4.0, 10.0]]


def test_packed_sections_are_the_kept_ones_with_the_rays_of_their_bundle():
    edges = torch.tensor([[0.0, 1.0, 3.0, 6.0], [1.0, 2.0, 3.0, 4.0]])
    kept = torch.tensor([[True, False, True], [False, False, True]])
    found = pack_sections(edges, kept, rays=torch.tensor([4, 7]))
    assert found.ray.tolist() == [4, 4, 7]
    assert found.middle.tolist() == [0.5, 4.5, 3.5]
    assert found.length.tolist() == [1.0, 3.0, 1.0]


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
    sections = pack_sections(edges)
    seen = weigh_sections(sections, density * sections.length, 5)
    for ray in range(5):
        part = slice(8 * ray, 8 * ray + 8)
        weights, depth = seen_by_loop(edges[ray], density[part])
        assert seen.weights[part].tolist() == pytest.approx(weights, rel=1e-5)
        assert float(seen.accumulation[ray]) == pytest.approx(sum(weights), rel=1e-5)
        assert float(seen.depth[ray]) == pytest.approx(depth, rel=1e-5)


def test_sections_beyond_a_distance_are_left_out_and_rays_without_any_see_nothing():
    edges = torch.tensor([[0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0]])
    sections = pack_sections(edges, edges[:, :-1] < torch.tensor([1.5, math.inf, 1.0])[:, None])
    assert sections.ray.tolist() == [0, 0, 1, 1, 1]
    assert sections.start.tolist() == [0.0, 1.0, 0.0, 1.0, 2.0]
    assert sections.end.tolist() == [1.0, 2.0, 1.0, 2.0, 3.0]
    seen = weigh_sections(sections, torch.ones(5), 3)
    assert float(seen.accumulation[0]) == pytest.approx(1 - math.exp(-2))
    assert float(seen.accumulation[2]) == float(seen.depth[2]) == 0
    assert len(sections) == 5


def test_the_gradient_agrees_with_finite_differences():
    torch.manual_seed(0)
    sections = pack_sections(torch.rand(2, 5, dtype=torch.float64).sort(-1).values)
    density = torch.rand(8, dtype=torch.float64, requires_grad=True)

    def weights_and_opacity(density):
        seen = weigh_sections(sections, density * sections.length, 2)
        return seen.weights, seen.accumulation

    assert torch.autograd.gradcheck(weights_and_opacity, (density,))
