"""The shipped preset for pictures without masks: from a density to a surface, across a checkpoint, and to a mesh."""

import numpy as np
import torch
import trimesh
from integration.small_methods import small_diner_surface_table
from long_form import long_form
from short_runs import assert_parts_come_to_the_whole, train

from inr_plugins.cli import mesh
from inr_plugins.engine.runs.run import load_run
from inr_plugins.fields.explicit_voxels import ExplicitVoxelField
from inr_plugins.fields.voxel_distance import VoxelDistanceField


@long_form
def test_stopping_and_going_on_gives_the_same_bits(knot, tmp_path):
    kinds = {58: ExplicitVoxelField, 80: VoxelDistanceField}

    def look(stop, trainer):
        assert type(trainer.pipeline.model.field) is kinds[stop]
        opened = load_run(trainer.base_dir, device="cpu").pipeline.model
        x = 2 * torch.rand(50, 3) - 1
        ask = "density" if kinds[stop] is ExplicitVoxelField else "sdf"
        with torch.no_grad():
            expected = getattr(trainer.pipeline.model.eval().field, ask)(x)
            torch.testing.assert_close(getattr(opened.field, ask)(x), expected, atol=0, rtol=0)

    assert_parts_come_to_the_whole(lambda name: small_diner_surface_table(knot, tmp_path / name), [*kinds], 96, look)


@long_form
def test_its_mesh_is_closed_and_where_the_object_is(knot, tmp_path, monkeypatch):
    monkeypatch.setenv("INR_LPIPS", "off")
    run = train(small_diner_surface_table(knot, tmp_path / "run"), 150)
    output = tmp_path / "mesh.ply"
    mesh.main(["--load-config", str(run.base_dir / "config.yml"), "--output", str(output), "--resolution", "64"])
    found, truth = trimesh.load(output), trimesh.load(knot / "mesh.ply")
    assert found.is_watertight
    np.testing.assert_allclose(found.bounds[:, :2], truth.bounds[:, :2], atol=0.25)
    way = truth.nearest.on_surface(found.vertices[::20])[1]
    assert float(np.median(way)) < 0.15
