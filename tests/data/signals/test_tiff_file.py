"""TIFF files of kinds that would be read as something else, written by tifffile without a line of the package."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest
import tifffile
from PIL import Image

from inr_plugins.data.signals.image_file import kind_of, read_image
from inr_plugins.errors import InputError

HEIGHT, WIDTH = 5, 7


def numbers(dtype, channels=1) -> np.ndarray:
    """Numbers of which a signed kind has negative ones."""
    found = np.arange(HEIGHT * WIDTH * channels).reshape(HEIGHT, WIDTH, channels) - 9
    return found[..., 0].astype(dtype) if channels == 1 else found.astype(dtype)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        (np.int8, "has signed 8-bit numbers: convert them to floating-point numbers, or to 8- or 16-bit ones from 0"),
        (np.int16, "has signed 16-bit numbers: convert them"),
        (">i2", "has signed 16-bit numbers: convert them"),
        (np.int32, "has signed 32-bit numbers: convert them"),
        (np.uint32, "has 32-bit numbers: convert them"),
        (np.complex64, "has complex numbers: convert them"),
    ],
)
def test_numbers_that_would_be_read_as_others_are_refused(dtype, words, channels, tmp_path):
    photometric = "rgb" if channels == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", numbers(dtype, channels), photometric=photometric)
    for read in (read_image, kind_of):
        with pytest.raises(InputError, match=rf"--data .*a\.tif {words}"):
            read(tmp_path / "a.tif")
        with pytest.raises(InputError, match=f"too large to be read at once, and {words}"):
            read(tmp_path / "a.tif", most_bytes=10)


def test_a_name_does_not_say_what_is_in_a_file(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", numbers(np.int8))
    tifffile.imwrite(tmp_path / "b.tif", numbers(np.float32))
    deep = np.random.default_rng(0).integers(0, 65536, (HEIGHT, WIDTH, 3), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "c.tif", deep, photometric="rgb", bigtiff=True)
    for each in ("a", "b", "c"):
        (tmp_path / f"{each}.tif").rename(tmp_path / f"{each}.png")
    with pytest.raises(InputError, match=r"a\.png has signed 8-bit numbers: convert them"):
        read_image(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "b.png").pixels[..., 0], numbers(np.float32))
    assert np.array_equal(read_image(tmp_path / "c.png", most_bytes=10).pixels, deep)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    ("channels", "extra", "words"),
    [
        (2, ["unspecified"], "has a channel that is neither a colour nor its opacity"),
        (4, ["unspecified"], "has a channel that is neither a colour nor its opacity"),
        (5, ["unassalpha", "unspecified"], "has a channel that is neither a colour nor its opacity"),
        (6, ["unspecified"] * 3, "has 3 channels that are neither a colour nor its opacity"),
    ],
)
def test_further_channels_are_neither_taken_for_an_opacity_nor_left_out(channels, extra, words, dtype, tmp_path):
    form = {"photometric": "rgb" if channels > 2 else "minisblack", "planarconfig": "contig", "extrasamples": extra}
    tifffile.imwrite(tmp_path / "a.tif", numbers(np.uint16, channels).astype(dtype), **form)
    for most in (10, 10**6):
        with pytest.raises(InputError, match=words):
            read_image(tmp_path / "a.tif", most_bytes=most)


def test_a_camera_s_raw_file_is_not_read_as_its_preview(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.dng") as tiff:
        tiff.write(numbers(np.uint8, 3), photometric="rgb", subfiletype=1, subifds=1, metadata=None)
        tiff.write(numbers(np.uint16), photometric=32803, metadata=None)
    with pytest.raises(InputError, match=r"a\.dng has a preview in front, as cameras' raw files have: develop it"):
        read_image(tmp_path / "a.dng")


def test_a_compressed_file_that_is_cut_short_is_one_sentence(tmp_path, capfd, monkeypatch):
    # Without a log, as a command is, which pytest has.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    Image.fromarray(numbers(np.uint8, 3)).resize((64, 64)).save(tmp_path / "a.tif", compression="tiff_lzw")
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(whole[: len(whole) // 2])
    for most in (10, 10**6):
        with warnings.catch_warnings(record=True) as warned, pytest.raises(InputError, match="no image that can be"):
            read_image(tmp_path / "a.tif", most_bytes=most)
        assert warned == []
    assert capfd.readouterr().err == ""


def test_colours_that_are_multiplied_by_their_opacity_are_refused_where_they_would_be_taken_for_straight(tmp_path):
    deep, flat = numbers(np.uint16, 4) + 9, numbers(np.uint8, 4) + 9
    for name, pixels in (("deep.tif", deep), ("flat.tif", flat)):
        tifffile.imwrite(tmp_path / name, pixels, photometric="rgb", extrasamples=["assocalpha"])
    for name, most in (("deep.tif", 10**6), ("deep.tif", 10), ("flat.tif", 10)):
        with pytest.raises(InputError, match="multiplied by their opacity: save them straight"):
            read_image(tmp_path / name, most_bytes=most)
    # Pillow divides bytes by it.
    assert read_image(tmp_path / "flat.tif").pixels[0, 1].tolist() == [4 * 255 // 7, 5 * 255 // 7, 6 * 255 // 7, 7]


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("channels", [3, 4])
def test_deep_colours_in_planes_are_those_of_their_pixels(channels, compression, tmp_path):
    colours = np.random.default_rng(0).integers(0, 65536, (HEIGHT, WIDTH, channels), dtype=np.uint16)
    alpha = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    form = {"photometric": "rgb", "planarconfig": "separate", "compression": compression, **alpha}
    tifffile.imwrite(tmp_path / "a.tif", np.ascontiguousarray(np.moveaxis(colours, -1, 0)), **form)
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, colours)


def test_deep_colours_in_planes_that_are_cut_short_are_a_sentence(tmp_path):
    colours = np.zeros((3, 64, 64), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", colours, photometric="rgb", planarconfig="separate")
    (tmp_path / "a.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"colours in separate planes, which do not decode .*: save them pixel by"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_negative_is_read_as_viewers_show_it(dtype, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", numbers(dtype), photometric="miniswhite")
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels[..., 0], np.iinfo(dtype).max - numbers(dtype))


def test_deep_colours_that_are_cut_short_are_one_sentence(tmp_path, capfd):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((64, 64, 3), dtype=np.uint16), photometric="rgb")
    (tmp_path / "a.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:-3000])
    with pytest.raises(InputError, match="16-bit pixels that cannot be read: give a whole file"):
        read_image(tmp_path / "a.tif")
    assert capfd.readouterr().err == ""


def test_pages_of_one_size_are_refused_of_a_large_file_and_smaller_copies_are_not(tmp_path):
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([image, image + 9]), photometric="minisblack")
    with pytest.raises(InputError, match="too large to be read at once, and has 2 pages of one size: give one image"):
        read_image(tmp_path / "stack.tif", most_bytes=10)
    with tifffile.TiffWriter(tmp_path / "pyramid.tif") as tiff:
        tiff.write(image, photometric="minisblack")
        tiff.write(image[::2, ::2], photometric="minisblack", subfiletype=1)
    assert np.array_equal(read_image(tmp_path / "pyramid.tif", most_bytes=10).pixels[..., 0], image)
