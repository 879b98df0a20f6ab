"""A training of one signal in the process at hand, for the benchmarks of images and videos."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class OneRun:
    """What came of it.

    Attributes:
        pipeline: in eval.
        folder: of the run.
        seconds: of training, by the clock.
        cpu: the same, of all processors together.
    """

    pipeline: Any
    folder: Path
    seconds: float
    cpu: float


def train_once(config: Any, data: Path, runs: Path, name: str, steps: int) -> OneRun:
    """Train a method that was set up otherwise, without evaluations on the way."""
    from inr_plugins.engine.rng import seed_all

    config.pipeline.datamanager.data = data
    config.output_dir, config.experiment_name = runs, name
    config.max_num_iterations, config.steps_per_save, config.vis = steps, steps, "tensorboard"
    config.final_eval_images, config.steps_per_eval_image, config.steps_per_eval_batch = 0, 0, 0
    config.set_timestamp()
    config.save_config()
    seed_all(config.machine.seed)
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    begin, spent = time.perf_counter(), time.process_time()
    trainer.train()
    seconds, cpu = time.perf_counter() - begin, time.process_time() - spent
    return OneRun(trainer.pipeline.eval(), trainer.base_dir, seconds, cpu)
