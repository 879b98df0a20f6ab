"""diner-lensless through its own trainer and datamanager, and what can be done with its runs."""

from __future__ import annotations

import copy
import json
import math

import numpy as np
import pytest
import torch
from inr_plugins.method_configs.lensless import diner_lensless
from long_form import long_form
from PIL import Image
from short_runs import assert_going_on_is_not_having_stopped, train

from inr_plugins.cli import analyze, signal_file
from inr_plugins.cli.eval import main as evaluate_command
from inr_plugins.engine.evaluation import evaluate_views
from inr_plugins.errors import InputError
from inr_plugins.models.inverse.lensless import LenslessModel
from inr_plugins.operators.lensless import Optics, light_at, margin_for, record
from inr_plugins.operators.light_solve import light_step
from inr_plugins.operators.propagation import intensity

HEIGHTS = [0.1, 0.15, 0.2, 0.25, 0.3]
LIGHT = {"wavelength_nm": 537, "pitch_um": 3.45, "heights_mm": HEIGHTS}
ROWS, COLUMNS = 24, 32


def grey(path, values):
    Image.fromarray(np.rint(255 * values).astype(np.uint8)).save(path)
    return path


def amplitude():
    y, x = np.mgrid[-1 : 1 : ROWS * 1j, -1 : 1 : COLUMNS * 1j]
    return 0.9 - 0.6 * ((np.abs(x) < 0.4) & (np.abs(y + 0.1) < 0.5)) + 0.1 * (x > 0.6)


def phase():
    y, x = np.mgrid[-1 : 1 : ROWS * 1j, -1 : 1 : COLUMNS * 1j]
    return np.exp(-30 * ((x - 0.3) ** 2 + y**2))


@pytest.fixture(scope="module")
def object_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("an object")
    grey(folder / "phase.png", phase())
    told = {"values": "object", "phase": "phase.png", "phase_white_rad": 1.5, **LIGHT}
    (folder / "cells.json").write_text(json.dumps(told))
    return grey(folder / "cells.png", amplitude())


def small(data, output, *, model=None, **settings):
    config = copy.deepcopy(diner_lensless.config)
    manager = config.pipeline.datamanager
    manager.data, config.output_dir = data, output
    config.pipeline.model.network.width = 16
    # Nothing but rounding and another discretisation is noise here.
    config.pipeline.model.slow_weight = 10.0
    for name, value in settings.items():
        setattr(manager.dataparser, name, value)
    for name, value in (model or {}).items():
        setattr(config.pipeline.model, name, value)
    return config


@long_form
def test_stopping_and_going_on_gives_the_same_bits(object_file, tmp_path, monkeypatch):
    assert_going_on_is_not_having_stopped(
        lambda name: small(object_file, tmp_path / name, model={"learn_heights": True, "solve_share": 0.0}, noise=0.05),
        [3],
        6,
    )
    # Between steps in which the light is solved for, of which the last ones change nothing any more: of a run of 9
    # that was interrupted.
    monkeypatch.setattr(LenslessModel, "is_solving", lambda self, step: step >= 4)
    assert_going_on_is_not_having_stopped(
        lambda name: small(object_file, tmp_path / f"solved {name}", noise=0.05), [6, 8], 9
    )


@pytest.fixture(scope="module")
def run(object_file, tmp_path_factory):
    return train(small(object_file, tmp_path_factory.mktemp("run")), 60)


def test_an_object_is_learnt_from_holograms_and_judged_beside_another_answer(run, tmp_path):
    pixels, batch = run.pipeline.datamanager.next_train(0)
    assert pixels.places is None
    assert set(batch) == {"measured"}
    assert batch["measured"].shape == (4, ROWS, COLUMNS)
    metrics, line = evaluate_views(run.pipeline, 1, step=run._trained_step)
    assert metrics["psnr_amplitude"] > 25
    assert metrics["psnr_phase"] > 18
    assert metrics["held_out_psnr"] > 28
    assert "which was not learnt from but recorded" in line
    assert "held out contrast error" in line
    assert evaluate_command([str(run.base_dir), "--output", str(tmp_path / "judged.json"), "--quiet"]) == 0
    mean = json.loads((tmp_path / "judged.json").read_text())["runs"][0]["images"]["mean"]
    assert mean["held_out_error"] == pytest.approx(metrics["held_out_error"], rel=1e-3)
    assert {
        "psnr_amplitude_gs",
        "ssim_amplitude_gs",
        "psnr_phase_gs",
        "held_out_psnr_gs",
        "held_out_contrast_error_gs",
    } < set(mean)


def test_amplitude_and_phase_are_read_out_without_the_files(run, object_file, tmp_path):
    kept = object_file.read_bytes()
    object_file.unlink()
    try:
        for part, name in (("amplitude", "size.npy"), ("phase", "phase.npy"), ("phase", "phase.tif")):
            assert signal_file.main([str(run.base_dir), str(tmp_path / name), "--part", part, "--quiet"]) == 0
        assert signal_file.main([str(run.base_dir), str(tmp_path / "first.npy"), "--quiet"]) == 0
        assert signal_file.main([str(run.base_dir), str(tmp_path / "no.npy"), "--quiet", "--part", "depth"]) == 1
    finally:
        object_file.write_bytes(kept)
    size, turned = np.load(tmp_path / "size.npy"), np.load(tmp_path / "phase.npy")
    assert np.array_equal(size, np.load(tmp_path / "first.npy"))
    assert json.loads((tmp_path / "size.json").read_text()) == {
        "axes": "rows columns",
        "spacing_mm": [0.00345, 0.00345],
        "unit": "1",
    }
    assert json.loads((tmp_path / "phase.json").read_text())["unit"] == "rad"
    assert np.abs(size - amplitude()).mean() < 0.05
    off = np.angle(np.exp(1j * (turned - 1.5 * phase())))
    assert np.abs(np.angle(np.exp(1j * (off - np.angle(np.exp(1j * off).mean()))))).mean() < 0.15
    import tifffile

    with tifffile.TiffFile(tmp_path / "phase.tif") as tiff:
        np.testing.assert_allclose(tiff.asarray(), turned, atol=1e-5)
        across, one = tiff.pages[0].tags["XResolution"].value
        assert across / one == pytest.approx(10 / 0.00345, rel=1e-3)


def test_the_page_suggests_what_can_be_read_out(run, tmp_path):
    for name, part in run.pipeline.model.files_to_read_out().items():
        assert signal_file.main([str(run.base_dir), str(tmp_path / name), "--part", part, "--quiet"]) == 0
    assert {each.name for each in tmp_path.iterdir()} == {"amplitude.tif", "phase.tif"}
    assert run.pipeline.model.scales() == (("1", (0.0, 1.0)), ("rad", (-math.pi, math.pi)))


def test_keys_of_parts_are_not_drawn_and_what_is_known_is_analysed(run, tmp_path, capsys):
    place = ["--device", "cpu", "--output", str(tmp_path)]
    assert analyze.main([str(run.base_dir), "keys", *place]) == 1
    said = capsys.readouterr().err
    assert "each part of what this run has learnt has keys of its own" in said
    assert analyze.main([str(run.base_dir), "ntk", *place]) == 1
    assert "ntk: no kernel of what this method learns is known" in capsys.readouterr().err
    for kind in ("rank", "spectrum"):
        assert analyze.main([str(run.base_dir), kind, *place]) == 0
        assert (tmp_path / f"{kind}.csv").exists()


def test_in_the_last_steps_the_light_is_solved_for_and_keys_follow_it(object_file, tmp_path, capfd):
    scores = {}
    for share in (0.0, 0.25):
        assert "is solved for" not in capfd.readouterr().out
        found = train(small(object_file, tmp_path / str(share), model={"solve_share": share}), 40)
        scores[share] = evaluate_views(found.pipeline, 1, step=found._trained_step)[0]
    said = " ".join(capfd.readouterr().out.split())
    assert said.count("From step 30 on the light is solved for (--pipeline.model.solve-share)") == 1
    assert said.count("The light is solved for: from step") == 1
    assert scores[0.25]["held_out_error"] < 0.7 * scores[0]["held_out_error"]
    assert scores[0.25]["psnr_amplitude"] > scores[0]["psnr_amplitude"] + 3
    model = found.pipeline.model
    assert [step for step in range(40) if model.is_solving(step)] == list(range(30, 40))
    # Optimizers have moved on in those steps, and what they moved is back: the light is that which was solved for.
    measured = found.pipeline.datamanager.next_train(0)[1]["measured"]
    before = {name: each.clone() for name, each in model.state_dict().items() if isinstance(each, torch.Tensor)}
    assert not all(model.solve(measured) for _ in range(30))
    model.before_step(measured, 39)
    with torch.no_grad():
        for each in model.field.parameters():
            each.add_(1.0)
    solved = model.light()
    model.after_step(39)
    assert not torch.allclose(solved, model.light())
    again = {name: each.clone() for name, each in model.state_dict().items() if isinstance(each, torch.Tensor)}
    assert not model.solve(measured)
    assert all(torch.equal(each, model.state_dict()[name]) for name, each in again.items())
    assert before.keys() == again.keys()


@pytest.mark.parametrize("loss", ["amplitude", "intensity"])
def test_the_light_of_moved_keys_is_that_of_the_step(object_file, tmp_path, loss):
    found = train(small(object_file, tmp_path, model={"loss": loss, "solve_share": 0.0}), 12)
    model, measured = found.pipeline.model, found.pipeline.datamanager.next_train(0)[1]["measured"]
    before = model.light()
    step = light_step(model.space(), before, measured, compared=loss)
    assert step.after < 0.5 * step.before
    assert model.solve(measured)
    torch.testing.assert_close(
        model.light(), torch.polar(step.amplitude, before.angle() + step.turn), rtol=0, atol=2e-5
    )


def test_while_heights_are_learnt_the_light_is_solved_for_anew(object_file, tmp_path):
    model = train(small(object_file, tmp_path, model={"learn_heights": True}), 2).pipeline.model
    measured = torch.ones(4, ROWS, COLUMNS)
    model.run_steps = 1
    called = []
    model.solve = lambda seen: called.append(seen) or False
    for _ in range(3):
        model.before_step(measured, 1)
        model.after_step(1)
    assert len(called) == 3
    model.config.learn_heights = False
    for _ in range(3):
        model.before_step(measured, 1)
    assert len(called) == 4


def test_keys_before_a_normalization_cannot_be_solved_for(object_file, tmp_path):
    config = small(object_file, tmp_path)
    config.pipeline.model.network.normalization = "cross"
    with pytest.raises(InputError, match=r"normalization: keys cannot be moved.*solve-share 0"):
        config.pipeline.model.check_options()
    config.pipeline.model.solve_share = 0.0
    config.pipeline.model.check_options()


def recorded(tmp_path, *, by_the_fits_operator=False):
    """A folder of holograms of 16 bits."""
    light = torch.from_numpy((amplitude() * np.exp(1.5j * phase())).astype(np.complex64))
    optics = margin_for(Optics(COLUMNS, ROWS, 3.45, 537, tuple(HEIGHTS), ()), None)
    if by_the_fits_operator:
        made = intensity(light_at(optics.space(optics.heights()), light)).numpy()
    else:
        made = record(light, optics, noise=0.0, seed=0).learnt.numpy()
    folder = tmp_path / "stack"
    folder.mkdir()
    for number, each in enumerate(made, 1):
        Image.fromarray(np.rint(20_000 * each).astype(np.uint16)).save(folder / f"raw_{number:02d}.png")
    return folder


@long_form
def test_recorded_holograms_of_an_unknown_object(tmp_path):
    folder = recorded(tmp_path)
    (tmp_path / "stack.json").write_text(json.dumps({"values": "intensity", "open_beam": 20_000, **LIGHT}))
    found = train(small(folder, tmp_path / "runs", model={"loss": "intensity"}), 300)
    metrics, line = evaluate_views(found.pipeline, -1, step=found._trained_step)
    assert "psnr" not in metrics
    assert metrics["held_out_psnr"] > 30
    assert "the object itself not being known" in line
    assert found.pipeline.model.stored_name == "Gerchberg-Saxton"
    assert np.abs(np.abs(found.pipeline.model.light().numpy()) - amplitude()).mean() < 0.05
    with pytest.raises(InputError, match=r"are recorded: leave it"):
        small(folder, tmp_path / "bad", noise=0.1).set_timestamp()
    assert not (tmp_path / "bad").exists()


@pytest.mark.parametrize("loss", ["amplitude", "intensity"])
def test_saturated_pixels_are_at_least_so_much_and_nothing_is_judged_by_them(loss, tmp_path):
    folder = recorded(tmp_path)
    files = sorted(folder.iterdir())
    counts = np.stack([np.asarray(Image.open(path)) for path in files])
    full, beam = 65_535, 20_000 * 65_535 / float(np.quantile(counts, 0.95))
    counts = np.minimum(np.rint(counts * (beam / 20_000)), full).astype(np.uint16)
    for path, each in zip(files, counts, strict=True):
        Image.fromarray(each).save(path)
    (tmp_path / "stack.json").write_text(json.dumps({"values": "intensity", "open_beam": beam, **LIGHT}))
    found = train(small(folder, tmp_path / "runs", model={"loss": loss, "slow_weight": 1.0}), 10)
    model, manager = found.pipeline.model, found.pipeline.datamanager
    y, known = counts / beam, counts < full
    learnt, aside = [0, 1, 3, 4], 2
    assert 0.01 < 1 - known[learnt].mean() < 0.2
    assert not known[aside].all()
    light = model.light()
    assert bool(light.isfinite().all())
    optics = model.optics
    seen = intensity(light_at(optics.space(optics.heights()), light)).numpy()
    outputs, batch = model(manager.next_train(0)[0]), manager.next_train(0)[1]

    def missed(one, other, where):
        return np.linalg.norm((one - other)[where]) / np.linalg.norm(other[where])

    error = float(model.get_metrics_dict(outputs, batch)["measurement_error"])
    assert error == pytest.approx(missed(seen, y[learnt], known[learnt]), rel=1e-3)
    of = np.sqrt if loss == "amplitude" else np.asarray
    lost = float(model.get_loss_dict(outputs, batch)["measurement_loss"])
    least = np.where(known[learnt], y[learnt], np.maximum(y[learnt], seen))
    assert (least > y[learnt]).mean() > 0.01
    assert lost == pytest.approx(missed(of(seen), of(least), least >= 0) ** 2, rel=1e-2)
    judged = intensity(light_at(optics.space(optics.heights(held_out=True)), light)).numpy()[0]
    scores = evaluate_views(found.pipeline, 1, step=9)[0]
    assert scores["held_out_error"] == pytest.approx(missed(judged, y[aside], known[aside]), rel=1e-3)
    mean = y[aside][known[aside]].mean()
    wanted = missed(judged - mean, y[aside] - mean, known[aside])
    assert scores["held_out_contrast_error"] == pytest.approx(wanted, rel=1e-3)
    off = np.square((judged - y[aside])[known[aside]]).mean()
    assert scores["held_out_psnr"] == pytest.approx(10 * np.log10(y[known].max() ** 2 / off), abs=0.01)


def test_heights_move_and_light_is_measured_at_them(object_file, tmp_path):
    model = train(small(object_file, tmp_path, model={"learn_heights": True}), 2).pipeline.model
    assert bool(model.shifts_mm.all())
    with torch.no_grad():
        model.shifts_mm.fill_(0.02)
        light, optics = model.light(), model.optics
        moved = light_at(optics.space(optics.heights() + 0.02), light)
        torch.testing.assert_close(light_at(model.space(), light), moved, rtol=0, atol=1e-5)
        assert not torch.allclose(light_at(optics.space(optics.heights()), light), moved, rtol=0, atol=1e-3)


@long_form
def test_heights_are_learnt(tmp_path):
    folder = recorded(tmp_path, by_the_fits_operator=True)
    off = [0.0, 0.015, -0.015, 0.015, 0.0]
    told = {**LIGHT, "heights_mm": [a + b for a, b in zip(HEIGHTS, off, strict=True)]}
    (tmp_path / "stack.json").write_text(json.dumps({"values": "intensity", "open_beam": 20_000, **told}))
    errors = {}
    for learnt in (False, True):
        found = train(small(folder, tmp_path / str(learnt), model={"learn_heights": learnt}, held_out_heights=0), 300)
        errors[learnt] = float(
            found.pipeline.model.get_metrics_dict(
                found.pipeline.model(found.pipeline.datamanager.next_train(0)[0]),
                found.pipeline.datamanager.next_train(0)[1],
            )["measurement_error"]
        )
    assert errors[True] < 0.75 * errors[False]
    shifts = found.pipeline.model.shifts_mm.detach().numpy()
    # All of them together are the object's own place.
    np.testing.assert_allclose(shifts - shifts.mean(), -(np.array(off) - np.mean(off)), atol=0.005)


def test_a_network_of_coordinates_in_place_of_keys(object_file, tmp_path):
    config = small(object_file, tmp_path, model={"keys": False})
    config.pipeline.model.network.encoding = "positional"
    config.pipeline.model.network.activation = "relu"
    found = train(config, 4)
    assert {name for name, _ in found.pipeline.model.named_parameters() if "keys" in name} == set()
    assert math.isfinite(evaluate_views(found.pipeline, 1, step=3)[0]["psnr_amplitude"])
