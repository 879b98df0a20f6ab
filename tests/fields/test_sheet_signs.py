"""Signs of normals that are decided for sheets of a surface."""

import pytest
import torch
from torch.nn.functional import normalize

from inr_plugins.fields.sheet_signs import Sheets


@pytest.fixture(scope="module")
def balls():
    """Outward normals of two balls, 2,000 points each, and points."""
    outward = normalize(torch.randn(4000, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    shift = torch.zeros(4000, 1)
    shift[2000:] = 1.5
    return 0.5 * outward + shift, outward


def test_a_sheet_is_what_neighbours_with_alike_normals_join(balls):
    points, outward = balls
    number = Sheets.of(points, outward).number
    assert number.unique().tolist() == [0, 1]
    assert bool((number[:2000] == number[0]).all() and (number[2000:] == number[-1]).all())


def test_where_neighbours_disagree_a_sheet_ends(balls):
    points, outward = balls
    # The upper half of the first ball is the wrong way round.
    given = torch.where((points[:, 2:] > 0.1) & (torch.arange(4000)[:, None] < 2000), -outward, outward)
    sheets = Sheets.of(points, given)
    assert len(sheets.number.unique()) == 3
    assert torch.equal(sheets.turn(outward), outward)


def test_a_field_that_is_wrong_at_a_limb_does_not_turn_it_but_turns_a_sheet_that_looks_inward(balls):
    points, outward = balls
    sheets = Sheets.of(points, -outward)
    # Wrong at two fifths of the points of the first ball, which lie together, and nowhere at the second.
    limb = points[:2000, 0] > 0.1
    assert 0.3 < float(limb.float().mean()) < 0.45
    said = outward.clone()
    said[:2000][limb] *= -1
    assert torch.equal(sheets.turn(said), outward)
    # Most of the first ball is said to look inward: that one alone does.
    said[:2000] *= -1
    assert torch.equal(sheets.turn(said), torch.cat([-outward[:2000], outward[2000:]]))


def test_directions_are_kept_and_only_signs_are_shared(balls):
    points, outward = balls
    other = normalize(outward + 0.3 * normalize(torch.randn(4000, 3), dim=-1), dim=-1)
    sign = torch.ones(4000, 1)
    sign[::5] = -1
    assert torch.equal(Sheets.of(points, outward).turn(sign * other), other)


def test_of_few_points_each_is_by_itself(balls):
    points, outward = balls
    sign = torch.ones(4000, 1)
    sign[::3] = -1
    sheets = Sheets.of(points, outward, dense=False)
    assert torch.equal(sheets.turn(sign * outward), sign * outward)
    # Fewer than a point has neighbours.
    assert torch.equal(Sheets.of(points[:4], outward[:4]).turn(-outward[:4]), -outward[:4])
