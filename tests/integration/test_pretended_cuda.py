"""Every method trained, evaluated and meshed on a CUDA device that is only pretended.

No tensor is left on the CPU, and a step waits for the device three times at the most.
"""

from __future__ import annotations

from functools import partial

import pytest
import torch
import trimesh
from inr_plugins.method_configs.neus import cn_neus
from inr_plugins.method_configs.nid import nid_fit, nid_shapes
from inr_plugins.method_configs.shapes import cn_occupancy, finer_sdf
from integration.small_methods import small_diner, small_finer_nerf, small_mipnerf, small_neus, small_nid, small_shape
from long_form import long_form
from nerfstudio.engine.callbacks import TrainingCallback
from pretend_cuda import PretendCuda, label
from short_runs import train

from inr_plugins.cli import eval as evaluation
from inr_plugins.cli import mesh
from inr_plugins.engine import defaults, trainer, trainer_settings
from inr_plugins.engine.runs import run
from inr_plugins.models.common import network_settings
from inr_plugins.networks import precision

pytestmark = long_form


@pytest.fixture
def cuda(monkeypatch):
    """Tensors that are moved to CUDA are labelled, and the device is said to be there."""
    monkeypatch.setenv("INR_LPIPS", "off")
    monkeypatch.setattr(defaults.InrMachineConfig, "resolve", lambda self: "cuda")
    monkeypatch.setattr(defaults, "choose_device_type", lambda *_: "cuda")
    monkeypatch.setattr(run, "choose_device", lambda *_: torch.device("cuda"))
    monkeypatch.setattr(trainer_settings, "choose_device_type", lambda *_: "cuda")
    for module in (precision, network_settings):
        monkeypatch.setattr(module, "cuda_has_bfloat16", lambda *_: True)
    monkeypatch.setattr(torch, "autocast", partial(_autocast, torch.autocast))
    for name in ("set_device", "synchronize"):
        monkeypatch.setattr(torch.cuda, name, lambda *_: None)
    # A thread of its own does this, which labels do not reach.
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self, *_: self)
    # Checkpoints in memory compare devices, which tensors that C++ holds have lost.
    checks = torch.utils.checkpoint._allowed_determinism_checks_to_fns
    monkeypatch.setitem(checks, "default", checks["none"])
    with PretendCuda() as pretended:
        steps = StepWaits(pretended)
        step, callback = trainer.InrTrainer.train_iteration, TrainingCallback.run_callback_at_location
        monkeypatch.setattr(trainer.InrTrainer, "train_iteration", steps.counting(step, starts=True))
        monkeypatch.setattr(TrainingCallback, "run_callback_at_location", steps.counting(callback))
        yield steps


class StepWaits:
    """Where the host waited for the device, step by step of a training, its callbacks included."""

    def __init__(self, pretended):
        self.pretended = pretended
        self.steps = []

    def counting(self, function, *, starts=False):
        def counted(*args, **kwargs):
            before = len(self.pretended.waits)
            if starts or not self.steps:
                self.steps.append([])
            found = function(*args, **kwargs)
            self.steps[-1] += self.pretended.waits[before:]
            return found

        return counted

    def check(self, *, most=3):
        """A step waits no more often than that, but for the few in which something is made anew."""
        half = len(self.steps) // 2
        for part in (self.steps[half:], *([self.steps[5:half]] if half > 10 else [])):
            usual = sorted(part, key=len)[len(part) // 2]
            assert len(usual) <= most, "\n".join(usual)


def _autocast(real, device_type, *args, **kwargs):
    """What would be computed in bfloat16 on CUDA is, where tensors really are."""
    return real("cpu", *args, **kwargs)


def go_the_whole_way(config, tmp_path, *, mesh_options=(), steps=3):
    """Train, evaluate and extract a mesh."""
    config.machine.device_type = "cuda"
    trained = train(config, steps, device="cuda")
    assert {label(p) for p in trained.pipeline.model.parameters()} == {"cuda"}
    folder = str(trained.base_dir)
    assert evaluation.main([folder, "--views", "1", "--truth", "none", "--device", "cuda"]) == 0
    output = tmp_path / "mesh.ply"
    options = ["--resolution", "16", "--device", "cuda", *mesh_options]
    assert mesh.main([folder, "--output", str(output), *options]) == 0
    assert len(trimesh.load(output).faces) > 0
    return trained


@pytest.mark.parametrize("method", ["finer-nerf", *(pytest.param(each) for each in ("diner", "cn-mipnerf", "cn-neus"))])
def test_a_method_of_scenes(method, knot, tmp_path, cuda):
    """Mesh levels are such as the field of a few steps crosses."""
    if method == "diner":
        go_the_whole_way(small_diner(knot, tmp_path), tmp_path, steps=85)
    elif method == "finer-nerf":
        go_the_whole_way(small_finer_nerf(knot, tmp_path), tmp_path, mesh_options=["--level", "0.6"])
    elif method == "cn-mipnerf":
        go_the_whole_way(small_mipnerf(knot, tmp_path), tmp_path)
    else:
        go_the_whole_way(small_neus(cn_neus, knot, tmp_path), tmp_path)
    cuda.check()


@pytest.mark.parametrize("preset", [pytest.param(finer_sdf), cn_occupancy])
def test_a_method_of_one_shape(preset, tmp_path, cuda):
    trimesh.creation.icosphere(3, 50.0).export(tmp_path / "ball.ply")
    go_the_whole_way(small_shape(preset, tmp_path / "ball.ply", tmp_path, 1e-3), tmp_path)
    cuda.check(most=1)


def test_a_dictionary_and_a_shape_fitted_with_it(tmp_path, cuda):
    folder = tmp_path / "shapes"
    folder.mkdir()
    for number, radius in enumerate((40.0, 50.0, 60.0)):
        trimesh.creation.icosphere(3, radius).export(folder / f"ball_{number}.ply")
    learnt = go_the_whole_way(small_nid(nid_shapes, folder, tmp_path), tmp_path, mesh_options=["--shape", "1"])
    config = small_nid(nid_fit, folder / "ball_1.ply", tmp_path)
    config.pipeline.model.dictionary = learnt.base_dir
    go_the_whole_way(config, tmp_path, mesh_options=["--overwrite"])
    cuda.check()
