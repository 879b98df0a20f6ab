"""Codes that are drawn: sums, entries and counts, by closed forms and by evaluating experts one by one."""

from types import SimpleNamespace

import pytest
import torch

from inr_plugins.errors import InputError
from inr_plugins.models.nid.shown_code import (
    BlendsCodes,
    CodeEdit,
    code_towards,
    dense_rows,
    half_of_length,
    largest_entries,
    shapes_of_experts,
    used_entries,
)

A, B = torch.tensor([[0.6, 0.0, -0.8, 0.0]]), torch.tensor([[0.0, 1.0, 0.0, 0.0]])
MODEL = SimpleNamespace(
    codes=torch.cat([A, B]),
    shown_shape=0,
    drawn_code=None,
    code_names=("a", "b"),
    dictionary_names=("a", "b"),
    code_of=lambda number: (A, B)[number].clone(),
)


def test_a_blend_is_the_weighted_sum_of_two_codes_and_entries_replace_its_own():
    code = CodeEdit(0, 1, 0.25).code(MODEL)
    torch.testing.assert_close(code, torch.tensor([[0.45, 0.25, -0.6, 0.0]]))
    code = CodeEdit(0, 1, 0.25, {(0, 3): 0.5, (0, 0): 0.0}).code(MODEL)
    torch.testing.assert_close(code, torch.tensor([[0.0, 0.25, -0.6, 0.5]]))
    assert torch.equal(CodeEdit(0, 1, 1.0).code(MODEL), B)
    assert torch.equal(CodeEdit(0, 1, 0.0).code(MODEL), A)


class Fit(BlendsCodes):
    """A model with a code of its own before those of its dictionary."""

    codes = torch.cat([A, B])
    shown_shape = 0
    code_names = ("the fit", "a", "b")
    dictionary_names = ("a", "b")

    def code_of(self, number):
        return (torch.tensor([[0.0, 0.0, 0.0, 1.0]]), A, B)[number].clone()


@pytest.mark.parametrize(
    ("towards", "wanted"),
    [("b", [0.0, 0.25, 0.0, 0.75]), ("1", [0.0, 0.25, 0.0, 0.75]), ("mean", [0.075, 0.125, -0.1, 0.75])],
)
def test_a_code_goes_towards_one_of_the_dictionary_or_their_mean(towards, wanted):
    torch.testing.assert_close(code_towards(Fit(), towards, 0.25, given_by=""), torch.tensor([wanted]))


def test_a_shape_that_is_called_mean_is_meant_by_that():
    model = Fit()
    model.code_names, model.dictionary_names = ("the fit", "a", "mean"), ("a", "mean")
    assert torch.equal(code_towards(model, "mean", 1.0, given_by=""), B)


def test_a_blend_is_drawn_meanwhile_and_no_longer():
    model = Fit()
    with model.blending("b", 0.5, given_by=""):
        torch.testing.assert_close(dense_rows(*model.drawn_code, 4), torch.tensor([[0.0, 0.5, 0.0, 0.5]]))
    assert model.drawn_code is None
    with (
        pytest.raises(InputError, match="--x fit is none of the run"),
        model.blending("the fit", 0.5, given_by="--x fit"),
    ):
        pass


def test_only_what_differs_from_the_shown_shape_is_an_edit():
    assert not CodeEdit(2, 5, 0.0).changes(2)
    assert CodeEdit(2, 5, 0.0).changes(3)
    assert CodeEdit(2, 5, 0.1).changes(2)
    assert CodeEdit(2, 2, 0.0, {(0, 0): 0.0}).changes(2)


def test_used_entries_are_all_of_them_and_come_back_dense():
    code = torch.cat([A, B])
    index, weight = used_entries(code)
    assert index.shape == (2, 2)
    torch.testing.assert_close(dense_rows(index, weight, 4), code)
    index, weight = used_entries(torch.zeros(1, 4))
    assert weight.tolist() == [[0.0]]


def test_the_largest_entries_count_by_size_over_all_patches():
    code = torch.cat([A, B])
    assert largest_entries(code, 3) == [(1, 1), (0, 2), (0, 0)]
    # Zeros are none.
    assert len(largest_entries(code, 8)) == 3


def test_half_of_the_length_is_of_squares():
    assert half_of_length(torch.tensor([[3.0, 0.0, 0.0, 4.0]])) == 1
    assert half_of_length(torch.ones(1, 6)) == 3
    assert half_of_length(torch.zeros(1, 4)) == 0


def test_an_expert_of_two_patches_of_a_shape_serves_one_shape():
    codes = torch.tensor([[1.0, 0, 0], [1.0, 2, 0], [0, 0, 0], [0, -1, 0]])
    assert shapes_of_experts(codes, patches=2).tolist() == [1, 2, 0]
    assert shapes_of_experts(codes, patches=1).tolist() == [2, 2, 0]
