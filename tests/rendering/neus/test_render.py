"""Pictures of a ball whose distance, colour and shadow are known."""

import pytest
import torch

from inr_plugins.rendering.neus.render import render_surface
from inr_plugins.rendering.sections import pack_sections

RADIUS = 0.5


class Ball:
    """A ball with the colour of its normals; counts what it is asked."""

    def __init__(self, sharpness=200.0):
        self.sharpness = torch.tensor(sharpness)
        self.radius = torch.tensor(RADIUS, requires_grad=True)
        self.points = self.shaded = 0

    def distance_and_gradient(self, x):
        self.points += len(x)
        return x.norm(dim=-1) - self.radius, torch.nn.functional.normalize(x, dim=-1), x

    def shade(self, x, directions, gradient, features):
        self.shaded += len(x)
        assert torch.equal(x, features)
        return (gradient + 1) / 2


def bundle(offsets):
    offsets = torch.tensor(offsets)
    origins = torch.stack([offsets, torch.zeros_like(offsets), torch.full_like(offsets, -2.0)], -1)
    return origins, torch.tensor([0.0, 0.0, 1.0]).expand_as(origins)


def sections(offsets, count=800):
    edges = torch.linspace(1, 3, count + 1).expand(len(offsets), -1)
    return pack_sections(edges, torch.ones(len(offsets), count, dtype=torch.bool), rays=torch.arange(len(offsets)))


def test_a_ball_is_opaque_at_its_distance_with_its_normals_and_nothing_beside_it():
    offsets = [0.0, 0.3, 0.8]
    seen = render_surface(*bundle(offsets), sections(offsets), Ball())
    torch.testing.assert_close(seen.accumulation[:, 0], torch.tensor([1.0, 1.0, 0.0]), atol=1e-3, rtol=0)
    expected = torch.tensor([2 - (RADIUS**2 - o**2) ** 0.5 for o in offsets[:2]])
    torch.testing.assert_close(seen.depth[:2, 0], expected, atol=0.01, rtol=0)
    normal = torch.tensor([[0.0, 0.0, -1.0], [0.6, 0.0, -0.8]])
    torch.testing.assert_close(seen.normal[:2], normal, atol=0.02, rtol=0)
    torch.testing.assert_close(seen.rgb[:2], (normal + 1) / 2, atol=0.02, rtol=0)
    torch.testing.assert_close(seen.rgb[2], torch.zeros(3), atol=1e-3, rtol=0)


def test_all_points_go_through_the_field_at_once_and_faint_ones_are_not_shaded():
    field = Ball()
    extra = torch.rand(7, 3) + 0.1
    seen = render_surface(*bundle([0.0]), sections([0.0]), field, min_weight=1e-3, extra=extra)
    assert field.points == 807
    assert 5 < field.shaded < 100
    assert len(seen.gradient) == 807
    torch.testing.assert_close(seen.gradient[-7:], torch.nn.functional.normalize(extra, dim=-1))
    whole = render_surface(*bundle([0.0]), sections([0.0]), Ball())
    torch.testing.assert_close(seen.rgb, whole.rgb, atol=0.02, rtol=0)
    assert torch.equal(seen.accumulation, whole.accumulation)


@pytest.mark.parametrize("offset", [0.49, 0.51])
def test_the_gradient_of_opacity_is_that_of_finite_differences(offset):
    """At the silhouette, where the mask loss pulls."""
    step = 1e-3

    def opacity(radius):
        field = Ball(sharpness=30.0)
        field.radius = radius
        return render_surface(*bundle([offset]), sections([offset]), field).accumulation.sum()

    radius = torch.tensor(RADIUS, requires_grad=True)
    (gradient,) = torch.autograd.grad(opacity(radius), radius)
    numeric = (opacity(torch.tensor(RADIUS + step)) - opacity(torch.tensor(RADIUS - step))) / (2 * step)
    assert float(gradient) == pytest.approx(float(numeric.detach()), rel=0.01)
    assert gradient > 1


def test_rays_without_sections_see_nothing():
    edges = torch.linspace(1, 3, 11).expand(2, -1)
    none = pack_sections(edges, torch.zeros(2, 10, dtype=torch.bool))
    seen = render_surface(*bundle([0.0, 0.1]), none, Ball())
    assert seen.rgb.shape == (2, 3)
    assert not seen.rgb.any()
    assert not seen.accumulation.any()
