"""What a dictionary costs: a training step against experts and experts selected, and the solving of a code, as tables.

.venv/bin/python benchmarks/dictionary.py [--experts 256 1024 4096] [--selected 16 64 256] [--shapes 8]
    [--points 512] [--features 128] [--width 16] [--repeats 9] [--equations 30000] [--threads 2] [--json FILE]

A step is forward, backward and RowAdam of the experts on given features (no trunk), with sparse gradients (ours) and
with dense ones. Cases take turns, so that a machine that slows down slows all of them, and medians are given. A code is
solved for from the products of equations at random features; each solver once.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from inr_plugins.engine.optimization.row_adam import RowAdam
from inr_plugins.networks.dictionary.expert_bank import ExpertBank
from inr_plugins.sparse_codes.code_prior import CodePrior, prior_code
from inr_plugins.sparse_codes.gram_system import GramSystem
from inr_plugins.sparse_codes.sparse_coding import matching_pursuit, proximal_code

Case = tuple[int, int, bool]
"""Experts, experts selected, and whether gradients are sparse."""


def make_step(case: Case, options: argparse.Namespace) -> Callable[[], None]:
    """One step of training a bank, whose optimizer has its moments already."""
    experts, selected, sparse = case
    torch.manual_seed(0)
    bank = ExpertBank(options.features, experts, options.width, sparse_grad=sparse)
    optimizer = RowAdam(bank.parameters(), lr=1e-4)
    h = torch.sin(torch.randn(options.shapes, options.points, options.features)).requires_grad_()
    index = torch.stack([torch.randperm(experts)[:selected] for _ in range(options.shapes)])
    weight = torch.nn.functional.normalize(torch.randn(options.shapes, selected), dim=1).requires_grad_()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        bank.selected(h, index, weight).abs().mean().backward()
        optimizer.step()

    step()
    return step


def time_steps(options: argparse.Namespace) -> dict[Case, float]:
    """Median milliseconds of each case: all numbers of experts at the middle of --selected, and the largest at all."""
    middle = options.selected[len(options.selected) // 2]
    sizes = [(n, middle) for n in options.experts] + [(max(options.experts), k) for k in options.selected]
    cases = [(n, k, sparse) for n, k in dict.fromkeys(sizes) if k <= n for sparse in (True, False)]
    steps = {case: make_step(case, options) for case in cases}
    times: dict[Case, list[float]] = {case: [] for case in cases}
    for _ in range(options.repeats):
        for case, step in steps.items():
            start = time.perf_counter()
            step()
            times[case].append(1e3 * (time.perf_counter() - start))
    return {case: statistics.median(each) for case, each in times.items()}


def timed(function: Callable[..., Any], *args: Any, **settings: Any) -> tuple[Any, float]:
    """A result, and the seconds it took."""
    start = time.perf_counter()
    return function(*args, **settings), time.perf_counter() - start


def time_solvers(experts: int, options: argparse.Namespace) -> dict[str, float]:
    """Seconds of each way from equations to a code, after their products, which come first."""
    torch.manual_seed(0)
    bank = ExpertBank(options.features, experts, options.width)
    points = torch.randn(options.equations, 3)
    trunk = torch.randn(3, options.features)
    target = torch.sin(points.sum(1))
    seconds = {}
    system, seconds["products"] = timed(
        GramSystem.from_function, lambda x: bank.all_outputs(torch.sin(x @ trunk)), points, target
    )
    prior = CodePrior.from_codes(torch.randn(50, experts))
    k = min(64, experts)
    _, seconds[f"pursuit of {k}"] = timed(matching_pursuit, system, k)
    _, seconds["proximal"] = timed(proximal_code, system, 0.01)
    _, seconds["prior"] = timed(prior_code, system, prior, noise=0.01)
    _, seconds[f"prior, keep {k}"] = timed(prior_code, system, prior, noise=0.01, keep=k)
    return seconds


def step_table(medians: dict[Case, float], options: argparse.Namespace) -> Table:
    """Sparse and dense gradients side by side."""
    title = f"ms a step: {options.shapes} shapes x {options.points} points, {options.features} features"
    table = Table(title=title)
    for heading in ("experts", "selected", "sparse gradients", "dense gradients"):
        table.add_column(heading, justify="right")
    for n, k, sparse in medians:
        if sparse:
            table.add_row(str(n), str(k), f"{medians[n, k, True]:.1f}", f"{medians[n, k, False]:.1f}")
    return table


def solver_table(seconds: dict[int, dict[str, float]], options: argparse.Namespace) -> Table:
    """A row for each number of experts."""
    table = Table(title=f"seconds to a code from {options.equations} equations")
    for heading in ("experts", *next(iter(seconds.values()))):
        table.add_column(heading, justify="right")
    for n, each in seconds.items():
        table.add_row(str(n), *(f"{value:.2f}" for value in each.values()))
    return table


def main() -> None:
    """Print the tables, and write their numbers to a file if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experts", type=int, nargs="+", default=[256, 1024, 4096], help="sizes of the dictionary")
    parser.add_argument("--selected", type=int, nargs="+", default=[16, 64, 256], help="experts of a shape")
    parser.add_argument("--shapes", type=int, default=8, help="shapes of a step")
    parser.add_argument("--points", type=int, default=512, help="points of a shape")
    parser.add_argument("--features", type=int, default=128, help="width of the trunk's features")
    parser.add_argument("--width", type=int, default=16, help="hidden width of an expert")
    parser.add_argument("--repeats", type=int, default=9, help="timed steps of each case")
    parser.add_argument("--equations", type=int, default=30000, help="equations of a code; 0 leaves solvers out")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    medians = time_steps(options)
    console = Console(width=100)
    console.print(step_table(medians, options))
    seconds = {n: time_solvers(n, options) for n in options.experts} if options.equations > 0 else {}
    if seconds:
        console.print(solver_table(seconds, options))
    if options.json:
        steps = [{"experts": n, "selected": k, "sparse": s, "ms": ms} for (n, k, s), ms in medians.items()]
        record = {"options": {name: str(value) for name, value in vars(options).items()}, "steps": steps}
        options.json.write_text(json.dumps({**record, "solvers": seconds}))


if __name__ == "__main__":
    main()
