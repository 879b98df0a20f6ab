"""Sections of rays through shapes whose distance is known."""

import pytest
import torch

from inr_plugins.rendering.neus.sampling import (
    SectionSettings,
    distances_beyond,
    finer_places,
    place_edges,
    worthwhile_sections,
)

RADIUS = 0.5


def ball(x):
    return x.norm(dim=-1) - RADIUS


def rays(offsets):
    """Rays along z from distance 2, beside the middle by some offsets."""
    offsets = torch.as_tensor(offsets)
    origins = torch.stack([offsets, torch.zeros_like(offsets), torch.full_like(offsets, -2.0)], -1)
    return origins, torch.tensor([0.0, 0.0, 1.0]).expand_as(origins)


def placed(offsets, **settings):
    origins, directions = rays(offsets)
    near, far = torch.full((len(offsets),), 1.0), torch.full((len(offsets),), 3.0)
    return place_edges(
        origins, directions, near, far, ball, settings=SectionSettings(**settings), network_unit=1.0, jitter=None
    )


def test_edges_ascend_from_end_to_end_and_are_as_many_as_asked():
    edges, sdf = placed([0.0, 0.3, 0.9])
    assert edges.shape == sdf.shape == (3, 128)
    assert (edges.diff(dim=-1) >= 0).all()
    assert torch.equal(edges[:, 0], torch.ones(3))
    assert torch.equal(edges[:, -1], torch.full((3,), 3.0))


def test_added_places_gather_where_the_ray_enters_and_not_where_it_leaves():
    edges, _ = placed([0.0, 0.3])
    for row, offset in zip(edges, (0.0, 0.3), strict=True):
        half = (RADIUS**2 - offset**2) ** 0.5
        spacing = 2 / 63
        assert int(((row - (2 - half)).abs() < 2 * spacing).sum()) > 40
        assert int(((row - (2 + half)).abs() < 2 * spacing).sum()) < 8


def test_a_ray_that_hits_nothing_is_sampled_evenly():
    edges, _ = placed([1.9])
    counts = torch.histc(edges, bins=8, min=1, max=3)
    assert counts.min() >= 12
    assert counts.max() <= 20


def test_distances_at_edges_are_the_shapes_and_interpolated_for_the_last_round():
    origins, directions = rays([0.1])
    asked = []

    def counted(x):
        asked.append(len(x))
        return ball(x)

    edges, sdf = place_edges(
        *(origins, directions, torch.tensor([1.0]), torch.tensor([3.0]), counted),
        settings=SectionSettings(),
        network_unit=1.0,
    )
    assert asked == [64, 16, 16, 16]
    true = ball(origins[:, None] + directions[:, None] * edges[..., None])
    assert float((sdf - true).abs().max()) < 2e-3
    assert int((sdf == true).sum()) >= 112


def test_places_are_quantiles_of_the_weights_by_brute_force():
    edges = torch.linspace(0, 1, 9)[None]
    sdf = (0.4 - edges) * 0.9
    found, guess = finer_places(edges, sdf, 4000, sharpness=12.0)
    phi = torch.sigmoid(12.0 * sdf[0].double())
    # With a constant slope the estimated ends are the edges themselves.
    weights = phi[:-1] - phi[1:]
    counts = torch.histc(found.double(), bins=8, min=0, max=1) / 4000
    torch.testing.assert_close(counts, weights / weights.sum(), atol=2e-3, rtol=0)
    torch.testing.assert_close(guess, (0.4 - found) * 0.9, atol=1e-5, rtol=0)


def test_a_wall_of_any_depth_gets_the_light_that_is_left_before_it():
    edges = torch.linspace(0, 1, 4)[None]
    walls = [finer_places(edges, torch.tensor([[0.1, 0, 0, -depth]]), 100, sharpness=12.0)[0] for depth in (1e2, 1e9)]
    torch.testing.assert_close(*walls, rtol=0, atol=1e-6)


def test_the_unit_of_length_only_scales_places():
    origins, directions = rays([0.0, 0.3])
    near, far = torch.full((2,), 1.0), torch.full((2,), 3.0)
    small, _ = place_edges(origins, directions, near, far, ball, settings=SectionSettings(), network_unit=1.0)
    large, _ = place_edges(
        *(10 * origins, directions, 10 * near, 10 * far, lambda x: 10 * ball(x / 10)),
        settings=SectionSettings(),
        network_unit=10.0,
    )
    torch.testing.assert_close(large, 10 * small, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("anneal", [0.0, 1.0])
def test_what_is_left_out_carries_almost_no_light(anneal):
    edges, sdf = placed([0.0, 0.2, 0.45, 0.6, 0.9])
    sharpness = torch.tensor(60.0)
    kept = worthwhile_sections(edges, sdf, sharpness=sharpness, anneal=anneal, min_weight=1e-3)
    begin, end = torch.sigmoid(60 * sdf.double())[:, :-1], torch.sigmoid(60 * sdf.double())[:, 1:]
    alpha = ((begin - end) / begin).clamp(min=0)
    light = torch.cumprod(torch.cat([torch.ones(5, 1), 1 - alpha], -1), -1)[:, :-1]
    weights = light * alpha
    assert float((weights * ~kept).max()) < 1e-3
    assert float(kept[:2].float().mean()) < 0.7
    assert not kept[-1].any()


def test_neighbours_of_a_seen_section_are_kept_and_a_threshold_of_zero_keeps_all():
    edges = torch.linspace(0, 1, 11)[None]
    sdf = 0.55 - edges
    kept = worthwhile_sections(edges, sdf, sharpness=torch.tensor(1e4), anneal=1.0, min_weight=1e-4)
    assert kept[0].nonzero()[:, 0].tolist() == [4, 5, 6]
    assert worthwhile_sections(edges, sdf, sharpness=torch.tensor(1e4), anneal=1.0, min_weight=0.0).all()


def test_sections_of_no_length_weigh_nothing():
    edges = torch.tensor([[0.0, 0.5, 0.5, 1.0]])
    sdf = torch.tensor([[0.5, 0.0, 0.0, -0.5]])
    found, guess = finer_places(edges, sdf, 16, sharpness=64.0)
    assert torch.isfinite(found).all()
    assert torch.isfinite(guess).all()


def test_distances_beyond_the_box_are_even_in_inverse_depth():
    start = torch.tensor([2.0, 5.0])
    places, lengths = distances_beyond(start, start, 8)
    inverse = start[:, None] / places
    torch.testing.assert_close(inverse, (1 - (torch.arange(8) + 0.5) / 8).expand(2, 8))
    ends = start[:, None] / (1 - torch.arange(8) / 8)
    torch.testing.assert_close(lengths[:, :-1], ends.diff(dim=-1))
    assert torch.isinf(lengths[:, -1]).all()
    for jitter in (0.0, 0.999):
        moved, _ = distances_beyond(start, start, 8, torch.full((2,), jitter))
        assert (moved >= ends * (1 - 1e-5)).all()
        assert (moved[:, :-1] <= ends[:, 1:] * (1 + 1e-5)).all()
        assert torch.isfinite(moved).all()


def test_jitter_moves_all_but_the_ends_by_at_most_half_a_spacing():
    origins, directions = rays([0.0, 0.3])
    near, far = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 6.0])
    settings = SectionSettings(uniform=5, finer=0)
    plain, moved = (
        place_edges(origins, directions, near, far, ball, settings=settings, network_unit=1.0, jitter=jitter)[0]
        for jitter in (None, torch.tensor([0.0, 0.9]))
    )
    torch.testing.assert_close(plain[0], torch.tensor([1.0, 1.25, 1.5, 1.75, 2.0]))
    assert torch.equal(moved[:, [0, -1]], torch.stack([near, far], -1))
    torch.testing.assert_close(moved[0, 1:-1], plain[0, 1:-1] - 0.125)
    torch.testing.assert_close(moved[1, 1:-1], plain[1, 1:-1] + 0.4)
