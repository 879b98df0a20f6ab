"""What a hidden layer costs with each activation: milliseconds of forward + backward and memory, as one table.

.venv/bin/python benchmarks/layers.py [--rows 65536] [--width 256] [--repeats 15] [--threads 2] [--json FILE]

A layer is nn.Linear(width, width), a normalization where named, and the activation, float32, initialised as in a
network and differentiated with respect to its weights and its input. All layers take turns in one process, and the
median of each is given, so that a machine that slows down slows all of them. Memory is the growth of the peak of a
process of its own during one forward and backward, beyond the layer, its input and the gradient of its output.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast, get_args

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from inr_plugins import machine
from inr_plugins.bench.memory import host_peak_gb
from inr_plugins.networks.activations.settings import ActivationName, ActivationSettings, make_activation

NAIVE = "finer-sine, plain torch"
NORMALIZED = {"cross": "CrossNorm", "batch": "BatchNorm", "layer": "LayerNorm"}


class NaiveFinerSine(nn.Module):
    """The FINER++ sine as it is written in plain torch, with the true derivative."""

    def forward(self, z: Tensor) -> Tensor:
        """sin(30 (|z| + 1) z)."""
        return torch.sin(30.0 * (z.abs() + 1) * z)


def layer_names() -> list[str]:
    """The rows of the table."""
    return [*get_args(ActivationName), NAIVE, *(f"finer-sine + {norm} norm" for norm in NORMALIZED)]


def make_layer(name: str, rows: int, width: int) -> Callable[[], None]:
    """One forward and backward of the named layer."""
    torch.manual_seed(0)
    backbone = "finer-sine" if name.startswith("finer-sine") else name
    activation = make_activation(ActivationSettings(cast(ActivationName, backbone)))
    width = activation.hidden_width(width)
    dtype = torch.complex64 if activation.is_complex else torch.float32
    linear = nn.Linear(width, width, dtype=dtype)
    activation.init_linear(linear, is_first=False)
    parts: list[nn.Module] = [linear]
    if name.endswith(" norm"):
        from inr_plugins.networks.normalization import registry as normalizations

        parts.append(getattr(normalizations, NORMALIZED[name.split()[-2]])(width))
    layer = nn.Sequential(*parts, NaiveFinerSine() if name == NAIVE else activation)
    x = (2 * torch.rand(rows, width) - 1).to(dtype).requires_grad_()
    gradient = torch.randn(rows, width, dtype=dtype)

    def step() -> None:
        layer(x).backward(gradient)
        x.grad = None
        layer.zero_grad(set_to_none=True)

    return step


def measure_times(rows: int, width: int, repeats: int) -> dict[str, list[float]]:
    """Milliseconds of each layer, the layers taking turns; the first, unmeasured turn starts threads and libraries."""
    steps = {name: make_layer(name, rows, width) for name in layer_names()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(repeats + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if turn > 0:
                times[name].append(1e3 * (time.perf_counter() - start))
    return times


def peak_megabytes(name: str, rows: int, width: int, threads: int) -> float:
    """MB by which the peak of this process grows in one forward and backward; needs a process of its own."""
    torch.set_num_threads(threads)
    make_layer(name, 64, width)()
    step = make_layer(name, rows, width)
    before = host_peak_gb()
    step()
    return (host_peak_gb() - before) * 1e3


def measure_memory(rows: int, width: int, threads: int) -> dict[str, float]:
    """peak_megabytes of each layer, each in a fresh process."""
    context = multiprocessing.get_context("spawn")
    peaks = {}
    for name in layer_names():
        with context.Pool(1) as pool:
            peaks[name] = pool.apply(peak_megabytes, (name, rows, width, threads))
    return peaks


def main() -> None:
    """Print the table, and write its numbers to a file if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=65536, help="points of a batch")
    parser.add_argument("--width", type=int, default=256, help="width of the layer (complex: by √2 less)")
    parser.add_argument("--repeats", type=int, default=15, help="measured turns of each layer")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    options = parser.parse_args()
    if min(options.rows, options.width - 1, options.repeats, options.threads) < 1:
        parser.error("--rows, --repeats and --threads must be at least 1 and --width at least 2")
    torch.set_num_threads(options.threads)
    peaks = measure_memory(options.rows, options.width, options.threads)
    times = measure_times(options.rows, options.width, options.repeats)
    medians = {name: statistics.median(times[name]) for name in times}
    shape = f"{options.rows} rows, width {options.width}, {options.threads} threads, median of {options.repeats}"
    table = Table("layer", title=f"forward + backward of one layer: {shape}")
    for title in ("ms", "of relu", "peak MB", "of plain torch"):
        table.add_column(title, justify="right")
    for name, ms in medians.items():
        ratio, memory = ms / medians["relu"], peaks[name] / peaks[NAIVE]
        table.add_row(name, f"{ms:.1f}", f"{ratio:.2f}", f"{peaks[name]:.0f}", f"{memory:.2f}")
    Console().print(table)
    if options.json:
        protocol = {key: getattr(options, key) for key in ("rows", "width", "repeats", "threads")}
        protocol |= {"versions": machine.versions(), "hardware": machine.hardware(device="cpu")}
        layers = {name: {"ms": times[name], "peak_mb": peaks[name]} for name in times}
        options.json.write_text(json.dumps({"protocol": protocol, "layers": layers}, indent=2) + "\n")


if __name__ == "__main__":
    main()
