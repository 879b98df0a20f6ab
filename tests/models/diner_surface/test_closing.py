"""What is not seen of a solid ends as a soap film does: half balls, and the catenoid between two discs."""

import pytest
import torch

from inr_plugins.models.diner_surface.closing import closed


def cylinder_lattice(count, length):
    """Distance from an axis along x, and the place on it, of a lattice's vertices."""
    across, along = torch.arange(count) - (count - 1) / 2, torch.arange(length) - (length - 1) / 2
    x, y, z = torch.meshgrid(along, across, across, indexing="ij")
    return torch.hypot(y, z), x


def test_a_half_ball_that_is_seen_loses_the_cylinder_behind_it():
    radius, along = cylinder_lattice(52, 70)
    middle = -5.0
    ball = torch.hypot(radius, along - middle)
    solid = (ball < 20) | ((along > middle) & (radius < 20))
    seen = (ball < 20) & (ball > 18) & (along <= middle)
    found = closed(solid, seen)
    half = (ball < 20) & (along <= middle)
    assert bool(found[half].all())
    beyond = int((found & ~half).sum())
    assert beyond < 0.05 * int(half.sum())
    # As much was there to lose.
    assert int((solid & ~half).sum()) > 2 * int(half.sum())


def test_what_is_seen_all_around_stays_whole():
    radius, along = cylinder_lattice(41, 41)
    ball = torch.hypot(radius, along)
    solid, shell = ball < 17, (ball < 17) & (ball > 15.5)
    assert torch.equal(closed(solid, shell), solid)
    assert not bool(closed(solid, torch.zeros_like(solid)).any())
    # What is seen beyond the solid does not count.
    assert torch.equal(closed(solid, ball < 19), solid)


@pytest.mark.parametrize(("half_gap", "waist"), [(10, 16.95), (16, 0.0)])
def test_between_two_discs_there_is_a_catenoid_or_nothing(half_gap, waist):
    """r = a cosh(x / a) through the rims of radius 20; beyond a gap of 1.33 radii there is none, and both discs end
    (Goldschmidt's solution)."""
    radius, along = cylinder_lattice(64, 45)
    discs = (radius < 20) & (along.abs() >= half_gap) & (along.abs() < half_gap + 4)
    found = closed((radius < 30) & (along.abs() < half_gap + 4), discs)
    middle = found[22]
    if waist:
        assert (int(middle.sum()) / torch.pi) ** 0.5 == pytest.approx(waist, abs=1.0)
    else:
        assert not bool(middle.any())
