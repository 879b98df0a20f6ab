"""diner-tomography through its own trainer and datamanager, and what can be done with its runs."""

from __future__ import annotations

import copy
import json

import nibabel
import numpy as np
import pytest
import tifffile
import torch
from inr_plugins.method_configs.diffraction import diner_tomography
from long_form import long_form
from short_runs import assert_going_on_is_not_having_stopped, train

from inr_plugins.bench.views import held_out_views, score_views
from inr_plugins.cli import signal_file
from inr_plugins.cli.eval import main as evaluate_command
from inr_plugins.engine.evaluation import evaluate_views
from inr_plugins.errors import InputError
from inr_plugins.operators.diffraction_tomography import layered_intensities, permittivity_contrast, ring

pytestmark = long_form

SHAPE = (8, 24, 20)
OPTICS = {"wavelength_nm": 515, "na": 0.65, "medium_index": 1.33, "pitch_um": 0.1625, "slice_um": 0.3}


def body():
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, side) for side in SHAPE], indexing="ij")
    return 1.33 + 0.02 * (z**2 + (1.5 * x) ** 2 + (1.5 * y) ** 2 < 0.8) + 0.02 * ((np.abs([x - 0.1, y]) < 0.2).all(0))


def write(path, numbers, **told):
    np.save(path, numbers)
    path.with_suffix(".json").write_text(json.dumps({**OPTICS, **told}))
    return path


@pytest.fixture(scope="module")
def volume_file(tmp_path_factory):
    return write(tmp_path_factory.mktemp("a cell") / "cell.npy", body(), values="refractive index")


def small(data, output, **settings):
    config = copy.deepcopy(diner_tomography.config)
    manager, model = config.pipeline.datamanager, config.pipeline.model
    manager.data, config.output_dir = data, output
    model.network.width = 16
    for name, value in {"margin": 4, **settings}.items():
        setattr(manager.dataparser, name, value)
    return config


@pytest.mark.parametrize("keys", [True, False])
def test_stopping_and_going_on_gives_the_same_bits(keys, volume_file, tmp_path):
    def config(name):
        each = small(volume_file, tmp_path / name, noise=0.05, leds=6, held_out_leds=2)
        each.pipeline.model.keys = keys
        return each

    assert_going_on_is_not_having_stopped(config, [3], 6)


@pytest.fixture(scope="module")
def run(volume_file, tmp_path_factory):
    return train(small(volume_file, tmp_path_factory.mktemp("run"), leds=16), 200)


def test_a_volume_is_learnt_from_light_and_judged_beside_another_answer(run, tmp_path):
    pixels, batch = run.pipeline.datamanager.next_train(0)
    assert set(batch) == {"measured"}
    assert batch["measured"].shape == pixels.operator.output_shape == (16, 24, 20)
    metrics, line = evaluate_views(run.pipeline, 3, step=run._trained_step)
    assert "which was not learnt from but measured" in line
    assert evaluate_command([str(run.base_dir), "--output", str(tmp_path / "judged.json"), "--quiet"]) == 0
    mean = json.loads((tmp_path / "judged.json").read_text())["runs"][0]["images"]["mean"]
    assert mean["held_out_error"] == pytest.approx(metrics["held_out_error"], rel=1e-3)
    assert mean["held_out_error"] < 0.5
    model = run.pipeline.model
    truth = body() ** 2 - 1.33**2
    found = model.unit_span[0] + (model.unit_span[1] - model.unit_span[0]) * model.volume_values().double().numpy()
    wanted = 10 * np.log10(truth.max() ** 2 / ((found**2 - 1.33**2 - truth) ** 2).mean())
    assert mean["psnr_fit"] == pytest.approx(wanted, abs=0.02)
    assert mean["psnr_fit"] > 15
    assert mean["psnr_tikhonov"] > 15
    assert mean["held_out_error_tikhonov"] > 0


def test_a_volume_is_read_out_without_its_file(run, volume_file, tmp_path):
    kept = volume_file.read_bytes()
    volume_file.unlink()
    try:
        assert signal_file.main([str(run.base_dir), str(tmp_path / "out.npy"), "--quiet"]) == 0
        part = ["--quiet", "--frames", "2:5", "--scale", "2"]
        assert signal_file.main([str(run.base_dir), str(tmp_path / "part.npy"), *part]) == 0
        assert signal_file.main([str(run.base_dir), str(tmp_path / "one.tif"), "--quiet", "--frames", "3"]) == 0
    finally:
        volume_file.write_bytes(kept)
    found = np.load(tmp_path / "out.npy")
    assert found.shape == SHAPE
    assert np.abs(found - body()).mean() < 0.01
    assert found.min() >= 1.33
    told = json.loads((tmp_path / "out.json").read_text())
    assert told["unit"] == "1"
    assert told["spacing_mm"] == pytest.approx([3e-4, 1.625e-4, 1.625e-4])
    assert np.load(tmp_path / "part.npy").shape == (3, 48, 40)


def test_slices_are_measured_by_a_benchmark(run):
    scores = score_views(held_out_views(run.pipeline.datamanager, run.pipeline.model), [0, 3])
    assert scores[3].psnr > 10
    assert scores[3].silhouette_iou is None


def test_a_volume_that_absorbs_nothing_has_no_absorption(run, tmp_path, capsys):
    command = [str(run.base_dir), str(tmp_path / "out.npy"), "--quiet", "--part", "absorption"]
    assert signal_file.main(command) == 1
    assert "this run's has none: leave it out." in " ".join(capsys.readouterr().err.split())


def test_of_a_known_volume_the_index_is_clamped_and_what_is_absorbed_is_not(volume_file, tmp_path):
    config = small(volume_file, tmp_path / "runs", leds=6, held_out_leds=2)
    config.pipeline.model.absorption = True
    model = train(config, 1).pipeline.model
    assert (model.is_clamped, model.parts) == (True, ("index", "absorption"))
    model.show_part(1)
    assert not model.is_clamped
    model.show_part(0)
    assert model.is_clamped


def test_the_page_suggests_what_can_be_read_out(run, tmp_path):
    (name,) = run.pipeline.model.files_to_read_out()
    assert signal_file.main([str(run.base_dir), str(tmp_path / name), "--quiet"]) == 0
    assert run.pipeline.model.scales() == (("1", (1.33, 1.37)),)
    assert sorted(nibabel.load(tmp_path / name).shape) == sorted(SHAPE)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "out.mp4",
            "out.mp4 has no room for floating-point numbers: give an .npy or a .nii.gz, or of one slice a .tif",
        ),
        (
            "out.mkv",
            "out.mkv has no room for floating-point numbers: give an .npy or a .nii.gz, or of one slice a .tif",
        ),
        ("out", "out, a folder of PNG frames, has no room for floating-point numbers: give an .npy or"),
        ("out.tif", "give --frames and the number of one, or an .npy or a .nii.gz."),
    ],
)
def test_a_volume_is_no_video_and_that_is_said(name, words, run, tmp_path, capsys):
    assert signal_file.main([str(run.base_dir), str(tmp_path / name), "--quiet"]) == 1
    assert words in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def absorption_is_read_out_beside_the_index(found, index, folder):
    """Both are those of the root of the permittivity as a complex number."""
    run = str(found.base_dir)
    assert list(found.pipeline.model.files_to_read_out()) == ["volume.nii.gz", "absorption.nii.gz"]
    for part in ("index", "absorption"):
        assert signal_file.main([run, str(folder / f"{part}.npy"), "--part", part, "--quiet"]) == 0
    one = ["--part", "absorption", "--quiet", "--frames", "5"]
    assert signal_file.main([run, str(folder / "one.tif"), *one]) == 0
    real, imaginary = found.pipeline.model.permittivity_contrast().double().numpy()
    wanted = np.sqrt(1.33**2 + real + 1j * imaginary)
    np.testing.assert_array_equal(np.load(folder / "index.npy"), index)
    absorption = np.load(folder / "absorption.npy")
    assert absorption.max() > 1e-5
    # The index is the root of the real part alone, which is more than that of the whole by next to nothing.
    np.testing.assert_allclose(index, np.sqrt(1.33**2 + real), atol=1e-5)
    np.testing.assert_allclose(index, wanted.real, atol=3e-4)
    np.testing.assert_allclose(absorption, wanted.imag, rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(tifffile.imread(folder / "one.tif"), absorption[5], rtol=1e-6)
    model = found.pipeline.model
    model.show_part(1)
    np.testing.assert_array_equal(model.permittivity_contrast().double().numpy(), [real, imaginary])
    model.show_part(0)
    told = json.loads((folder / "absorption.json").read_text())
    assert told == {"axes": "slices rows columns", "spacing_mm": [3e-4, 1.625e-4, 1.625e-4], "unit": "1"}


def test_pictures_become_a_volume(tmp_path):
    config = small(write(tmp_path / "cell.npy", body(), values="refractive index"), tmp_path / "none")
    optics = config.pipeline.datamanager.dataparser.__class__(data=tmp_path / "cell.npy").read().scope.optics
    leds = ring(20, 0.65)
    seen = layered_intensities(permittivity_contrast(torch.from_numpy(body()), 1.33), optics, leds)
    told = {"values": "normalised intensity", "slices": 8, "led_na": leds.tolist()}
    path = write(tmp_path / "scan.npy", (1 + seen).numpy(), **told)
    found = train(small(path, tmp_path / "runs"), 150)
    metrics, line = evaluate_views(found.pipeline, -1, step=found._trained_step)
    assert "psnr" not in metrics
    assert metrics["held_out_error"] < 0.6
    assert "the volume itself not being known" in line
    assert len(found.pipeline.datamanager.dataparser.measured.learnt) == 18
    # What absorbs is looked for beside it, and there is none.
    model = found.pipeline.model
    assert set(model.get_param_groups()) == {"keys", "network"}
    real, imaginary = model.permittivity_contrast()
    assert float(imaginary.mean()) < 0.3 * float(real.mean())
    np.testing.assert_allclose(
        np.sqrt(1.33**2 + real.numpy()), 1.33 + (model.span[1] - 1.33) * model.volume_values().numpy(), atol=1e-5
    )
    scores = found.pipeline.datamanager.measurement_scores(model)
    assert set(scores) == {"held_out_error", "held_out_error_tikhonov"}
    assert signal_file.main([str(found.base_dir), str(tmp_path / "out.npy"), "--quiet"]) == 0
    volume = np.load(tmp_path / "out.npy")
    assert np.corrcoef(volume.ravel(), body().ravel())[0, 1] > 0.6
    absorption_is_read_out_beside_the_index(found, volume, tmp_path)
    with pytest.raises(InputError, match=r"noise says how a volume is measured, and .* was: leave it out"):
        small(path, tmp_path / "bad", noise=0.1).set_timestamp()
    with pytest.raises(InputError, match=r"held-out-leds 11 of the 20"):
        small(path, tmp_path / "bad", held_out_leds=11).set_timestamp()
    with pytest.raises(InputError, match=r"ring-na 0.7 is beyond the objective's na of 0.65"):
        small(tmp_path / "cell.npy", tmp_path / "bad", ring_na=0.7).set_timestamp()
    assert not (tmp_path / "bad").exists()
