"""Tangent kernels of networks of one coordinate before their first step: FINER++'s Fig. 5, normalizations' Fig. 1a.

.venv/bin/python benchmarks/ntk.py [--points 512] [--seeds 3] [--width 256] [--layers 3] [--json FILE]

First the variable-periodic activations, one hidden layer of 256 on evenly spread coordinates in [0, 1) whose biases
start in U(-k, k), the derivative of |x| + 1 left out as in the authors' code. Then ReLU networks on [-1, 1] with each
normalization before each activation, on the coordinate and on its positional encoding, statistics differentiated
through. Means over draws of the weights; eigenvalues of the kernel of all weights.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from inr_plugins.analysis.tangent_kernel import KernelSummary, in_float64, summary, tangent_kernel
from inr_plugins.networks.activations.settings import ActivationName
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.normalization.registry import NormalizationName

BIASES = (1.0, 5.0, 10.0, 20.0)
PERIODIC: dict[ActivationName, dict[str, Any]] = {
    "finer-sine": {"omega": 1.0},
    "finer-gauss": {"omega": 0.4, "scale": 2.5 / 0.4},
    "finer-wavelet": {"omega": 0.08, "scale": 2.5 / 0.08, "carrier": 5.0 / 0.08},
}
"""The authors' constants of that figure; scale is s_0 / ω_f and carrier ω_0 / ω_f."""
NORMALIZATIONS: tuple[NormalizationName, ...] = ("none", "batch", "layer", "global", "cross")


def cases(options: argparse.Namespace) -> dict[str, tuple[CoordinateNetworkConfig, torch.Tensor]]:
    """Networks and the coordinates that they are at."""
    unit = torch.arange(options.points, dtype=torch.float64)[:, None] / options.points
    around = torch.linspace(-1, 1, options.points, dtype=torch.float64)[:, None]
    found = {}
    for activation, constants in PERIODIC.items():
        for bias in BIASES:
            network: Any = CoordinateNetworkConfig(
                activation=activation,
                first_bias=bias,
                width=256,
                hidden_layers=1,
                detach_scale=True,
                **constants,
            )
            found[f"{activation}, biases within {bias:g}"] = (network, unit)
    for encoding in ("identity", "positional"):
        for norm in NORMALIZATIONS:
            network = CoordinateNetworkConfig(
                normalization=norm,
                encoding=encoding,
                octaves=5 if encoding == "positional" else None,
                width=options.width,
                hidden_layers=options.layers,
            )
            found[f"relu, {encoding}, {norm}"] = (network, around)
    return found


def measure(network: CoordinateNetworkConfig, points: torch.Tensor, *, seeds: int) -> list[KernelSummary]:
    """What is said of the kernel, draw by draw."""
    found = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        made = in_float64(network.build(1, 1)).train()
        found.append(summary(tangent_kernel(partial(made, points), made.parameters())))
    return found


def main() -> None:
    """Print the table, and write its numbers to a file if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=512, help="coordinates")
    parser.add_argument("--seeds", type=int, default=3, help="draws of the weights")
    parser.add_argument("--width", type=int, default=256, help="width of the normalised networks")
    parser.add_argument("--layers", type=int, default=3, help="their hidden layers")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    options = parser.parse_args()
    if min(options.points - 1, options.seeds, options.width, options.layers) < 1:
        parser.error("--points must be at least 2, the others at least 1")
    names = ("largest", "mean", "variance", "above_one", "half", "diagonal")
    table = Table("network", *(name.replace("_", " ") for name in names))
    numbers: dict[str, list[dict[str, float]]] = {}
    for name, (network, points) in cases(options).items():
        found = [asdict(each) for each in measure(network, points, seeds=options.seeds)]
        numbers[name] = found
        table.add_row(name, *(f"{statistics.fmean(each[column] for each in found):.4g}" for column in names))
    Console().print(table)
    if options.json is not None:
        options.json.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
