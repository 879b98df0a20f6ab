"""Images that are too large to be held or looked at whole: TIFF files by tiles, and parts of them for cameras."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch
from integration.small_methods import small_diner_image
from PIL import Image
from short_runs import assert_same_state, train

from inr_plugins.data.signals import images, windows
from inr_plugins.data.signals.image_file import kind_of, read_image
from inr_plugins.data.signals.large_tiff import LargeTiff
from inr_plugins.data.signals.windows import windows_of
from inr_plugins.errors import InputError
from inr_plugins.signal_grid import PixelGrid, PixelWindow

RANDOM = np.random.default_rng(0)


def noise(*shape, bits=8):
    return RANDOM.integers(0, 2**bits, shape, dtype=np.uint8 if bits == 8 else np.uint16)


def is_in_a_file(pixels):
    while pixels is not None:
        if isinstance(pixels, np.memmap):
            return True
        pixels = getattr(pixels, "base", None)
    return False


@pytest.mark.parametrize("layout", [{"tile": (16, 32)}, {"rowsperstrip": 7}, {}], ids=["tiles", "strips", "one"])
@pytest.mark.parametrize(("channels", "bits"), [(1, 8), (3, 8), (4, 8), (1, 16), (3, 16)])
def test_a_file_read_by_tiles_has_the_pixels_of_one_read_whole(channels, bits, layout, tmp_path, monkeypatch):
    pixels = noise(45, 70, channels, bits=bits)
    kind = {"photometric": "rgb" if channels > 1 else "minisblack", "compression": "zlib"}
    alpha = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    stored = pixels[..., 0] if channels == 1 else pixels
    tifffile.imwrite(tmp_path / "a.tif", stored, **kind, **layout, **alpha)
    whole = read_image(tmp_path / "a.tif")
    found = read_image(tmp_path / "a.tif", most_bytes=10)
    assert is_in_a_file(found.pixels)
    assert not is_in_a_file(whole.pixels)
    assert np.array_equal(found.pixels, pixels)
    assert np.array_equal(whole.pixels, pixels)
    assert not is_in_a_file(read_image(tmp_path / "a.tif", most_bytes=pixels.nbytes).pixels)
    # What kind it is, is known without its pixels.
    monkeypatch.setattr(LargeTiff, "pixels", None)
    assert kind_of(tmp_path / "a.tif", most_bytes=10) == whole.kind


def test_large_files_of_other_kinds_are_refused_in_a_sentence(tmp_path):
    tifffile.imwrite(tmp_path / "turned.tif", noise(9, 9), extratags=[(274, "H", 1, 6, True)])
    tifffile.imwrite(tmp_path / "floats.tif", np.float32(noise(9, 9)))
    tifffile.imwrite(tmp_path / "inks.tif", noise(9, 9, 4), photometric="separated")
    tifffile.imwrite(tmp_path / "cut.tif", noise(64, 64), compression="zlib", tile=(16, 16))
    whole = (tmp_path / "cut.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[:-3000])
    for name, words in (
        ("turned.tif", "is turned by its orientation tag: save it upright"),
        ("floats.tif", "has other pixels than 8- or 16-bit grey, RGB or RGBA: convert it"),
        ("inks.tif", "has other pixels than"),
        ("cut.tif", "is no image that can be read"),
    ):
        with pytest.raises(InputError, match=words):
            read_image(tmp_path / name, most_bytes=10)


def test_other_files_are_read_whole(tmp_path):
    Image.fromarray(noise(5, 6, 3)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", most_bytes=0).pixels.shape == (5, 6, 3)
    (tmp_path / "text.tif").write_text("no picture")
    with pytest.raises(InputError, match="no image that can be read"):
        read_image(tmp_path / "text.tif", most_bytes=0)


def test_more_pixels_than_pillow_reads_are_a_sentence(tmp_path, monkeypatch):
    Image.fromarray(noise(50, 60, 3)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InputError, match="more pixels than are read at once: save it as a TIFF file of tiles"):
        read_image(tmp_path / "a.png")


def test_parts_are_spread_over_the_image_with_its_corners():
    assert windows_of(PixelGrid(2048, 2048)) == [PixelWindow(0, 0, 2048, 2048)]
    parts = windows_of(PixelGrid(8192, 4096))
    assert len(parts) == 16
    assert {parts[0], parts[-1]} == {PixelWindow(0, 0, 512, 512), PixelWindow(7680, 3584, 512, 512)}
    assert windows_of(PixelGrid(100, 10**6))[-1] == PixelWindow(0, 10**6 - 512, 100, 512)


@pytest.fixture
def small_limits(monkeypatch):
    for module in (windows, images):
        monkeypatch.setattr(module, "LARGEST_WHOLE", 100)
    monkeypatch.setattr(windows, "SIDE", 6)


def test_each_camera_of_a_large_image_sees_its_own_part(small_limits, tmp_path):
    pixels = noise(21, 30, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    config = small_diner_image(tmp_path / "a.png", tmp_path)
    pipeline = config.pipeline.setup(device="cpu", test_mode="test", world_size=1, local_rank=0).eval()
    model, manager = pipeline.model, pipeline.datamanager

    def at(places):
        column, row = (each.round().long() for each in places.T)
        return torch.from_numpy(pixels / 255).float()[row, column]

    model.field.at = at
    seen = list(manager.fixed_indices_eval_dataloader)
    assert len(seen) == 16
    for (camera, batch), window in zip(seen, windows_of(PixelGrid(30, 21)), strict=True):
        part = pixels[window.top : window.top + 6, window.left : window.left + 6] / 255
        assert np.allclose(batch["image"].numpy(), part, rtol=0, atol=1e-6)
        assert np.allclose(model.get_outputs_for_camera(camera)["rgb"].numpy(), part, rtol=0, atol=1e-6)
    assert manager.evaluated(2, 16) == "2 of 16 parts of 512 x 512 pixels"
    # Of every so many rows and columns.
    assert manager.train_dataset[0]["image"].shape == (21, 30, 3)


def test_learning_from_a_file_read_by_tiles_takes_the_same_steps(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise(40, 50, 3), tile=(16, 16), photometric="rgb")

    def run(name, gigabytes):
        config = small_diner_image(tmp_path / "a.tif", tmp_path / name)
        config.pipeline.datamanager.pixels_per_batch = 300
        config.pipeline.datamanager.dataparser.memory_gigabytes = gigabytes
        return train(config, 5)

    large, whole = run("large", 0.0), run("whole", 1.0)
    assert is_in_a_file(large.pipeline.datamanager.image.pixels)
    assert_same_state(whole.checkpoint_dir, large.checkpoint_dir)
