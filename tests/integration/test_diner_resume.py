"""Resuming the shipped preset through its own trainer and datamanager, across a change of stage."""

import copy

import pytest
from inr_plugins.method_configs.diner import diner
from short_runs import assert_same_state, train


def small_config(data, output):
    config = copy.deepcopy(diner.config)
    config.pipeline.datamanager.data = data
    config.pipeline.datamanager.train_num_rays_per_batch = 512
    model = config.pipeline.model
    model.num_voxels, model.coarse_voxels, model.coarse_steps = 8000, (1000, 3000), (50, 20)
    model.coarse_prune_every, model.prune_steps, model.warm_up_steps = 40, (10, 25), 5
    config.output_dir = output
    return config


@pytest.mark.parametrize("stop", [45, 60, 90])
def test_stopping_and_going_on_gives_the_same_bits(knot, tmp_path, stop):
    total = 110
    straight = train(small_config(knot, tmp_path / "straight"), total)
    first = train(small_config(knot, tmp_path / "first"), stop)
    second = train(small_config(knot, tmp_path / "second"), total - stop, load_dir=first.checkpoint_dir)
    assert straight.step == total - 1
    assert_same_state(straight.checkpoint_dir, second.checkpoint_dir)
