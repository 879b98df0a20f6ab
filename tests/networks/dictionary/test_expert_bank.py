"""The bank of experts against one small network at a time."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from inr_plugins.engine.optimization.row_adam import RowAdam
from inr_plugins.networks.activations.settings import ActivationSettings, make_activation
from inr_plugins.networks.dictionary import expert_bank
from inr_plugins.networks.dictionary.expert_bank import ExpertBank


def make_bank(experts=7, *, in_dim=5, width=3, out_dim=1, activation="sine", dtype=torch.float64, **settings):
    """A bank whose constants are not zero."""
    torch.manual_seed(0)
    bank = ExpertBank(
        in_dim, experts, width, out_dim, activation=make_activation(ActivationSettings(activation)), **settings
    )
    torch.nn.init.normal_(bank.last_bias)
    return bank.to(dtype)


def one_expert(bank, j, h):
    """Expert j at features (p, d), as nn.Linear, the activation by its formula, and nn.Linear."""
    function = {"AnalyticActivation": lambda z: torch.sin(30 * z), "ReLU": torch.relu}[type(bank.activation).__name__]
    hidden = function(h @ bank.hidden_weight[j].T + bank.hidden_bias[j])
    return hidden @ bank.last_weight[j] + bank.last_bias[j]


def mixture(bank, h, index, weight):
    """selected, by a loop over shapes and experts."""
    rows = []
    for features, experts, code in zip(h, index.tolist(), weight, strict=True):
        rows.append(sum(c * one_expert(bank, j, features) for j, c in zip(experts, code, strict=True)))
    return torch.stack(rows)


def case(shapes=2, points=4, k=3, experts=7, in_dim=5, dtype=torch.float64):
    torch.manual_seed(1)
    h = torch.randn(shapes, points, in_dim, dtype=dtype)
    index = torch.stack([torch.randperm(experts)[:k] for _ in range(shapes)])
    index[-1, 0] = index[0, 0]
    return h, index, torch.randn(shapes, k, dtype=dtype)


@pytest.mark.parametrize("activation", ["sine", "relu"])
@pytest.mark.parametrize("out_dim", [1, 2])
def test_a_mixture_is_the_weighted_sum_of_its_experts(activation, out_dim):
    bank = make_bank(activation=activation, out_dim=out_dim)
    h, index, weight = case()
    expected = mixture(bank, h, index, weight)
    found = bank.selected(h, index, weight)
    assert found.shape == ((2, 4) if out_dim == 1 else (2, 4, 2))
    torch.testing.assert_close(found, expected.squeeze(-1) if out_dim == 1 else expected)


@pytest.mark.parametrize("sparse", [True, False])
def test_gradients_are_those_of_the_plain_sum_and_sparse_ones_hold_the_selected_experts_only(sparse):
    bank, plain = make_bank(sparse_grad=sparse), make_bank()
    h, index, weight = case()
    inputs = [(h.clone().requires_grad_(), weight.clone().requires_grad_()) for _ in range(2)]
    (bank.selected(inputs[0][0], index, inputs[0][1]) ** 2).sum().backward()
    (mixture(plain, inputs[1][0], index, inputs[1][1]).squeeze(-1) ** 2).sum().backward()
    for ours, theirs in zip(inputs[0], inputs[1], strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    for ours, theirs in zip(bank.parameters(), plain.parameters(), strict=True):
        assert ours.grad.is_sparse == sparse
        if sparse:
            assert torch.equal(ours.grad._indices()[0], index.unique())
        torch.testing.assert_close(ours.grad.to_dense() if sparse else ours.grad, theirs.grad)


def test_an_eikonal_loss_has_the_gradients_of_the_plain_sum():
    found = []
    for plain in (False, True):
        bank = make_bank()
        h, index, weight = case()
        h.requires_grad_()
        f = mixture(bank, h, index, weight).squeeze(-1) if plain else bank.selected(h, index, weight)
        (slope,) = torch.autograd.grad(f.sum(), h, create_graph=True)
        (slope.norm(dim=-1) - 1).square().sum().backward()
        # The constants of experts have no slope, and no gradient: none in the one case, zero in the other.
        found.append([bank.hidden_weight.grad.to_dense(), bank.last_weight.grad.to_dense(), h.grad])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


class LargestTensor(TorchDispatchMode):
    """Notes the largest result of any operation that is not one of its arguments, or a view of it."""

    def __init__(self):
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        given = {storage(leaf) for leaf in tree_leaves((args, kwargs))} | {None}
        made = [leaf for leaf in tree_leaves(result) if storage(leaf) not in given]
        self.numbers = max([self.numbers, *(leaf.numel() for leaf in made)])
        return result


def storage(leaf):
    """Where a dense tensor lies; None for all else."""
    return leaf.untyped_storage().data_ptr() if isinstance(leaf, torch.Tensor) and not leaf.is_sparse else None


def work_of_a_step(experts):
    bank = make_bank(experts, dtype=torch.float32)
    optimizer = RowAdam(bank.parameters(), lr=1e-3)
    h, index, weight = case(dtype=torch.float32)
    for _ in range(2):
        # The first step makes the optimizer's moments, as large as the tables.
        optimizer.zero_grad()
        with LargestTensor() as work:
            bank.selected(h, index, weight).sum().backward()
            if optimizer.state:
                optimizer.step()
        optimizer.step()
    return work.numbers


def test_a_training_step_makes_nothing_that_grows_with_the_number_of_experts():
    assert work_of_a_step(4096) == work_of_a_step(16) < 4096


def test_a_step_leaves_experts_that_were_not_selected_as_they_are():
    bank = make_bank(dtype=torch.float32)
    before = [parameter.detach().clone() for parameter in bank.parameters()]
    h, index, weight = case(dtype=torch.float32)
    bank.selected(h, index, weight).sum().backward()
    RowAdam(bank.parameters(), lr=1e-2).step()
    for old, new in zip(before, bank.parameters(), strict=True):
        moved = (old != new).flatten(1).any(1).nonzero()[:, 0]
        assert torch.equal(moved, index.unique())


def test_mixing_all_experts_is_selecting_all_of_them(monkeypatch):
    monkeypatch.setattr(expert_bank, "PIECE", 30)  # one expert at a time
    found = []
    for dense in (True, False):
        bank = make_bank(out_dim=2)
        torch.manual_seed(2)
        h = torch.randn(2, 4, 5, dtype=torch.float64, requires_grad=True)
        code = torch.randn(2, 7, dtype=torch.float64, requires_grad=True)
        f = bank.mixed(h, code) if dense else bank.selected(h, torch.arange(7).repeat(2, 1), code)
        (slope,) = torch.autograd.grad(f.square().sum(), h, create_graph=True)
        (f.sum() + slope.square().sum()).backward()
        tables = [table.grad.to_dense() for table in bank.parameters()]
        found.append([f.detach(), h.grad, code.grad, *tables])
        with torch.no_grad():
            torch.testing.assert_close(bank.mixed(h, code), f)
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("piece", [1, 10**6])
@pytest.mark.parametrize("out_dim", [1, 2])
def test_all_outputs_are_those_of_single_experts_in_the_order_asked_for(monkeypatch, piece, out_dim):
    monkeypatch.setattr(expert_bank, "PIECE", piece)
    bank = make_bank(out_dim=out_dim)
    h = torch.randn(6, 5, dtype=torch.float64)
    expected = torch.stack([one_expert(bank, j, h) for j in range(7)], 1)
    expected = expected.squeeze(-1) if out_dim == 1 else expected
    torch.testing.assert_close(bank.all_outputs(h), expected)
    order = torch.tensor([5, 0, 3])
    torch.testing.assert_close(bank.all_outputs(h, order), expected[:, order])


def test_without_gradients_points_are_taken_in_pieces_with_the_same_values(monkeypatch):
    bank = make_bank()
    h, index, weight = case(points=9)
    whole = bank.selected(h, index, weight)
    monkeypatch.setattr(expert_bank, "PIECE", 40)
    with torch.no_grad():
        torch.testing.assert_close(bank.selected(h, index, weight), whole)
        assert bank.selected(h[:, :0], index, weight).shape == (2, 0)


@pytest.mark.parametrize("k", [1, 16, 64])
def test_at_the_start_a_normalised_code_of_any_length_gives_the_variance_of_one_expert(k):
    torch.manual_seed(0)
    bank = ExpertBank(32, 256, 16)
    h = torch.sin(10 * torch.randn(200, 32, 32))
    index = torch.stack([torch.randperm(256)[:k] for _ in range(200)])
    weight = torch.nn.functional.normalize(torch.randn(200, k), dim=1)
    with torch.no_grad():
        assert float(bank.selected(h, index, weight).std()) == pytest.approx(1 / 30, rel=0.06)


def test_it_starts_as_hidden_and_last_layer_of_its_activation():
    torch.manual_seed(0)
    bank = ExpertBank(24, 500, 6)
    assert float(bank.hidden_weight.detach().abs().max()) == pytest.approx(math.sqrt(6 / 24) / 30, rel=1e-3)
    assert float(bank.last_weight.detach().abs().max()) == pytest.approx(math.sqrt(6 / 6) / 30, rel=1e-2)
    assert float(bank.hidden_bias.detach().abs().max()) == pytest.approx(1 / math.sqrt(24), rel=1e-2)
    assert not bank.last_bias.detach().any()


def test_mixing_is_in_float32_under_autocast():
    bank = make_bank(dtype=torch.float32)
    h, index, weight = case(dtype=torch.float32)
    exact = bank.selected(h, index, weight)
    with torch.autocast("cpu", torch.bfloat16):
        low, dense = bank.selected(h, index, weight), bank.mixed(h, torch.ones(2, 7))
    assert low.dtype == dense.dtype == torch.float32
    assert (low != exact).any()
    # sin(30 z) of a z of about 1 that was rounded to eight bits is off by 0.1.
    torch.testing.assert_close(low, exact, atol=0.1, rtol=0.1)


@pytest.mark.parametrize("name", ["in_dim", "experts", "width", "out_dim"])
def test_sizes_below_one_are_refused(name):
    sizes = {"in_dim": 4, "experts": 4, "width": 4, "out_dim": 1, name: 0}
    with pytest.raises(ValueError, match=f"{name} of a bank of experts must be at least 1"):
        ExpertBank(**sizes)


def test_activations_of_complex_numbers_are_refused():
    with pytest.raises(ValueError, match="real numbers"):
        ExpertBank(4, 4, 4, activation=make_activation(ActivationSettings("wavelet")))
