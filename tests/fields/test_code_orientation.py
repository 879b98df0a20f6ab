"""Signs of normals, by a dictionary in which balls can be written."""

import pytest
import torch
from torch.nn.functional import normalize

from inr_plugins.fields.code_orientation import orient, oriented_by
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
    return orient(dictionary, codes, points, normals, SOLVER, offsets=(0.01, 0.03), weights=EquationWeights())


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


def test_without_a_training_code_nothing_is_turned(dictionary, codes):
    outward = directions(50, 6)
    assert torch.equal(asked(dictionary, torch.zeros_like(codes), -outward, 0.6 * outward), -outward)
