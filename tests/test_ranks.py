"""What two processes do together, against what it is by hand; this file is also what the processes run."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from long_form import long_form
from torch import distributed as dist

from inr_plugins import ranks

ROWS = ([0, 3, 4], [1, 3])
"""Rows of a table that each process has touched."""


def gradients_of(rank: int) -> list[torch.Tensor | None]:
    """Dense on both, on one, on none; sparse on both, on one; sparse beside dense."""
    rows = torch.tensor(ROWS[rank])
    sparse = torch.sparse_coo_tensor(
        rows[None], (rank + 1.0) * torch.ones(len(rows), 2), (6, 2), check_invariants=False
    )
    one = torch.arange(3.0) + rank
    return [one, one if rank else None, None, sparse, None if rank else sparse, sparse.to_dense() if rank else sparse]


def averaged(rank: int) -> list[torch.Tensor | None]:
    """The gradients of some parameters after they have been averaged."""
    parameters = []
    for gradient in gradients_of(rank):
        parameter = torch.nn.Parameter(torch.zeros(3) if gradient is None else torch.zeros(gradient.shape))
        if gradient is None and len(parameters) > 3:
            parameter = torch.nn.Parameter(torch.zeros(6, 2))
        parameter.grad = gradient
        parameters.append(parameter)
    ranks.average_gradients(parameters)
    return [each.grad for each in parameters]


def everything(rank: int) -> dict[str, Any]:
    """What one of the processes gets of each function."""
    x = torch.tensor([1.0, 2.0 + rank], requires_grad=True)
    total = ranks.joint_sum(x.square())
    total.prod().backward()
    sent = [torch.tensor(rank == 0), torch.full((2, 2), rank + 1j), torch.zeros(0), torch.tensor([rank + 5])]
    ranks.send_from_first(sent)
    largest = torch.tensor([rank, 3 - rank])
    ranks.largest_over_ranks(largest)
    with ranks.alone():
        own = ranks.mean_over_ranks(torch.tensor([rank]))
    return {
        "averaged": averaged(rank),
        "sum": total.detach(),
        "slope": x.grad,
        "mean": ranks.mean_over_ranks(torch.tensor([4 * rank, 1])),
        "sent": sent,
        "largest": largest,
        "own": own,
        "rows": ranks.gather_rows(torch.tensor([[rank, 7]])),
        "numbers": ranks.gather_numbers([rank, 8]),
        "number": ranks.number(),
    }


def main(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / "store"), 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=timedelta(seconds=300))
    torch.save(everything(rank), folder / f"rank{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    environment = {"GLOO_SOCKET_IFNAME": "lo", **os.environ} if sys.platform == "linux" else dict(os.environ)
    command = [sys.executable, __file__]
    processes = [subprocess.Popen([*command, str(rank), str(folder)], env=environment) for rank in range(2)]
    assert [p.wait(timeout=300) for p in processes] == [0, 0]
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(2)]


@long_form
def test_gradients_are_the_mean_of_both_processes_and_the_same_bits(both):
    mine = [gradients_of(rank) for rank in range(2)]
    for at, (first, second) in enumerate(zip(both[0]["averaged"], both[1]["averaged"], strict=True)):
        given = [each[at] for each in mine if each[at] is not None]
        if not given:
            assert first is None
            assert second is None
            continue
        assert first.is_sparse == all(each.is_sparse for each in given)
        if first.is_sparse:
            assert first.is_coalesced()
            assert first.indices()[0].tolist() == sorted({row for each in given for row in each._indices()[0].tolist()})
        dense = [each.to_dense() if each.is_sparse else each for each in (first, second, *given)]
        torch.testing.assert_close(dense[0], sum(dense[2:]) / 2)
        assert torch.equal(dense[0], dense[1])


@long_form
def test_a_function_of_the_sum_over_processes_has_the_slope_of_the_whole(both):
    x = [torch.tensor([1.0, 2.0 + rank], requires_grad=True) for rank in range(2)]
    sum(each.square() for each in x).prod().backward()
    for rank in range(2):
        torch.testing.assert_close(both[rank]["sum"], torch.tensor([2.0, 13.0]))
        # Gradients are averaged over the two afterwards.
        torch.testing.assert_close(both[rank]["slope"] / 2, x[rank].grad)


@long_form
def test_counts_states_and_notes_are_the_same_in_both_processes(both):
    for found in both:
        assert found["mean"].tolist() == [2.0, 1.0]
        assert [each.tolist() for each in found["sent"]] == [True, [[1j, 1j], [1j, 1j]], [], [5]]
        assert found["largest"].tolist() == [1, 3]
        assert found["rows"].tolist() == [[0, 7], [1, 7]]
        assert found["numbers"] == [[0, 8], [1, 8]]
        assert found["number"] == 2
    assert [found["own"].tolist() for found in both] == [[0], [1]]


def test_one_process_has_its_own_and_nothing_else():
    x = torch.tensor([1, 2])
    assert ranks.number() == 1
    assert ranks.rank() == 0
    assert ranks.mean_over_ranks(x) is x
    assert ranks.joint_sum(x) is x
    assert ranks.gather_rows(x) is x
    assert ranks.gather_numbers([3]) == [[3]]
    gradients = averaged(0)
    for gradient, given in zip(gradients, gradients_of(0), strict=True):
        assert (gradient is None) == (given is None)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
