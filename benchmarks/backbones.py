"""Each activation's radiance field beside its FINER++ form: the same scene, steps and seeds; mean and range of PSNR.

.venv/bin/python benchmarks/backbones.py --data DIR [--steps 300] [--seeds 3] [--rates R ...] [-- OPTIONS]

Each is trained with the learning rate that was best for it on a seed of its own; the seeds that count come after. Runs
stand side by side, one thread each: only the steps are equal, and seconds are not compared.
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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

BIN = Path(sys.executable).parent
TRIAL_SEED = 1000
PAIRS = {"sine": "finer-sine", "gauss": "finer-gauss", "wavelet": "finer-wavelet"}


def run(command: list[str]) -> None:
    """Run a command quietly; its errors end everything."""
    single = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "INR_LPIPS": "off"}
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **single}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"failed: {' '.join(command)}\n{done.stderr[-2000:]}")


@dataclass(frozen=True)
class Job:
    """One training."""

    activation: str
    rate: float
    seed: int


def measure(data: Path, job: Job, steps: int, options: list[str]) -> float:
    """Train and evaluate once: the mean test PSNR of ns-eval, dB."""
    with tempfile.TemporaryDirectory() as folder:
        where = ["--output-dir", folder, "--experiment-name", "e", "--timestamp", "t", "--vis", "tensorboard"]
        train = ["ns-train", "finer-nerf", *where, "--pipeline.model.activation", job.activation]
        train += ["--optimizers.fields.optimizer.lr", str(job.rate)]
        train += ["--max-num-iterations", str(steps), "--machine.seed", str(job.seed)]
        run([*train, "--machine.device-type", "cpu", *options, "--data", str(data)])
        metrics = Path(folder) / "metrics.json"
        run(["ns-eval", "--load-config", f"{folder}/e/finer-nerf/t/config.yml", "--output-path", str(metrics)])
        return json.loads(metrics.read_text())["results"]["psnr"]


def measure_all(jobs: list[Job], options: argparse.Namespace, record: dict[str, Any]) -> list[float]:
    """Measure all jobs, as many at once as there are cores, and note each in the record."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        found = []
        for job, value in zip(
            jobs, pool.map(lambda job: measure(options.data, job, options.steps, options.options), jobs), strict=True
        ):
            found.append(value)
            record["runs"].append({**asdict(job), "psnr": value})
            print(f"{job.activation} lr {job.rate:g} seed {job.seed}: {value:.2f} dB", file=sys.stderr, flush=True)
            if options.json:
                options.json.write_text(json.dumps(record, indent=1))
        return found


def main() -> None:
    """Print the table, and write every run's figures if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a Blender dataset")
    parser.add_argument("--steps", type=int, default=300, help="training steps")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each, with seeds 0, 1, ...")
    parser.add_argument("--rates", type=float, nargs="+", default=[2e-4, 5e-4, 1.2e-3], help="learning rates to try")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    parser.add_argument("options", nargs="*", help="more options for ns-train finer-nerf, after --")
    options = parser.parse_args()
    names = [name for pair in PAIRS.items() for name in pair]
    record: dict[str, Any] = {"data": options.data.name, "steps": options.steps, "options": options.options, "runs": []}
    trials = [Job(name, rate, TRIAL_SEED) for name in names for rate in options.rates]
    scores = measure_all(trials, options, record) if len(options.rates) > 1 else [0.0] * len(trials)
    tried = dict(zip(trials, scores, strict=True))
    best = {name: max((job for job in tried if job.activation == name), key=lambda job: tried[job]) for name in names}
    rates = {name: job.rate for name, job in best.items()}
    jobs = [Job(name, rates[name], seed) for seed in range(options.seeds) for name in names]
    results = dict(zip(jobs, measure_all(jobs, options, record), strict=True))
    found = {name: [psnr for job, psnr in results.items() if job.activation == name] for name in names}
    table = Table(title=f"Test PSNR (dB) after {options.steps} steps, {options.seeds} seeds: mean and range")
    for heading in ("backbone", "rate", "plain", "range", "rate", "FINER++", "range", "difference"):
        table.add_column(heading, justify="left" if heading == "backbone" else "right")
    for plain, finer in PAIRS.items():
        cells: list[str] = []
        for name in (plain, finer):
            low, high = min(found[name]), max(found[name])
            cells += [f"{rates[name]:g}", f"{statistics.mean(found[name]):.2f}", f"{low:.2f}-{high:.2f}"]
        gain = statistics.mean(found[finer]) - statistics.mean(found[plain])
        table.add_row(plain, *cells, f"{gain:+.2f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
