"""Equations that are made of points of a ball, against its own distance."""

import pytest
import torch
from ball_batches import BallBatches
from torch.nn.functional import normalize

from inr_plugins.models.nid.points import draw_surface
from inr_plugins.sparse_codes.code_equations import Drawn, EquationWeights, surface_equations

RADIUS = 0.6


def test_equations_of_a_ball_are_its_distances():
    drawn = draw_surface(BallBatches([RADIUS], points=2000), points=500)
    weights = EquationWeights(surface=2.0, offset=1.0, far=0.5)
    equations = surface_equations(drawn, offsets=(0.02, 0.1), weights=weights, far_points=300)
    torch.testing.assert_close(equations.target, equations.position.norm(dim=-1) - RADIUS, atol=1e-5, rtol=0)
    assert equations.on_surface == 500
    assert (equations.target[:500] == 0).all()
    far = equations.target.abs() > 0.15
    beside = ~far
    beside[:500] = False
    assert int(far.sum()) == 300
    assert int(beside.sum()) == 2000
    assert float(equations.weight.mean()) == pytest.approx(1)
    parts = [float(equations.weight[kind].sum()) for kind in (slice(500), beside, far)]
    assert parts[0] == pytest.approx(2 * parts[1], rel=1e-4)
    assert parts[1] == pytest.approx(2 * parts[2], rel=1e-4)


def test_equations_that_were_made_from_one_point_can_be_told():
    drawn = draw_surface(BallBatches([RADIUS], points=2000), points=50)
    equations = surface_equations(drawn, offsets=(0.02, 0.1), weights=EquationWeights(), far_points=30)
    own = equations.group < 50
    assert int((~own).sum()) == len(equations.group[~own].unique()) == 30
    along = torch.nn.functional.normalize(equations.position[own], dim=-1)
    torch.testing.assert_close(along, drawn.normals[equations.group[own]])


def test_an_offset_that_crosses_a_thin_wall_is_left_out():
    grid = torch.linspace(-0.5, 0.5, 21)
    across = torch.cartesian_prod(grid, grid)
    thickness = 0.02
    upper = torch.cat([across, torch.full((len(across), 1), thickness)], -1)
    lower = torch.cat([across, torch.zeros(len(across), 1)], -1)
    up = torch.tensor([0.0, 0.0, 1.0]).expand_as(upper)
    drawn = Drawn(torch.cat([upper, lower]), torch.cat([up, -up]), upper[:0], upper[:0, 0])
    equations = surface_equations(drawn, offsets=(0.009, 0.03), weights=EquationWeights(), far_points=0)
    z = equations.position[:, 2]
    torch.testing.assert_close(equations.target, torch.maximum(z - thickness, -z), atol=1e-6, rtol=0)
    # On the surface, to both sides by the small offset, to the outside by the large one.
    assert len(equations.target) == 4 * len(drawn.points)


def test_equations_that_weigh_nothing_are_refused():
    directions = normalize(torch.randn(20, 3), dim=-1)
    drawn = Drawn(directions, directions, directions[:0], directions[:0, 0])
    with pytest.raises(ValueError, match="weight"):
        surface_equations(drawn, offsets=(0.1,), weights=EquationWeights(0, 0, 1), far_points=10)
