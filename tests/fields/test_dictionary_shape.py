"""Shapes as codes over experts, against sums that are written out, and the settings that travel with the tensors."""

import math

import pytest
import torch

from inr_plugins.engine.optimization.row_adam import RowAdam
from inr_plugins.fields.dictionary_settings import DictionarySettings, decode, encode
from inr_plugins.fields.dictionary_shape import CodedShape, ShapeDictionary
from inr_plugins.fields.protocol import OccupancyField, SDFField
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig

OMEGA = 30.0


def settings(**changes):
    trunk = CoordinateNetworkConfig(activation="sine", width=8, hidden_layers=2)
    return DictionarySettings(**{"trunk": trunk, "experts": 12, "expert_width": 3, "active": 4, **changes})


def make(**changes):
    torch.manual_seed(0)
    return ShapeDictionary(settings(**changes))


def some_points(*size):
    return 2 * torch.rand(*size, 3, generator=torch.Generator().manual_seed(1)) - 1


def some_codes(dictionary, shapes):
    generator = torch.Generator().manual_seed(2)
    k, n = dictionary.settings.active, dictionary.settings.experts
    index = torch.stack([torch.randperm(n, generator=generator)[:k] for _ in range(shapes * dictionary.patches)])
    return index, torch.randn(len(index), k, generator=generator)


def written_out(dictionary, x, index, weight):
    """The sum over the experts of one code, layer by layer."""
    h = x
    for layer in list(dictionary.trunk.layers)[:-1]:
        h = torch.sin(OMEGA * (h @ layer.weight.T + layer.bias))
    bank, total = dictionary.bank, torch.zeros(len(x))
    for expert, alpha in zip(index.tolist(), weight.tolist(), strict=True):
        hidden = torch.sin(OMEGA * (h @ bank.hidden_weight[expert].T + bank.hidden_bias[expert]))
        total = total + alpha * (hidden @ bank.last_weight[expert, :, 0] + bank.last_bias[expert, 0])
    return total


def test_a_shape_is_the_sum_of_its_experts_each_with_two_layers_of_its_own():
    dictionary, points = make(), some_points(3, 20)
    with torch.no_grad():
        dictionary.bank.last_bias.normal_()
        index, weight = some_codes(dictionary, 3)
        value = dictionary.values(points, index, weight)
        expected = torch.stack([written_out(dictionary, *each) for each in zip(points, index, weight, strict=True)])
    torch.testing.assert_close(value, expected, atol=1e-5, rtol=1e-4)


def test_a_shape_is_linear_in_its_code_and_atoms_are_what_it_is_linear_in():
    dictionary, points = make(), some_points(1, 30)
    (index, first), (_, second) = some_codes(dictionary, 1), some_codes(dictionary, 2)
    second = second[1:]
    with torch.no_grad():
        both = dictionary.values(points, index, 2 * first - 3 * second)
        apart = 2 * dictionary.values(points, index, first) - 3 * dictionary.values(points, index, second)
        code = torch.zeros(1, 12).scatter(1, index, first)
        by_atoms = dictionary.atoms(points[0]) @ code[0]
        torch.testing.assert_close(both, apart, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(dictionary.values(points, index, first)[0], by_atoms, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(dictionary.mixed(points, code)[0], by_atoms, atol=1e-5, rtol=1e-4)


def test_a_step_moves_the_experts_of_its_codes_and_no_others():
    dictionary = make()
    before = [table.detach().clone() for table in dictionary.bank.parameters()]
    index, weight = some_codes(dictionary, 2)
    optimizer = RowAdam(dictionary.bank.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        dictionary.values(some_points(2, 20), index, weight).square().sum().backward()
        optimizer.step()
    used = torch.zeros(12, dtype=torch.bool).index_fill(0, index.flatten(), True)
    assert 0 < int(used.sum()) < 12
    for old, new in zip(before, dictionary.bank.parameters(), strict=True):
        changed = (old != new).flatten(1).any(-1)
        assert torch.equal(changed, used)


def test_one_shape_answers_the_protocol_whatever_the_chunk_and_precision_of_the_caller(monkeypatch):
    dictionary = make()
    index, weight = some_codes(dictionary, 1)
    shape, x = CodedShape(dictionary, index, weight), some_points(50)
    assert isinstance(shape, SDFField)
    assert not isinstance(shape, OccupancyField)
    with torch.no_grad():
        whole = shape.sdf(x)
        torch.testing.assert_close(whole, written_out(dictionary, x, index[0], weight[0]), atol=1e-5, rtol=1e-4)
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(shape.sdf(x), whole, atol=1e-6, rtol=1e-5)
        monkeypatch.setattr("inr_plugins.fields.dictionary_shape._QUERY_CHUNK", 7)
        torch.testing.assert_close(shape.sdf(x), whole, atol=1e-6, rtol=1e-5)
    assert shape.sdf(x[:0]).shape == (0,)


def test_normals_point_to_where_the_distance_grows():
    dictionary = make().double()
    index, weight = some_codes(dictionary, 1)

    def value(x):
        return written_out(dictionary, x, index[0], weight[0])

    x, step = some_points(10).double(), 1e-3
    slope = torch.stack(
        [(value(x + step * axis) - value(x - step * axis)) / (2 * step) for axis in torch.eye(3).double()], dim=-1
    ).detach()
    normal = CodedShape(dictionary.float(), index, weight).normal(x.float())
    torch.testing.assert_close(normal, torch.nn.functional.normalize(slope, dim=-1).float(), atol=0.02, rtol=0)
    torch.testing.assert_close(normal.norm(dim=-1), torch.ones(10))


def test_codes_of_patches_are_blended_and_each_is_heard_in_its_own_part_only():
    dictionary = make(patches_per_side=3, active=12)
    assert dictionary.patches == 27
    with torch.no_grad():
        # Experts that are constants: 1 for the first, 0 for all others.
        dictionary.bank.last_weight.zero_()
        dictionary.bank.last_bias.zero_()[0] = 1
        index = torch.arange(12).repeat(54, 1)
        weight = torch.zeros(54, 12)
        weight[:27, 0], weight[27:, 0] = 2, 3
        points = some_points(2, 40)
        value = dictionary.values(points, index, weight)
        # Patches are 1 apart, which is the unit that experts measure in.
        torch.testing.assert_close(value, torch.tensor([[2.0], [3.0]]).expand(2, 40))
        weight[26, 0] = 7
        changed = dictionary.values(points, index, weight) != value
    assert torch.equal(changed, torch.stack([(points[0] > 0).all(-1), torch.zeros(40, dtype=torch.bool)]))


def test_settings_travel_with_the_tensors_and_others_are_refused():
    dictionary = make()
    state = dictionary.state_dict()
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    assert DictionarySettings.decoded(state["_extra_state"]) == settings()
    make().load_state_dict(state)
    other = make(trunk=CoordinateNetworkConfig(activation="sine", width=8, hidden_layers=2, omega=10.0))
    with pytest.raises(ValueError, match=r"omega None, not 10\.0"):
        other.load_state_dict(state)


@pytest.mark.parametrize(
    "stored", [encode({"experts": 3}), encode({"trunk": {}}), torch.tensor([1], dtype=torch.uint8)]
)
def test_bytes_that_are_no_settings_are_refused(stored):
    with pytest.raises(ValueError, match=r"settings|Expecting"):
        DictionarySettings.decoded(stored)


def test_plain_entries_come_back_from_bytes():
    entries = {"names": ["ä", "b c"], "unit": math.pi, "none": None, "flag": True}
    assert decode(encode(entries)) == entries


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"active": 13}, "active must be at most"),
        ({"experts": 0}, "experts"),
        ({"trunk": CoordinateNetworkConfig(activation="wavelet")}, "complex"),
        ({"trunk": CoordinateNetworkConfig(normalization="cross")}, "normalization"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, word):
    with pytest.raises(ValueError, match=word):
        settings(**changes)
