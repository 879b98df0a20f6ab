"""cn-ct through its own trainer and datamanager, and what can be done with its runs."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from inr_plugins.method_configs.tomography import cn_ct
from PIL import Image
from short_runs import assert_same_state, train

from inr_plugins.cli import signal_file
from inr_plugins.engine.evaluation import evaluate_views
from inr_plugins.engine.runs.run import load_run
from inr_plugins.errors import InputError

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
    config.pipeline.model.width, config.pipeline.model.hidden_layers, config.pipeline.model.octaves = 24, 2, 4
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
    wanted = float((model.held_out_beam.forward(model.slice_values()) - measured.held_out).norm())
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
