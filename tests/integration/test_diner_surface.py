"""The shipped preset through its own trainer and datamanager: across a change of stage, and to a mesh."""

import numpy as np
import pytest
import torch
import trimesh
from integration.small_methods import small_diner_surface
from long_form import long_form
from short_runs import assert_parts_come_to_the_whole, train

from inr_plugins.cli import mesh
from inr_plugins.engine.runs.run import load_run
from inr_plugins.errors import InputError
from inr_plugins.fields.explicit_voxels import ExplicitVoxelField
from inr_plugins.fields.voxel_distance import VoxelDistanceField

pytestmark = long_form


def test_stopping_and_going_on_gives_the_same_bits(knot, tmp_path):
    def look(stop, trainer):
        field = trainer.pipeline.model.field
        assert type(field) is {12: ExplicitVoxelField, 45: VoxelDistanceField}[stop]
        assert field.training

    assert_parts_come_to_the_whole(lambda name: small_diner_surface(knot, tmp_path / name), [12, 45], 52, look)


@pytest.fixture(scope="module")
def run(knot, tmp_path_factory):
    return train(small_diner_surface(knot, tmp_path_factory.mktemp("run")), 100)


def test_a_run_is_opened_and_evaluated(run):
    opened = load_run(run.base_dir, device="cpu", test_mode="test")
    model = opened.pipeline.model
    x = 2 * torch.rand(50, 3) - 1
    with torch.no_grad():
        torch.testing.assert_close(model.field.sdf(x), run.pipeline.model.eval().field.sdf(x), atol=0, rtol=0)
    camera, batch = next(iter(opened.pipeline.datamanager.fixed_indices_eval_dataloader))
    outputs = model.get_outputs_for_camera(camera)
    assert outputs["normals"].shape == (32, 32, 3)
    metrics, _ = model.get_image_metrics_and_images(outputs, batch)
    assert metrics["psnr"] > 15


def test_its_surface_is_limited_by_the_hull_which_leaves_most_of_the_box(run):
    model = run.pipeline.model
    x = torch.rand(4000, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    allowed = model.limit.allows(x)
    assert 0.02 < float(allowed.float().mean()) < 0.6
    solid = model.eval().field.sdf(x) < 0
    assert int(solid.sum()) > 20
    assert bool(allowed[solid].all())


def test_its_mesh_is_closed_and_lies_on_the_true_one(run, knot, tmp_path, monkeypatch):
    monkeypatch.setenv("INR_LPIPS", "off")
    output = tmp_path / "mesh.ply"
    mesh.main(["--load-config", str(run.base_dir / "config.yml"), "--output", str(output), "--resolution", "64"])
    found, truth = trimesh.load(output), trimesh.load(knot / "mesh.ply")
    assert found.is_watertight
    assert found.volume > 0
    assert np.ptp(found.visual.vertex_colors[:, :3].astype(int), axis=0).max() > 50
    # The underside is seen by no camera.
    np.testing.assert_allclose(found.bounds[:, :2], truth.bounds[:, :2], atol=0.1)
    assert float(found.bounds[1, 2]) == pytest.approx(float(truth.bounds[1, 2]), abs=0.1)
    # Half of what a pixel of these pictures is wide, about.
    way = truth.nearest.on_surface(found.vertices[::20])[1]
    assert float(np.median(way)) < 0.06


def test_pictures_without_masks_are_refused_before_a_step(knot, tmp_path):
    config = small_diner_surface(knot, tmp_path)
    config.pipeline.datamanager.masks = "sample-inside"
    with pytest.raises(InputError, match=r"--pipeline\.datamanager\.masks labels"):
        train(config, 2)
