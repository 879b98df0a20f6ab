"""How torch's threads wait: our watch of the neighbours beside what can be set in the environment before Python starts.

A row is a training of its own, in a process of its own. "Busy" is beside another process that keeps one processor.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any

from side_by_side import Cost, costs_of, median_of

COLUMNS = ["method", "machine", "way", "wall ms a step", "cpu ms a step", "wall of the best", "load"]
# GNU's own is said aloud, for where nothing is said we watch.
WAYS = {
    "GNU's own": {"GOMP_SPINCOUNT": "300000"},
    "spin a tenth": {"GOMP_SPINCOUNT": "30000"},
    "spin a three-hundredth": {"GOMP_SPINCOUNT": "1000"},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    "ours": {},
}
_RAYS = {"cn-mipnerf": 128}
"""Where a step of the preset takes many seconds."""
_SHAPES = ("finer-sdf",)
_WARM_UP, _STEPS = 15, 20
_BUSY = "while True: pass"


def train(method: str, data: Path) -> list[Cost]:
    """Costs of the steps after the warm-up, in this process."""
    from nerfstudio.plugins.registry import discover_methods
    from steps import make_step

    from inr_plugins.engine.host.startup import prepare_process

    prepare_process()
    config = deepcopy(discover_methods()[0][method])
    config.data = config.pipeline.datamanager.data = data
    if method in _RAYS:
        config.pipeline.datamanager.train_num_rays_per_batch = _RAYS[method]
    config.vis, config.machine.device_type = "tensorboard", "cpu"
    config.max_num_iterations = _WARM_UP + _STEPS
    with tempfile.TemporaryDirectory() as folder:
        config.output_dir, config.experiment_name, config.timestamp = Path(folder), method, "run"
        step = make_step(config)
        return [costs_of(lambda n=number: step(n)) for number in range(_WARM_UP + _STEPS)][_WARM_UP:]


def measure(method: str, data: Path, way: str) -> Cost:
    """Medians of one training in a process with that environment."""
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environment = {name: value for name, value in os.environ.items() if name not in names} | WAYS[way]
    command = [sys.executable, __file__, method, str(data)]
    printed = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    return median_of([Cost(*each) for each in json.loads(printed.splitlines()[-1])])


def compare(method: str, machine: str, data: Path, rounds: int) -> list[list[Any]]:
    """Rows of one method, on the machine as it is or beside a process that keeps one processor."""
    place = data / ("meshes/kitten.ply" if method in _SHAPES else "lego_200")
    stranger = subprocess.Popen([sys.executable, "-c", _BUSY]) if machine == "busy" else None
    spent: dict[str, list[Cost]] = {way: [] for way in WAYS}
    loads = [os.getloadavg()[0]]
    try:
        for _ in range(rounds):
            for way, costs in spent.items():
                costs.append(measure(method, place, way))
                loads.append(os.getloadavg()[0])
    finally:
        if stranger is not None:
            stranger.kill()
            stranger.wait()
    medians = {way: median_of(costs) for way, costs in spent.items()}
    best = min(cost.wall for cost in medians.values())
    load = f"{min(loads):.1f}-{max(loads):.1f}"
    return [
        [method, machine, way, 1e3 * cost.wall, 1e3 * cost.cpu, cost.wall / best, load] for way, cost in medians.items()
    ]


def cases(data: Path) -> dict[str, tuple[Any, ...]]:
    """What is compared."""
    methods, machines = ("diner", "cn-mipnerf", "finer-sdf"), ("as it is", "busy")
    return {f"{method}, {machine}": (compare, method, machine, data) for method in methods for machine in machines}


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        taken = train(sys.argv[1], Path(sys.argv[2]))
    print(json.dumps(taken))
