"""What a training step costs: methods and normalizations in turns, beside nerfstudio's mipnerf, as one table.

.venv/bin/python benchmarks/steps.py --data DIR [--methods cn-mipnerf cn-neus mipnerf]
    [--normalizations none cross] [--rays 512] [--warm-up 20] [--steps 10] [--float32] [--json FILE]

Every case is a training of its own with the shipped preset. All take their steps in turns, so that a machine that slows
down slows all of them; medians are given, of the steps after the warm-up, of which nerfstudio's method takes two. The
presets' samples a ray are nerfstudio's. Its method is timed under this package's settings of the allocator; as it comes
it has none: INR_ALLOCATOR=system ... --methods mipnerf.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from inr_plugins.method_configs.cn_mipnerf import cn_mipnerf
from inr_plugins.method_configs.neus import cn_neus, finer_neus
from nerfstudio.engine.callbacks import TrainingCallbackLocation
from rich.console import Console
from rich.table import Table

from inr_plugins.engine.host.startup import prepare_process

OURS = {"cn-mipnerf": cn_mipnerf, "cn-neus": cn_neus, "finer-neus": finer_neus}
PEER = "mipnerf"


def make_config(method: str, normalization: str, options: argparse.Namespace, folder: Path) -> Any:
    """The preset, for a short training without a viewer, whose run is put into `folder`."""
    if method == PEER:
        from nerfstudio.configs.method_configs import method_configs
        from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig

        config: Any = deepcopy(method_configs[PEER])
        config.pipeline.datamanager.dataparser = BlenderDataParserConfig()
    else:
        config = deepcopy(OURS[method].config)
        config.pipeline.model.normalization = normalization
        config.pipeline.model.precision = "float32" if options.float32 else "bfloat16"
    config.data = config.pipeline.datamanager.data = options.data
    config.pipeline.datamanager.dataparser.data = options.data
    config.pipeline.datamanager.train_num_rays_per_batch = options.rays
    config.vis, config.machine.device_type = "tensorboard", "cpu"
    config.max_num_iterations = options.warm_up + options.steps
    config.output_dir, config.experiment_name, config.timestamp = folder, method, normalization
    return config


def make_step(config: Any) -> Callable[[int], float]:
    """A training that has taken no step, as a function that takes one and gives its seconds."""
    from inr_plugins.engine.offline_lpips import without_lpips_weights

    config.save_config()
    torch.manual_seed(0)
    with without_lpips_weights():
        trainer = config.setup(local_rank=0, world_size=1)
        trainer.setup()

    def callbacks(step: int, location: TrainingCallbackLocation) -> None:
        for callback in trainer.callbacks:
            callback.run_callback_at_location(step, location=location)

    def step(number: int) -> float:
        begin = time.perf_counter()
        trainer.pipeline.train()
        callbacks(number, TrainingCallbackLocation.BEFORE_TRAIN_ITERATION)
        trainer.train_iteration(number)
        callbacks(number, TrainingCallbackLocation.AFTER_TRAIN_ITERATION)
        return time.perf_counter() - begin

    return step


def main() -> None:
    """Take the steps in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a Blender dataset with alpha")
    parser.add_argument("--methods", nargs="+", default=["cn-mipnerf", "cn-neus", PEER], choices=[*OURS, PEER])
    parser.add_argument("--normalizations", nargs="+", default=["none", "cross"], help="of our methods")
    parser.add_argument("--rays", type=int, default=512, help="rays a step")
    parser.add_argument("--warm-up", type=int, default=20, help="steps of each that are not timed")
    parser.add_argument("--steps", type=int, default=10, help="steps of each that are")
    parser.add_argument("--float32", action="store_true", help="our networks in float32 too")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    options = parser.parse_args()
    prepare_process()
    cases = [(m, n) for m in options.methods for n in (["none"] if m == PEER else options.normalizations)]
    seconds: dict[tuple[str, str], list[float]] = {case: [] for case in cases}
    with tempfile.TemporaryDirectory() as folder:
        steps = {case: make_step(make_config(*case, options, Path(folder))) for case in cases}
        for number in range(options.warm_up + options.steps):
            for case, step in steps.items():
                # nerfstudio's own skips nothing, so that what it has learnt does not change what a step costs.
                if case[0] != PEER or number >= options.warm_up - 2:
                    seconds[case].append(step(number))
    medians = {case: statistics.median(times[-options.steps :]) for case, times in seconds.items()}
    table = Table(title=f"{options.rays} rays a step, {'float32' if options.float32 else 'bfloat16'}")
    for heading in ("method", "normalization", "ms a step", "of no norm", "rays a second"):
        table.add_column(heading, justify="left" if heading in ("method", "normalization") else "right")
    for (method, normalization), median in medians.items():
        plain = medians.get((method, "none"))
        ratio = "" if plain is None else f"{median / plain:.2f}"
        table.add_row(method, normalization, f"{median * 1e3:.0f}", ratio, f"{options.rays / median:.0f}")
    Console(width=100).print(table)
    if options.json:
        rows = [{"method": m, "normalization": n, "seconds": seconds[m, n]} for m, n in cases]
        options.json.write_text(json.dumps({"options": {k: str(v) for k, v in vars(options).items()}, "rows": rows}))


if __name__ == "__main__":
    main()
