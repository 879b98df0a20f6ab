"""What the processes (ranks) that train one model do together: counts, sums, states, gradients.

Each function is the identity, or nothing, where one process trains alone, and inside :func:`alone`. Where several do,
all of them have to call it equally often and in the same order.

Their gradients are averaged (`average_gradients`): the loss that is descended is the mean of the ranks' losses. For it
to be that of one process with all their rays, a sum over a rank's entries is divided by the mean count over ranks
(`mean_over_ranks`), and what is a function of all ranks' entries together is made of their sum (`joint_sum`).

torch's DistributedDataParallel is not used. It sends gradients while the backward pass goes on, in an order that
depends on which weights a rank has used, over the connections on which normalizations send their statistics in that
same pass; it does not see parameters that a model replaces as it learns, copies the first rank's buffers over those of
the others, and takes no sparse gradients of tables. Networks here have a few megabytes of weights, sent in a moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

_NONE, _DENSE = -2, -1
"""What a rank has for a gradient; numbers from 0 on: that of the rows of a sparse one."""

_alone = 0
_control: Any = None


def is_joint() -> bool:
    """Whether several processes do together what this one is at."""
    return not _alone and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def number() -> int:
    """How many processes do it."""
    return dist.get_world_size() if is_joint() else 1


def rank() -> int:
    """The number of this process, from 0 on; also inside :func:`alone`."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


@contextmanager
def alone() -> Iterator[None]:
    """Inside it this process is by itself, for what only some ranks do, or each for itself: to set up, to evaluate."""
    global _alone
    _alone += 1
    try:
        yield
    finally:
        _alone -= 1


def use_control_group(group: Any) -> None:
    """Send small numbers of the CPU's over `group` from now on; None: over the default one.

    Args:
        group: of all ranks; one of its own may wait for longer than a step takes.
    """
    global _control
    _control = group


def gather_numbers(numbers: Sequence[int]) -> list[list[int]]:
    """Each rank's whole numbers, of which all have equally many, without waiting for a device."""
    if not is_joint():
        return [list(numbers)]
    mine = torch.tensor(list(numbers), dtype=torch.int64)
    found = [torch.empty_like(mine) for _ in range(number())]
    dist.all_gather(found, mine, group=_control)
    return [each.tolist() for each in found]


def gather_objects(mine: Any) -> list[Any]:
    """Each rank's object, which is pickled: only for what these processes made themselves."""
    if not is_joint():
        return [mine]
    found: list[Any] = [None] * number()
    dist.all_gather_object(found, mine, group=_control)
    return found


# -- tensors -----------------------------------------------------------------------------------------------------------


def mean_over_ranks(x: Tensor) -> Tensor:
    """x summed over the ranks and divided by their number, without a gradient; x itself alone."""
    if not is_joint():
        return x
    total = x.detach().to(torch.promote_types(x.dtype, torch.float32), copy=True)
    dist.all_reduce(total)
    return total / number()


class _JointSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.number = number()
        total = x.detach().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * ctx.number


def joint_sum(x: Tensor) -> Tensor:
    """The sum of all ranks' x, on every rank.

    Its gradient takes for granted that each rank makes the same of it, and that the ranks' gradients are averaged: it
    is a rank's own part of the sum's, times their number.
    """
    return _JointSum.apply(x) if is_joint() else x


@torch.no_grad()
def largest_over_ranks(x: Tensor) -> None:
    """Make x the elementwise largest of all ranks' x, in place."""
    if is_joint():
        largest = x.clone()
        dist.all_reduce(largest, op=dist.ReduceOp.MAX)
        x.copy_(largest)


@torch.no_grad()
def gather_rows(x: Tensor) -> Tensor:
    """The rows of all ranks, of which each has equally many, the first rank's first; no gradient."""
    if not is_joint():
        return x
    mine = x.detach().contiguous()
    found = [torch.empty_like(mine) for _ in range(number())]
    dist.all_gather(found, mine)
    return torch.cat(found)


@torch.no_grad()
def send_from_first(tensors: Iterable[Tensor]) -> None:
    """Give every rank the first one's values, in place; shapes and types have to be the same."""
    if not is_joint():
        return
    is_first = rank() == 0
    for tensor in tensors:
        if tensor.numel():
            # Bytes: not every type of numbers can be sent.
            content = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
            content = content if is_first else torch.empty_like(content)
            dist.broadcast(content, 0)
            if not is_first:
                tensor.detach().copy_(content.view(tensor.dtype).view(tensor.shape))


def tensors_of(module: nn.Module) -> list[Tensor]:
    """All that a module computes with: its parameters and buffers, also those that are not saved."""
    return [*module.parameters(), *module.buffers()]


# -- gradients ---------------------------------------------------------------------------------------------------------


@torch.no_grad()
def average_gradients(parameters: Sequence[Tensor]) -> None:
    """Make each parameter's gradient the mean of all ranks', the same bits on each of them.

    A rank that has not used a parameter counts as a gradient of 0; where none has, there is none. Sparse gradients stay
    sparse, and hold the rows that any rank has touched.
    """
    if not is_joint() or not parameters:
        return
    kinds = gather_numbers([_kind_of(each.grad) for each in parameters])
    dense: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for parameter, column in zip(parameters, zip(*kinds, strict=True), strict=True):
        if _DENSE in column:
            dense.setdefault((parameter.dtype, parameter.device), []).append(parameter)
        elif max(column) >= 0:
            parameter.grad = _mean_of_sparse(parameter, [max(rows, 0) for rows in column])
    for group in dense.values():
        _average_dense(group)


def _kind_of(gradient: Tensor | None) -> int:
    if gradient is None:
        return _NONE
    return gradient._nnz() if gradient.is_sparse else _DENSE


def _average_dense(parameters: list[Tensor]) -> None:
    flat = torch.cat([_as_dense(each).reshape(-1) for each in parameters])
    dist.all_reduce(flat)
    flat /= number()
    for parameter, part in zip(parameters, flat.split([each.numel() for each in parameters]), strict=True):
        parameter.grad = part.view_as(parameter)


def _as_dense(parameter: Tensor) -> Tensor:
    gradient = parameter.grad
    if gradient is None:
        return torch.zeros_like(parameter)
    return gradient.to_dense() if gradient.is_sparse else gradient


def _mean_of_sparse(parameter: Tensor, counts: list[int]) -> Tensor:
    """The mean of gradients that hold some rows each, as a coalesced one of ascending rows.

    Args:
        parameter: a table, with this rank's gradient or none.
        counts: rows of each rank's, a repeated one as often as it is held.
    """
    most, own = max(counts), counts[rank()]
    rows = torch.zeros(most, dtype=torch.int64, device=parameter.device)
    values = parameter.new_zeros(most, *parameter.shape[1:])
    if own:
        gradient = parameter.grad
        assert gradient is not None
        rows[:own], values[:own] = gradient._indices()[0], gradient._values()
    all_rows, all_values = gather_rows(rows).view(-1, most), gather_rows(values).view(-1, *values.shape)
    union = torch.cat([each[:count] for each, count in zip(all_rows, counts, strict=True)]).unique()
    total = parameter.new_zeros(len(union), *parameter.shape[1:])
    for each, given, count in zip(all_rows, all_values, counts, strict=True):
        # One rank after the other: the sum has the same bits everywhere.
        total.index_add_(0, torch.searchsorted(union, each[:count].contiguous()), given[:count])
    total /= number()
    return torch.sparse_coo_tensor(union[None], total, parameter.shape, is_coalesced=True, check_invariants=False)
