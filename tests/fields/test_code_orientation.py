"""Signs of normals, by a dictionary in which balls can be written."""

import pytest
import torch
from long_form import long_form
from torch.nn.functional import normalize

from inr_plugins.fields import code_orientation
from inr_plugins.fields.code_orientation import (
    agreeing,
    believed_sheets,
    neighbour_directions,
    orient,
    oriented_by,
    settled_directions,
    unbent,
)
from inr_plugins.fields.code_solve import Solver
from inr_plugins.fields.dictionary_settings import DictionarySettings
from inr_plugins.fields.dictionary_shape import ShapeDictionary
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.sparse_codes.code_equations import EquationWeights

EXPERTS = 20
SOLVER = Solver("prior", EXPERTS, None, 0.1, 1e-3)


def directions(count, seed):
    return normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(seed)), dim=-1)


@pytest.fixture(scope="module")
def dictionary():
    torch.manual_seed(0)
    trunk = CoordinateNetworkConfig(activation="sine", width=24, hidden_layers=2, omega=5.0)
    made = ShapeDictionary(DictionarySettings(trunk, experts=EXPERTS, expert_width=6, active=EXPERTS))
    made.requires_grad_(False).bank.last_weight.normal_()
    return made


@pytest.fixture(scope="module")
def codes(dictionary):
    x = torch.cat([2 * torch.rand(1500, 3) - 1, 0.6 * directions(500, 3)])
    phi = dictionary.atoms(x).double()
    made = [torch.linalg.lstsq(phi, (x.norm(dim=-1) - r).double()[:, None]).solution[:, 0] for r in (0.5, 0.6, 0.7)]
    # One that training never saw.
    return torch.stack([*made, torch.zeros(EXPERTS, dtype=torch.float64)]).float()


def asked(dictionary, codes, normals, points):
    return orient(dictionary, codes, points, normals, SOLVER, offsets=(0.01, 0.03), weights=EquationWeights())[0]


def test_normals_of_random_signs_are_turned_outward(dictionary, codes):
    outward = directions(400, 1)
    sign = torch.randint(0, 2, (400, 1), generator=torch.Generator().manual_seed(2)) * 2 - 1
    found = asked(dictionary, codes, sign * outward, 0.63 * outward)
    assert torch.equal(found, outward)
    # All of them, looking inward, agree with each other and are wrong all the same.
    assert torch.equal(asked(dictionary, codes, -outward, 0.63 * outward), outward)


def test_more_points_than_signs_are_found_with_are_turned_too(dictionary, codes):
    outward = directions(5000, 4)
    assert torch.equal(asked(dictionary, codes, -outward, 0.55 * outward), outward)


def test_normals_are_turned_to_where_a_distance_grows():
    outward = directions(50, 5)
    sign = torch.ones(50, 1)
    sign[::3] = -1
    assert torch.equal(oriented_by(lambda x: x.norm(dim=-1) - 0.5, 0.52 * outward, sign * outward), outward)
    assert torch.equal(oriented_by(lambda x: 0.5 - x.norm(dim=-1), 0.52 * outward, sign * outward), -outward)


@long_form
def test_directions_that_mean_nothing_give_way_to_the_fields_own(dictionary, codes):
    outward = directions(400, 8)
    found = asked(dictionary, codes, directions(400, 9), 0.63 * outward)
    assert float((found * outward).sum(-1).mean()) > 0.9


def test_of_several_estimates_the_one_that_fits_the_shape_is_taken(dictionary, codes):
    outward = directions(400, 1)
    others = [directions(400, 3), -outward, normalize(outward + 0.8 * directions(400, 7), dim=-1)]
    weights = EquationWeights()
    found, _ = orient(
        dictionary, codes, 0.63 * outward, others[2], SOLVER, offsets=(0.01, 0.03), weights=weights, others=others
    )
    assert torch.equal(found, outward)


def test_neighbours_tell_directions_few_where_points_are_sparse_and_many_in_noise():
    outward = directions(1500, 5)
    noisy = outward * (1 + 0.08 * torch.randn(1500, 1, generator=torch.Generator().manual_seed(6)))
    exact, rough = (
        [float((d * outward).sum(-1).abs().mean()) for d in neighbour_directions(x)] for x in (outward, noisy)
    )
    assert min(exact) > 0.99
    assert len(rough) == 5
    assert rough == sorted(rough)
    assert rough[-1] > 0.9 > rough[0]
    # So few that all sets are the same.
    assert len(neighbour_directions(outward[:5])) == 1


def test_directions_that_differ_from_point_to_point_are_taken_across_planes_of_neighbours():
    outward = directions(1000, 7)
    points = 0.63 * outward
    assert torch.equal(unbent(points, outward), outward)
    rough = normalize(outward + 0.6 * directions(1000, 8), dim=-1)
    found = unbent(points, -rough)
    # Of a ball each is nearly the place itself, whatever was said of it but its sign.
    assert float((found * -outward).sum(-1).min()) > 0.95
    assert found.dtype == rough.dtype


def test_a_field_signs_estimates_and_has_a_say_where_they_agree_little():
    slopes, wrong = directions(200, 5), directions(200, 6)
    sign = torch.ones(200, 1)
    sign[::3] = -1
    found, agreement = agreeing(slopes, [wrong, sign * slopes])
    assert torch.equal(found, slopes)
    assert agreement == pytest.approx(1)
    near = normalize(slopes + 0.2 * wrong, dim=-1)
    assert torch.equal(settled_directions(slopes, [sign * near]), near)
    halfway = settled_directions(slopes, [wrong])
    turned = torch.where((wrong * slopes).sum(-1, keepdim=True) < 0, -wrong, wrong)
    torch.testing.assert_close((halfway * slopes).sum(-1), (halfway * turned).sum(-1))


@long_form
def test_a_direction_along_which_the_shape_does_not_rise_is_doubtful(dictionary, codes):
    outward = directions(400, 1)
    across = normalize(torch.linalg.cross(outward, directions(400, 2)), dim=-1)
    given = torch.where(torch.arange(400)[:, None] < 40, across, outward)
    weights = EquationWeights()
    found, doubtful = orient(dictionary, codes, 0.63 * outward, given, SOLVER, offsets=(0.01, 0.03), weights=weights)
    assert float(doubtful[:40].float().mean()) > 0.9
    # The dictionary is a small one, and some of the others are where it is flat.
    assert float(doubtful[40:].float().mean()) < 0.1
    assert torch.equal(found[40:], outward[40:])
    # Of many points estimates are taken as they are.
    many, of_many = outward.repeat(3, 1), given.repeat(3, 1)
    many = normalize(many + 1e-3 * directions(1200, 3), dim=-1)
    sets = {"offsets": (0.01, 0.03), "weights": weights}
    assert not bool(orient(dictionary, codes, 0.63 * many, of_many, SOLVER, **sets)[1].any())


def test_of_many_points_neighbours_keep_signs_where_a_field_is_wrong_about_a_limb(dictionary, codes):
    outward = directions(3000, 4)
    points = 0.63 * outward
    # A field that has a part of the ball inside out.
    limb = outward[:, :1] > 0.5
    slopes = torch.where(limb, -outward, outward)
    assert torch.equal(settled_directions(slopes, [outward], believed_sheets(points, outward)), outward)
    few = settled_directions(slopes[:900], [outward[:900]], believed_sheets(points[:900], outward[:900]))
    assert torch.equal(few, slopes[:900])


@long_form
def test_codes_that_have_a_limb_inside_out_do_not_turn_it_if_points_are_many(dictionary, codes, monkeypatch):
    def rises_but_at_a_limb(shape, points, reach):
        return (points * reach).sum(-1) * torch.where(points[:, 0] > 0.3, -1, 1)

    monkeypatch.setattr(code_orientation, "left_sides", rises_but_at_a_limb)
    outward = directions(3000, 4)
    # Neighbours agree, but all look inward.
    assert torch.equal(asked(dictionary, codes, -outward, 0.63 * outward), outward)
    few = outward[:900]
    assert not torch.equal(asked(dictionary, codes, -few, 0.63 * few), few)


def test_without_a_training_code_nothing_is_turned(dictionary, codes):
    outward = directions(50, 6)
    assert torch.equal(asked(dictionary, torch.zeros_like(codes), -outward, 0.6 * outward), -outward)
