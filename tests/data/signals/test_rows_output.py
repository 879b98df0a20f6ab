"""Images that are written row by row, read again by other libraries."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from inr_plugins.data.signals import rows_output
from inr_plugins.data.signals.image_file import read_image

HEIGHT, WIDTH = 37, 23


def noise(channels: int, dtype) -> np.ndarray:
    """Numbers of all sizes, and some rows that are all alike."""
    generator = np.random.default_rng(channels)
    if dtype is np.float32:
        return generator.normal(size=(HEIGHT, WIDTH, channels)).astype(np.float32)
    found = generator.integers(0, np.iinfo(dtype).max + 1, (HEIGHT, WIDTH, channels), dtype=dtype)
    found[10:20] = found[9]
    return found


def pieces(pixels: np.ndarray, count: int):
    return (pixels[first : first + count] for first in range(0, len(pixels), count))


def write(path, pixels, *, count=5, **more):
    height, width, channels = pixels.shape
    rows = pieces(pixels, count)
    rows_output.write_rows(path, rows, size=(width, height), channels=channels, dtype=pixels.dtype, **more)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_png_has_the_numbers_that_other_libraries_read(dtype, channels, tmp_path, monkeypatch):
    pixels = noise(channels, dtype)
    # So that there are several parts of it.
    monkeypatch.setattr(rows_output, "_AT_ONCE", 300)
    write(tmp_path / "a.png", pixels)
    found = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED).reshape(HEIGHT, WIDTH, -1)
    # OpenCV has blue first, and grey with an opacity in four channels.
    order = {1: [0], 2: [0, 3], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    assert np.array_equal(found[..., order], pixels)
    assert np.array_equal(read_image(tmp_path / "a.png").pixels, pixels)
    with Image.open(tmp_path / "a.png") as image:
        image.verify()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(("count", "strip"), [(5, 1 << 22), (5, 700), (37, 700), (1, 1)])
def test_a_tiff_has_them_however_they_come_and_lie(count, strip, channels, tmp_path, monkeypatch):
    monkeypatch.setattr(rows_output, "_STRIP", strip)
    for dtype in (np.uint8, np.uint16, *([np.float32] if channels in (1, 3) else [])):
        pixels = noise(channels, dtype)
        write(tmp_path / "a.tif", pixels, count=count)
        assert np.array_equal(tifffile.imread(tmp_path / "a.tif").reshape(pixels.shape), pixels)
        assert np.array_equal(read_image(tmp_path / "a.tif").pixels, pixels)


def test_profiles_are_kept_and_what_might_be_large_is_a_bigtiff(tmp_path, monkeypatch):
    profile, pixels = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(), noise(3, np.uint8)
    for name in ("a.png", "a.tif"):
        write(tmp_path / name, pixels, profile=profile)
        assert read_image(tmp_path / name).profile == profile
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert not tiff.is_bigtiff
    monkeypatch.setattr(rows_output, "_LARGEST_PLAIN_TIFF", 100)
    write(tmp_path / "b.tif", pixels)
    with tifffile.TiffFile(tmp_path / "b.tif") as tiff:
        assert tiff.is_bigtiff
        assert np.array_equal(tiff.asarray(), pixels)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_rows_that_fail_leave_what_was_there(name, tmp_path):
    (tmp_path / name).write_bytes(b"mine")

    def rows():
        yield noise(3, np.uint8)[:5]
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        rows_output.write_rows(tmp_path / name, rows(), size=(WIDTH, HEIGHT), channels=3, dtype=np.dtype(np.uint8))
    assert [each.name for each in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"mine"
