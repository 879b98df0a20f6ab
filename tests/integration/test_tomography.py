"""cn-ct through its own trainer and datamanager, and what can be done with its runs."""

from __future__ import annotations

import copy
import json
import math
import shutil

import nibabel
import numpy as np
import pytest
import tifffile
import torch
from dicom_files import write_slices
from ellipses import BODY, sinogram, write_sinogram
from inr_plugins.method_configs.tomography import cn_ct
from long_form import long_form
from PIL import Image
from short_runs import assert_same_state, train

from inr_plugins.cli import analyze, compress, signal_file
from inr_plugins.cli.eval import main as evaluate_command
from inr_plugins.data.signals import tomography
from inr_plugins.engine.evaluation import evaluate_views
from inr_plugins.engine.runs.run import load_run
from inr_plugins.errors import InputError
from inr_plugins.models.inverse.volume_panel import VolumePanel

pytestmark = long_form

WIDTH, HEIGHT = 20, 16


@pytest.fixture(scope="module")
def slice_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("a slice") / "slice.png"
    pixels = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    pixels[3:12, 4:16] = 120
    pixels[5:8, 6:10] = 255
    Image.fromarray(pixels).save(path)
    return path


def small(data, output, **settings):
    config = copy.deepcopy(cn_ct.config)
    manager = config.pipeline.datamanager
    manager.data, config.output_dir = data, output
    manager.dataparser.views, manager.dataparser.held_out_views = 12, 3
    model = config.pipeline.model
    model.width, model.hidden_layers, model.fourier_features = 24, 2, 16
    for name, value in settings.items():
        setattr(manager.dataparser, name, value)
    return config


def test_stopping_and_going_on_gives_the_same_bits(slice_file, tmp_path):
    stop, total = 3, 7

    def config(name):
        each = small(slice_file, tmp_path / name, noise=0.05)
        each.optimizers["fields"]["scheduler"].max_steps = total
        return each

    straight = train(config("straight"), total)
    first = train(config("first"), stop)
    second = train(config("second"), total - stop, load_dir=first.checkpoint_dir)
    assert second._trained_step == total - 1
    assert_same_state(straight.checkpoint_dir, second.checkpoint_dir)


@pytest.fixture(scope="module")
def run(slice_file, tmp_path_factory):
    return train(small(slice_file, tmp_path_factory.mktemp("run")), 200)


def test_a_slice_is_learnt_from_its_views_alone(run):
    manager = run.pipeline.datamanager
    pixels, batch = manager.next_train(0)
    assert set(batch) == {"measured"}
    assert batch["measured"].shape == (12, manager.dataparser.geometry.bins)
    metrics, line = evaluate_views(run.pipeline, -1, step=run._trained_step)
    assert metrics["psnr"] > 20
    assert metrics["held_out_error"] < 0.1
    assert "held out error" in line
    assert "was not learnt from" in line
    assert pixels.places is None


def test_a_judged_run_has_classical_answers_beside_it(run, slice_file):
    opened = load_run(run.base_dir / "config.yml", device="cpu", test_mode="test")
    metrics, line = evaluate_views(opened.pipeline, -1, step=opened.step)
    for name in ("fbp", "tv"):
        assert metrics[f"psnr_{name}"] > 15
        assert 0 < metrics[f"held_out_error_{name}"] < 0.3
        assert 0 < metrics[f"ssim_{name}"] <= 1
        assert f"psnr {name}" in line
    # Held-out views are those of the truth, measured by rays of its own.
    truth = torch.from_numpy(np.asarray(Image.open(slice_file)) / 255).float()
    model, measured = opened.pipeline.model, opened.pipeline.datamanager.dataparser.measured
    torch.testing.assert_close(model.held_out_beam.forward(truth), measured.held_out, rtol=0, atol=0.6)
    assert model.held_out_beam.angles_deg.tolist() == list(measured.geometry.held_out_deg)
    assert model.learnt_beam.angles_deg.tolist() == list(measured.geometry.learnt_deg)
    missed = model.held_out_beam.forward(opened.pipeline.datamanager.dataparser.classical["fbp"]) - measured.held_out
    wanted = float(missed.norm() / measured.held_out.norm())
    assert metrics["held_out_error_fbp"] == pytest.approx(wanted, rel=1e-5)
    wanted = float((model.held_out_beam.forward(model.volume_values()) - measured.held_out).norm())
    assert metrics["held_out_error"] == pytest.approx(wanted / float(measured.held_out.norm()), rel=1e-5)


def test_a_slice_is_read_out_without_its_file(run, slice_file, tmp_path):
    kept = slice_file.read_bytes()
    slice_file.unlink()
    try:
        assert signal_file.main([str(run.base_dir), str(tmp_path / "out.png"), "--quiet"]) == 0
    finally:
        slice_file.write_bytes(kept)
    found = np.asarray(Image.open(tmp_path / "out.png")).astype(float)
    assert found.shape == (HEIGHT, WIDTH)
    assert np.abs(found - np.asarray(Image.open(slice_file))).mean() < 20


@pytest.mark.parametrize(
    ("pixels", "settings", "words"),
    [
        (np.zeros((8, 9, 3), np.uint8), {}, "has one value a pixel: make it grey"),
        (np.zeros((8, 9), np.uint8), {}, "is black, and nothing of it can be measured"),
        (np.full((1, 1025), 9, np.uint8), {}, "make it 1024 or fewer"),
        (np.full((8, 9), 9, np.uint8), {"held_out_views": 13}, "held-out-views 13 are more than .*views 12"),
        (np.linspace(-1, 3, 72, dtype=np.float32).reshape(8, 9), {}, "has floating-point numbers, whose unit"),
    ],
)
def test_what_is_no_slice_is_refused(pixels, settings, words, tmp_path):
    file = tmp_path / ("bad.tif" if pixels.dtype == np.float32 else "bad.png")
    Image.fromarray(pixels).save(file)
    config = small(file, tmp_path / "runs", **settings)
    with pytest.raises(InputError, match=words):
        config.set_timestamp()
    assert not (tmp_path / "runs").exists()


# -- a measured sinogram -----------------------------------------------------------------------------------------------

VIEWS, BINS, OFFSET = 30, 45, 1.5


@pytest.fixture(scope="module")
def sinogram_file(tmp_path_factory):
    values = sinogram(np.arange(VIEWS) * 12.0, bins=BINS, pitch_mm=0.6, centre_offset_bins=OFFSET)
    path = tmp_path_factory.mktemp("a scan") / "scan.npy"
    return write_sinogram(path, values, pitch_mm=0.6, turn_deg=360, centre_offset_bins=OFFSET)


@pytest.fixture(scope="module")
def measured_run(sinogram_file, tmp_path_factory):
    config = small(sinogram_file, tmp_path_factory.mktemp("measured run"), views=None, held_out_views=None)
    return train(config, 250)


def test_a_sinogram_is_learnt_and_judged_by_held_out_views(measured_run, capsys):
    metrics, line = evaluate_views(measured_run.pipeline, -1, step=measured_run._trained_step)
    assert "psnr" not in metrics
    assert metrics["held_out_error"] < 0.2
    assert line.startswith("Evaluated views that were held out, the slice itself not being known: held out error")
    geometry = measured_run.pipeline.model.geometry
    assert (len(geometry.learnt_deg), len(geometry.held_out_deg)) == (27, 3)
    output = measured_run.base_dir / "judged.json"
    assert evaluate_command([str(measured_run.base_dir), "--output", str(output)]) == 0
    record = json.loads(output.read_text())["runs"][0]
    mean = record["images"]["mean"]
    assert mean["psnr"] is None
    assert mean["held_out_error"] == pytest.approx(metrics["held_out_error"], rel=1e-4)
    assert {name for name in mean if name.startswith("held_out_error_")} == {"held_out_error_fbp", "held_out_error_tv"}
    assert "judged by measurements that were held out" in record["notes"][0]
    assert "error of held-out views of FBP" in capsys.readouterr().out


def test_a_measured_slice_is_read_out_in_its_unit(measured_run, sinogram_file, tmp_path):
    kept = [each.read_bytes() for each in (sinogram_file, sinogram_file.with_suffix(".json"))]
    sinogram_file.unlink()
    sinogram_file.with_suffix(".json").unlink()
    try:
        for name in ("out.npy", "out.tif"):
            command = [str(measured_run.base_dir), str(tmp_path / name), "--quiet", "--scale", "2"]
            assert signal_file.main(command) == 0
        assert signal_file.main([str(measured_run.base_dir), str(tmp_path / "out.npy"), "--quiet"]) == 1
    finally:
        sinogram_file.write_bytes(kept[0])
        sinogram_file.with_suffix(".json").write_bytes(kept[1])
    found = np.load(tmp_path / "out.npy")
    told = json.loads((tmp_path / "out.json").read_text())
    assert told == {"axes": "rows columns", "spacing_mm": [0.3, 0.3], "unit": "1/mm"}
    side = 2 * (BINS + 2 * OFFSET)
    assert found.shape == (side, side)
    y, x = np.mgrid[:side, :side]
    x, y = (x - (side - 1) / 2) * 0.3, ((side - 1) / 2 - y) * 0.3
    for place, wanted in (((5, -1), 0.02), ((-3, 1), 0.05)):
        disc = (x - place[0]) ** 2 + (y - place[1]) ** 2 < 1.5**2
        assert found[disc].mean() == pytest.approx(wanted, rel=0.15)
    with tifffile.TiffFile(tmp_path / "out.tif") as tiff:
        page = tiff.pages[0]
        np.testing.assert_array_equal(page.asarray(), found)
        assert page.tags["ResolutionUnit"].value == 3
        assert page.tags["XResolution"].value[0] / page.tags["XResolution"].value[1] == pytest.approx(10 / 0.3)


def test_what_is_not_known_is_compared_with_nothing_and_what_is_no_image_is_not_compressed(
    measured_run, run, tmp_path, capsys
):
    place = ["--device", "cpu", "--output", str(tmp_path / "analysis")]
    for kind in ("rank", "spectrum"):
        assert analyze.main([str(measured_run.base_dir), kind, *place]) == 1
        assert f"{kind}: what this run looks for is not known" in capsys.readouterr().err
    assert not (tmp_path / "analysis").exists()
    assert analyze.main([str(run.base_dir), "rank", *place]) == 0
    capsys.readouterr()
    assert compress.main([str(run.base_dir), str(tmp_path / "a.inr"), "--device", "cpu"]) == 1
    assert "Only what finer-image, cn-image and finer-stream learn can be compressed" in capsys.readouterr().err


def test_rows_and_columns_have_a_spacing_each(measured_run, tmp_path, capsys):
    # 5 x 13 pixels of 0.6 mm become 2 x 5 at a scale of 0.4, of rows 1.56 mm apart and columns 1.5.
    region = ["--region", "3", "4", "5", "13", "--scale", "0.4"]
    for name in ("part.npy", "part.tif"):
        capsys.readouterr()
        assert signal_file.main([str(measured_run.base_dir), str(tmp_path / name), *region]) == 0
        assert ", 1.56 and 1.5 mm apart" in " ".join(capsys.readouterr().out.split())
    assert np.load(tmp_path / "part.npy").shape == (5, 2)
    assert json.loads((tmp_path / "part.json").read_text())["spacing_mm"] == pytest.approx([13 * 0.6 / 5, 5 * 0.6 / 2])
    with tifffile.TiffFile(tmp_path / "part.tif") as tiff:
        across, down = (tiff.pages[0].tags[f"{axis}Resolution"].value for axis in "XY")
    assert across[0] / across[1] == pytest.approx(10 / 1.5, rel=1e-4)
    assert down[0] / down[1] == pytest.approx(10 / 1.56, rel=1e-4)


def test_inr_eval_has_classical_answers_beside_an_image(run, tmp_path):
    assert evaluate_command([str(run.base_dir), "--output", str(tmp_path / "judged.json"), "--quiet"]) == 0
    mean = json.loads((tmp_path / "judged.json").read_text())["runs"][0]["images"]["mean"]
    assert mean["psnr"] > 20
    assert {"psnr_fbp", "ssim_fbp", "psnr_tv", "ssim_tv", "held_out_error", "held_out_error_tv"} < set(mean)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"noise": 0.1}, "noise is added to views of an image"),
        ({"slice": 1}, "slice 1 is none of them"),
        ({"views": 29, "held_out_views": 2}, "are more than the 30 views"),
        ({"pixel_mm": 0.001}, "give .*pixel-mm so that there are 2 to 1,024"),
    ],
)
def test_options_that_a_sinogram_cannot_have(settings, words, sinogram_file, tmp_path):
    config = small(sinogram_file, tmp_path / "runs", **{"views": None, "held_out_views": None, **settings})
    with pytest.raises(InputError, match=words):
        config.set_timestamp()
    assert not (tmp_path / "runs").exists()


# -- a scanner's slices ------------------------------------------------------------------------------------------------


def test_a_slice_of_a_scanner_is_learnt_and_read_out_where_it_is(tmp_path):
    units = np.full((4, HEIGHT, WIDTH), -1000, dtype=np.int16)
    units[:, 3:12, 4:16] = 0
    units[3, 5:9, 6:11] = 600
    write_slices(tmp_path / "scan", units, modality="CT", pixel_mm=(0.75, 0.75), scale=(1, 0))
    run = train(small(tmp_path / "scan", tmp_path / "runs", slice=3), 200)
    metrics, _ = evaluate_views(run.pipeline, -1, step=run._trained_step)
    assert metrics["psnr"] > 20
    assert metrics["held_out_error"] < 0.1
    assert run.pipeline.model.geometry.pixel_mm == 0.75
    shutil.rmtree(tmp_path / "scan")
    assert list(run.pipeline.model.files_to_read_out()) == ["slice.nii.gz"]
    for name in ("out.nii", "out.npy", "out.tif"):
        assert signal_file.main([str(run.base_dir), str(tmp_path / name), "--quiet"]) == 0
    image = nibabel.load(tmp_path / "out.nii")
    # The middle of the bone, by the standard's formula (C.7.6.2.1); x to the left and y to the back become RAS.
    place = np.array([7 + 0.75 * 8, 8 + 0.75 * 6.5, 9 + 4 * 3]) * [-1, -1, 1]
    column, row, _ = (np.linalg.inv(image.affine) @ [*place, 1])[:3]
    assert (column, row) == pytest.approx((8, 6.5), abs=1e-4)
    found = np.load(tmp_path / "out.npy")
    np.testing.assert_allclose(image.get_fdata()[:, :, 0].T, found, atol=1e-3)
    np.testing.assert_allclose(tifffile.imread(tmp_path / "out.tif"), np.clip(found, -1000, 600), atol=1e-3)
    assert json.loads((tmp_path / "out.json").read_text()) == {
        "axes": "rows columns",
        "spacing_mm": [0.75, 0.75],
        "unit": "HU",
    }
    assert found[6:8, 7:10].mean() == pytest.approx(600, abs=100)
    assert found[0, 0] == pytest.approx(-1000, abs=100)


# -- stacks ------------------------------------------------------------------------------------------------------------

SLICES, ROWS_APART = 6, 1.5


def ellipsoid(number):
    """The body in a slice of it, which is smaller above and below."""
    size = math.sqrt(1 - ((2 * number + 1) / SLICES - 1) ** 2)
    return tuple((x, y, a * size, b * size, turn, density) for x, y, a, b, turn, density in BODY)


@pytest.fixture(scope="module")
def stack_file(tmp_path_factory):
    angles = np.arange(VIEWS) * 12.0
    values = [sinogram(angles, bins=BINS, pitch_mm=0.6, body=ellipsoid(number)) for number in range(SLICES)]
    path = tmp_path_factory.mktemp("a stack") / "stack.npy"
    told = {"axes": "views bins slices", "slice_um": 1000 * ROWS_APART}
    return write_sinogram(path, np.stack(values, -1), pitch_mm=0.6, turn_deg=360, **told)


def of_a_stack(data, output):
    config = small(data, output, views=None, held_out_views=None, stack=True)
    config.pipeline.model.width, config.pipeline.model.fourier_features = 64, 64
    return config


@pytest.fixture
def few_at_once(monkeypatch):
    """Two slices in a step."""
    monkeypatch.setattr(tomography, "_PIXELS_OF_A_STEP", 2 * BINS**2)


@pytest.fixture(scope="module")
def stack_run(stack_file, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tomography, "_PIXELS_OF_A_STEP", 2 * BINS**2)
        return train(of_a_stack(stack_file, tmp_path_factory.mktemp("stack run")), 250)


def test_every_slice_of_a_stack_has_its_turn(stack_run, few_at_once):
    manager = stack_run.pipeline.datamanager
    seen, size = [], BINS**2
    for step in range(3):
        pixels, batch = manager.next_train(step)
        slices = (pixels.places[::size] // size).tolist()
        assert torch.equal(pixels.places, torch.cat([torch.arange(size) + size * each for each in slices]))
        learnt = manager.dataparser.measured.learnt
        assert torch.equal(batch["measured"], learnt[slices])
        seen += slices
    assert sorted(seen) == list(range(SLICES))
    assert manager.get_train_rays_per_batch() == 2 * size


def test_a_stack_is_learnt_and_judged_by_held_out_views(stack_run, few_at_once):
    metrics, line = evaluate_views(stack_run.pipeline, 2, step=stack_run._trained_step)
    assert set(metrics) & {"psnr", "held_out_error"} == {"held_out_error"}
    assert metrics["held_out_error"] < 0.1
    assert line.startswith("Evaluated views that were held out, the stack itself not being known")
    output = stack_run.base_dir / "judged.json"
    assert evaluate_command([str(stack_run.base_dir), "--output", str(output), "--quiet"]) == 0
    mean = json.loads(output.read_text())["runs"][0]["images"]["mean"]
    parser = stack_run.pipeline.datamanager.dataparser
    beam = stack_run.pipeline.model.held_out_beam
    for name, answer in parser.classical.items():
        # Slice after slice, as each of them is answered for itself.
        missed = torch.stack([beam.forward(each) for each in answer]) - parser.measured.held_out
        wanted = float(missed.norm() / parser.measured.held_out.norm())
        assert mean[f"held_out_error_{name}"] == pytest.approx(wanted, rel=1e-4)


def test_a_stack_is_read_out_as_a_volume_without_its_file(stack_run, stack_file, tmp_path):
    kept = [each.read_bytes() for each in (stack_file, stack_file.with_suffix(".json"))]
    stack_file.unlink()
    stack_file.with_suffix(".json").unlink()
    try:
        for name in ("out.npy", "out.nii"):
            assert signal_file.main([str(stack_run.base_dir), str(tmp_path / name), "--quiet"]) == 0
    finally:
        stack_file.write_bytes(kept[0])
        stack_file.with_suffix(".json").write_bytes(kept[1])
    found = np.load(tmp_path / "out.npy")
    told = json.loads((tmp_path / "out.json").read_text())
    assert told == {"axes": "slices rows columns", "spacing_mm": [ROWS_APART, 0.6, 0.6], "unit": "1/mm"}
    assert found.shape == (SLICES, BINS, BINS)
    y, x = np.mgrid[:BINS, :BINS]
    x, y = (x - (BINS - 1) / 2) * 0.6, ((BINS - 1) / 2 - y) * 0.6
    for number in range(SLICES):
        wanted = np.zeros((BINS, BINS))
        for px, py, a, b, turn, density in ellipsoid(number):
            t = np.radians(turn)
            u, v = (x - px) * np.cos(t) + (y - py) * np.sin(t), (y - py) * np.cos(t) - (x - px) * np.sin(t)
            wanted += density * ((u / a) ** 2 + (v / b) ** 2 <= 1)
        assert np.square(found[number] - wanted).mean() < 0.1 * np.square(wanted).mean()
    assert nibabel.load(tmp_path / "out.nii").header.get_zooms() == pytest.approx((0.6, 0.6, ROWS_APART))
    assert list(stack_run.pipeline.model.files_to_read_out()) == ["volume.nii.gz"]
    panel = stack_run.pipeline.model.image_panel()
    assert isinstance(panel, VolumePanel)
    assert (panel.sides, panel.voxel_mm) == ((BINS, BINS, SLICES), (0.6, 0.6, ROWS_APART))


def test_a_stack_goes_on_with_the_same_bits(stack_file, tmp_path, few_at_once):
    def config(name):
        each = of_a_stack(stack_file, tmp_path / name)
        each.optimizers["fields"]["scheduler"].max_steps = 7
        return each

    straight = train(config("straight"), 7)
    first = train(config("first"), 4)
    second = train(config("second"), 3, load_dir=first.checkpoint_dir)
    assert_same_state(straight.checkpoint_dir, second.checkpoint_dir)


def test_a_stack_of_a_scanner_is_learnt_and_read_out_where_it_is(tmp_path):
    units = np.full((4, HEIGHT, WIDTH), -1000, dtype=np.int16)
    units[1:, 3:12, 4:16] = 0
    units[3, 5:9, 6:11] = 600
    write_slices(tmp_path / "scan", units, modality="CT", pixel_mm=(0.75, 0.75), scale=(1, 0))
    run = train(small(tmp_path / "scan", tmp_path / "runs", stack=True), 300)
    metrics, line = evaluate_views(run.pipeline, -1, step=run._trained_step)
    assert metrics["psnr"] > 17
    assert (run.pipeline.model.spacing_mm, run.pipeline.model.slice_mm) == ((0.75, 0.75), 4)
    assert "the stack, which was not learnt from but measured" in line
    scores = run.pipeline.datamanager.measurement_scores(run.pipeline.model)
    values, truth = run.pipeline.model.volume_values().clamp(0, 1), run.pipeline.datamanager.dataparser.truth
    assert scores["psnr_fit"] == pytest.approx(float(-10 * (values - truth).square().mean().log10()), rel=1e-4)
    assert {"psnr_fbp", "psnr_tv", "held_out_error_fbp", "held_out_error_tv", "held_out_error"} < set(scores)
    shutil.rmtree(tmp_path / "scan")
    assert signal_file.main([str(run.base_dir), str(tmp_path / "out.nii"), "--quiet"]) == 0
    image = nibabel.load(tmp_path / "out.nii")
    place = np.array([7 + 0.75 * 8, 8 + 0.75 * 6.5, 9 + 4 * 3]) * [-1, -1, 1]
    assert (np.linalg.inv(image.affine) @ [*place, 1])[:3] == pytest.approx((8, 6.5, 3), abs=1e-4)
    found = image.get_fdata()
    assert found[7:10, 6:8, 3].mean() == pytest.approx(600, abs=150)
    assert found[7:10, 6:8, 1].mean() == pytest.approx(0, abs=150)
    assert found[7:10, 6:8, 0].mean() == pytest.approx(-1000, abs=150)


def test_what_is_no_stack_is_refused(slice_file, sinogram_file, stack_file, tmp_path):
    units = np.zeros((1, HEIGHT, WIDTH), dtype=np.int16)
    write_slices(tmp_path / "scan", units, modality="CT", pixel_mm=(0.75, 0.75), scale=(1, 0))
    for data, settings, words in (
        (slice_file, {}, "stack is of several slices, and --data .*slice.png is an image"),
        (sinogram_file, {}, "has one slice, which is no stack"),
        (tmp_path / "scan", {}, "has one slice, which is no stack"),
        (stack_file, {"slice": 1}, "stack learns all slices, and .*slice is one of them"),
    ):
        config = small(data, tmp_path / "runs", views=None, held_out_views=None, stack=True, **settings)
        with pytest.raises(InputError, match=words):
            config.set_timestamp()
    assert not (tmp_path / "runs").exists()
