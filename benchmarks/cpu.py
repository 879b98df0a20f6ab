"""What each CPU setting of diner costs and gives: whole-process seconds, peak memory and test PSNR, as one table.

.venv/bin/python benchmarks/cpu.py --data DIR [--steps 800] [--repeat 1]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BIN = Path(sys.executable).parent
VARIANTS: dict[str, tuple[dict[str, str], list[str]]] = {
    "default": ({}, []),
    "glibc's allocator as it is": ({"INR_ALLOCATOR": "system"}, []),
    "network in float32": ({}, ["--pipeline.model.precision", "float32"]),
    "network compiled": ({}, ["--pipeline.model.compile-network", "True"]),
    "threads that spin": ({"OMP_WAIT_POLICY": "ACTIVE"}, []),
}


def run(command: list[str], **variables: str) -> tuple[float, float]:
    """Run a command quietly; wall seconds and peak memory in GB."""
    start = time.perf_counter()
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "INR_LPIPS": "off", **variables}
    child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        raise SystemExit(f"failed: {' '.join(command)}")
    return time.perf_counter() - start, usage.ru_maxrss / 1e6


def measure(data: Path, steps: int, variables: dict[str, str], options: list[str]) -> tuple[float, float, float]:
    """Train and evaluate once: seconds and GB of training, test PSNR."""
    with tempfile.TemporaryDirectory() as folder:
        where = ["--output-dir", folder, "--experiment-name", "e", "--timestamp", "t", "--vis", "tensorboard"]
        train = ["ns-train", "diner", *where, "--max-num-iterations", str(steps), *options]
        seconds, peak = run([*train, "--machine.device-type", "cpu", "--data", str(data)], **variables)
        metrics = Path(folder) / "metrics.json"
        run(["ns-eval", "--load-config", f"{folder}/e/diner/t/config.yml", "--output-path", str(metrics)])
        return seconds, peak, json.loads(metrics.read_text())["results"]["psnr"]


def main() -> None:
    """Print the table; variants take turns, so that a machine that slows down slows all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a Blender dataset")
    parser.add_argument("--steps", type=int, default=800, help="training steps")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each variant")
    options = parser.parse_args()
    results: dict[str, list[tuple[float, float, float]]] = {name: [] for name in VARIANTS}
    for _ in range(options.repeat):
        for name, (variables, extra) in VARIANTS.items():
            results[name].append(measure(options.data, options.steps, variables, extra))
    print(f"| {options.steps} steps | seconds | peak GB | test PSNR |\n|---|---|---|---|")
    for name, runs in results.items():
        seconds, peak, psnr = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"| {name} | {seconds:.0f} | {peak:.1f} | {psnr:.2f} |", flush=True)


if __name__ == "__main__":
    main()
