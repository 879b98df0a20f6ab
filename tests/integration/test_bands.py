"""Images of more channels than colours, from their file to a run and back, against numpy by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import torch
from inr_plugins.method_configs.images import cn_image
from integration.small_methods import small_diner_image, small_network_image, small_stream
from long_form import long_form
from PIL import Image
from short_runs import assert_going_on_is_not_having_stopped, train
from skimage.metrics import structural_similarity

from inr_plugins.bench.views import held_out_views, score_views
from inr_plugins.cli import analyze, compress, decompress, signal_file
from inr_plugins.cli import eval as evaluation
from inr_plugins.data.signals import datamanager
from inr_plugins.data.signals.windows import windows_of
from inr_plugins.engine.evaluation import evaluate_views
from inr_plugins.engine.runs.run import load_run
from inr_plugins.errors import InputError
from inr_plugins.signal_grid import PixelGrid

pytestmark = long_form

WIDTH, HEIGHT, CHANNELS = 32, 24, 6
WEIGHTS = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.45, 0.55]])


def mixed() -> np.ndarray:
    """Six channels of rank 2, each another: a gradient to the right, one down, and four mixes of them."""
    row, column = np.meshgrid(np.linspace(0, 1, HEIGHT), np.linspace(0, 1, WIDTH), indexing="ij")
    own = np.stack([column, row**2], -1)
    return np.rint(np.concatenate([own, own @ WEIGHTS.T], -1) * 65535).astype(np.uint16)


def decibels(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((found.astype(float) - wanted) ** 2)))


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("an image") / "six.tif"
    tifffile.imwrite(path, np.moveaxis(mixed(), -1, 0), photometric="minisblack", planarconfig="separate")
    return path


@pytest.fixture(scope="module")
def run(photo, tmp_path_factory):
    config = small_diner_image(photo, tmp_path_factory.mktemp("run"))
    config.pipeline.model.key_width = 2
    return train(config, 250)


def fitted(run) -> np.ndarray:
    """The fit in all pixels, clamped."""
    with torch.no_grad():
        return run.pipeline.model.field(None).clamp(0, 1).double().numpy().reshape(HEIGHT, WIDTH, -1)


def test_stopping_and_going_on_gives_the_same_bits(photo, tmp_path):
    def config(name):
        each = small_diner_image(photo, tmp_path / name)
        each.pipeline.datamanager.pixels_per_batch = 100
        return each

    assert_going_on_is_not_having_stopped(config, [4], 9)


def test_it_says_what_it_reads_and_is_judged_by_all_channels(run, photo, tmp_path, capsys):
    record = tmp_path / "record.json"
    assert evaluation.main([str(run.base_dir), "--output", str(record), "--device", "cpu", "--quiet"]) == 0
    (entry,) = json.loads(record.read_text())["runs"]
    fit, truth = fitted(run), mixed() / 65535
    by_hand = decibels(fit, truth)
    assert by_hand > 30
    # Three of the channels alone are another number.
    assert abs(decibels(fit[..., :3], truth[..., :3]) - by_hand) > 0.004
    found = entry["images"]["mean"]
    assert found["psnr"] == pytest.approx(by_hand, abs=1e-3)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    each = [structural_similarity(fit[..., c], truth[..., c], win_size=11, **settings) for c in range(CHANNELS)]
    assert found["ssim"] == pytest.approx(np.mean(each), abs=1e-4)
    assert found["lpips"] is None
    assert "it is of colours, and the channels of the image are none" in record.read_text()
    assert evaluate_views(run.pipeline, 1, step=0)[1].startswith(f"Evaluated the whole image: psnr {by_hand:.4g}, ")
    views = held_out_views(run.pipeline.datamanager, run.pipeline.model)
    assert score_views(views, [0])[0].psnr == pytest.approx(by_hand, abs=1e-3)
    strided = score_views(views, [0], stride=2)[0]
    assert strided.psnr == pytest.approx(decibels(fit[1::2, 1::2], truth[1::2, 1::2]), abs=1e-3)
    assert strided.ssim is None
    train(small_diner_image(photo, tmp_path), 1)
    assert "32 x 24 pixels, 6 channels, 16 bits, no opacity" in " ".join(capsys.readouterr().out.split())


def test_three_channels_are_seen_and_the_others_where_they_are_asked_for(run):
    model, fit = run.pipeline.model, fitted(run)
    ((camera, batch),) = list(run.pipeline.datamanager.fixed_indices_eval_dataloader)
    outputs = model.get_outputs_for_camera(camera)
    assert np.allclose(outputs["rgb"].numpy(), fit[..., :3], atol=1e-4)
    assert np.allclose(outputs["channels"].numpy(), fit, atol=1e-4)
    assert (outputs["accumulation"] == 1).all()
    assert np.allclose(batch["image"].numpy(), mixed()[..., :3] / 65535, atol=1e-6)
    assert np.allclose(batch["channels"].numpy(), mixed() / 65535, atol=1e-6)
    assert list(model.page._panels()[0].views)[:2] == ["first three", "channel 1"]
    seen = model.viewer_copy()
    seen.seen_bands = (4,)
    outputs = seen.get_outputs_for_camera(camera)
    assert "channels" not in outputs
    assert np.allclose(outputs["rgb"].numpy(), np.repeat(fit[..., 4:5], 3, -1), atol=1e-4)


def test_of_many_channels_fewer_pixels_are_taken_at_once(run, monkeypatch):
    manager, field = run.pipeline.datamanager, run.pipeline.model.field
    assert manager.get_train_rays_per_batch() == WIDTH * HEIGHT
    monkeypatch.setattr(datamanager, "_MOST_NUMBERS", 600)
    # Eight parts of 96 pixels, none of which is more than a hundred.
    assert manager.get_train_rays_per_batch() == 96
    assert len(windows_of(PixelGrid(1024, 1024), 16)) == 1
    assert len(windows_of(PixelGrid(1024, 1024), 17)) == 16
    monkeypatch.setattr(field, "channels", 64)
    assert field._at_once == 1 << 14


def test_it_is_read_out_in_the_file_s_own_channels_bits_and_order(run, tmp_path, capsys):
    wanted = np.rint(fitted(run) * 65535).astype(np.uint16)

    def read_out(name, *options):
        return signal_file.main([str(run.base_dir), str(tmp_path / name), "--device", "cpu", *options])

    assert read_out("a.tif") == read_out("a.npy") == 0
    assert "32 x 24 pixels, 6 x 16 bits" in capsys.readouterr().out
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert (len(tiff.pages), tiff.pages[0].axes) == (1, "SYX")
        assert np.array_equal(tiff.asarray(), np.moveaxis(wanted, -1, 0))
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.moveaxis(wanted, -1, 0))
    assert read_out("a.png") == 1
    assert "has no room for the 6 channels of the image: give a .tif or an .npy, or --part" in capsys.readouterr().err
    assert read_out("five.png", "--part", "channel 5") == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "five.png")), wanted[..., 4])
    assert read_out("three.tif", "--part", "first three") == 0
    assert np.array_equal(tifffile.imread(tmp_path / "three.tif"), wanted[..., :3])
    assert read_out("six.png", "--part", "channel 7") == 1
    assert "--part channel 7 is none of first three, channel 1, " in capsys.readouterr().err
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.npy", "a.tif", "five.png", "three.tif"]


def test_its_rank_is_that_of_what_was_mixed(run, tmp_path, capsys):
    assert analyze.main([str(run.base_dir), "rank", "--device", "cpu", "--output", str(tmp_path)]) == 0
    assert "rank  2 of 6 channels\n" in capsys.readouterr().out
    assert analyze.main([str(run.base_dir), "keys", "--device", "cpu", "--output", str(tmp_path)]) == 0
    assert "channel_6" in (tmp_path / "keys.csv").read_text().splitlines()[0]


def test_a_run_opens_without_its_file_and_refuses_another(run, photo, tmp_path):
    whole = photo.read_bytes()
    tifffile.imwrite(photo, mixed()[..., :5], photometric="minisblack", planarconfig="contig")
    try:
        pipeline = load_run(run.base_dir, device="cpu", test_mode="test").pipeline
        assert pipeline.model.bands[-1] == "channel 6"
        with pytest.raises(InputError, match="5 channels, 16 bits, no opacity, and the run has learnt one with"):
            _ = pipeline.datamanager.image
    finally:
        photo.write_bytes(whole)


def test_an_array_goes_through_a_network_and_a_file_of_few_bytes(tmp_path, capsys):
    np.save(tmp_path / "six.npy", mixed())
    trained = train(small_network_image(cn_image, tmp_path / "six.npy", tmp_path), 60).base_dir
    assert signal_file.main([str(trained), str(tmp_path / "out.npy"), "--device", "cpu", "--quiet"]) == 0
    fit = np.load(tmp_path / "out.npy")
    assert (fit.shape, fit.dtype) == ((HEIGHT, WIDTH, CHANNELS), np.uint16)
    assert compress.main([str(trained), str(tmp_path / "a.inr"), "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "inr-decompress" in said.splitlines()[-1]
    assert said.splitlines()[-1].endswith("a.tif")
    for name in ("a.npy", "a.tif"):
        assert decompress.main([str(tmp_path / "a.inr"), str(tmp_path / name), "--quiet"]) == 0
    found = np.load(tmp_path / "a.npy")
    assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), found)
    loss = decibels(fit / 65535, mixed() / 65535) - decibels(found / 65535, mixed() / 65535)
    assert 0 < loss < 0.31
    assert decompress.main([str(tmp_path / "a.inr"), str(tmp_path / "a.png")]) == 1
    assert "has no room for the 6 channels of the image" in capsys.readouterr().err


def test_four_channels_without_an_opacity_stay_so_in_a_file_of_few_bytes(tmp_path, capsys):
    np.save(tmp_path / "four.npy", mixed()[..., :4])
    trained = train(small_network_image(cn_image, tmp_path / "four.npy", tmp_path), 2).base_dir
    assert compress.main([str(trained), str(tmp_path / "a.inr"), "--size", "30000", "--device", "cpu", "--quiet"]) == 0
    capsys.readouterr()
    assert decompress.main([str(tmp_path / "a.inr"), str(tmp_path / "a.png")]) == 1
    assert "has no room for the 4 channels of the image" in capsys.readouterr().err


def test_an_array_of_unknown_axes_is_asked_for_in_the_words_of_the_command(tmp_path, capsys):
    np.save(tmp_path / "six.npy", np.moveaxis(mixed(), -1, 0))
    assert compress.main([str(tmp_path / "six.npy"), str(tmp_path / "a.inr")]) == 1
    said = capsys.readouterr().err
    assert "six.npy has the shape 6 x 24 x 32" in said
    assert "give --train with --pipeline.datamanager.dataparser.channel-axis last" in said


def test_stages_of_a_stream_are_judged_by_all_channels(photo, tmp_path):
    trained = train(small_stream(photo, tmp_path / "runs"), 30)
    record = tmp_path / "record.json"
    assert evaluation.main([str(trained.base_dir), "--output", str(record), "--device", "cpu", "--quiet"]) == 0
    (entry,) = json.loads(record.read_text())["runs"]
    (view,) = entry["images"]["views"]
    model = trained.pipeline.model.eval()
    assert list(model.page._panels()[0].views)[-1] == "channel 6"
    for stage, psnr in enumerate(view["psnr_stages"], 1):
        model.stream.network.stage.fill_(stage)
        assert psnr == pytest.approx(decibels(fitted(trained), mixed() / 65535), abs=1e-3)
    assert f"psnr stage 1 {view['psnr_stages'][0]:.4g}" in evaluate_views(trained.pipeline, 1, step=0)[1]
    inr = tmp_path / "a.inr"
    assert compress.main([str(trained.base_dir), str(inr), "--device", "cpu", "--quiet"]) == 0
    assert decompress.main([str(inr), str(tmp_path / "a.npy"), "--stage", "1", "--quiet"]) == 0
    assert np.load(tmp_path / "a.npy").shape == (HEIGHT, WIDTH, CHANNELS)
