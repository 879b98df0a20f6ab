"""Two processes, each with part of a batch, against one with the whole; this file is also what the processes run."""

import os
import subprocess
import sys
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from long_form import long_form
from torch import distributed as dist

from inr_plugins.networks.normalization.registry import frozen_statistics, make_normalization, rowwise_gradients

# The second rank has a single row in the second batch and none in the third.
BATCHES = ((23, 14), (30, 1), (25, 0))
CASES = {
    f"{label}{', gradient in the loss' if holds_gradient else ''}": (name, cross_variance, holds_gradient)
    for label, name, cross_variance in (
        ("batch", "batch", False),
        ("global", "global", False),
        ("cross", "cross", False),
        ("paper", "cross", True),
    )
    for holds_gradient in (False, True)
}
"""Normalization, whether by the paper's variance, and whether the loss holds the gradient at the positions."""


def network_and_batches(case: str) -> tuple[torch.nn.Module, list[torch.Tensor], list[torch.Tensor]]:
    """The same network and the same whole batches, with weights of the loss, in every process."""
    generator = torch.Generator().manual_seed(7)
    name, cross_variance, _ = CASES[case]
    torch.manual_seed(7)
    network = torch.nn.Sequential(
        torch.nn.Linear(3, 6),
        make_normalization(name, 6, cross_variance=cross_variance),
        torch.nn.Tanh(),
        torch.nn.Linear(6, 6),
        make_normalization(name, 6, cross_variance=cross_variance),
    ).double()
    shift = torch.linspace(-2, 5, 3)
    sizes = [sum(rows) for rows in BATCHES]
    x = [(torch.randn(n, 3, generator=generator) + shift).double() for n in sizes]
    return network, x, [torch.randn(n, 6, generator=generator).double() for n in sizes]


def train(case: str, rank: int | None) -> dict[str, object]:
    """Outputs, gradients and running statistics of three batches, of all rows or of a rank's."""
    network, batches, factors = network_and_batches(case)
    outputs = []
    for x, factor, (first, _) in zip(batches, factors, BATCHES, strict=True):
        rows = slice(None) if rank is None else slice(0, first) if rank == 0 else slice(first, None)
        part = x[rows].requires_grad_()
        with rowwise_gradients(network) if CASES[case][2] else nullcontext():
            out = network(part)
        loss = (out * factor[rows]).sum()
        if CASES[case][2]:
            (gradient,) = torch.autograd.grad(loss, part, create_graph=True)
            loss = loss + gradient.square().sum()
        loss.backward()
        outputs.append(out.detach())
    with frozen_statistics(network):
        if rank != 1:  # A pass with running statistics sends nothing: one rank may run it alone.
            network(batches[0])
    # The sum of the ranks' losses is the loss of the whole, so gradients add; DistributedDataParallel divides by two.
    gradients = [p.grad for p in network.parameters()]
    if rank is not None:
        for gradient in gradients:
            dist.all_reduce(gradient)
    return {"outputs": outputs, "gradients": gradients, "state": network.state_dict()}


def main(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / "store"), 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=timedelta(seconds=300))
    torch.save({case: train(case, rank) for case in CASES}, folder / f"rank{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    if sys.platform == "linux":
        environment = {"GLOO_SOCKET_IFNAME": "lo", **environment}
    processes = [
        subprocess.Popen([sys.executable, __file__, str(rank), str(folder)], env=environment) for rank in range(2)
    ]
    assert [p.wait(timeout=300) for p in processes] == [0, 0]
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(2)]


@long_form
@pytest.mark.parametrize("case", list(CASES))
def test_two_processes_give_the_outputs_gradients_and_statistics_of_one(case, ranks):
    whole = train(case, None)
    first, second = (results[case] for results in ranks)
    for expected, a, b in zip(whole["outputs"], first["outputs"], second["outputs"], strict=True):
        torch.testing.assert_close(torch.cat([a, b]), expected)
    for results in (first, second):
        for actual, expected in zip(results["gradients"], whole["gradients"], strict=True):
            torch.testing.assert_close(actual, expected)
        for key, value in results["state"].items():
            torch.testing.assert_close(value, whole["state"][key])
    assert whole["state"]["1.statistics.batches"].item() == len(BATCHES)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
