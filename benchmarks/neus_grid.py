"""What a lattice of distances saves cn-neus: trainings with and without it, in turns, their pictures in the end.

.venv/bin/python benchmarks/neus_grid.py --data DIR [--method cn-neus] [--steps 400] [--rays 512] [--width 64]
    [--samples 32] [--lr 2e-3] [--seed 0] [--every 20] [--cases NAME:SETTING=VALUE,... ...] [--json FILE]

Each case is a training of its own, from the same weights; all take their steps in turns, so that a machine that
slows down slows all. A case is a name and settings of the model, as Python writes them, by commas; `steps` and `lr`
among them are its own number of steps and learning rate. Seconds of a view are of the same views for all. IoU is of
silhouettes: what of the pixels is more than half opaque, beside alpha or masks.
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import statistics
import tempfile
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from inr_plugins.method_configs.neus import cn_neus, finer_neus
from nerfstudio.engine.callbacks import TrainingCallbackLocation
from rich.console import Console
from rich.table import Table

from inr_plugins.engine.host.startup import prepare_process
from inr_plugins.engine.trainer import InrTrainer
from inr_plugins.models.neus.losses import coverage

METHODS = {"cn-neus": cn_neus, "finer-neus": finer_neus}
CASES = ["everywhere:skip_empty=False", "lattice:"]


def make_trainer(options: argparse.Namespace, name: str, settings: dict[str, Any], folder: str) -> InrTrainer:
    """A trainer that has taken no step."""
    config: Any = deepcopy(METHODS[options.method].config)
    config.output_dir, config.experiment_name, config.timestamp = Path(folder), "grid", name
    config.vis, config.machine.device_type = "tensorboard", options.device
    config.max_num_iterations = settings.pop("steps", options.steps)
    manager, model = config.pipeline.datamanager, config.pipeline.model
    config.data = manager.data = options.data
    manager.train_num_rays_per_batch = options.rays
    model.width = model.colour_width = options.width
    model.uniform_samples = model.finer_samples = options.samples
    config.optimizers["fields"]["optimizer"].lr = settings.pop("lr", options.lr)
    config.machine.seed = options.seed
    for setting, value in settings.items():
        setattr(model, setting, value)
    config.set_timestamp()
    config.save_config()
    torch.manual_seed(options.seed)
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    return trainer


def take_step(trainer: InrTrainer, step: int) -> float:
    """One training step with what belongs to it; its seconds."""
    start = time.perf_counter()
    trainer.pipeline.train()
    for where in (TrainingCallbackLocation.BEFORE_TRAIN_ITERATION, TrainingCallbackLocation.AFTER_TRAIN_ITERATION):
        if where == TrainingCallbackLocation.AFTER_TRAIN_ITERATION:
            trainer.train_iteration(step)
        for callback in trainer.callbacks:
            callback.run_callback_at_location(step, location=where)
    return time.perf_counter() - start


@torch.no_grad()
def quality(trainer: InrTrainer, every: int) -> tuple[float, float, float]:
    """Mean PSNR and silhouettes' IoU of every n-th held-out view, and seconds a view; of 0 nothing is known."""
    if every == 0:
        return math.nan, math.nan, math.nan
    trainer.pipeline.eval()
    dataset: Any = trainer.pipeline.datamanager.eval_dataset
    scores, both, either, seconds = [], 0, 0, 0.0
    for index in range(0, len(dataset), every):
        begin = time.perf_counter()
        outputs = trainer.pipeline.model.get_outputs_for_camera(dataset.cameras[index : index + 1])
        seconds += time.perf_counter() - begin
        batch = dataset.get_data(index, "float32")
        metrics, _ = trainer.pipeline.model.get_image_metrics_and_images(outputs, batch)
        scores.append(float(metrics["psnr"]))
        found, truth = (
            outputs["accumulation"] > 0.5,
            coverage(batch["image"], batch, trainer.config.pipeline.model) > 0.5,
        )
        both, either = both + int((found & truth).sum()), either + int((found | truth).sum())
    return statistics.mean(scores), both / max(either, 1), seconds / len(scores)


def main() -> None:
    """Train all in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="images with alpha or masks")
    parser.add_argument("--method", choices=[*METHODS], default="cn-neus")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=400, help="training steps of each")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches")
    parser.add_argument("--rays", type=int, default=512, help="rays a step")
    parser.add_argument("--width", type=int, default=64, help="of both networks")
    parser.add_argument("--samples", type=int, default=32, help="even samples of a ray, and added ones")
    parser.add_argument("--lr", type=float, default=2e-3, help="learning rate")
    parser.add_argument("--every", type=int, default=20, help="held-out views: every n-th; 0: none")
    parser.add_argument("--cases", nargs="+", default=CASES, help="NAME:SETTING=VALUE,...")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    options = parser.parse_args()
    prepare_process()
    cases: dict[str, dict[str, Any]] = {}
    for case in options.cases:
        name, _, settings = case.partition(":")
        pairs = [pair.partition("=") for pair in settings.split(",") if pair]
        cases[name] = {setting: ast.literal_eval(value) for setting, _, value in pairs}
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    with tempfile.TemporaryDirectory() as folder:
        trainers = {name: make_trainer(options, name, settings, folder) for name, settings in cases.items()}
        for step in range(max(trainer.config.max_num_iterations for trainer in trainers.values())):
            for name, trainer in trainers.items():
                if step < trainer.config.max_num_iterations:
                    seconds[name].append(take_step(trainer, step))
        results = {name: quality(trainer, options.every) for name, trainer in trainers.items()}
    table = Table(title=f"{options.method}, {options.steps} steps of {options.rays} rays")
    for heading in (
        "",
        "ms a step, median",
        "last quarter",
        "of the first",
        "all, s",
        "PSNR",
        "IoU",
        "s a view",
        "of the first",
    ):
        table.add_column(heading, justify="right" if heading else "left")
    record: dict[str, Any] = {"options": {key: str(value) for key, value in vars(options).items()}}
    first: tuple[float, float] | None = None
    for name, (psnr, iou, view) in results.items():
        times = seconds[name]
        late = statistics.median(times[-max(1, len(times) // 4) :])
        first = first or (late, view)
        row = [f"{statistics.median(times) * 1e3:.0f}", f"{late * 1e3:.0f}", f"{late / first[0]:.2f}"]
        row += [f"{sum(times):.0f}", f"{psnr:.2f}", f"{iou:.3f}", f"{view:.2f}", f"{view / first[1]:.2f}"]
        table.add_row(name, *row)
        record[name] = {"seconds": times, "psnr": psnr, "iou": iou, "seconds_per_view": view}
    Console(width=120).print(table)
    if options.json:
        options.json.write_text(json.dumps(record))


if __name__ == "__main__":
    main()
