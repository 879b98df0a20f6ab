"""Principal component pursuit: a matrix of low rank is found under errors that are few, and as large as one likes."""

from __future__ import annotations

import pytest
import torch

from inr_plugins.operators.low_rank import principal_component_pursuit


def made(rank, share, *, rows=60, columns=40):
    draw = torch.Generator().manual_seed(3)
    low = torch.randn(rows, rank, generator=draw).double() @ torch.randn(rank, columns, generator=draw).double()
    wrong = torch.rand(rows, columns, generator=draw) < share
    sparse = torch.where(wrong, 10 * torch.randn(rows, columns, generator=draw), 0.0).double()
    return low, sparse


@pytest.mark.parametrize("turned", [False, True])
def test_both_parts_are_recovered(turned):
    low, sparse = made(2, 0.05)
    if turned:
        low, sparse = low.T, sparse.T
    found, rest, rank = principal_component_pursuit(low + sparse)
    assert rank == 2
    torch.testing.assert_close(found, low, atol=1e-3, rtol=0)
    torch.testing.assert_close(rest, sparse, atol=1e-3, rtol=0)


def test_the_parts_come_to_the_matrix_and_are_the_least_of_their_kind():
    matrix = torch.randn(20, 30, generator=torch.Generator().manual_seed(1)).double()

    def size(low, sparse):
        return float(torch.linalg.matrix_norm(low, "nuc") + sparse.abs().sum() / 30**0.5)

    low, sparse, rank = principal_component_pursuit(matrix)
    torch.testing.assert_close(low + sparse, matrix, atol=1e-5, rtol=0)
    assert rank == int(torch.linalg.matrix_rank(low, atol=1e-6))
    for change in torch.randn(8, 20, 30, generator=torch.Generator().manual_seed(2)).double():
        assert size(low, sparse) <= size(low + 0.1 * change, matrix - low - 0.1 * change) + 1e-4


def test_nothing_is_of_rank_0():
    low, sparse, rank = principal_component_pursuit(torch.zeros(4, 3).double())
    assert (rank, float(low.abs().sum()), float(sparse.abs().sum())) == (0, 0.0, 0.0)
