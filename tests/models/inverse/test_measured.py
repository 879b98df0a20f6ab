"""What fits are made of that are learnt from measurements: losses, signs, scores, and what they tell their panels."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from inr_plugins.method_configs.diffraction import diner_tomography
from inr_plugins.method_configs.lensless import diner_lensless
from inr_plugins.method_configs.resonance import cn_mri
from inr_plugins.method_configs.tomography import cn_ct
from PIL import Image

from inr_plugins.errors import InputError
from inr_plugins.models.inverse.diffraction import _mean_variation
from inr_plugins.models.inverse.measured import ComparedMeasurements
from inr_plugins.models.inverse.volume_panel import VolumePanel
from inr_plugins.operators.radon import root_of_ramp

SHAPE = (8, 10, 12)
SPACING = [3.0, 2.0, 1.5]
CELL = {"wavelength_nm": 515, "na": 0.65, "medium_index": 1.33, "pitch_um": 0.1625, "slice_um": 0.3}
LIGHT = {"wavelength_nm": 537, "pitch_um": 3.45, "heights_mm": [0.1, 0.2, 0.3]}


def write(path, numbers, **told):
    if path.suffix == ".npy":
        np.save(path, numbers)
    else:
        Image.fromarray(numbers).save(path)
    if told:
        path.with_suffix(".json").write_text(json.dumps(told))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured")
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, side) for side in SHAPE], indexing="ij")
    body = np.exp(-4 * (x**2 + y**2 + z**2)).astype(np.float32)
    flat = np.rint(200 * body[4]).astype(np.uint8) + 20
    light = np.pad(flat, 6, mode="edge")
    return {
        "cn-ct": write(folder / "slice.png", flat),
        "cn-mri": write(folder / "body.npy", body, values="volume", spacing_mm=SPACING),
        "diner-tomography": write(folder / "cell.npy", 1.33 + 0.03 * body, values="refractive index", **CELL),
        "diner-lensless": write(folder / "object.png", light, values="object", **LIGHT),
    }


METHODS = {"cn-ct": cn_ct, "cn-mri": cn_mri, "diner-tomography": diner_tomography, "diner-lensless": diner_lensless}


def pipeline(files, tmp_path, method, parser=None, **settings):
    """That of a run that is about to begin, of a small network."""
    config = copy.deepcopy(METHODS[method].config)
    manager, model = config.pipeline.datamanager, config.pipeline.model
    manager.data, config.output_dir = files[method], tmp_path
    for name, value in (parser or {}).items():
        setattr(manager.dataparser, name, value)
    for name, value in settings.items():
        *path, last = name.split("__")
        owner = model
        for each in path:
            owner = getattr(owner, each)
        setattr(owner, last, value)
    config.set_timestamp()
    torch.manual_seed(0)
    return config.pipeline.setup(device="cpu", test_mode="val")


def test_the_loss_is_the_share_of_the_measured_squares_that_is_missed():
    found, measured = torch.randn(7, 5), 3 * torch.randn(7, 5)
    model = ComparedMeasurements()
    loss = model.get_loss_dict({"measured": found}, {"measured": measured})["measurement_loss"]
    torch.testing.assert_close(loss, (found - measured).norm() ** 2 / measured.norm() ** 2)
    # Measurements in another unit are as easily learnt.
    scaled = model.get_loss_dict({"measured": 50 * found}, {"measured": 50 * measured})["measurement_loss"]
    torch.testing.assert_close(scaled, loss)


def test_views_are_weighted_by_the_root_of_the_ramp_unless_they_count_as_they_are(files, tmp_path):
    measured = torch.randn(4, 33)
    found = measured + torch.linspace(0, 1, 33)
    for weighting, weigh in (("ramp", root_of_ramp), ("none", lambda views: views)):
        model = pipeline(files, tmp_path, "cn-ct", weighting=weighting).model
        loss = model.get_loss_dict({"measured": found}, {"measured": measured})["measurement_loss"]
        torch.testing.assert_close(loss, weigh(found - measured).norm() ** 2 / weigh(measured).norm() ** 2)
    assert not torch.allclose(root_of_ramp(measured), measured)


@pytest.mark.parametrize("method", ["cn-ct", "cn-mri", "diner-tomography"])
def test_values_are_0_and_more_unless_any_sign_is_asked_for(method, files, tmp_path):
    least = {}
    for positive in (True, False):
        model = pipeline(files, tmp_path, method, positive=positive).model
        network = model.field.network if method != "diner-tomography" else model.field.fields[0].network
        with torch.no_grad():
            network.layers[-1].bias -= 3
            least[positive] = float(model.field(None).min())
    assert least[True] >= 0
    assert least[False] < -0.5


def test_of_an_unknown_slice_there_are_scores_of_views_alone(files, tmp_path):
    made = pipeline(files, tmp_path, "cn-ct", {"views": 12, "held_out_views": 3})
    model, parser = made.model, made.datamanager.dataparser
    height, width = model.grid.height, model.grid.width
    outputs = {
        name: torch.rand(height, width, count) for name, count in (("rgb", 3), ("depth", 1), ("accumulation", 1))
    }
    batch = {"image": torch.rand(height, width, 3), "measured": parser.measured, "answers": {}, "truth": None}
    metrics, _ = model.get_image_metrics_and_images(outputs, {**batch, "has_truth": False})
    assert set(metrics) == {"held_out_error"}
    metrics, _ = model.get_image_metrics_and_images(outputs, {**batch, "has_truth": True})
    assert {"held_out_error", "psnr"} <= set(metrics)
    wanted = model.geometry.beam(model.geometry.held_out_angles).forward(model.volume_values())
    assert metrics["held_out_error"] == pytest.approx(
        float((wanted - parser.measured.held_out).norm() / parser.measured.held_out.norm()), rel=1e-5
    )


def test_slices_of_a_volume_have_one_score_until_the_fit_changes(files, tmp_path):
    made = pipeline(files, tmp_path, "cn-mri")
    model, measured = made.model, made.datamanager.dataparser.measured
    before = model._fit_scores(measured)
    asked = []
    model.measurement_scores = lambda *arguments: asked.append(arguments) or {"held_out_error": 7.0}
    assert model._fit_scores(measured) == before
    assert not asked
    with torch.no_grad():
        model.field.network.layers[-1].bias += 1
    assert model._fit_scores(measured) == {"held_out_error": 7.0}
    assert len(asked) == 1


def test_a_volume_tells_its_panel_the_sides_of_voxels_by_columns_rows_and_slices(files, tmp_path):
    model = pipeline(files, tmp_path, "cn-mri").model
    told = []
    model.image_panel(lambda **more: told.append(more) or VolumePanel(**more))
    assert told[0]["voxel_mm"] == (1.5, 2.0, 3.0)
    assert tuple(told[0]["sides"]) == SHAPE[::-1]


def test_answers_beyond_what_is_seen_are_judged_as_they_are_seen(files, tmp_path):
    made = pipeline(files, tmp_path, "cn-mri")
    model, parser = made.model, made.datamanager.dataparser
    truth = parser.truth
    answer = truth + torch.where(truth > 0.5, 2.0, 0.1)
    scores = model.measurement_scores(parser.measured, {"other": answer}, truth)
    wanted = -10 * math.log10(float((answer.clamp(0, 1) - truth).square().mean()))
    assert scores["psnr_other"] == pytest.approx(wanted, abs=1e-3)


def test_absorption_of_1_is_as_much_as_1_of_the_index_adds(files, tmp_path):
    model = pipeline(files, tmp_path, "diner-tomography", absorption=True).model
    low, high = model.index_span
    volumes = torch.stack([torch.zeros(SHAPE), torch.full(SHAPE, 0.5)])
    real, imaginary = model._contrast(volumes)
    torch.testing.assert_close(imaginary, torch.full(SHAPE, 0.5 * (high**2 - low**2)))
    torch.testing.assert_close(real, torch.full(SHAPE, low**2 - 1.33**2), atol=1e-6, rtol=0)
    torch.testing.assert_close(model._contrast(volumes.flip(0))[0] - real, imaginary, atol=2e-3, rtol=0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_total_variation_is_the_slope_whichever_way_it_goes(axis):
    slope = 0.25 * torch.arange(6.0).view(*[-1 if each == axis else 1 for each in range(3)])
    assert float(_mean_variation(slope.expand(6, 6, 6))) == pytest.approx(0.25, rel=1e-4)


def test_sparsity_is_the_mean_difference_from_the_medium(files, tmp_path):
    model = pipeline(files, tmp_path, "diner-tomography", sparsity=2.0, smoothness=0.0).model
    values = torch.linspace(-1, 1, model.grid.count)[:, None]
    measured = torch.rand(3, 4)
    losses = model.get_loss_dict({"measured": measured, "values": values}, {"measured": measured})
    assert set(losses) == {"measurement_loss", "sparsity_loss"}
    torch.testing.assert_close(losses["sparsity_loss"], 2 * values.abs().mean())


@pytest.mark.parametrize("start", [0.0, 0.3])
def test_keys_start_as_far_apart_as_is_asked_for(start, files, tmp_path):
    model = pipeline(files, tmp_path, "diner-lensless", key_start=start).model
    for keys in model.get_param_groups()["keys"]:
        assert 0.8 * start <= float(keys.detach().abs().max()) <= start


@pytest.mark.parametrize(
    ("keys", "activation", "rate"), [(True, "relu", 3e-3), (True, "sine", 1e-3), (False, "relu", 5e-4)]
)
def test_networks_have_the_rate_of_their_activation_behind_keys_and_of_coordinates_another(
    keys, activation, rate, files, tmp_path
):
    model = pipeline(files, tmp_path, "diner-lensless", keys=keys, network__activation=activation).model
    assert model.own_rates()["network"].lr == rate
    assert ("keys" in model.get_param_groups()) is keys


@pytest.mark.parametrize(
    ("method", "parser", "words"),
    [
        ("cn-ct", {"views": 1, "held_out_views": 1}, ("Measured 1 view of ", "; 1 more is held out.")),
        ("cn-ct", {"views": 2, "held_out_views": 2}, ("Measured 2 views of ", "; 2 more are held out.")),
        ("diner-tomography", {"leds": 5, "held_out_leds": 1}, ("of 5 LEDs; 1 is held out.",)),
        ("diner-tomography", {"leds": 5, "held_out_leds": 2}, ("of 5 LEDs; 2 are held out.",)),
    ],
)
def test_one_measurement_is_told_of_as_one(method, parser, words, files, tmp_path):
    line = pipeline(files, tmp_path, method, parser).datamanager.measured_line()
    assert all(each in line for each in words), line


@pytest.mark.parametrize("method", METHODS)
def test_a_run_whose_data_is_missing_is_a_sentence_and_leaves_no_folder(method, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = copy.deepcopy(METHODS[method].config)
    config.data = config.pipeline.datamanager.data = Path("missing")
    config.vis, config.machine.device_type = "tensorboard", "cpu"
    config.set_timestamp()
    config.save_config()
    assert (config.get_base_dir() / "config.yml").exists()
    with pytest.raises(InputError, match=r"There is no data at missing: give ns-train the right --data"):
        config.setup(local_rank=0, world_size=1).setup()
    assert not list(tmp_path.iterdir())
