"""Each activation's radiance field beside its FINER++ form: the same scene, steps and seeds; mean and spread of PSNR.

.venv/bin/python scripts/benchmark_backbones.py --data DIR [--steps 300] [--seeds 3] [--json FILE] [-- OPTIONS]

Runs stand side by side, one thread each: only the steps are equal, and seconds are not compared.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

BIN = Path(sys.executable).parent
PAIRS = {"sine": "finer-sine", "gauss": "finer-gauss", "wavelet": "finer-wavelet"}


def run(command: list[str]) -> None:
    """Run a command quietly; its errors end everything."""
    single = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "INR_LPIPS": "off"}
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **single}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"failed: {' '.join(command)}\n{done.stderr[-2000:]}")


def measure(data: Path, activation: str, seed: int, steps: int, options: list[str]) -> dict[str, float]:
    """Train and evaluate once: the means of ns-eval."""
    with tempfile.TemporaryDirectory() as folder:
        where = ["--output-dir", folder, "--experiment-name", "e", "--timestamp", "t", "--vis", "tensorboard"]
        train = ["ns-train", "finer-nerf", *where, "--pipeline.model.activation", activation]
        train += ["--max-num-iterations", str(steps), "--machine.seed", str(seed)]
        run([*train, "--machine.device-type", "cpu", *options, "--data", str(data)])
        metrics = Path(folder) / "metrics.json"
        run(["ns-eval", "--load-config", f"{folder}/e/finer-nerf/t/config.yml", "--output-path", str(metrics)])
        return json.loads(metrics.read_text())["results"]


def main() -> None:
    """Print the table, and write every run's figures if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a Blender dataset")
    parser.add_argument("--steps", type=int, default=300, help="training steps")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each, with seeds 0, 1, ...")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    parser.add_argument("options", nargs="*", help="more options for ns-train finer-nerf, after --")
    options = parser.parse_args()
    names = [name for pair in PAIRS.items() for name in pair]
    jobs = [(name, seed) for seed in range(options.seeds) for name in names]
    found: dict[str, list[float]] = {name: [] for name in names}
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        results = pool.map(lambda job: measure(options.data, *job, options.steps, options.options), jobs)
        for (name, seed), result in zip(jobs, results, strict=True):
            found[name].append(result["psnr"])
            print(f"{name} seed {seed}: {result['psnr']:.2f} dB", file=sys.stderr, flush=True)
            if options.json:
                record = {"data": options.data.name, "steps": options.steps, "options": options.options, "psnr": found}
                options.json.write_text(json.dumps(record, indent=1))
    table = Table(title=f"Test PSNR (dB) after {options.steps} steps, {options.seeds} seeds: mean and range")
    for heading in ("backbone", "plain", "range", "FINER++", "range", "difference"):
        table.add_column(heading, justify="left" if heading == "backbone" else "right")
    for plain, finer in PAIRS.items():
        a, b = found[plain], found[finer]
        means = statistics.mean(a), statistics.mean(b)
        spans = [f"{min(v):.2f}-{max(v):.2f}" for v in (a, b)]
        table.add_row(plain, f"{means[0]:.2f}", spans[0], f"{means[1]:.2f}", spans[1], f"{means[1] - means[0]:+.2f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
