"""Two passes over a field with a closed form: a ball of constant density and colour."""

import math

import pytest
import torch
from torch.nn import functional as F

from inr_plugins.rendering.mip.cones import Cones
from inr_plugins.rendering.mip.two_levels import LevelSettings, render_two_levels

RADIUS, DENSITY = 0.5, 30.0
COLOUR = torch.tensor([0.9, 0.2, 0.4])


class Ball:
    """Notes what it is asked."""

    def __init__(self, density=DENSITY):
        self.value, self.calls = density, []

    def density_of_gaussians(self, mean, variance, *, sampling_level):
        self.calls.append((sampling_level, len(mean), False))
        return torch.where(mean.norm(dim=-1) < RADIUS, self.value, 0.0)

    def density_and_colour(self, mean, variance, directions, ray, *, sampling_level):
        density = self.density_of_gaussians(mean, variance, sampling_level=sampling_level)
        self.calls[-1] = (sampling_level, len(mean), True)
        return density, COLOUR.expand(len(mean), 3)


def rays(count=200):
    generator = torch.Generator().manual_seed(0)
    origins = F.normalize(torch.randn(count, 3, generator=generator), dim=-1) * 3
    directions = F.normalize(0.3 * torch.randn(count, 3, generator=generator) - origins, dim=-1)
    return Cones(origins, directions, torch.full((count,), 1e-3))


def chord(cones):
    closest = (cones.origins - (cones.origins * cones.directions).sum(-1, keepdim=True) * cones.directions).norm(dim=-1)
    return 2 * (RADIUS**2 - closest**2).clamp(min=0).sqrt()


def render(cones, field, *, training=False, near=None, **changes):
    settings = LevelSettings(**{"coarse": 64, "fine": 64, "min_transmittance": 0.0, **changes})
    near = torch.full((len(cones),), 1.5) if near is None else near
    return render_two_levels(cones, near, torch.full((len(cones),), 4.5), field, settings, training=training)


@pytest.mark.parametrize("training", [False, True])
def test_a_ball_lets_through_what_beer_says(training):
    torch.manual_seed(0)
    cones, thin = rays(), 2.0
    expected = 1 - torch.exp(-thin * chord(cones))
    seen = render(cones, Ball(thin), training=training)
    assert (seen.fine.accumulation[:, 0] - expected).abs().mean() < 0.015
    torch.testing.assert_close(seen.rgb, seen.fine.accumulation * COLOUR)
    if training:
        torch.testing.assert_close(seen.rgb_coarse, seen.coarse.accumulation * COLOUR)


def test_the_fine_pass_finds_where_an_opaque_ball_begins():
    cones = rays()
    seen = render(cones, Ball(1e4))
    through = chord(cones) > 0.2
    begins = -(cones.origins * cones.directions).sum(-1) - chord(cones) / 2
    coarse, fine = ((found.depth[:, 0] - begins)[through].abs().mean() for found in (seen.coarse, seen.fine))
    assert coarse > 0.008
    assert fine < 0.3 * coarse


def test_the_coarse_pass_is_asked_for_colours_in_training_only():
    field = Ball()
    render(rays(), field, training=True)
    seen = render(rays(), field)
    assert [(sampling_level, colour) for sampling_level, _, colour in field.calls] == [
        (0, True),
        (1, True),
        (0, False),
        (1, True),
    ]
    assert seen.rgb_coarse is None


def test_rays_without_an_interval_cost_and_see_nothing():
    field, cones = Ball(), rays()
    near = torch.full((200,), 1.5)
    near[::2] = 9.0
    seen = render(cones, field, near=near)
    assert [count for _, count, _ in field.calls] == [100 * 64, 100 * 64]
    assert not seen.fine.accumulation[::2].any()
    everything = render(cones, Ball())
    torch.testing.assert_close(seen.rgb[1::2], everything.rgb[1::2])
    assert len(render(cones, field, near=torch.full((200,), 9.0)).sections) == 0


def test_sections_in_the_dark_are_left_out_and_nobody_sees_the_difference():
    cones, kept, cut = rays(), Ball(100.0), Ball(100.0)
    expected, found = render(cones, kept), render(cones, cut, min_transmittance=1e-4)
    # How dark it is, is what the coarse pass says.
    assert (found.rgb - expected.rgb).abs().max() < 5e-4
    assert cut.calls[1][1] < 0.9 * kept.calls[1][1]


def test_the_sections_of_the_fine_pass_are_given_with_their_gaussians():
    cones = rays()
    seen = render(cones, Ball())
    middle = (seen.sections.start + seen.sections.end)[:, None] / 2
    expected = cones.origins[seen.sections.ray] + cones.directions[seen.sections.ray] * middle
    torch.testing.assert_close(seen.mean, expected, atol=5e-3, rtol=0)
    rays_hit, section = seen.max_weight_sections()
    assert set(rays_hit.tolist()) == set((seen.fine.accumulation[:, 0] > 0.5).nonzero()[:, 0].tolist())
    assert torch.equal(seen.sections.ray[section], rays_hit)
    outside = (seen.mean[section].norm(dim=-1) - RADIUS).abs()
    assert outside.max() < 0.08


def test_edges_are_random_in_training_only():
    cones = rays(20)
    assert torch.equal(render(cones, Ball()).sections.start, render(cones, Ball()).sections.start)
    first, second = (render(cones, Ball(), training=True).sections.start for _ in range(2))
    assert not torch.equal(first, second)
    assert math.isfinite(float(first.sum()))
