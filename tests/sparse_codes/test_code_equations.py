"""Equations that are made of points of a ball, against its own distance."""

from dataclasses import replace

import pytest
import torch
from ball_batches import BallBatches
from torch.nn.functional import normalize

from inr_plugins.models.nid.points import draw_surface
from inr_plugins.sparse_codes.code_equations import (
    ACROSS,
    ALONG,
    FAR,
    SURFACE,
    Drawn,
    EquationWeights,
    surface_equations,
)

RADIUS = 0.6


def height(x):
    return x.norm(dim=-1) - RADIUS


def test_equations_of_a_ball_are_met_by_its_distance():
    drawn = draw_surface(BallBatches([RADIUS], points=2000), points=500)
    weights = EquationWeights(surface=2.0, offset=1.0, far=0.5)
    equations = surface_equations(drawn, offsets=(0.02, 0.1), weights=weights, far_points=300)
    torch.testing.assert_close(equations.target, equations.left(height), atol=1e-5, rtol=0)
    assert equations.on_surface == 500
    kinds = {SURFACE: 500, ALONG: 500, ALONG + 10: 500, ACROSS: 1000, FAR: 300}
    assert {kind: int((equations.kinds == kind).sum()) for kind in equations.kinds.unique().tolist()} == kinds
    wanted = {SURFACE: 0, ALONG: 0.02, ALONG + 10: 0.1, ACROSS: 0}
    for kind, half in wanted.items():
        assert equations.target[equations.kinds == kind].tolist() == pytest.approx([half] * kinds[kind])
    far = equations.kinds == FAR
    assert float(equations.target[far].abs().min()) > 0.2
    assert float(equations.weight.mean()) == pytest.approx(1)
    beside = (equations.kinds != SURFACE) & ~far
    parts = [float(equations.weight[kind].sum()) for kind in (slice(500), beside, far)]
    assert parts[0] == pytest.approx(2 * parts[1], rel=1e-4)
    assert parts[1] == pytest.approx(2 * parts[2], rel=1e-4)


def test_differences_beside_a_point_do_not_ask_where_it_lies_along_its_normal():
    drawn = draw_surface(BallBatches([RADIUS], points=2000), points=200)
    moved = replace(drawn, points=drawn.points + 0.05 * torch.randn(200, 1) * drawn.normals)
    equations = surface_equations(moved, offsets=(0.01,), weights=EquationWeights(), far_points=0)
    missed = (equations.left(height) - equations.target).abs()
    assert float(missed[:200].mean()) > 0.02
    assert float(missed[200:].max()) < 1e-5
    # They do ask which way it looks: on a shape of another slope, or beside the middle, they are missed.
    steep = (equations.left(lambda x: 1.5 * height(x)) - equations.target)[equations.kinds == ALONG]
    assert steep.tolist() == pytest.approx([0.005] * len(steep), abs=1e-5)
    aside = (equations.left(lambda x: height(x - 0.1)) - equations.target)[equations.kinds == ACROSS]
    assert float(aside.abs().mean()) > 1e-3


def test_equations_that_were_made_from_one_point_can_be_told():
    drawn = draw_surface(BallBatches([RADIUS], points=2000), points=50)
    equations = surface_equations(drawn, offsets=(0.02, 0.1), weights=EquationWeights(), far_points=30)
    own = equations.group < 50
    assert int((~own).sum()) == len(equations.group[~own].unique()) == 30
    torch.testing.assert_close(equations.position[own], drawn.points[equations.group[own]])
    along = own & (equations.kinds % 10 == ALONG)
    torch.testing.assert_close(normalize(equations.reaches[along], dim=-1), drawn.normals[equations.group[along]])
    across = equations.kinds == ACROSS
    assert float((equations.reaches[across] * drawn.normals[equations.group[across]]).sum(-1).abs().max()) < 1e-6


def test_an_offset_that_crosses_a_thin_wall_is_left_out():
    grid = torch.linspace(-0.5, 0.5, 21)
    across = torch.cartesian_prod(grid, grid)
    thickness = 0.02
    upper = torch.cat([across, torch.full((len(across), 1), thickness)], -1)
    lower = torch.cat([across, torch.zeros(len(across), 1)], -1)
    up = torch.tensor([0.0, 0.0, 1.0]).expand_as(upper)
    drawn = Drawn(torch.cat([upper, lower]), torch.cat([up, -up]), upper[:0], upper[:0, 0])
    equations = surface_equations(drawn, offsets=(0.009, 0.03), weights=EquationWeights(), far_points=0)
    count = len(drawn.points)
    assert int((equations.kinds == ALONG).sum()) == count
    assert int((equations.kinds == ALONG + 10).sum()) == 0


def test_a_doubtful_normal_has_no_say_and_its_point_keeps_its_own():
    points = RADIUS * normalize(torch.randn(20, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    doubtful = torch.arange(20) < 6
    drawn = Drawn(points, normalize(points, dim=-1), points[:0], points[:0, 0], doubtful)
    made = surface_equations(drawn, offsets=(0.01, 0.03), weights=EquationWeights(), far_points=0)
    assert made.group[made.kinds == SURFACE].tolist() == list(range(20))
    beside = made.kinds != SURFACE
    # Two lengths along the normal, and two tangents.
    assert made.group[beside].bincount(minlength=20).tolist() == [0] * 6 + [4] * 14


def test_equations_that_weigh_nothing_are_refused():
    directions = normalize(torch.randn(20, 3), dim=-1)
    drawn = Drawn(directions, directions, directions[:0], directions[:0, 0])
    with pytest.raises(ValueError, match="weight"):
        surface_equations(drawn, offsets=(0.1,), weights=EquationWeights(0, 0, 1), far_points=10)
