"""cn-mri through its own trainer and datamanager, and what can be done with its runs."""

from __future__ import annotations

import copy
import json

import nibabel
import numpy as np
import pytest
import torch
from inr_plugins.method_configs.resonance import cn_mri
from long_form import long_form
from nerfstudio.cameras.rays import RayBundle
from short_runs import assert_same_state, train

from inr_plugins.cli import signal_file
from inr_plugins.cli.eval import main as evaluate_command
from inr_plugins.engine.evaluation import evaluate_views
from inr_plugins.errors import InputError
from inr_plugins.models.inverse.planes import BodyView, PlaneView, planes_of
from inr_plugins.models.inverse.volume_panel import VolumePanel
from inr_plugins.operators.resonance import scattered_mask

pytestmark = long_form

SHAPE = (8, 12, 10)


def body():
    place = np.stack(np.meshgrid(*[np.linspace(-1, 1, side) for side in SHAPE], indexing="ij"))
    return (np.exp(-4 * (place**2).sum(0)) + 0.5 * (np.abs(place - 0.2) < 0.4).all(0)).astype(np.float32)


def write(path, numbers, **told):
    np.save(path, numbers)
    path.with_suffix(".json").write_text(json.dumps(told))
    return path


@pytest.fixture(scope="module")
def volume_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("a volume") / "body.npy"
    return write(path, 50 * body(), values="volume", spacing_mm=[3, 2, 1.5])


def small(data, output, **settings):
    config = copy.deepcopy(cn_mri.config)
    manager, model = config.pipeline.datamanager, config.pipeline.model
    manager.data, config.output_dir = data, output
    model.width, model.fourier_features = 24, 16
    for name, value in settings.items():
        setattr(manager.dataparser, name, value)
    return config


def test_stopping_and_going_on_gives_the_same_bits(volume_file, tmp_path):
    def config(name):
        each = small(volume_file, tmp_path / name, noise=0.05, share=0.4)
        each.optimizers["fields"]["scheduler"].max_steps = 6
        return each

    straight = train(config("straight"), 6)
    first = train(config("first"), 3)
    second = train(config("second"), 3, load_dir=first.checkpoint_dir)
    assert_same_state(straight.checkpoint_dir, second.checkpoint_dir)


@pytest.fixture(scope="module")
def run(volume_file, tmp_path_factory):
    return train(small(volume_file, tmp_path_factory.mktemp("run"), share=0.4), 200)


def test_a_volume_is_learnt_from_coefficients_and_judged_beside_others(run, tmp_path):
    pixels, batch = run.pipeline.datamanager.next_train(0)
    assert set(batch) == {"measured"}
    assert batch["measured"].shape == pixels.operator.output_shape
    metrics, line = evaluate_views(run.pipeline, 3, step=run._trained_step)
    assert metrics["psnr"] > 20
    assert "which was not learnt from but measured" in line
    assert evaluate_command([str(run.base_dir), "--output", str(tmp_path / "judged.json"), "--quiet"]) == 0
    mean = json.loads((tmp_path / "judged.json").read_text())["runs"][0]["images"]["mean"]
    assert mean["held_out_error"] == pytest.approx(metrics["held_out_error"], rel=1e-3)
    assert {"psnr_zero_filled", "psnr_tv", "held_out_error_zero_filled", "held_out_error_tv"} < set(mean)
    # Nothing of what was held out is in zero filling.
    assert mean["held_out_error_zero_filled"] == pytest.approx(1, abs=1e-4)
    model = run.pipeline.model
    missed = (model.volume_values().clamp(0, 1) * model.span[1] - torch.from_numpy(50 * body())) / model.span[1]
    assert mean["psnr_fit"] == pytest.approx(-10 * float(missed.square().mean().log10()), abs=0.01)


def test_a_volume_is_read_out_without_its_file(run, volume_file, tmp_path, capsys):
    kept = volume_file.read_bytes()
    volume_file.unlink()
    try:
        capsys.readouterr()
        assert signal_file.main([str(run.base_dir), str(tmp_path / "out.npy")]) == 0
        line = " ".join(capsys.readouterr().out.split())
        part = ["--quiet", "--frames", "2:5", "--scale", "2"]
        assert signal_file.main([str(run.base_dir), str(tmp_path / "part.npy"), *part]) == 0
        assert signal_file.main([str(run.base_dir), str(tmp_path / "one.tif"), "--quiet", "--frames", "3"]) == 0
    finally:
        volume_file.write_bytes(kept)
    found = np.load(tmp_path / "out.npy")
    assert found.shape == SHAPE
    assert np.abs(found - 50 * body()).mean() < 3
    told = json.loads((tmp_path / "out.json").read_text())
    slices, rows, columns = told["spacing_mm"]
    assert f"numbers without a unit, {rows:g} and {columns:g} mm apart, slices {slices:g} mm" in line
    assert told == {"axes": "slices rows columns", "spacing_mm": [3, 2, 1.5], "unit": "1"}
    assert np.load(tmp_path / "part.npy").shape == (3, 24, 20)
    assert json.loads((tmp_path / "part.json").read_text())["spacing_mm"] == [3, 1, 0.75]


def test_planes_and_windows_of_a_volume_are_drawn(run):
    """Rays down the middle of the plane, against values of the field at voxels that were worked out by hand."""
    model = copy.copy(run.pipeline.model)
    origins = torch.tensor([[x, -2.5, z] for x, z in ((0, 0), (0.21, 0.37), (-0.3, -0.9), (0.7, 0))])
    rays = RayBundle(origins, torch.tensor([[0.0, 1, 0]]).expand(4, 3), pixel_area=torch.ones(4, 1))
    planes = planes_of(None)
    # 10 columns of 1.5 mm, and 8 slices of 3 mm that go up: z of a point is up, and 24 mm are 2 units.
    model.view = PlaneView(planes[1:2], (4, 7, 2), (10, 12, 8), (1.5, 2.0, 3.0))
    voxels = [[12 * x / 1.5 + 4.5, 7, 12 * z / 3 + 3.5] for x, z in ((0, 0), (0.21, 0.37), (-0.3, -0.9))]
    wanted = model.field.at(torch.tensor(voxels).double()).clamp(0, 1)
    seen = model.get_outputs(rays)
    torch.testing.assert_close(seen["rgb"][:3], wanted.expand(-1, 3), rtol=0, atol=1e-4)
    assert seen["accumulation"][:, 0].tolist() == [1, 1, 1, 0]
    model.window = (0.1, 0.4)
    wanted = ((wanted - 0.1) / 0.3).clamp(0, 1)
    torch.testing.assert_close(model.get_outputs(rays)["rgb"][:3], wanted.expand(-1, 3), rtol=0, atol=1e-3)
    assert run.pipeline.model.view is None
    panel = run.pipeline.model.image_panel()
    assert isinstance(panel, VolumePanel)
    assert (panel.sides, panel.voxel_mm) == ((10, 12, 8), (1.5, 2.0, 3.0))


def test_rays_see_all_of_the_volume(run, monkeypatch):
    model = run.pipeline.model.viewer_copy()
    model.window = (0.1, 0.4)
    # 15 x 24 x 24 mm: through the middles of some voxels, and beside all of them.
    columns, slices = torch.tensor([2, 7, 5]), torch.tensor([6, 1, 3])
    x, z = (columns + 0.5) * 1.5 / 12 - 15 / 24, (slices + 0.5) * 3 / 12 - 1
    origins = torch.stack([x, torch.full_like(x, -3), z], -1)
    origins = torch.cat([origins, torch.tensor([[0.7, -3, 0.0]])])
    rays = RayBundle(origins, torch.tensor([[0.0, 1, 0]]).expand(4, 3), pixel_area=torch.ones(4, 1))
    model.view = BodyView("maximum")
    seen = model.get_outputs(rays)
    values = ((model.volume_values()[slices, :, columns] - 0.1) / 0.3).clamp(0, 1)
    # Between voxels there is no greater value, and the samples lie within a voxel of the greatest.
    assert (seen["rgb"][:3] <= values.amax(1, keepdim=True) + 1e-3).all()
    torch.testing.assert_close(seen["rgb"][:3, 0], values.amax(1), rtol=0, atol=0.08)
    assert values.max() > 0.5
    assert seen["accumulation"][:, 0].tolist() == [1, 1, 1, 0]
    assert seen["rgb"][3].tolist() == [1, 1, 1]
    # What was asked for once is not asked for again, of shallow copies neither, but of another field.
    asked, at = [], type(model.field).at
    monkeypatch.setattr(type(model.field), "at", lambda self, places: asked.append(len(places)) or at(self, places))
    again = copy.copy(model)
    again.view = BodyView("density", 5.0)
    assert 0 < float(again.get_outputs(rays)["rgb"][:3].max()) < 1
    assert not asked
    again.field = copy.deepcopy(model.field)
    again.get_outputs(rays)
    assert asked == [10 * 12 * 8]


def test_nifti_is_read_out_where_it_lay_without_its_file(tmp_path):
    affine = np.array([[0, 0, -1.5, 90], [2, 0.1, 0, -70], [-0.1, 3, 0, 40], [0, 0, 0, 1]])
    # Different along every axis and in every direction, and smooth.
    along = np.meshgrid(*[np.linspace(0, 1, side) for side in (12, 8, 10)], indexing="ij")
    data = (0.1 + 2 * along[0] + 2 * along[1] + 2 * along[2]).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(data, affine), tmp_path / "head.nii.gz")
    run = train(small(tmp_path / "head.nii.gz", tmp_path / "runs", share=0.6), 150)
    (tmp_path / "head.nii.gz").unlink()
    assert signal_file.main([str(run.base_dir), str(tmp_path / "out.nii.gz"), "--quiet"]) == 0
    out = nibabel.load(tmp_path / "out.nii.gz")
    # What was read, turned back to the order of its file.
    ornt = nibabel.orientations.ornt_transform(
        nibabel.orientations.io_orientation(out.affine), nibabel.orientations.io_orientation(affine)
    )
    back = out.as_reoriented(ornt)
    np.testing.assert_allclose(back.affine, affine, atol=1e-4)
    found = back.get_fdata()
    missed = [np.abs(np.flip(found, axes) - data).mean() for axes in ((), 0, 1, 2)]
    assert missed[0] < 0.7 * min(missed[1:])
    part = ["--quiet", "--frames", "2:5", "--scale", "2", "--region", "4", "2", "6", "8"]
    assert signal_file.main([str(run.base_dir), str(tmp_path / "part.nii"), *part]) == 0
    found = nibabel.load(tmp_path / "part.nii")
    assert found.shape == (12, 16, 3)
    # The corner of a pixel stays where it is when the pixel is parted.
    np.testing.assert_allclose(found.affine @ [-0.5, -0.5, 0, 1], out.affine @ [3.5, 1.5, 2, 1], atol=1e-4)
    np.testing.assert_allclose(found.affine @ [11.5, 15.5, 2, 1], out.affine @ [9.5, 9.5, 4, 1], atol=1e-4)


def test_k_space_of_coils_becomes_a_slice(tmp_path):
    truth = body()[4]
    y, x = np.mgrid[-1:1:12j, -1:1:10j]
    maps = np.stack(
        [np.exp(-((x - a) ** 2) - (y - b) ** 2 + 1j * (a * x + b)) for a, b in ((1, 0), (-1, 0.5), (0, -1))]
    )
    maps /= np.sqrt((np.abs(maps) ** 2).sum(0))
    mask = scattered_mask((12, 10), share=0.6, seed=0).numpy()
    mask[3:10, 2:9] = True
    k = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(7 * truth * maps, axes=(1, 2))), axes=(1, 2)) * mask
    told = {"values": "k-space", "axes": "coils rows columns", "spacing_mm": [2, 1], "centre": "middle"}
    path = write(tmp_path / "scan.npy", k.astype(np.complex64), **told)
    found = train(small(path, tmp_path / "runs"), 300)
    metrics, line = evaluate_views(found.pipeline, -1, step=found._trained_step)
    assert "psnr" not in metrics
    # Zero filling has 1; what is held out of so small a slice is little beside the error of the maps.
    assert metrics["held_out_error"] < 0.8
    assert "the volume itself not being known" in line
    assert signal_file.main([str(found.base_dir), str(tmp_path / "out.npy"), "--quiet"]) == 0
    slice_ = np.load(tmp_path / "out.npy")
    assert slice_.shape == (12, 10)
    # In the units of k-space but for the size of the transform.
    wanted = 7 * truth * np.sqrt(120)
    assert np.linalg.norm(slice_ - wanted) < 0.2 * np.linalg.norm(wanted)
    with pytest.raises(InputError, match=r"say how a volume is measured, and .* was: leave them out"):
        small(path, tmp_path / "bad", noise=0.1).set_timestamp()
    assert not (tmp_path / "bad").exists()
