"""The surface of a training in the middle: that of a ball by formula, against balls of other sizes."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from evaluation.ball_runs import RADIUS, BallModel, BallRuns, make_run, make_scene
from long_form import long_form

from inr_plugins.cli import bench_worker
from inr_plugins.evaluation import surfaces


def measure_surface(trainer: SimpleNamespace, resolution: int) -> dict:
    return bench_worker.measure_surface(trainer, resolution, samples=20_000)


class Pipeline(SimpleNamespace):
    """A pipeline that is in training, and says when it was not."""

    training = True
    modes: tuple[bool, ...] = ()

    def train(self, mode: bool = True) -> None:
        self.training, self.modes = mode, (*self.modes, mode)

    def eval(self) -> None:
        self.train(False)


def trainer_of(folder: Path, model: BallModel, scene: Path, *, cameras: bool = False) -> SimpleNamespace:
    run = make_run(folder)
    opened = BallRuns(scene, {folder.name: model}, cameras=cameras)(run / "config.yml", device=None, data=None)
    manager = SimpleNamespace(**vars(opened.pipeline.datamanager), train_dataparser_outputs=opened.dataparser_outputs)
    pipeline = Pipeline(model=model, device=torch.device("cpu"), datamanager=manager)
    return SimpleNamespace(config=opened.config, base_dir=run, pipeline=pipeline, step=7)


@pytest.fixture(autouse=True)
def _places_of_volumes_are_fewer(monkeypatch):
    monkeypatch.setattr(surfaces, "_IOU_RESOLUTION", 64)


@pytest.fixture
def scene(tmp_path) -> Path:
    return make_scene(tmp_path / "scene")


def test_a_larger_ball_is_as_far_off_as_its_radius_says_and_training_is_left_as_it_was(tmp_path, scene):
    trainer = trainer_of(tmp_path / "ball", BallModel(radius=1.1 * RADIUS), scene)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    found = measure_surface(trainer, 48)
    assert found["scores"]["chamfer"] == pytest.approx(0.1 * RADIUS, rel=0.03)
    assert found["scores"]["normal_consistency"] == pytest.approx(1, abs=0.01)
    assert found["iou"]["iou"] == pytest.approx(1.1**-3, abs=0.01)
    assert found["floor"]["chamfer"] < 0.03 * RADIUS
    assert math.dist(*found["truth"]["box"]) == pytest.approx(math.sqrt(12) * RADIUS, rel=1e-3)
    assert found["seconds"]["extract"] > 0
    assert str(tmp_path) not in str(found)
    assert trainer.pipeline.modes == (False, True)
    assert torch.equal(torch.rand(3), expected)


@long_form
def test_what_the_training_cameras_see_is_measured_too_where_there_are_some(tmp_path, scene, monkeypatch):
    # Volumes are not what is looked at: each place of their grid that counts is one that cameras are asked about.
    monkeypatch.setattr(surfaces, "_IOU_RESOLUTION", 24)
    model = BallModel(radius=1.1 * RADIUS)
    seen = measure_surface(trainer_of(tmp_path / "a", model, scene, cameras=True), 48)["seen"]
    # Cameras on one circle see no cap of the ball.
    assert 0 < seen["unseen_share"] < 0.5
    assert seen["scores"]["chamfer"] == pytest.approx(0.1 * RADIUS, rel=0.05)
    assert measure_surface(trainer_of(tmp_path / "b", model, scene), 24)["seen"] is None
    nothing = trainer_of(tmp_path / "c", BallModel(radius=-1.0), scene, cameras=True)
    assert "surface" in measure_surface(nothing, 24)["missing"]


def test_a_finer_lattice_is_what_the_mesh_is_made_on(tmp_path, scene):
    trainer = trainer_of(tmp_path / "ball", BallModel(), scene)
    coarse, fine = (measure_surface(trainer, samples)["prediction"]["faces"] for samples in (24, 48))
    assert fine > 3 * coarse


def test_where_there_is_no_truth_or_no_surface_the_reason_is_kept(tmp_path, scene):
    plain = make_scene(tmp_path / "plain", truth=False)
    assert "not made by inr-scene" in measure_surface(trainer_of(tmp_path / "a", BallModel(), plain), 24)["missing"]
    missing = measure_surface(trainer_of(tmp_path / "b", BallModel(radius=-1.0), scene), 24)["missing"]
    assert "surface" in missing
