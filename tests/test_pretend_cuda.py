"""The pretended device refuses what CUDA refuses, and lets through what CUDA does."""

from __future__ import annotations

import pytest
import torch
from pretend_cuda import PretendCuda, label
from torch import nn


@pytest.fixture(autouse=True)
def _pretend():
    with PretendCuda():
        yield


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
