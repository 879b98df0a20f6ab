"""The shipped presets of surfaces through their own trainer and datamanager, and what can be done with their runs."""

import json

import pytest
import torch
import trimesh
from inr_plugins.method_configs.neus import cn_neus, cn_neus_room, cn_neus_table, finer_neus
from integration.small_methods import small_neus
from long_form import long_form
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from short_runs import assert_same_state, train

from inr_plugins.cli import mesh
from inr_plugins.engine.runs.run import load_run
from inr_plugins.errors import InputError

pytestmark = long_form


def test_stopping_and_going_on_gives_the_same_bits(knot, tmp_path):
    total, stop = 12, 5

    def config(name):
        each = small_neus(cn_neus, knot, tmp_path / name)
        # As of a run that was interrupted: the length of the whole.
        each.optimizers["fields"]["scheduler"].max_steps = total
        return each

    straight = train(config("straight"), total)
    first = train(config("first"), stop)
    second = train(config("second"), total - stop, load_dir=first.checkpoint_dir)
    assert second._trained_step == total - 1
    assert_same_state(straight.checkpoint_dir, second.checkpoint_dir)


@pytest.fixture(scope="module")
def run(knot, tmp_path_factory):
    return train(small_neus(cn_neus, knot, tmp_path_factory.mktemp("run")), 40)


def test_the_learning_rate_has_come_down_when_the_run_ends(run):
    assert run.optimizers.optimizers["fields"].param_groups[0]["lr"] == pytest.approx(0.05 * 2e-3)


def test_a_run_is_evaluated_on_its_test_views(run):
    opened = load_run(run.base_dir, device="cpu", test_mode="test")
    model = opened.pipeline.model
    assert bool(model.is_started)
    # A loaded surface is the trained one, not the sphere that training starts from.
    x = 2 * torch.rand(50, 3) - 1
    with torch.no_grad():
        torch.testing.assert_close(model.field.sdf(x), run.pipeline.model.eval().field.sdf(x))
    camera, batch = next(iter(opened.pipeline.datamanager.fixed_indices_eval_dataloader))
    outputs = model.get_outputs_for_camera(camera)
    assert outputs["normals"].shape == (32, 32, 3)
    metrics, _ = model.get_image_metrics_and_images(outputs, batch)
    assert metrics["psnr"] > 7


def test_a_run_gives_a_mesh_with_faces_outward_and_colours(run, tmp_path, monkeypatch):
    monkeypatch.setenv("INR_LPIPS", "off")
    output = tmp_path / "mesh.ply"
    assert mesh.main([str(run.base_dir), "--output", str(output), "--resolution", "24", "--device", "cpu"]) == 0
    found = trimesh.load(output)
    assert len(found.faces) > 50
    assert found.volume > 0
    normals = found.vertex_normals
    middle = found.vertices - found.vertices.mean(0)
    assert (normals * middle).sum(-1).mean() > 0
    report = json.loads((tmp_path / "mesh.ply.json").read_text())
    assert report["field"] == "sdf"
    assert report["level"] == 0


@pytest.mark.parametrize("preset", [cn_neus_table, cn_neus_room, finer_neus])
def test_every_preset_trains(preset, knot, tmp_path):
    config = small_neus(preset, knot, tmp_path)
    config.pipeline.datamanager.dataparser = BlenderDataParserConfig(alpha_color="white")
    if preset is finer_neus:
        config.pipeline.model.start_steps = 150
    if preset is cn_neus_room:
        # The cameras of a made scene stand well outside its box.
        config.pipeline.model.box_scale = 6.0
    trainer = train(config, 4)
    model = trainer.pipeline.model
    assert bool(model.is_started)
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_a_preset_that_does_not_fit_the_data_says_so_and_leaves_no_folder(knot, tmp_path):
    config = small_neus(cn_neus_room, knot, tmp_path / "out")
    config.pipeline.datamanager.dataparser = BlenderDataParserConfig(alpha_color="white")
    with pytest.raises(InputError, match=r"cameras stand outside .*box-scale"):
        train(config, 2)
    assert not (tmp_path / "out").exists()
