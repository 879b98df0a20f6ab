"""The shipped finer-nerf preset through its own trainer and datamanager, and what can be done with its run."""

import json

import pytest
import torch
import trimesh
from integration.small_methods import small_finer_nerf
from long_form import long_form
from short_runs import assert_parts_come_to_the_whole, train

from inr_plugins.cli import mesh
from inr_plugins.engine.runs.run import load_run

pytestmark = long_form


def test_stopping_and_going_on_gives_the_same_bits(knot, tmp_path):
    """In the grid's warm-up, and after it with denser samples."""

    def config(name):
        each = small_finer_nerf(knot, tmp_path / name)
        # As of a run that was interrupted: the length of the whole.
        each.optimizers["fields"]["scheduler"].max_steps = 26
        return each

    assert_parts_come_to_the_whole(config, [9, 18], 26)


@pytest.fixture(scope="module")
def run(knot, tmp_path_factory):
    trainer = train(small_finer_nerf(knot, tmp_path_factory.mktemp("run")), 60)
    return trainer


def test_the_learning_rate_has_fallen_to_a_tenth_when_the_run_ends(run):
    assert run.optimizers.optimizers["fields"].param_groups[0]["lr"] == pytest.approx(2e-4)


def test_a_run_is_evaluated_on_all_test_views_and_trained_on_every_third(run):
    opened = load_run(run.base_dir, device="cpu", test_mode="test")
    assert len(opened.pipeline.datamanager.train_dataset) == 4
    assert len(opened.pipeline.datamanager.eval_dataset) == 2
    metrics = opened.pipeline.get_average_eval_image_metrics()
    assert metrics["psnr"] > 9
    model = opened.pipeline.model.eval()
    assert model.step_length == run.pipeline.model.step_length
    mean, trained = (each.density_network.layers[0].weight for each in (model.field, model.trained_field))
    assert not torch.equal(mean, trained)
    expected = run.pipeline.model.average.of(None).density_network.layers[0].weight
    assert torch.equal(mean, expected)


def test_a_run_gives_a_mesh(run, tmp_path, monkeypatch):
    monkeypatch.setenv("INR_LPIPS", "off")
    output = tmp_path / "mesh.ply"
    # This short training has dense fog only, hence the level.
    arguments = [str(run.base_dir), "--output", str(output), "--resolution", "24", "--device", "cpu", "--level", "0.4"]
    assert mesh.main(arguments) == 0
    assert len(trimesh.load(output).faces) > 20
    assert json.loads((tmp_path / "mesh.ply.json").read_text())["field"] == "density"
