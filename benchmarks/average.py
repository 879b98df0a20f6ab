"""What a running mean of finer-nerf's weights gains: one training, several means of its weights kept beside it.

.venv/bin/python benchmarks/average.py --data DIR [--steps 150 300 450] [--decays 0.9 0.95 0.98] [--views 4]

The means do not change the training. Its learning rate is that of a run of 30,000 steps: it has hardly fallen.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from inr_plugins.method_configs.finer_nerf import finer_nerf
from nerfstudio.engine.callbacks import TrainingCallbackLocation

from inr_plugins.engine.host.startup import prepare_process
from inr_plugins.engine.offline_lpips import without_lpips_weights
from inr_plugins.engine.optimization.weight_average import WeightAverage


def make_trainer(data: Path, folder: Path) -> Any:
    """The shipped preset on its way to 30,000 steps, to be evaluated on test views."""
    config: Any = deepcopy(finer_nerf.config)
    config.data = config.pipeline.datamanager.data = data
    config.vis, config.machine.device_type, config.max_num_iterations = "tensorboard", "cpu", 30_000
    config.output_dir, config.experiment_name, config.timestamp = folder, "average", "run"
    config.save_config()
    torch.manual_seed(0)
    with without_lpips_weights():
        trainer = config.setup(local_rank=0, world_size=1)
        trainer.setup("test")
    return trainer


@torch.no_grad()
def psnr(trainer: Any, average: WeightAverage, views: int) -> float:
    """Mean over test views, as evaluated with an average of the weights."""
    model, dataset = trainer.pipeline.model, trainer.pipeline.datamanager.eval_dataset
    own, model.average = model.average, average
    model.eval()
    found = []
    for index in range(0, len(dataset), len(dataset) // views)[:views]:
        seen = model.get_outputs_for_camera(dataset.cameras[index : index + 1])["rgb"]
        target = model.background.under_image(torch.as_tensor(dataset[index]["image"]))
        found.append(float(-10 * torch.log10((seen - target).square().mean())))
    model.average = own
    model.train()
    return sum(found) / len(found)


def main() -> None:
    """Train, and print a row at each of the steps asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a Blender dataset")
    parser.add_argument("--steps", type=int, nargs="+", default=[150, 300, 450], help="when to evaluate")
    parser.add_argument("--decays", type=float, nargs="+", default=[0.9, 0.95, 0.98, 0.99, 0.995])
    parser.add_argument("--views", type=int, default=4, help="test views")
    options = parser.parse_args()
    prepare_process()
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(options.data, Path(folder))
        field = trainer.pipeline.model.trained_field
        averages = {decay: WeightAverage(field, decay=decay) for decay in (0.0, *options.decays)}
        seconds = 0.0
        for step in range(max(options.steps)):
            begin = time.perf_counter()
            trainer.pipeline.train()
            trainer.train_iteration(step)
            for callback in trainer.callbacks:
                callback.run_callback_at_location(step, location=TrainingCallbackLocation.AFTER_TRAIN_ITERATION)
            seconds += time.perf_counter() - begin
            for average in averages.values():
                average.update(field)
            if step + 1 in options.steps:
                found = [f"{decay:g}: {psnr(trainer, each, options.views):.2f}" for decay, each in averages.items()]
                print(f"step {step + 1}, {seconds:.0f} s:  {'  '.join(found)}", flush=True)


if __name__ == "__main__":
    main()
