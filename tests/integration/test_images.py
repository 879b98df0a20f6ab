"""Methods of images through their own trainer and datamanager, and what can be done with their runs."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
from inr_plugins.method_configs.images import cn_image, finer_image
from integration.small_methods import small_diner_image, small_network_image
from long_form import long_form
from nerfstudio.cameras.rays import RayBundle
from PIL import Image
from short_runs import assert_going_on_is_not_having_stopped, train

from inr_plugins.bench.views import held_out_views
from inr_plugins.cli import eval as evaluation
from inr_plugins.cli import mesh, signal_file
from inr_plugins.data.signals import rows_output
from inr_plugins.data.signals.image_file import read_image
from inr_plugins.data.signals.image_output import write_image
from inr_plugins.engine.evaluation import evaluate_views
from inr_plugins.engine.host.startup import prepare_process
from inr_plugins.engine.runs.run import load_run
from inr_plugins.errors import InputError
from inr_plugins.models.signals import readout

WIDTH, HEIGHT = 24, 16


def gradient(channels: int, *, bits: int = 8) -> np.ndarray:
    """Red grows to the right, green downwards; blue is a chessboard, and an opacity grows to the right."""
    most = 2**bits - 1
    row, column = np.meshgrid(np.linspace(0, 1, HEIGHT), np.linspace(0, 1, WIDTH), indexing="ij")
    board = (np.arange(HEIGHT)[:, None] + np.arange(WIDTH)) % 2 * 0.5
    planes = np.stack([column, row, board, 0.25 + column / 2], -1)[..., :channels]
    return np.rint(planes * most).astype(np.uint8 if bits == 8 else np.uint16)


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("an image") / "photo.png"
    write_image(path, gradient(3))
    return path


def opened(data, output, **settings):
    """A pipeline that nothing has been learnt by."""
    config = small_diner_image(data, output)
    for name, value in settings.items():
        setattr(config.pipeline.model, name, value)
    torch.manual_seed(0)
    return config.pipeline.setup(device="cpu", test_mode="test", world_size=1, local_rank=0).eval()


SMALL = {
    "diner-image": small_diner_image,
    "finer-image": lambda data, output: small_network_image(finer_image, data, output),
    "cn-image": lambda data, output: small_network_image(cn_image, data, output),
}


@pytest.mark.parametrize(
    ("method", "pixels"),
    [("diner-image", 1 << 20), ("diner-image", 100), ("finer-image", 100), ("cn-image", 1 << 20)],
)
def test_stopping_and_going_on_gives_the_same_bits(method, pixels, photo, tmp_path):
    def config(name):
        each = SMALL[method](photo, tmp_path / name)
        each.pipeline.datamanager.pixels_per_batch = pixels
        return each

    assert_going_on_is_not_having_stopped(config, [4], 9)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_rays_through_the_camera_s_pixels_see_the_image_s_own_pixels(channels, tmp_path):
    pixels = gradient(channels)
    write_image(tmp_path / "a.png", pixels)
    pipeline = opened(tmp_path / "a.png", tmp_path)
    model, manager = pipeline.model, pipeline.datamanager
    asked = []

    def at(places):
        asked.append(places)
        column, row = (each.round().long() for each in places.T)
        return torch.from_numpy(pixels / 255).float()[row, column]

    model.field.at = at
    ((camera, batch),) = list(manager.fixed_indices_eval_dataloader)
    outputs = model.get_outputs_for_camera(camera)
    off = torch.cat(asked)
    assert (off - off.round()).abs().max() < 1e-4
    colours = np.broadcast_to(pixels[..., :3], (HEIGHT, WIDTH, 3)) / 255
    opacity = pixels[..., 3:] / 255 if channels == 4 else np.ones((HEIGHT, WIDTH, 1))
    over_white = colours * opacity + 1 - opacity
    assert np.allclose(outputs["rgb"].numpy(), over_white, rtol=0, atol=1e-6)
    assert np.allclose(outputs["accumulation"].numpy(), opacity, rtol=0, atol=1e-6)
    assert np.allclose(batch["image"].numpy(), over_white, rtol=0, atol=1e-6)
    metrics, pictures = model.get_image_metrics_and_images(outputs, batch)
    assert metrics["psnr"] > 100
    assert pictures["error"].max() < 1e-6


def test_rays_that_miss_the_plane_see_what_is_behind(photo, tmp_path):
    model = opened(photo, tmp_path).model
    origins = torch.tensor([[0.0, -2, 0], [0, -2, 0], [0, 2, 0], [0, -2, 0.9], [0, -2, 0]])
    directions = torch.tensor([[0.0, 1, 0], [0, -1, 0], [0, -1, 0], [0, 1, 0], [1, 0, 0]])
    rays = RayBundle(origins=origins, directions=directions, pixel_area=torch.ones(5, 1))
    outputs = model.get_outputs(rays)
    # Before the image, turned away from it, behind it, above its edge (two thirds), along it.
    assert outputs["accumulation"][:, 0].tolist() == [1, 0, 1, 0, 0]
    assert outputs["depth"][0] == 2
    assert (outputs["rgb"][[1, 3, 4]] == 1).all()
    assert torch.isfinite(outputs["rgb"]).all()


def test_the_viewer_gets_a_thumbnail_of_a_large_image(tmp_path):
    pixels = np.zeros((3, 1500, 3), dtype=np.uint8)
    pixels[:, 750:] = 200
    write_image(tmp_path / "wide.png", pixels)
    pipeline = opened(tmp_path / "wide.png", tmp_path)
    image = pipeline.datamanager.train_dataset[0]["image"]
    camera = pipeline.datamanager.train_dataset.cameras
    assert image.shape == (1, 512, 3)
    assert (int(camera.height[0]), int(camera.width[0])) == (1, 512)
    assert image[0, :255].max() == 0
    assert image[0, 257:].min() == pytest.approx(200 / 255)
    assert pipeline.datamanager.eval_dataset[0]["image"].shape == (3, 1500, 3)


@pytest.fixture(scope="module")
def run(photo, tmp_path_factory):
    return train(small_diner_image(photo, tmp_path_factory.mktemp("run")), 200)


def test_it_learns_the_image_and_is_judged_on_all_of_it(run, photo, tmp_path, monkeypatch):
    monkeypatch.setenv("INR_LPIPS", "off")
    record = tmp_path / "record.json"
    assert evaluation.main([str(run.base_dir), "--output", str(record), "--device", "cpu", "--quiet"]) == 0
    (entry,) = json.loads(record.read_text())["runs"]
    found = entry["images"]["mean"]
    model = run.pipeline.model
    with torch.no_grad():
        values = model.field(None).clamp(0, 1).double().numpy()
    truth = gradient(3).reshape(-1, 3) / 255
    by_hand = -10 * np.log10(np.mean((values - truth) ** 2))
    assert found["psnr"] == pytest.approx(by_hand, abs=1e-3)
    assert by_hand > 30
    assert found["ssim"] > 0.95
    # Nothing was held out, and training's last line does not say so.
    assert evaluate_views(run.pipeline, 1, step=0)[1].startswith(f"Evaluated the whole image: psnr {by_hand:.4g}, ")


def test_the_field_is_read_out_in_the_file_s_own_numbers(run, tmp_path, capsys):
    out = tmp_path / "out.png"
    assert signal_file.main([str(run.base_dir), str(out), "--device", "cpu", "--quiet"]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    with torch.no_grad():
        values = run.pipeline.model.field(None).clamp(0, 1).double().numpy()
    pixels = read_image(out).pixels
    assert np.array_equal(pixels, np.rint(values * 255).astype(np.uint8).reshape(HEIGHT, WIDTH, 3))
    part = tmp_path / "part.png"
    options = ["--region", "4", "2", "6", "5", "--device", "cpu", "--quiet"]
    assert signal_file.main([str(run.base_dir), str(part), *options]) == 0
    assert np.array_equal(read_image(part).pixels, pixels[2:7, 4:10])
    assert signal_file.main([str(run.base_dir), str(part), "--scale", "3", *options, "--overwrite"]) == 0
    larger = read_image(part).pixels
    assert larger.shape == (15, 18, 3)
    # The middle one of each three lies where the pixel does.
    assert np.array_equal(larger[1::3, 1::3], pixels[2:7, 4:10])


@long_form
@pytest.mark.parametrize("method", ["finer-image", "cn-image"])
def test_networks_of_coordinates_are_seen_and_read_out_as_they_are(method, photo, tmp_path):
    trained = train(SMALL[method](photo, tmp_path / "runs"), 150)
    assert signal_file.main([str(trained.base_dir), str(tmp_path / "out.png"), "--device", "cpu", "--quiet"]) == 0
    truth, found = (gradient(3).astype(float), read_image(tmp_path / "out.png").pixels.astype(float))
    # The gradients are learnt by now, the chessboard is not.
    assert np.abs(truth - found)[..., :2].mean() < 15
    pipeline = load_run(trained.base_dir, device="cpu", test_mode="test").pipeline
    ((camera, _),) = list(pipeline.datamanager.fixed_indices_eval_dataloader)
    seen = pipeline.model.get_outputs_for_camera(camera)["rgb"].numpy()
    assert np.abs(seen * 255 - found).max() < 0.51


def test_rates_are_those_of_the_activation_or_of_normalised_networks(photo, tmp_path):
    lr = {}
    for name, preset, changes in (
        ("finer-sine", finer_image, {}),
        ("gauss", finer_image, {"activation": "gauss"}),
        ("cross", cn_image, {}),
        ("none", cn_image, {"normalization": "none"}),
    ):
        config = small_network_image(preset, photo, tmp_path)
        for option, value in changes.items():
            setattr(config.pipeline.model, option, value)
        model = config.pipeline.setup(device="cpu", test_mode="test", world_size=1, local_rank=0).model
        lr[name] = model.own_rates()["fields"].lr
    assert lr == {"finer-sine": 5e-4, "gauss": 5e-3, "cross": 1e-2, "none": 5e-4}


def test_mistakes_of_the_command_are_a_sentence_and_write_nothing(run, tmp_path, capsys):
    (tmp_path / "there.png").write_bytes(b"mine")
    for name, options, words in (
        ("there.png", (), "exists: give another name, or --overwrite"),
        ("a.bmp", (), "ending that no image is written to"),
        ("a.png", ("--region", "20", "0", "5", "5"), "is no part of the image, which has 24 x 16 pixels"),
        ("a.png", ("--scale", "0"), "--scale must be at least"),
    ):
        assert signal_file.main([str(run.base_dir), str(tmp_path / name), "--device", "cpu", *options]) == 1
        assert words in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["there.png"]
    assert (tmp_path / "there.png").read_bytes() == b"mine"


def test_sixteen_bits_come_out_as_sixteen_bits(tmp_path):
    write_image(tmp_path / "deep.tif", gradient(4, bits=16))
    trained = train(small_diner_image(tmp_path / "deep.tif", tmp_path / "runs"), 3)
    out = tmp_path / "out.png"
    assert signal_file.main([str(trained.base_dir), str(out), "--device", "cpu", "--quiet"]) == 0
    found = read_image(out)
    assert (found.bits, found.pixels.shape) == (16, (HEIGHT, WIDTH, 4))


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_a_large_image_is_written_as_it_is_read_out_without_all_of_it(ending, run, tmp_path, monkeypatch):
    options = ["--device", "cpu", "--quiet", "--scale", "9", "--region", "1", "2", "20", "13"]
    places = [tmp_path / f"{name}{ending}" for name in ("at once", "in rows")]
    monkeypatch.setattr(readout, "_AT_ONCE", 1000)
    assert signal_file.main([str(run.base_dir), str(places[0]), *options]) == 0
    monkeypatch.setattr(rows_output, "LARGE", 1000)
    monkeypatch.setattr(readout, "read_out", None)
    assert signal_file.main([str(run.base_dir), str(places[1]), *options]) == 0
    found = [read_image(each).pixels for each in places]
    assert found[0].shape == (117, 180, 3)
    assert np.array_equal(*found)


def test_an_image_has_no_surface(run, tmp_path, capsys):
    assert mesh.main([str(run.base_dir), "--output", str(tmp_path / "a.ply"), "--device", "cpu"]) == 1
    assert "answers none of density, sdf and occupancy" in capsys.readouterr().err


def test_a_run_goes_on_with_its_own_image_only(run, photo, tmp_path):
    Image.open(photo).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "other.png")
    with pytest.raises(InputError, match=r"has not learnt from the data at .*other\.png: its pictures are others"):
        train(small_diner_image(tmp_path / "other.png", tmp_path / "runs"), 1, load_dir=run.checkpoint_dir)


def test_what_is_no_image_leaves_no_folder(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(InputError, match=r"text\.png is no image that can be read"):
        train(small_diner_image(tmp_path / "text.png", tmp_path / "runs"), 1)
    assert not (tmp_path / "runs").exists()


def test_a_run_is_opened_where_it_lies(run):
    model = load_run(run.base_dir, device="cpu").pipeline.model
    assert (model.grid.width, model.grid.height, model.channels, model.bits) == (WIDTH, HEIGHT, 3, 8)


def test_one_pixel_can_be_learnt(tmp_path):
    Image.new("RGB", (1, 1), (10, 200, 30)).save(tmp_path / "one.png")
    trained = train(small_diner_image(tmp_path / "one.png", tmp_path / "runs"), 200)
    assert signal_file.main([str(trained.base_dir), str(tmp_path / "out.png"), "--device", "cpu", "--quiet"]) == 0
    assert np.abs(read_image(tmp_path / "out.png").pixels.astype(int) - [10, 200, 30]).max() <= 2


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_benchmark_has_the_image_in_its_own_pixels_over_white(channels, tmp_path):
    pixels = gradient(channels)
    write_image(tmp_path / "a.png", pixels)
    pipeline = opened(tmp_path / "a.png", tmp_path)
    views = held_out_views(pipeline.datamanager, pipeline.model)
    assert len(views.cameras) == 1
    opacity = pixels[..., 3:] / 255 if channels == 4 else 1
    over_white = pixels[..., :3] / 255 * opacity + 1 - opacity
    assert np.allclose(views.truth(0).numpy(), np.broadcast_to(over_white, (HEIGHT, WIDTH, 3)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("ending", [".tif", ".exr"])
def test_floats_are_learnt_and_read_out_in_their_own_range(ending, tmp_path, capsys):
    # Of a range that no whole number has, and far from 0 to 1.
    wanted = (gradient(3).astype(np.float32) / 255) * 60 - 20
    low, high = float(wanted.min()), float(wanted.max())
    write_image(tmp_path / f"a{ending}", wanted)
    trained = train(small_diner_image(tmp_path / f"a{ending}", tmp_path / "runs"), 300)
    said = capsys.readouterr().out
    assert f"32-bit RGB of floating-point numbers, {low:.6g} to {high:.6g}" in " ".join(said.split())
    # The file is not needed any more: its range is the run's.
    (tmp_path / f"a{ending}").rename(tmp_path / f"b{ending}")
    out = tmp_path / f"out{ending}"
    assert signal_file.main([str(trained.base_dir), str(out), "--device", "cpu"]) == 0
    assert "3 x 32 bits" in capsys.readouterr().out
    found = read_image(out).pixels
    assert found.dtype == np.float32
    assert low <= found.min() < low + 3
    assert high - 3 < found.max() <= high
    error = np.mean(((found - wanted) / (high - low)) ** 2)
    assert -10 * np.log10(error) > 25
    # More steps than eight bits have.
    assert len(np.unique(found)) > 300
    for name, words in (
        ("a.png", "no room for the floating-point numbers"),
        ("a.gif", "ending that no image is written"),
    ):
        assert signal_file.main([str(trained.base_dir), str(tmp_path / name), "--device", "cpu"]) == 1
        assert words in capsys.readouterr().err
    # What is judged and shown are values of that range, from 0 to 1.
    pipeline = load_run(trained.base_dir, device="cpu", test_mode="test", data=tmp_path / f"b{ending}").pipeline
    ((camera, batch),) = list(pipeline.datamanager.fixed_indices_eval_dataloader)
    assert np.allclose(batch["image"].numpy(), (wanted - low) / (high - low), rtol=0, atol=1e-6)
    metrics, _ = pipeline.model.get_image_metrics_and_images(pipeline.model.get_outputs_for_camera(camera), batch)
    assert metrics["psnr"] == pytest.approx(-10 * np.log10(error), abs=0.01)
    # Another range of as many pixels is another image.
    write_image(tmp_path / f"b{ending}", wanted * 2)
    with pytest.raises(
        InputError, match="and the run has learnt one with 24 x 16 pixels, 32-bit RGB of floating-point"
    ):
        _ = load_run(trained.base_dir, device="cpu", data=tmp_path / f"b{ending}").pipeline.datamanager.image


def test_a_bad_file_is_a_sentence_of_ns_train_and_not_a_traceback(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    prepare_process.cache_clear()
    try:
        Image.new("CMYK", (4, 4)).save(tmp_path / "inks.jpg")
        config = small_diner_image(tmp_path / "inks.jpg", tmp_path / "runs")
        with pytest.raises(InputError) as error:
            config.set_timestamp()
        # What Python does with what nothing catches.
        sys.excepthook(InputError, error.value, error.tb)
    finally:
        prepare_process.cache_clear()
    said = capsys.readouterr().err
    assert said.startswith("Error: --data ")
    assert said.count("\n") == 1
    assert not (tmp_path / "runs").exists()
