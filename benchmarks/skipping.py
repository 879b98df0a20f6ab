"""What skipping empty space saves: finer-nerf with and without, trained in turns on the same rays budget.

.venv/bin/python benchmarks/skipping.py --data DIR [--steps 400] [--rays 512] [--every 20] [--json FILE]

Two trainings of their own, from the same weights, take their steps in turns, so that a machine that slows down slows
both. Samples are as dense from the first step as they are in the end, and no ray is left out of a step for having too
many. The quality is that of test views after the last step.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from inr_plugins.method_configs.finer_nerf import finer_nerf
from nerfstudio.data.datasets.base_dataset import InputDataset
from nerfstudio.engine.callbacks import TrainingCallbackLocation
from rich.console import Console
from rich.table import Table

from inr_plugins.engine.host.startup import prepare_process
from inr_plugins.engine.trainer import InrTrainer
from inr_plugins.metrics.image import psnr, ssim

CASES = {"dense": False, "skipping": True}


def make_trainer(options: argparse.Namespace, *, skip: bool, folder: str) -> InrTrainer:
    """A trainer of finer-nerf that has taken no step."""
    config: Any = deepcopy(finer_nerf.config)
    config.output_dir, config.experiment_name, config.timestamp = Path(folder), "skipping", str(skip)
    config.vis, config.machine.device_type = "tensorboard", "cpu"
    config.max_num_iterations = options.steps
    config.data = options.data
    config.pipeline.datamanager.data = options.data
    config.pipeline.datamanager.train_num_rays_per_batch = options.rays
    model = config.pipeline.model
    model.skip_empty, model.samples_per_diagonal, model.double_samples_at = skip, options.samples, ()
    model.max_train_samples = options.rays * options.samples
    config.save_config()
    torch.manual_seed(0)
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    return trainer


def take_step(trainer: InrTrainer, step: int) -> float:
    """One training step with what belongs to it; its seconds."""
    start = time.perf_counter()
    trainer.pipeline.train()
    trainer.train_iteration(step)
    for callback in trainer.callbacks:
        callback.run_callback_at_location(step, location=TrainingCallbackLocation.AFTER_TRAIN_ITERATION)
    return time.perf_counter() - start


@torch.no_grad()
def quality(trainer: InrTrainer, every: int) -> tuple[float, float, float]:
    """Mean PSNR and SSIM over every n-th test view, and seconds a view."""
    trainer.pipeline.eval()
    dataset = trainer.pipeline.datamanager.eval_dataset
    assert isinstance(dataset, InputDataset)
    scores, begin = [], time.perf_counter()
    for index in range(0, len(dataset), every):
        truth = dataset.get_data(index, image_type="float32")["image"]
        if truth.shape[-1] == 4:
            truth = truth[..., :3] * truth[..., 3:] + 1 - truth[..., 3:]
        rgb = trainer.pipeline.model.get_outputs_for_camera(dataset.cameras[index : index + 1])["rgb"].clamp(0, 1)
        scores.append((psnr(rgb, truth), ssim(rgb, truth)))
    seconds = (time.perf_counter() - begin) / len(scores)
    return statistics.mean(p for p, _ in scores), statistics.mean(s for _, s in scores), seconds


def main() -> None:
    """Train both in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a Blender dataset")
    parser.add_argument("--steps", type=int, default=400, help="training steps of each")
    parser.add_argument("--rays", type=int, default=512, help="rays a step")
    parser.add_argument("--samples", type=int, default=256, help="samples along the diagonal of the box")
    parser.add_argument("--every", type=int, default=20, help="test views: the first and every n-th after it")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    options = parser.parse_args()
    prepare_process()
    seconds: dict[str, list[float]] = {name: [] for name in CASES}
    with tempfile.TemporaryDirectory() as folder:
        trainers = {name: make_trainer(options, skip=skip, folder=folder) for name, skip in CASES.items()}
        for step in range(options.steps):
            for name, trainer in trainers.items():
                seconds[name].append(take_step(trainer, step))
        results = {name: quality(trainer, options.every) for name, trainer in trainers.items()}
    table = Table(title=f"{options.steps} steps of {options.rays} rays, {options.samples} samples along the diagonal")
    for heading in ("", "ms a step, median", "last half", "all steps, s", "PSNR", "SSIM", "s a view"):
        table.add_column(heading, justify="right" if heading else "left")
    record: dict[str, Any] = {"options": {key: str(value) for key, value in vars(options).items()}}
    for name, (p, s, view) in results.items():
        times = seconds[name]
        late = statistics.median(times[len(times) // 2 :])
        row = (statistics.median(times) * 1e3, late * 1e3, sum(times))
        table.add_row(name, f"{row[0]:.0f}", f"{row[1]:.0f}", f"{row[2]:.0f}", f"{p:.2f}", f"{s:.3f}", f"{view:.2f}")
        record[name] = {"seconds": times, "psnr": p, "ssim": s, "seconds_per_view": view}
    Console(width=100).print(table)
    if options.json:
        options.json.write_text(json.dumps(record))


if __name__ == "__main__":
    main()
