"""The tiny method of the engine's tests, trained under the clock of a benchmark's worker."""

from __future__ import annotations

import json

from nerfstudio.engine.trainer import Trainer
from nerfstudio.pipelines.base_pipeline import VanillaPipeline
from tiny_method import make_scene, tiny_config

from inr_plugins.bench.worker import parse_arguments, time_training
from inr_plugins.engine.rng import seed_all


def train(tmp_path, arguments, *, timestamp="run", **overrides):
    """Train the tiny method under the worker's clock; returns the trainer and what was measured, if anything."""
    result = tmp_path / "result.json"
    usual = Trainer.train, VanillaPipeline.get_training_callbacks
    try:
        return _train(tmp_path, result, arguments, timestamp=timestamp, **overrides)
    finally:
        # Another training of this process would be measured twice.
        Trainer.train, VanillaPipeline.get_training_callbacks = usual


def _train(tmp_path, result, arguments, *, timestamp, **overrides):
    if arguments is not None:
        time_training(parse_arguments([*arguments, "--result", str(result), "--", "tiny"]))
    scene = tmp_path / "scene"
    if not scene.exists():
        make_scene(scene)
    quiet = {"steps_per_eval_batch": 0, "steps_per_eval_image": 0, "steps_per_save": 0, "final_eval_images": 0}
    config = tiny_config(scene, tmp_path / "runs", timestamp=timestamp, **{**quiet, **overrides})
    config.set_timestamp()
    config.save_config()
    seed_all(config.machine.seed)
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    trainer.train()
    return trainer, json.loads(result.read_text()) if result.exists() else None
