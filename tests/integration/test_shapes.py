"""finer-sdf and cn-occupancy through their own trainer and datamanager, and what can be done with their runs."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from inr_plugins.method_configs.shapes import cn_occupancy, finer_sdf
from integration.small_methods import small_shape
from long_form import long_form
from short_runs import assert_going_on_is_not_having_stopped, train

from inr_plugins.cli import mesh
from inr_plugins.engine.runs import checkpoints
from inr_plugins.engine.runs.run import load_run
from inr_plugins.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
CENTRE, RADIUS = np.array([120.0, -40.0, 7.0]), 50.0
"""Of the ball, in millimetres, say."""


@pytest.fixture(scope="module")
def ball(tmp_path_factory):
    """A mesh file of a ball off the origin."""
    path = tmp_path_factory.mktemp("a shape") / "ball.ply"
    shape = trimesh.creation.icosphere(4, RADIUS)
    shape.apply_translation(CENTRE)
    shape.export(path)
    return path


@long_form
@pytest.mark.parametrize(("preset", "total"), [(finer_sdf, 9), (cn_occupancy, 6)])
def test_stopping_and_going_on_gives_the_same_bits(preset, total, ball, tmp_path):
    assert_going_on_is_not_having_stopped(lambda name: small_shape(preset, ball, tmp_path / name, 1e-3), [4], total)


@pytest.fixture(scope="module")
def distance_run(ball, tmp_path_factory):
    return train(small_shape(finer_sdf, ball, tmp_path_factory.mktemp("distance"), 4e-3), 120)


@pytest.fixture(scope="module")
def occupancy_run(ball, tmp_path_factory):
    return train(small_shape(cn_occupancy, ball, tmp_path_factory.mktemp("occupancy"), 1e-2), 60)


def test_a_run_goes_on_with_its_own_data_wherever_it_lies(distance_run, ball, tmp_path, monkeypatch):
    trimesh.creation.box((1, 2, 3)).export(tmp_path / "box.ply")
    (tmp_path / "moved").mkdir()
    trimesh.load(ball).export(tmp_path / "moved" / "same.obj")
    folder = distance_run.checkpoint_dir

    def go_on(data, name, **options):
        config = small_shape(finer_sdf, data, tmp_path / name, 1e-3)
        for option, value in options.items():
            setattr(config, option, value)
        return train(config, 1, load_dir=folder)._trained_step

    with pytest.raises(InputError, match=r"has not learnt from the data at .*box\.ply: its surfaces are others"):
        go_on(tmp_path / "box.ply", "refused")
    assert go_on(tmp_path / "moved" / "same.obj", "moved") == 120
    assert go_on(tmp_path / "box.ply", "wanted", other_data="use") == 120
    # Checkpoints of earlier versions do not say what they were trained on.
    read = checkpoints.read_newest_checkpoint

    def old(*arguments, **options):
        state, path = read(*arguments, **options)
        del state["resume"]["fingerprint"]
        return state, path

    monkeypatch.setattr(checkpoints, "read_newest_checkpoint", old)
    assert go_on(tmp_path / "box.ply", "old") == 120


@long_form
@pytest.mark.parametrize(("name", "worst"), [("distance_run", 0.03), ("occupancy_run", 0.15)])
def test_a_run_is_evaluated_on_pictures_that_nobody_drew(name, worst, request):
    opened = load_run(request.getfixturevalue(name).base_dir, device="cpu", test_mode="test")
    model = opened.pipeline.model
    camera, batch = next(iter(opened.pipeline.datamanager.fixed_indices_eval_dataloader))
    outputs = model.get_outputs_for_camera(camera)
    assert outputs["normals"].shape == (24, 24, 3)
    metrics, images = model.get_image_metrics_and_images(outputs, batch)
    assert metrics["psnr"] > 12
    assert images["img"].shape == (24, 48, 3)
    truth = (batch["image"] < 0.999).any(-1, keepdim=True)
    assert ((outputs["accumulation"] > 0.5) != truth).float().mean() < worst


def test_held_out_points_have_losses_and_metrics(distance_run):
    pipeline = distance_run.pipeline
    outputs, losses, metrics = pipeline.get_eval_loss_dict(0)
    assert set(outputs) == {"value"}
    assert set(losses) == {"sdf_loss"}
    assert metrics["sign_accuracy"] > 0.6
    assert metrics["near_error"] < 60
    assert pipeline.training


@pytest.mark.parametrize(
    ("name", "field", "level", "worst"), [("distance_run", "sdf", 0, 2.0), ("occupancy_run", "occupancy", 0.5, 6.0)]
)
def test_a_run_gives_a_mesh_in_the_units_of_the_file(name, field, level, worst, request, tmp_path, monkeypatch):
    monkeypatch.setenv("INR_LPIPS", "off")
    run, output = request.getfixturevalue(name), tmp_path / "mesh.ply"
    arguments = [str(run.base_dir), "--output", str(output), "--resolution", "24", "--device", "cpu", "--keep-largest"]
    assert mesh.main(arguments) == 0
    found = trimesh.load(output)
    assert found.volume > 0
    outward = found.vertices - CENTRE
    distance = np.linalg.norm(outward, axis=1)
    assert np.abs(distance - RADIUS).mean() < worst
    assert (found.vertex_normals * outward / distance[:, None]).sum(-1).mean() > 0.9
    report = json.loads((tmp_path / "mesh.ply.json").read_text())
    assert (report["field"], report["level"]) == (field, level)


def test_several_shapes_are_refused_and_leave_no_folder(ball, tmp_path):
    folder = tmp_path / "shapes"
    folder.mkdir()
    for name in ("one", "two"):
        (folder / f"{name}.ply").write_bytes(ball.read_bytes())
    config = small_shape(finer_sdf, folder, tmp_path / "out", 1e-3)
    with pytest.raises(InputError, match=r"learns one shape.*nid-shapes"):
        train(config, 2)
    assert not (tmp_path / "out").exists()


def test_the_learning_rate_ends_where_the_preset_says(distance_run):
    (optimizer,) = distance_run.optimizers.optimizers.values()
    # finer-sine's own rate of 5e-4 falls to 1e-4, and another one in the same proportion.
    assert optimizer.param_groups[0]["lr"] == pytest.approx(4e-3 * 1e-4 / 5e-4)
    assert all(torch.isfinite(p).all() for p in distance_run.pipeline.model.parameters())


@long_form
def test_the_example_of_the_documentation_runs(distance_run, ball, tmp_path, monkeypatch, capsys):
    (code,) = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs/python.md").read_text(encoding="utf-8"), re.DOTALL | re.M
    )
    monkeypatch.chdir(tmp_path)
    trimesh.load(ball).export("bunny.ply")
    code = code.replace("outputs/bunny/finer-sdf/2026-01-01_120000", str(distance_run.base_dir))
    names: dict = {}
    exec(compile(code, "docs/python.md", "exec"), names)
    truth = np.linalg.norm(names["points"] - CENTRE, axis=1) - RADIUS
    # So short a training knows distances near the surface, and further away on which side of it a point is.
    near = np.abs(truth) < 0.15 * RADIUS
    assert near.sum() > 100
    assert names["distances"][near] == pytest.approx(truth[near], abs=0.1 * RADIUS)
    wrong = (np.sign(names["distances"]) != np.sign(truth)) & (np.abs(truth) > 0.1 * RADIUS)
    assert np.mean(wrong) < 0.01
    assert json.loads(Path("bunny.glb.json").read_text())["frame"] == "dataset"
    assert names["compared"]["scores"]["chamfer"] < 0.05 * RADIUS
    assert names["picture"]["rgb"].shape == (60, 80, 3)
    assert "(60, 80, 3)" in capsys.readouterr().out
