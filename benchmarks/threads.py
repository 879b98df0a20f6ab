"""What a step costs as torch's threads spin while they wait, as they do not, and as we let them; idle and busy machine.

.venv/bin/python benchmarks/threads.py --scene DIR --mesh FILE [--methods diner finer-sdf] [--steps 20]
    [--warm-up 20] [--repeat 2]

Each row is a training of its own, in a process of its own, of a shipped preset: the median of its steps after the
warm-up, and of the repetitions. "Busy" is beside another process that keeps one processor.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from copy import deepcopy
from pathlib import Path

from nerfstudio.plugins.registry import discover_methods
from rich.console import Console
from rich.table import Table
from steps import make_step

from inr_plugins.engine.host.startup import prepare_process
from inr_plugins.engine.host.threads import WAIT_VARIABLES

WAYS = {"as they come": {"GOMP_SPINCOUNT": "300000"}, "passive": {"OMP_WAIT_POLICY": "PASSIVE"}, "ours": {}}
"""Environments; the first is what GNU's OpenMP does by itself, said aloud so that nothing is changed."""
_SHAPES = ("finer-sdf", "cn-occupancy")
_BUSY = "while True: pass"


def measure_here(method: str, data: Path, warm_up: int, steps: int) -> float:
    """Median seconds of a step in this process."""
    prepare_process()
    config = deepcopy(discover_methods()[0][method])
    config.data = config.pipeline.datamanager.data = data
    config.vis, config.machine.device_type = "tensorboard", "cpu"
    config.max_num_iterations = warm_up + steps
    with tempfile.TemporaryDirectory() as folder:
        config.output_dir, config.experiment_name, config.timestamp = Path(folder), method, "run"
        step = make_step(config)
        return statistics.median([step(number) for number in range(warm_up + steps)][warm_up:])


def measure(method: str, data: Path, options: argparse.Namespace, way: dict[str, str]) -> float:
    """The same in a process with the environment `way`."""
    environment = {name: value for name, value in os.environ.items() if name not in WAIT_VARIABLES} | way
    command = [sys.executable, __file__, "--scene", str(data), "--mesh", str(data), "--here", method]
    command += ["--steps", str(options.steps), "--warm-up", str(options.warm_up)]
    printed = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    return float(printed.split()[-1])


def main() -> None:
    """Measure in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", type=Path, required=True, help="a Blender dataset")
    parser.add_argument("--mesh", type=Path, required=True, help="for methods of shapes")
    parser.add_argument("--methods", nargs="+", default=["diner", "finer-nerf", "cn-mipnerf", "finer-sdf"])
    parser.add_argument("--warm-up", type=int, default=20, help="steps that are not timed")
    parser.add_argument("--steps", type=int, default=20, help="steps that are")
    parser.add_argument("--repeat", type=int, default=2, help="trainings of each row")
    parser.add_argument("--here", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(measure_here(options.here, options.scene, options.warm_up, options.steps))
        return
    table = Table(title="milliseconds a step")
    for heading in ("method", "machine", *WAYS):
        table.add_column(heading, justify="left" if heading in ("method", "machine") else "right")
    for method in options.methods:
        data = options.mesh if method in _SHAPES else options.scene
        for machine in ("idle", "busy"):
            seconds: dict[str, list[float]] = {name: [] for name in WAYS}
            stranger = subprocess.Popen([sys.executable, "-c", _BUSY]) if machine == "busy" else None
            try:
                for _ in range(options.repeat):
                    for name, way in WAYS.items():
                        seconds[name].append(measure(method, data, options, way))
            finally:
                if stranger is not None:
                    stranger.kill()
            table.add_row(method, machine, *(f"{statistics.median(each) * 1e3:.0f}" for each in seconds.values()))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
