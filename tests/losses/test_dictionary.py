"""Losses of codes by hand, by counting and by finite differences."""

import math

import pytest
import torch

from inr_plugins.losses.dictionary import code_length, ordered_size, soft_load, squared_variation


def test_the_squared_variation_is_variance_over_squared_mean():
    assert float(squared_variation(torch.tensor([1.0, 2.0, 3.0]))) == pytest.approx((2 / 3) / 4)
    assert float(squared_variation(torch.full((5,), 3.0))) == pytest.approx(0, abs=1e-6)
    one = torch.zeros(8)
    one[3] = 2.0
    assert float(squared_variation(one)) == pytest.approx(7)
    assert float(squared_variation(torch.zeros(4))) == 0


def test_the_variation_of_few_codes_is_least_when_they_share_no_expert():
    apart, shared = torch.zeros(2, 12), torch.zeros(2, 12)
    apart[0, :2] = apart[1, 2:4] = shared[0, :2] = shared[1, 1:3] = -0.5
    assert float(squared_variation(apart.abs().sum(0))) == pytest.approx(12 / 4 - 1)
    assert squared_variation(shared.abs().sum(0)) > 12 / 4 - 1


def test_balance_has_the_gradient_of_finite_differences():
    torch.manual_seed(0)
    raw = torch.randn(3, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda r: squared_variation(r.abs().sum(0)), raw)
    assert torch.autograd.gradcheck(lambda r: squared_variation(soft_load(r, 3, softness=0.5)), raw)


def test_the_load_counts_selections_when_its_steps_are_sharp():
    torch.manual_seed(0)
    raw = torch.randn(40, 9, dtype=torch.float64)
    counts = torch.zeros(9, dtype=torch.float64)
    for row in raw:
        for expert in sorted(range(9), key=lambda j: -abs(float(row[j])))[:4]:
            counts[expert] += 1
    torch.testing.assert_close(soft_load(raw, 4, softness=1e-6), counts, atol=0.05, rtol=0)
    assert torch.equal(soft_load(raw, 9), torch.full((9,), 40.0, dtype=torch.float64))


def test_the_load_is_the_sigmoid_of_the_margin_to_the_kth_largest_of_the_others():
    torch.manual_seed(0)
    raw = torch.randn(5, 7, dtype=torch.float64)
    scale = raw.square().mean(1).sqrt()
    expected = torch.zeros(7, dtype=torch.float64)
    for i, row in enumerate(raw.abs()):
        for j in range(7):
            others = torch.cat([row[:j], row[j + 1 :]]).sort(descending=True).values
            expected[j] += torch.sigmoid((row[j] - others[2]) / (0.3 * scale[i]))
    torch.testing.assert_close(soft_load(raw, 3, softness=0.3), expected)


def test_the_load_pulls_at_an_expert_that_just_misses_selection_and_little_at_one_far_below():
    raw = torch.tensor([[1.0, 0.9, -0.85, 0.0, 0.01]], requires_grad=True)
    soft_load(raw, 2)[2].backward()
    assert raw.grad[0, 2] < -0.1
    far = torch.tensor([[1.0, 0.9, -0.85, 0.0, 0.01]], requires_grad=True)
    soft_load(far, 2)[4].backward()
    assert far.grad.abs().max() < 1e-2


def test_the_load_does_not_depend_on_the_scale_of_codes():
    raw = torch.randn(4, 6, dtype=torch.float64)
    torch.testing.assert_close(soft_load(1e-3 * raw, 2), soft_load(raw, 2), rtol=1e-4, atol=1e-6)


def test_the_length_of_a_flat_code_is_one_and_of_a_single_expert_least():
    flat = torch.full((3, 16), -0.25)
    assert float(code_length(flat)) == pytest.approx(1)
    assert float(code_length(torch.eye(16))) == pytest.approx(1 / 4)


@pytest.mark.parametrize(
    ("settings", "message"), [({"k": 0}, "k must be"), ({"k": 7}, "k must be"), ({"k": 2, "softness": 0.0}, "softness")]
)
def test_settings_of_the_load_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        soft_load(torch.randn(2, 6), **settings)


def test_what_ordered_experts_add_is_counted_by_their_order():
    weights, sizes = torch.tensor([[1.0, -2.0, 0.5], [3.0, 0.0, 0.5]]), torch.tensor([0.5, 1.0, 4.0])
    wanted = ((1 + 3) * 0.5 + 2 * math.e**0.7 + (0.5 + 0.5) * 4 * math.e**1.4) / 2
    assert float(ordered_size(weights, sizes, decay=0.7)) == pytest.approx(wanted, rel=1e-6)
    # What experts lose and their weights gain changes nothing.
    scale = torch.tensor([2.0, 0.1, 7.0])
    assert float(ordered_size(weights * scale, sizes / scale, decay=0.7)) == pytest.approx(wanted, rel=1e-6)
