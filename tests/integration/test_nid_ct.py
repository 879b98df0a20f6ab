"""nid-ct through its trainer: slices of a family that a dictionary has learnt, from few views."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import tifffile
import torch
from integration.small_methods import small_nid_ct, small_nid_images
from long_form import long_form
from PIL import Image
from short_runs import assert_going_on_is_not_having_stopped, train
from skimage.transform import radon

from inr_plugins.cli import eval as evaluation
from inr_plugins.cli import signal_file
from inr_plugins.engine.runs.run import load_run
from inr_plugins.errors import InputError
from inr_plugins.models.nid.slice import NidSliceModelConfig

pytestmark = long_form

SIDE = 24
UP, RIGHT = np.meshgrid(np.linspace(1, -1, SIDE), np.linspace(-1, 1, SIDE), indexing="ij")
DISC = np.exp(-4 * (UP**2 + RIGHT**2))
KINDS = DISC * np.stack([np.ones_like(UP), UP, RIGHT, np.cos(4 * RIGHT + 1), np.sin(5 * UP)])


def slice_of(seed):
    """One of a family of five dimensions, nothing at the edges."""
    shares = np.random.default_rng(seed).uniform(-0.2, 0.2, 5)
    return (0.5 * DISC + np.tensordot(shares, KINDS, 1)).clip(0, 1)


def write(path, values):
    Image.fromarray((values * 65_535).round().astype(np.uint16)).save(path)
    return path


@pytest.fixture(scope="module")
def dictionary(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many") / "slices"
    folder.mkdir()
    for number in range(40):
        write(folder / f"{number}.png", slice_of(number))
    config = small_nid_images(folder, tmp_path_factory.mktemp("learnt"))
    config.pipeline.model.patch = 0
    return train(config, 200)


def fitted(data, run, output, *, steps=2, views=5, **settings):
    config = small_nid_ct(data, run.base_dir, output)
    config.pipeline.datamanager.dataparser.views = views
    for name, value in settings.items():
        at = (
            config.pipeline.datamanager.dataparser
            if name in ("noise", "pixel_mm", "side_mm")
            else config.pipeline.model
        )
        setattr(at, name, value)
    return train(config, steps)


def psnr(found, truth):
    return -10 * np.log10(np.mean((np.asarray(found) - truth) ** 2))


def shown(run):
    return run.pipeline.model.volume_values().numpy()


@pytest.fixture(scope="module")
def unseen(tmp_path_factory):
    return write(tmp_path_factory.mktemp("unseen") / "unseen.png", slice_of(1000))


@pytest.fixture(scope="module")
def fit(unseen, dictionary, tmp_path_factory):
    return fitted(unseen, dictionary, tmp_path_factory.mktemp("fit"))


def test_an_unseen_slice_is_near_from_five_views_and_far_nearer_than_back_projected(fit, capsys):
    truth = slice_of(1000)
    assert psnr(shown(fit), truth) > 32
    assert evaluation.main([str(fit.base_dir), "--device", "cpu"]) == 0
    record = json.loads((fit.base_dir / "eval.json").read_text())["runs"][0]["images"]["mean"]
    assert record["psnr"] == pytest.approx(psnr(shown(fit), truth), abs=0.3)
    assert record["psnr"] > record["psnr_fbp"] + 8
    told = json.loads((fit.base_dir / "fit.json").read_text())
    assert told["views"] == 5
    assert told["held_out_error"] == pytest.approx(record["held_out_error"], rel=1e-3)


def test_the_views_are_those_of_the_slice_that_is_shown(fit):
    model = fit.pipeline.model
    rows, offset = model.equations
    linear = torch.einsum("l,lvb->vb", model.own_codes()[0], rows) + offset
    values = model.field.at(model.grid.indices(torch.arange(SIDE * SIDE)).double()).view(SIDE, SIDE)
    # What is below 0 is shown as 0.
    assert (model.learnt_beam.forward(values) - linear).norm() / linear.norm() < 0.01


def test_noise_takes_the_code_to_what_is_usual(unseen, dictionary, fit, tmp_path):
    noisy = fitted(unseen, dictionary, tmp_path / "noisy", noise=0.2)
    mean = dictionary.pipeline.model.own_codes().mean(0)
    away = [float((run.pipeline.model.own_codes()[0] - mean).norm()) for run in (noisy, fit)]
    assert away[0] < 0.9 * away[1]
    assert psnr(shown(noisy), slice_of(1000)) > 20


def test_steps_from_the_mean_come_to_what_is_solved_for(unseen, dictionary, tmp_path):
    config = small_nid_ct(unseen, dictionary.base_dir, tmp_path)
    config.pipeline.datamanager.dataparser.views = 24
    config.pipeline.model.start = "mean"
    config.optimizers["code"]["optimizer"].lr = 5e-2
    stepped = train(config, 300)
    solved = fitted(unseen, dictionary, tmp_path / "solved", views=24)
    begun = slice_of(1000) * 0 + np.stack([slice_of(number) for number in range(40)]).mean(0)
    assert psnr(shown(stepped), shown(solved)) > psnr(begun, shown(solved)) + 8


def sinogram(path, values, white):
    """Of scikit-image, on twice as many pixels as the dictionary's have, of 0.5 mm; 1 stands for `white` / mm."""
    fine = np.kron(values, np.ones((8, 8)))
    fine = np.pad(fine, ((0, 1), (0, 1)))  # Theirs turns around the middle of a pixel.
    angles = np.arange(0.0, 180.0, 15.0)
    found = radon(fine, theta=angles, circle=True) * white
    bins = found[:192].reshape(48, 4, -1).mean(1).T * (0.5 / 4)
    np.save(path, bins.astype(np.float32))
    beside = {"geometry": "parallel", "angles_deg": angles.tolist(), "pitch_mm": 0.5, "values": "line integrals"}
    path.with_suffix(".json").write_text(json.dumps(beside))
    return path


@pytest.mark.parametrize("white", [0.008, 0.05])
def test_the_white_of_a_mean_slice_is_that_which_it_was_measured_with(dictionary, tmp_path, white, capsys):
    mean = np.mean([slice_of(number) for number in range(40)], 0)
    model = fitted(sinogram(tmp_path / "mean.npy", mean, white), dictionary, tmp_path, views=None).pipeline.model
    found = model.unit_span[0] + float(model.white) * (model.unit_span[1] - model.unit_span[0])
    assert found == pytest.approx(white, rel=0.03)
    assert f"White of the dictionary's pictures stands for {found:.4g} 1/mm" in " ".join(
        capsys.readouterr().out.split()
    )


def test_a_sinogram_of_scikit_image_in_its_own_unit_is_found_with_its_white(dictionary, tmp_path):
    # Darker than the dictionary's by a factor that nothing says.
    run = fitted(sinogram(tmp_path / "body.npy", slice_of(1001), 0.03), dictionary, tmp_path / "run", views=None)
    assert signal_file.main([str(run.base_dir), str(tmp_path / "out.tif"), "--device", "cpu"]) == 0
    out = tifffile.imread(tmp_path / "out.tif")
    assert out.shape == (48, 48)
    truth = 0.03 * np.kron(slice_of(1001), np.ones((2, 2)))
    assert psnr(out / 0.03, truth / 0.03) > 25
    low, high = run.pipeline.model.unit_span
    assert low == 0
    assert float(run.pipeline.model.white) * high == pytest.approx(0.03, rel=0.3)


def test_a_slice_whose_detector_has_empty_rims_is_as_large_as_the_pictures_by_its_side(dictionary, tmp_path, capsys):
    path, truth = sinogram(tmp_path / "body.npy", slice_of(1001), 0.03), 0.03 * np.kron(slice_of(1001), np.ones((2, 2)))
    np.save(path, np.pad(np.load(path), ((0, 0), (14, 14))))
    wide = fitted(path, dictionary, tmp_path / "wide", views=None)
    told = " ".join(capsys.readouterr().out.split())
    assert "times as wide as what the dictionary's pictures show where they are 38 mm wide" in told
    assert "side-mm 2" in told
    run = fitted(path, dictionary, tmp_path / "run", views=None, side_mm=24.0)
    assert "times as wide" not in capsys.readouterr().out
    shares = []
    for each in (wide, run):
        assert signal_file.main([str(each.base_dir), str(tmp_path / "out.npy"), "--device", "cpu", "--overwrite"]) == 0
        found = np.load(tmp_path / "out.npy")
        rim = (len(found) - 48) // 2
        shares.append(np.corrcoef(found[rim : rim + 48, rim : rim + 48].ravel(), truth.ravel())[0, 1])
    assert found.shape == (48, 48)
    assert shares[1] > 0.99 > shares[0] + 0.01


def test_a_white_that_is_given_is_taken(unseen, dictionary, tmp_path, fit):
    twice = fitted(unseen, dictionary, tmp_path, white=2.0)
    assert float(twice.pipeline.model.white) == 2.0
    # The same slice, of values that are half as far from black: of another code.
    assert psnr(shown(twice), shown(fit)) > 20
    assert float((twice.pipeline.model.own_codes() - fit.pipeline.model.own_codes()).abs().max()) > 0.01


def test_the_page_blends_the_slice_with_pictures_of_the_dictionary(fit, dictionary):
    model, learnt = fit.pipeline.model, dictionary.pipeline.model.own_codes()
    assert model.code_names[:3] == ("slice", "the dictionary's mean", "the dictionary's 0")
    assert torch.equal(model.code_of(0), model.own_codes())
    assert torch.allclose(model.code_of(1)[0], learnt.mean(0), atol=1e-6)
    assert torch.equal(model.code_of(4)[0], learnt[2])
    places = model.grid.indices(torch.arange(SIDE * SIDE)).double()
    own, copied = model.values_at(places), copy.copy(model)
    code = model.code_of(4)
    copied.drawn_code = (torch.arange(code.shape[1])[None], code)
    drawn = copied.values_at(places).view(SIDE, SIDE)
    assert psnr(drawn, slice_of(2)) > 30
    assert torch.equal(model.values_at(places), own)


def test_a_run_needs_no_dictionary_any_more_and_goes_on_with_the_same_bits(unseen, dictionary, tmp_path, fit):
    loaded = load_run(fit.base_dir, device="cpu")
    model = loaded.pipeline.model
    assert torch.equal(model.own_codes(), fit.pipeline.model.own_codes())
    assert np.array_equal(model.volume_values().numpy(), shown(fit))

    def config(name):
        made = small_nid_ct(unseen, dictionary.base_dir, tmp_path / name)
        made.pipeline.model.start = "mean"
        return made

    assert_going_on_is_not_having_stopped(config, [3], 6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda config, folder: setattr(config.pipeline.model, "dictionary", None), "needs a dictionary"),
        (lambda config, folder: setattr(config.pipeline.model, "white", 0.0), "white must be above 0"),
        (
            lambda config, folder: setattr(
                config.pipeline.datamanager, "data", write(folder / "wide.png", np.ones((24, 36)))
            ),
            "36 x 24 pixels",
        ),
    ],
)
def test_what_cannot_be_is_refused(unseen, dictionary, tmp_path, change, said):
    config = small_nid_ct(unseen, dictionary.base_dir, tmp_path)
    change(config, tmp_path)
    with pytest.raises(InputError, match=said):
        train(config, 1)


def test_dictionaries_of_patches_and_of_colours_are_refused(unseen, tmp_path):
    for name, patch, channels in (("patches", 8, 1), ("colours", 0, 3)):
        folder = tmp_path / name
        folder.mkdir()
        for number in range(3):
            pixels = np.uint8(255 * slice_of(number))
            Image.fromarray(pixels if channels == 1 else np.stack(3 * [pixels], -1)).save(folder / f"{number}.png")
        learnt = small_nid_images(folder, tmp_path / f"{name} run")
        learnt.pipeline.model.patch = patch
        learnt.pipeline.model.active = 8
        run = train(learnt, 2)
        with pytest.raises(InputError, match="of patches of 8" if patch else "of coloured pictures"):
            train(small_nid_ct(unseen, run.base_dir, tmp_path / "fit"), 1)


def test_a_stack_is_refused(dictionary, tmp_path):
    path = sinogram(tmp_path / "scan.npy", slice_of(100), 0.02)
    told = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**told, "axes": "slices views bins"}))
    np.save(path, np.stack(2 * [np.load(path)]))
    config = small_nid_ct(path, dictionary.base_dir, tmp_path / "fit")
    config.pipeline.datamanager.dataparser.stack = True
    with pytest.raises(InputError, match=r"learns one slice, .* leave out .*stack, and say which by .*slice"):
        train(config, 1)


def test_settings_are_those_that_are_documented():
    config = NidSliceModelConfig()
    assert (config.start, config.weighting, config.isotropic) == ("prior", "ramp", 0.005)
