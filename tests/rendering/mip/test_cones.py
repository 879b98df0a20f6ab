"""Sections of cones against samples of them: a Gaussian has the frustum's own mean and variances."""

import math

import pytest
import torch
from torch.nn import functional as F

from inr_plugins.rendering.mip.cones import Cones, frustum_moments, pixel_radius, section_gaussians


def samples_of_frustum(start, end, radius, count=400_000):
    """Uniform points of the cone about the z axis between two distances: inverse of the cubic volume, then a disc."""
    generator = torch.Generator().manual_seed(0)
    u, v, w = torch.rand(3, count, generator=generator, dtype=torch.float64)
    z = (start**3 + u * (end**3 - start**3)) ** (1 / 3)
    r = radius * z * v.sqrt()
    return torch.stack([r * torch.cos(2 * math.pi * w), r * torch.sin(2 * math.pi * w), z], -1)


@pytest.mark.parametrize(("start", "end", "radius"), [(2.0, 3.0, 0.1), (0.0, 1.0, 0.5), (4.0, 4.05, 0.02)])
def test_the_moments_are_those_of_points_of_the_frustum(start, end, radius):
    points = samples_of_frustum(start, end, radius)
    found = frustum_moments(*(torch.tensor([x], dtype=torch.float64) for x in (start, end, radius)))
    length = end - start
    assert abs(float(found.distance) - float(points[:, 2].mean())) < 2e-3 * length
    assert float(found.along) == pytest.approx(float(points[:, 2].var()), rel=0.01)
    assert float(found.across) == pytest.approx(float(points[:, :2].var(dim=0).mean()), rel=0.01)


def test_a_cone_turned_and_moved_has_the_covariance_of_its_points():
    """Only the diagonal is given; that of the samples, turned like the cone."""
    axis = F.normalize(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64), dim=0)
    first = F.normalize(torch.linalg.cross(axis, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)), dim=0)
    frame = torch.stack([first, torch.linalg.cross(axis, first), axis])
    origin = torch.tensor([[0.3, 4.0, -1.0]], dtype=torch.float64)
    points = samples_of_frustum(1.0, 2.5, 0.3) @ frame + origin
    cones = Cones(origin, axis[None], torch.tensor([0.3], dtype=torch.float64))
    one, two = (torch.tensor([x], dtype=torch.float64) for x in (1.0, 2.5))
    mean, variance = section_gaussians(cones, torch.tensor([0]), one, two)
    torch.testing.assert_close(mean[0], points.mean(0), atol=3e-3, rtol=0)
    torch.testing.assert_close(variance[0], points.var(dim=0), rtol=0.01, atol=0)


def test_thin_far_sections_keep_their_precision():
    """In the powers of eq. 7 float32 has nothing left of a section of 0.001 at 100."""
    start, end = torch.tensor([100.0]), torch.tensor([100.001])
    found = frustum_moments(start, end, torch.tensor([0.001]))
    length = float(end.double() - start.double())
    assert float(found.along) == pytest.approx(length**2 / 12, rel=1e-3)
    assert float(found.across) == pytest.approx((0.001 * 100.0005) ** 2 / 4, rel=1e-3)


def test_a_section_of_no_length_at_the_apex_is_a_point():
    zero = torch.zeros(1)
    found = frustum_moments(zero, zero, torch.ones(1))
    assert float(found.distance) == float(found.along) == float(found.across) == 0


def test_the_cones_cross_section_has_the_variance_of_the_square_pixel():
    """A disc of radius r has r² / 4 along each axis, a square of width w has w² / 12."""
    width = 0.003
    radius = pixel_radius(torch.tensor([[width**2]]))
    assert float(radius) ** 2 / 4 == pytest.approx(width**2 / 12)


def test_sections_belong_to_their_rays():
    cones = Cones(torch.tensor([[0.0, 0.0, 0.0], [5.0, 0.0, 0.0]]), torch.eye(3)[:2], torch.full((2,), 1e-3))
    ray = torch.tensor([1, 0, 1])
    mean, _ = section_gaussians(cones, ray, torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.01, 2.01, 3.01]))
    expected = torch.tensor([[5.0, 1.005, 0.0], [2.005, 0.0, 0.0], [5.0, 3.005, 0.0]])
    torch.testing.assert_close(mean, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(cones.select(torch.tensor([1])).origins, cones.origins[1:])
