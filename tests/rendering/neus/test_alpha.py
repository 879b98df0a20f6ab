"""Opacity of sections against NeuS's eq. 13 in double precision, and closed forms of a plane."""

import pytest
import torch

from inr_plugins.rendering.neus.alpha import annealed_slope, section_optical_depth
from inr_plugins.rendering.packed import packed_weights


def eq_13(begin, end, s):
    def phi(f):
        return 1 / (1 + torch.exp(-s * f))

    return ((phi(begin) - phi(end)) / phi(begin)).clamp(min=0)


def test_opacity_is_equation_13_of_the_estimated_ends():
    torch.manual_seed(0)
    sdf, slope = torch.randn(200).double(), -torch.rand(200).double()
    length, s = torch.rand(200).double() * 0.2, torch.tensor(20.0).double()
    alpha = 1 - torch.exp(-section_optical_depth(sdf, slope, length, s))
    torch.testing.assert_close(alpha, eq_13(sdf - slope * length / 2, sdf + slope * length / 2, s))


def test_nothing_overflows_far_from_a_sharp_surface():
    sdf = torch.tensor([-5.0, -1e-3, 0.0, 1e-3, 5.0], requires_grad=True)
    depth = section_optical_depth(sdf, torch.full((5,), -1.0), torch.full((5,), 0.1), torch.tensor(1e5))
    depth.sum().backward()
    assert torch.isfinite(depth).all()
    assert torch.isfinite(sdf.grad).all()
    assert float(depth[0].detach()) == pytest.approx(1e4, rel=1e-3)
    assert depth[-1] == 0


@pytest.mark.parametrize("cosine", [-1.0, -0.3])
def test_a_plane_has_its_max_weight_section_at_the_surface_and_the_opacity_of_its_two_ends(cosine):
    """With a constant slope the sections' transmittances telescope: S(s f_end) / S(s f_begin) is left."""
    s, surface = torch.tensor(40.0).double(), 0.737
    edges = torch.linspace(0, 1.5, 4001).double()
    middle, length = (edges[1:] + edges[:-1]) / 2, edges.diff()
    sdf = cosine * (middle - surface)
    depth = section_optical_depth(sdf, torch.full_like(sdf, cosine), length, s)
    weights, _ = packed_weights(depth, torch.zeros(len(depth), dtype=torch.long), 1)
    assert abs(float(middle[weights.argmax()]) - surface) < 1e-3
    expected = eq_13(torch.tensor(-cosine * surface).double(), torch.tensor(cosine * (1.5 - surface)).double(), s)
    assert float(weights.sum()) == pytest.approx(float(expected), rel=1e-6)


def test_slopes_are_those_of_the_released_code_at_first_and_in_the_end():
    cosine = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0])
    torch.testing.assert_close(annealed_slope(cosine, 0.0), torch.tensor([-1.0, -0.75, -0.5, -0.25, 0.0]))
    torch.testing.assert_close(annealed_slope(cosine, 1.0), torch.tensor([-1.0, -0.5, 0.0, 0.0, 0.0]))
    halfway = annealed_slope(cosine, torch.tensor(0.5))
    torch.testing.assert_close(halfway, torch.tensor([-1.0, -0.625, -0.25, -0.125, 0.0]))
