"""The pretended device refuses what CUDA refuses, and lets through what CUDA does."""

from __future__ import annotations

import pytest
import torch
from pretend_cuda import PretendCuda, label
from torch import nn


@pytest.fixture(autouse=True)
def pretended():
    with PretendCuda() as pretended:
        yield pretended


@pytest.mark.parametrize(
    "operation",
    [
        lambda on, off: on + off,
        lambda on, off: torch.cat([on, off]),
        lambda on, off: nn.functional.linear(on, off[None]),
        lambda on, off: on.add_(off),
        lambda on, off: off[on.long()],
        lambda on, off: on.index_select(0, off.long()),
        lambda on, off: on.numpy(),
        lambda on, off: nn.Linear(3, 2)(on),
        lambda on, off: nn.Linear(3, 2).to("cuda")(off),
        lambda on, off: on.__setitem__(slice(None), off),
    ],
)
def test_what_cuda_refuses_is_refused(operation):
    with pytest.raises(AssertionError, match=r"CUDA"):
        operation(torch.zeros(3).cuda(), torch.zeros(3))


@pytest.mark.parametrize(
    "operation",
    [
        lambda on, off: on + off.to("cuda:0"),
        lambda on, off: on + off.to(on),
        lambda on, off: on * off.sum(),
        lambda on, off: on[off.long()],
        lambda on, off: on.copy_(off),
        lambda on, off: torch.zeros(3, device=on.device) + on,
        lambda on, off: on.new_zeros(3) + torch.zeros_like(on),
        lambda on, off: nn.Linear(3, 2).to(on.device)(on),
        lambda on, off: torch.stack([on, on]).unbind(0)[1] + on,
    ],
)
def test_what_cuda_does_is_done_and_stays_there(operation):
    out = operation(torch.ones(3).cuda(), torch.zeros(3))
    assert label(out) == "cuda"
    assert out.device == torch.device("cuda:0")
    assert out.is_cuda


def test_what_comes_back_is_the_cpus():
    on = torch.ones(3).cuda()
    assert label(on.cpu()) == "cpu"
    assert on.cpu().numpy().tolist() == [1, 1, 1]
    assert label(on) == "cuda"
    assert float(on[0]) == 1


def test_gradients_live_where_their_parameters_do():
    layer = nn.Linear(3, 2).to("cuda")
    layer(torch.ones(4, 3, device="cuda")).sum().backward()
    assert label(layer.weight.grad) == "cuda"
    torch.optim.Adam(layer.parameters()).step()
    assert layer.weight.device.type == "cuda"


@pytest.mark.parametrize(
    "operation",
    [
        lambda on, off: float(on[0]),
        lambda on, off: int(on.sum()),
        lambda on, off: bool((on > 0).all()),
        lambda on, off: on.tolist(),
        lambda on, off: on.cpu(),
        lambda on, off: on.to("cpu"),
        lambda on, off: off.to("cuda"),
        lambda on, off: off.copy_(on),
        lambda on, off: torch.tensor([1.0], device="cuda"),
        lambda on, off: on.new_tensor([1.0]),
        lambda on, off: on[on > 0],
        lambda on, off: on.__setitem__(on > 0, on.clone()),
        lambda on, off: on[on.long()[0]],
        lambda on, off: (on > 0).nonzero(),
        lambda on, off: torch.where(on > 0),
        lambda on, off: on.unique(),
        lambda on, off: on.repeat_interleave(on.long()),
    ],
)
def test_a_wait_for_the_device_is_counted_where_it_is(operation, pretended):
    on, off = torch.ones(3, device="cuda"), torch.ones(3, device="cpu")
    pretended.waits.clear()
    operation(on, off)
    (line,) = pretended.waits
    assert "test_pretend_cuda.py" in line


@pytest.mark.parametrize(
    "operation",
    [
        lambda on, off: float(off[0]),
        lambda on, off: (off > 0).nonzero(),
        lambda on, off: on.to("cuda"),
        lambda on, off: off.to("cuda", non_blocking=True),
        lambda on, off: torch.full((3,), 2.0, device="cuda"),
        lambda on, off: on.new_full((), 3.0),
        lambda on, off: on.fill_(2.0),
        lambda on, off: on[on.long() - 1],
        lambda on, off: on.__setitem__(on > 0, 2.0),
        lambda on, off: torch.where(on > 0, on, 0.0),
        lambda on, off: on.repeat_interleave(3),
        lambda on, off: on.cumsum(0).max(),
        lambda on, off: len(on[:2]),
    ],
)
def test_what_the_host_only_asks_for_is_no_wait(operation, pretended):
    on, off = torch.ones(3, device="cuda"), torch.ones(3, device="cpu")
    pretended.waits.clear()
    operation(on, off)
    assert pretended.waits == []


def test_waits_of_a_backward_pass_are_counted(pretended):
    class Asks(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, grad):
            return grad * float(grad.sum())

    x = torch.ones(3, device="cuda", requires_grad=True)
    pretended.waits.clear()
    Asks.apply(x).sum().backward()
    assert len(pretended.waits) == 1
