"""Memory and seconds of diner-image on a large image, and how the seconds of a step grow with the image.

.venv/bin/python benchmarks/large_image.py [--size 8192] [--passes 1] [--output FOLDER] [--sizes 256 2048]

inr-phantom makes a planet of SIZE x SIZE pixels, ns-train diner-image goes through it, and inr-eval opens the run; each
is a process of its own, whose peak of resident memory the system tells (of which a file that is looked up is a part).
Then trainings of the two --sizes take steps of 65,536 pixels by turns, and the medians of their seconds are compared.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_BATCH, _STEPS, _LEFT_OUT = 1 << 16, 40, 10


def run(*command: str, log: Path) -> None:
    """Run a command of this environment, and print its seconds and its memory."""
    begin = time.perf_counter()
    with log.open("a", encoding="utf-8") as file:
        program = str(Path(sys.executable).parent / command[0])
        process = subprocess.Popen([program, *command[1:]], stdout=file, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    print(
        f"{command[0]} {command[1]}: status {os.waitstatus_to_exitcode(status)}, {seconds:.0f} s, of a processor "
        f"{used.ru_utime + used.ru_stime:.0f} s, peak {used.ru_maxrss / 1e6:.2f} GB",
        flush=True,
    )


def whole(folder: Path, size: int, passes: float) -> None:
    """The commands, one after the other."""
    image, log = folder / f"planet-{size}.tif", folder / "log.txt"
    if not image.exists():
        run("inr-phantom", "planet", str(image), "--size", str(size), log=log)
    steps = math.ceil(size * size / (1 << 20)) * passes
    options = ["--max-num-iterations", str(round(steps)), "--vis", "tensorboard", "--timestamp", str(time.time_ns())]
    options += ["--pipeline.datamanager.dataparser.memory-gigabytes", "0.1", "--output-dir", str(folder / "runs")]
    options += ["--pipeline.datamanager.pixels-per-batch", str(1 << 20)]
    run("ns-train", "diner-image", "--data", str(image), *options, log=log)
    place = folder / "runs" / image.stem / "diner-image" / options[5]
    run("inr-eval", str(place), "--output", str(folder / f"eval-{size}.json"), log=log)


def trainer_of(image: Path, folder: Path) -> Any:
    """A trainer that has been set up."""
    from inr_plugins.method_configs.images import diner_image

    config = copy.deepcopy(diner_image.config)
    config.pipeline.datamanager.data, config.pipeline.datamanager.pixels_per_batch = image, _BATCH
    config.output_dir, config.vis, config.max_num_iterations = folder / "runs", "tensorboard", 10**6
    config.set_timestamp()
    config.save_config()
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    return trainer


def ratio(folder: Path, sizes: list[int]) -> None:
    """Seconds of a step by the size of the image."""
    from inr_plugins.scenes.planet import write_planet

    trainers, times = {}, {size: list[float]() for size in sizes}
    for size in sizes:
        write_planet(folder / f"planet-{size}.tif", size)
        trainers[size] = trainer_of(folder / f"planet-{size}.tif", folder)
        trainers[size].pipeline.train()
    for step in range(_STEPS):
        for size, trainer in trainers.items():
            begin = time.process_time()
            trainer.train_iteration(step)
            times[size].append(time.process_time() - begin)
    medians = {size: statistics.median(each[_LEFT_OUT:]) for size, each in times.items()}
    for size, median in medians.items():
        print(f"{size} x {size}: {1e3 * median:.1f} ms of a processor a step of {_BATCH:,} pixels")
    print(f"ratio {medians[sizes[-1]] / medians[sizes[0]]:.2f}")


def main() -> None:
    """Measure, and print a few lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=8192)
    parser.add_argument("--passes", type=float, default=1.0)
    parser.add_argument("--output", type=Path, default=Path("outputs/large_image"))
    parser.add_argument("--sizes", type=int, nargs=2, default=[256, 2048])
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    # First, while this process has little memory: what it starts begins with as much.
    whole(options.output, options.size, options.passes)
    ratio(options.output, options.sizes)


if __name__ == "__main__":
    main()
