"""Resuming the shipped preset through its own trainer and datamanager, across a change of stage."""

import copy

import pytest
import torch
from inr_plugins.method_configs.diner import diner

from inr_plugins.engine import checkpoints
from inr_plugins.engine.rng import seed_all


def small_config(data, output):
    config = copy.deepcopy(diner.config)
    config.pipeline.datamanager.data = data
    config.pipeline.datamanager.train_num_rays_per_batch = 512
    model = config.pipeline.model
    model.num_voxels, model.coarse_voxels, model.coarse_steps = 8000, (1000, 3000), (50, 20)
    model.coarse_prune_every, model.prune_steps, model.warm_up_steps = 40, (10, 25), 5
    config.vis, config.output_dir, config.final_eval_images = "tensorboard", output, 0
    config.machine.device_type = "cpu"
    return config


def train(config, steps, load_dir=None):
    config.max_num_iterations, config.load_dir = steps, load_dir
    config.set_timestamp()
    config.save_config()
    seed_all(config.machine.seed)
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    trainer.train()
    return trainer.checkpoint_dir


@pytest.mark.parametrize("stop", [45, 60, 90])
def test_stopping_and_going_on_gives_the_same_bits(knot, tmp_path, stop):
    total = 110
    straight = train(small_config(knot, tmp_path / "straight"), total)
    first = train(small_config(knot, tmp_path / "first"), stop)
    second = train(small_config(knot, tmp_path / "second"), total - stop, load_dir=first)
    expected, actual = (checkpoints.read_newest_checkpoint(folder)[0] for folder in (straight, second))
    assert expected["step"] == actual["step"] == total - 1
    assert expected["pipeline"].keys() == actual["pipeline"].keys()
    for name, value in expected["pipeline"].items():
        assert torch.equal(value, actual["pipeline"][name]), name
