"""Codes found for fields that are known to lie in the dictionary."""

import pytest
import torch

from inr_plugins.fields.code_solve import FoundCode, Solver, find_code, signed_by, without_contradicted
from inr_plugins.fields.dictionary_settings import DictionarySettings
from inr_plugins.fields.dictionary_shape import CodedShape, ShapeDictionary
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.sparse_codes.code_equations import Equations

EXPERTS, ACTIVE = 24, 4


def make(**changes):
    torch.manual_seed(0)
    trunk = CoordinateNetworkConfig(activation="sine", width=16, hidden_layers=2)
    sizes = {"experts": EXPERTS, "expert_width": 4, "active": ACTIVE, **changes}
    dictionary = ShapeDictionary(DictionarySettings(trunk, **sizes)).requires_grad_(False)
    dictionary.bank.last_weight.normal_()
    return dictionary


def some_points(count, seed=1):
    return 2 * torch.rand(count, 3, generator=torch.Generator().manual_seed(seed)) - 1


def equations_of(shape, count):
    position = some_points(count)
    return Equations(position, shape.sdf(position), torch.ones(count), torch.arange(count), count)


def solver(name, **changes):
    return Solver(**{"name": name, "active": ACTIVE, "noise": 1e-4, "isotropic": 0.1, "l1": 1e-3, **changes})


def planted():
    return torch.tensor([[3, 8, 15, 22]]), torch.tensor([[0.7, -0.5, 0.4, 0.3]])


@pytest.mark.parametrize("name", ["prior", "pursuit", "proximal"])
def test_every_solver_finds_a_code_of_few_experts_from_many_points(name):
    dictionary = make()
    index, weight = planted()
    codes = torch.randn(5, EXPERTS, generator=torch.Generator().manual_seed(3))
    found = find_code(dictionary, codes, equations_of(CodedShape(dictionary, index, weight), 400), solver(name))
    order = found.index[0].argsort()
    assert torch.equal(found.index[0][order], index[0])
    torch.testing.assert_close(found.weight[0][order], weight[0], atol=1e-3, rtol=0)
    assert torch.equal(found.index[0], index[0][weight[0].abs().argsort(descending=True)])


def test_where_points_are_few_the_codes_of_training_shapes_decide():
    dictionary = make(active=EXPERTS)
    generator = torch.Generator().manual_seed(3)
    codes = torch.randn(4, EXPERTS, generator=generator)
    code = codes.mean(0, keepdim=True) + torch.randn(1, 4, generator=generator) @ (codes - codes.mean(0))
    everyone = torch.arange(EXPERTS)[None]
    shape = CodedShape(dictionary, everyone, code)
    few = equations_of(shape, EXPERTS // 2)
    x = some_points(300, seed=9)
    missed = {}
    for name in ("prior", "pursuit"):
        found = find_code(dictionary, codes, few, solver(name, active=EXPERTS, isotropic=1e-4))
        missed[name] = float((CodedShape(dictionary, found.index, found.weight).sdf(x) - shape.sdf(x)).abs().mean())
    assert missed["prior"] < 0.02 * float(shape.sdf(x).std())
    assert missed["pursuit"] > 5 * missed["prior"]


def test_how_far_a_code_leaves_the_span_of_the_training_codes_is_told():
    dictionary = make(active=EXPERTS)
    codes = torch.zeros(3, EXPERTS)
    codes[0, :2], codes[1, :2] = torch.tensor([1.0, 0.5]), torch.tensor([-1.0, 0.5])
    codes[2, :2] = torch.tensor([0.0, -1.0])
    everyone = torch.arange(EXPERTS)[None]
    for beyond, share in ((0.0, 0.0), (1.0, 0.5)):
        code = torch.zeros(1, EXPERTS)
        code[0, 0], code[0, 5] = 1.0, beyond
        equations = equations_of(CodedShape(dictionary, everyone, code), 400)
        found = find_code(dictionary, codes, equations, solver("pursuit", active=EXPERTS))
        assert found.outside == pytest.approx(share, abs=0.01)


def test_patches_find_codes_of_their_own_also_where_no_training_code_is():
    dictionary = make(patches_per_side=2, active=EXPERTS)
    dictionary.bank.last_weight.zero_()
    dictionary.bank.last_bias.zero_()
    # Patches are 2 apart: experts speak of distances in units of 2.
    dictionary.bank.last_bias[5] = 0.5
    codes = torch.zeros(2 * 8, EXPERTS)
    codes[:, 5] = 1
    codes[[3, 11]] = 0
    position = some_points(300)
    equations = Equations(position, torch.full((300,), -0.3), torch.ones(300), torch.arange(300), 300)
    found = find_code(dictionary, codes, equations, solver("prior", active=2))
    assert found.index.shape == (8, 2)
    value = CodedShape(dictionary, found.index, found.weight).sdf(some_points(50, seed=5))
    torch.testing.assert_close(value, torch.full((50,), -0.3), atol=1e-3, rtol=0)


def test_the_noise_that_the_prior_reckons_with_follows_what_equations_are_worth():
    dictionary = make(active=EXPERTS)
    generator = torch.Generator().manual_seed(3)
    codes = torch.randn(8, EXPERTS, generator=generator) / EXPERTS**0.5
    shape = CodedShape(dictionary, torch.arange(EXPERTS)[None], codes[:1])
    exact = equations_of(shape, 400)
    wrong = exact.target[:40] + 0.3 * torch.randn(40, generator=generator)
    noisy = Equations(exact.position[:40], wrong, exact.weight[:40], exact.group[:40], 40)
    chosen = [
        find_code(dictionary, codes, each, solver("prior", active=EXPERTS, noise=None)) for each in (exact, noisy)
    ]
    assert chosen[0].noise < 0.005
    assert chosen[1].noise > 0.05
    x = some_points(300, seed=9)
    bold = find_code(dictionary, codes, noisy, solver("prior", active=EXPERTS, noise=0.003))
    missed = [
        float((CodedShape(dictionary, each.index, each.weight).sdf(x) - shape.sdf(x)).square().mean())
        for each in (chosen[1], bold)
    ]
    assert missed[0] < missed[1]


def test_an_equation_that_weighs_nothing_says_nothing():
    dictionary = make()
    shape = CodedShape(dictionary, *planted())
    exact = equations_of(shape, 400)
    wrong = exact.target.clone()
    wrong[:100] += 1
    weight = (torch.arange(400) >= 100).float()
    half_wrong = Equations(exact.position, wrong, weight, exact.group, 400)
    found = find_code(dictionary, torch.randn(5, EXPERTS), half_wrong, solver("pursuit"))
    x = some_points(100, seed=9)
    torch.testing.assert_close(
        CodedShape(dictionary, found.index, found.weight).sdf(x), shape.sdf(x), atol=1e-3, rtol=0
    )


def test_distances_whose_signs_are_unknown_get_those_of_a_code():
    dictionary = make()
    shape = CodedShape(dictionary, *planted())
    exact = equations_of(shape, 400)
    on_surface = 100
    unsigned = Equations(exact.position, exact.target.abs(), exact.weight, exact.group, on_surface)
    found = signed_by(dictionary, FoundCode(*planted(), outside=None, noise=None), unsigned)
    torch.testing.assert_close(found.target[on_surface:], exact.target[on_surface:])
    assert torch.equal(found.target[:on_surface], unsigned.target[:on_surface])


def test_distances_on_the_wrong_side_far_from_the_surface_are_found_out_by_the_others():
    dictionary = make()
    shape = CodedShape(dictionary, *planted())
    exact = equations_of(shape, 400)
    # The first hundred lie on the surface, say, where signs mean nothing.
    swapped = exact.target.clone()
    swapped[:3] *= -1
    swapped[200:203] *= -1
    # The way to a part of a surface is longer than that to all of it.
    swapped[300] *= 1.2
    swapped[301:303] = swapped[301:303] * 1.5 + 0.05 * swapped[301:303].sign()
    believed = without_contradicted(
        dictionary,
        FoundCode(*planted(), outside=None, noise=None),
        Equations(exact.position, swapped, exact.weight, exact.group, 100),
    )
    assert (believed.weight == 0).nonzero()[:, 0].tolist() == [200, 201, 202, 301, 302]
