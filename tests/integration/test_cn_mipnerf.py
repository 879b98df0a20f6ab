"""The shipped cn-mipnerf preset through its own trainer and datamanager, and what can be done with its run."""

import json

import imageio.v3 as imageio
import pytest
import torch
import trimesh
from integration.small_methods import small_mipnerf
from long_form import long_form
from nerfstudio.scripts.render import DatasetRender
from short_runs import assert_same_state, train

from inr_plugins.cli import mesh
from inr_plugins.engine.runs.run import load_run


@long_form
def test_stopping_and_going_on_gives_the_same_bits(knot, tmp_path):
    total, stop = 12, 7

    def config(name):
        each = small_mipnerf(knot, tmp_path / name)
        # As of a run that was interrupted: the length of the whole.
        each.optimizers["fields"]["scheduler"].max_steps = total
        return each

    straight = train(config("straight"), total)
    first = train(config("first"), stop)
    second = train(config("second"), total - stop, load_dir=first.checkpoint_dir)
    assert second.step == total - 1
    assert_same_state(straight.checkpoint_dir, second.checkpoint_dir)


@pytest.fixture(scope="module")
def run(knot, tmp_path_factory):
    return train(small_mipnerf(knot, tmp_path_factory.mktemp("run")), 60)


@long_form
def test_the_learning_rate_has_fallen_to_a_hundredth_when_the_run_ends(run):
    assert run.optimizers.optimizers["fields"].param_groups[0]["lr"] == pytest.approx(5e-5)


def test_a_run_is_opened_with_what_it_has_learnt_and_evaluated_on_all_test_views(run, monkeypatch):
    monkeypatch.setenv("INR_LPIPS", "off")
    opened = load_run(run.base_dir, device="cpu", test_mode="test")
    for name, value in run.pipeline.model.state_dict().items():
        assert torch.equal(value, opened.pipeline.model.state_dict()[name]), name
    assert len(opened.pipeline.datamanager.eval_dataset) == 2
    assert opened.pipeline.get_average_eval_image_metrics()["psnr"] > 10


def test_a_run_renders_its_test_views(run, tmp_path):
    """As `ns-render dataset` does."""
    DatasetRender(
        load_config=run.base_dir / "config.yml",
        output_path=tmp_path,
        split="test",
        rendered_output_names=["rgb", "depth"],
        image_format="png",
    ).main()
    pictures = sorted(tmp_path.rglob("*.png"))
    assert len(pictures) == 4
    assert all(imageio.imread(picture).shape == (32, 32, 3) for picture in pictures)


@long_form
def test_a_run_gives_a_mesh_whose_box_is_found_in_samples(run, tmp_path, monkeypatch):
    monkeypatch.setenv("INR_LPIPS", "off")
    output = tmp_path / "mesh.ply"
    arguments = [str(run.base_dir), "--output", str(output), "--resolution", "24", "--device", "cpu"]
    assert mesh.main(arguments) == 0
    found = trimesh.load(output)
    assert len(found.faces) > 20
    assert found.volume > 0
    assert json.loads((tmp_path / "mesh.ply.json").read_text())["field"] == "density"
