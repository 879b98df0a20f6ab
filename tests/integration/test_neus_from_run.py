"""cn-neus that starts from a run of diner-surface, and runs that it cannot start from."""

import math

import numpy as np
import pytest
import torch
from inr_plugins.method_configs.neus import cn_neus
from integration.small_methods import small_diner, small_diner_surface, small_neus
from long_form import long_form
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from short_runs import train

from inr_plugins.errors import InputError
from inr_plugins.models.neus import start
from inr_plugins.models.neus.model import NeusModel
from inr_plugins.scenes.make import SceneOptions, make_scene


@pytest.fixture(scope="module")
def voxels(knot, tmp_path_factory):
    return train(small_diner_surface(knot, tmp_path_factory.mktemp("voxels")), 40)


def started(knot, output, run, **changes):
    config = small_neus(cn_neus, knot, output)
    config.pipeline.model.start, config.pipeline.model.start_run_steps = run, 120
    for name, value in changes.items():
        setattr(config.pipeline.model, name, value)
    return config


@long_form
def test_the_surface_of_the_run_is_there_before_the_first_step(knot, voxels, tmp_path, capsys):
    # Another frame than the run's.
    config = started(knot, tmp_path, voxels.base_dir, width=48, colour_width=32)
    config.pipeline.datamanager.dataparser = BlenderDataParserConfig(alpha_color=None, scale_factor=0.5)
    # Only what it starts from is asked.
    for group in config.optimizers.values():
        group["optimizer"].lr = 1e-9
    trainer = train(config, 1)
    # One that is given goes before.
    assert trainer.optimizers.optimizers["fields"].param_groups[0]["initial_lr"] == 1e-9
    model, target = trainer.pipeline.model.eval(), voxels.pipeline.model.eval()
    low, high = model.field.box
    x = low + (high - low) * torch.rand(4000, 3)
    with torch.no_grad():
        found, truth = model.field.sdf(x), target.field.sdf(2 * x) / 2
    both, either = ((found < 0) & (truth < 0)).sum(), ((found < 0) | (truth < 0)).sum()
    assert float(both / either) > 0.9
    assert float((found - truth)[truth.abs() < 0.05].abs().mean()) < 0.015
    # Half as sharp as the run, in lengths half as large.
    sharpness = float(target.sharpness) / float(target.field.lattice.edge)
    assert float(model.field.sharpness) == pytest.approx(sharpness, rel=0.25)
    said = " ".join(capsys.readouterr().out.split())
    assert f"The surface starts as that of {voxels.base_dir}" in said.replace("\n", "")


@long_form
def test_first_steps_move_the_surface_by_less_than_half_its_width(knot, voxels, tmp_path, capsys, monkeypatch):
    config = started(knot, tmp_path / "first", voxels.base_dir, width=48, colour_width=32, start_run_steps=40)
    config.optimizers["fields"]["optimizer"].lr = None
    # The beginning of a longer run, from a surface that is sharper than one of so few steps.
    config.optimizers["fields"]["scheduler"].max_steps = 600
    monkeypatch.setattr(start, "_SOFTER", 5.0)
    seen, own = [], NeusModel.before_step

    def looked(model, step):
        low, high = model.field.box
        x = low + (high - low) * torch.rand(20000, 3, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            seen.append(model.field.sdf(x))
        own(model, step)

    monkeypatch.setattr(NeusModel, "before_step", looked)
    trainer = train(config, 5)
    width = 1 / float(trainer.pipeline.model.field.sharpness)
    near = seen[0].abs() < 2 * width
    assert int(near.sum()) > 200
    moved = [float((each - seen[0])[near].abs().mean()) for each in seen[1:]]
    assert max(moved) < width / 2, [each / width for each in moved]
    (group,) = trainer.optimizers.optimizers["fields"].param_groups
    share = math.exp(3) / (float(trainer.pipeline.model.field.network_unit) / width)
    assert group["initial_lr"] == pytest.approx(5e-4 * share, rel=0.05)
    assert f"learns at as small a part of the rate: {group['initial_lr']:.2g};" in capsys.readouterr().out
    # A run that goes on keeps its rate.
    config = started(knot, tmp_path / "on", voxels.base_dir, width=48, colour_width=32, start_run_steps=40)
    config.optimizers["fields"]["optimizer"].lr = None
    on = train(config, 1, load_dir=trainer.checkpoint_dir)
    assert on.optimizers.optimizers["fields"].param_groups[0]["initial_lr"] == group["initial_lr"]


@long_form
def test_a_run_of_other_data_and_one_without_distances_are_refused(knot, voxels, tmp_path):
    other = tmp_path / "other"
    make_scene("windmill", other, options=SceneOptions(resolution=(32, 32), num_train=12, num_val=1, num_test=1))
    with pytest.raises(InputError, match="has learnt from other pictures"):
        train(started(other, tmp_path / "a", voxels.base_dir), 1)
    moved = tmp_path / "moved"
    make_scene("knot", moved, options=SceneOptions(resolution=(32, 32), num_train=9, num_val=1, num_test=1))
    with pytest.raises(InputError, match=r"has learnt in another frame: \d+ of 9 cameras"):
        train(started(moved, tmp_path / "b", voxels.base_dir), 1)
    density = train(small_diner(knot, tmp_path / "diner"), 2)
    with pytest.raises(InputError, match="has no signed distance to start from"):
        train(started(knot, tmp_path / "c", density.base_dir), 1)
    with pytest.raises(InputError, match=r"config\.yml"):
        train(started(knot, tmp_path / "d", tmp_path), 1)
    assert not any((tmp_path / name).exists() for name in "abcd")
    assert np.isfinite(float(voxels.pipeline.model.sharpness))
