"""Gates: codes that are read from a table or from points, selected and normalised."""

import math

import pytest
import torch

from inr_plugins.networks.dictionary.gates import PointSetGate, TableGate, dense_code, top_k_code


def test_codes_of_a_table_start_with_a_norm_of_about_one():
    gate = TableGate(200, 400)
    assert float(gate.codes.detach().norm(dim=1).mean()) == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("sparse", [True, False])
def test_a_table_gives_each_shape_its_row_and_the_gradient_of_repeated_ones_adds_up(sparse):
    gate = TableGate(6, 3)
    shape = torch.tensor([4, 1, 4])
    raw = gate(shape, sparse_grad=sparse)
    assert torch.equal(raw, gate.codes[shape])
    factor = torch.randn(3, 3)
    (raw * factor).sum().backward()
    expected = torch.zeros(6, 3)
    expected[4], expected[1] = factor[0] + factor[2], factor[1]
    gradient = gate.codes.grad
    assert gradient.is_sparse == sparse
    if sparse:
        assert gradient._indices()[0].tolist() == [1, 4]
    torch.testing.assert_close(gradient.to_dense() if sparse else gradient, expected)


@pytest.mark.parametrize("in_dim", [3, 6])
def test_the_encoder_looks_at_a_set_and_not_at_a_list(in_dim):
    torch.manual_seed(0)
    gate = PointSetGate(11, in_dim=in_dim, width=16).double()
    points = torch.randn(2, 20, in_dim, dtype=torch.float64)
    raw = gate(points)
    assert raw.shape == (2, 11)
    torch.testing.assert_close(gate(points[:, torch.randperm(20)]), raw)
    torch.testing.assert_close(gate(torch.cat([points, points[:, :7]], 1)), raw)
    torch.testing.assert_close(gate(points[1:]), raw[1:])
    assert (raw[0] - raw[1]).abs().max() > 1e-3


def test_every_layer_of_the_encoder_learns():
    torch.manual_seed(0)
    gate = PointSetGate(5, width=16)
    gate(torch.randn(3, 30, 6)).square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in gate.parameters())


def test_the_encoder_answers_in_float32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        assert PointSetGate(5, width=8)(torch.randn(1, 4, 6)).dtype == torch.float32


def test_the_largest_entries_by_absolute_value_are_kept_and_normalised():
    raw = torch.tensor([[0.5, -3.0, 0.0, 4.0, 1.0], [-1.0, 0.1, 0.2, 0.3, 0.9]], dtype=torch.float64)
    index, weight = top_k_code(raw, 2)
    assert index.tolist() == [[3, 1], [0, 4]]
    length = math.hypot(1.0, 0.9)
    expected = torch.tensor([[0.8, -0.6], [-1 / length, 0.9 / length]], dtype=torch.float64)
    torch.testing.assert_close(weight, expected)


def test_keeping_all_entries_is_the_dense_code():
    raw = torch.randn(3, 6, dtype=torch.float64)
    index, weight = top_k_code(raw, 6)
    dense = dense_code(raw)
    torch.testing.assert_close(torch.zeros_like(raw).scatter(1, index, weight), dense)
    torch.testing.assert_close(dense.norm(dim=1), torch.ones(3, dtype=torch.float64))


def test_weights_are_differentiable_in_what_is_kept():
    raw = torch.tensor([[3.0, -2.0, 0.1, 5.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda r: top_k_code(r, 2)[1], raw)
    assert torch.autograd.gradcheck(dense_code, raw)
    top_k_code(raw, 2)[1][0, 0].backward()
    assert (raw.grad[0] != 0).tolist() == [True, False, False, True]


def test_rows_of_zeros_and_of_equal_entries_are_codes_too():
    raw = torch.zeros(1, 5, requires_grad=True)
    index, weight = top_k_code(raw, 3)
    assert len(index[0].unique()) == 3
    assert not weight.detach().any()
    weight.sum().backward()
    assert raw.grad.isfinite().all()
    index, weight = top_k_code(torch.full((1, 5), -2.0), 4)
    assert len(index[0].unique()) == 4
    torch.testing.assert_close(weight, torch.full((1, 4), -0.5))


@pytest.mark.parametrize("k", [0, 6])
def test_more_experts_than_there_are_cannot_be_kept(k):
    with pytest.raises(ValueError, match="k must be from 1 to the number of experts, 5"):
        top_k_code(torch.randn(2, 5), k)


def test_sizes_below_one_are_refused():
    with pytest.raises(ValueError, match="shapes >= 1 and experts >= 1"):
        TableGate(0, 4)
    for name in ("experts", "in_dim", "width"):
        with pytest.raises(ValueError, match=f"{name} of an encoder of points"):
            PointSetGate(**{"experts": 4, "in_dim": 3, "width": 4, name: 0})
