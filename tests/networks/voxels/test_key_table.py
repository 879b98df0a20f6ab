import pytest
import torch

from inr_plugins.networks.voxels.key_table import KEY_RANGE, KeyTable, distinct_rows


def test_keys_start_uniform_in_the_authors_range():
    keys = KeyTable(20000, 4).keys.detach()
    assert keys.abs().max() <= KEY_RANGE
    assert keys.std() == pytest.approx(2 * KEY_RANGE / 12**0.5, rel=0.02)


@pytest.mark.parametrize("sparse", [True, False])
def test_the_gradient_is_that_of_plain_indexing(sparse):
    table = KeyTable(9, 3)
    rows = torch.tensor([1, 4, 8])
    factor = torch.randn(3, 3)
    (table(rows, sparse_grad=sparse) * factor).sum().backward()
    expected = torch.zeros(9, 3)
    expected[rows] = factor
    assert table.keys.grad.is_sparse == sparse
    assert torch.equal(table.keys.grad.to_dense() if sparse else table.keys.grad, expected)


def test_distinct_rows_agrees_with_unique():
    rows = torch.randint(0, 60, (25, 8), dtype=torch.int32)
    distinct, place = distinct_rows(rows, 60)
    expected, inverse = torch.unique(rows, return_inverse=True)
    assert torch.equal(distinct, expected.long())
    assert torch.equal(place.long(), inverse)


@pytest.mark.parametrize(("rows", "width"), [(0, 3), (3, 0)])
def test_an_empty_table_is_refused(rows, width):
    with pytest.raises(ValueError, match="rows >= 1 and width >= 1"):
        KeyTable(rows, width)
