"""Files of many channels, written by tifffile and numpy without a line of the package."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.io import savemat

from inr_plugins.data.signals import bands_file
from inr_plugins.data.signals.image_file import kind_of, read_image
from inr_plugins.data.signals.image_output import check_image_output, write_image
from inr_plugins.errors import InputError

HEIGHT, WIDTH, CHANNELS = 20, 22, 6
AXIS = "--pipeline.datamanager.dataparser.channel-axis"
TILES = {"tile": (16, 16), "compression": "zlib"}


def cube(dtype=np.uint16, channels=CHANNELS):
    """Noise; of floats not of whole numbers, and of both signs."""
    numbers = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, channels))
    if np.dtype(dtype).kind == "f":
        return (numbers / 7 - 9).astype(dtype)
    return (numbers * (257 if np.dtype(dtype).itemsize == 2 else 1)).astype(dtype)


def planes(pixels):
    return np.ascontiguousarray(np.moveaxis(pixels, -1, 0))


def read(path, most=np.inf, **settings):
    found = read_image(path, bands=True, most_bytes=most, **settings)
    assert kind_of(path, bands=True, most_bytes=most, **settings) == found.kind
    return found


def words_of(path, most=np.inf, **settings):
    with pytest.raises(InputError) as told:
        read_image(path, bands=True, most_bytes=most, **settings)
    return str(told.value)


@pytest.mark.parametrize("most", [np.inf, 100])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    ("is_planar", "form"),
    [
        (False, {"photometric": "minisblack"}),
        (False, {"photometric": "minisblack", **TILES}),
        (False, {"photometric": "rgb"}),
        (True, {"photometric": "minisblack"}),
        (True, {"photometric": "rgb", **TILES}),
    ],
)
def test_samples_of_a_tiff_are_channels_without_opacity_read_whole_or_in_parts(is_planar, form, dtype, most, tmp_path):
    wanted = cube(dtype)
    form["planarconfig"] = "separate" if is_planar else "contig"
    tifffile.imwrite(tmp_path / "a.tif", planes(wanted) if is_planar else wanted, **form)
    found = read(tmp_path / "a.tif", most)
    assert np.array_equal(found.pixels, wanted)
    bits = 8 * np.dtype(dtype).itemsize
    assert found.kind.description() == f"22 x 20 pixels, 6 channels, {bits} bits, no opacity"
    assert (found.kind.has_alpha, found.kind.is_planar, len(found.kind.bands)) == (False, is_planar, CHANNELS)


@pytest.mark.parametrize("most", [np.inf, 100])
@pytest.mark.parametrize(
    ("channels", "photometric", "extra", "has_alpha"),
    [
        (2, "minisblack", "unspecified", False),
        (2, "minisblack", "unassalpha", True),
        (4, "rgb", "unspecified", False),
        (4, "rgb", "unassalpha", True),
    ],
)
def test_the_file_says_whether_there_is_an_opacity_and_not_the_count(
    channels, photometric, extra, has_alpha, most, tmp_path
):
    wanted = cube(np.uint8, channels)
    form = {"photometric": photometric, "extrasamples": [extra], "planarconfig": "contig"}
    tifffile.imwrite(tmp_path / "a.tif", wanted, **form)
    found = read(tmp_path / "a.tif", most)
    assert np.array_equal(found.pixels, wanted)
    assert (found.kind.has_alpha, bool(found.kind.bands)) == (has_alpha, not has_alpha)


def test_an_image_with_an_opacity_is_not_that_of_a_run_without(tmp_path):
    for name, extra in (("a", "unspecified"), ("b", "unassalpha")):
        tifffile.imwrite(tmp_path / f"{name}.tif", cube(np.uint8, 4), photometric="rgb", extrasamples=[extra])
    assert not read(tmp_path / "a.tif").kind.has_the_numbers_of(read(tmp_path / "b.tif").kind)


def test_three_samples_without_colours_are_channels(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", cube(channels=3), photometric="minisblack", planarconfig="contig")
    assert len(read(tmp_path / "a.tif").kind.bands) == 3
    assert np.array_equal(read(tmp_path / "a.tif").pixels, cube(channels=3))


@pytest.mark.parametrize(("form", "axes"), [("imagej", "CYX"), ("ome", "CYX")])
def test_pages_that_are_channels_by_the_metadata_are_read_so(form, axes, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", planes(cube()), metadata={"axes": axes}, **{form: True})
    assert np.array_equal(read(tmp_path / "a.tif").pixels, cube())


def test_other_pages_are_channels_or_rows_where_somebody_says_so(tmp_path):
    tifffile.imwrite(tmp_path / "pages.tif", planes(cube()), photometric="minisblack")
    tifffile.imwrite(tmp_path / "rows.tif", cube(), photometric="minisblack")
    tifffile.imwrite(tmp_path / "slices.tif", planes(cube()), imagej=True, metadata={"axes": "ZYX"})
    for name, axis in (("pages", "first"), ("rows", "last"), ("slices", "first")):
        assert np.array_equal(read(tmp_path / f"{name}.tif", channel_axis=axis).pixels, cube())
    said = words_of(tmp_path / "pages.tif")
    assert f"has 6 pages of one size, which may be channels, slices or frames: give {AXIS} first if each" in said
    assert words_of(tmp_path / "pages.tif", 100) == said
    assert f"slices of a volume by its metadata: give one of them, or {AXIS} first" in words_of(tmp_path / "slices.tif")
    assert "too many pages to be read at once" in words_of(tmp_path / "pages.tif", 5000, channel_axis="first")
    tifffile.imwrite(tmp_path / "both.tif", np.stack([planes(cube())] * 2), imagej=True, metadata={"axes": "ZCYX"})
    assert "slices of a volume by its metadata" in words_of(tmp_path / "both.tif")
    assert "has pages along 2 axes (2 x 6)" in words_of(tmp_path / "both.tif", channel_axis="first")
    Image.fromarray(cube(np.uint8, 3)).save(
        tmp_path / "rgb.tif", save_all=True, append_images=[Image.fromarray(cube(np.uint8, 3))]
    )
    assert "has 2 frames, as an animation or pages" in words_of(tmp_path / "rgb.tif")


def test_copies_and_masks_behind_an_image_are_left_alone_and_other_images_are_not(tmp_path):
    form = {"photometric": "minisblack", "planarconfig": "contig", "metadata": None}
    with tifffile.TiffWriter(tmp_path / "pyramid.tif") as tiff:
        tiff.write(cube(), **form)
        tiff.write(cube()[::2, ::2], subfiletype=1, **form)
    assert np.array_equal(read(tmp_path / "pyramid.tif").pixels, cube())
    with tifffile.TiffWriter(tmp_path / "two.tif") as tiff:
        tiff.write(cube(), **form)
        tiff.write(cube()[::2], **form)
    assert "has 2 pages of different sizes: give one image" in words_of(tmp_path / "two.tif")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", ["a.tif", "a.npy"])
def test_floats_are_learnt_in_one_range_of_all_channels(name, dtype, tmp_path):
    wanted = cube(dtype)
    if name == "a.tif":
        tifffile.imwrite(tmp_path / name, wanted, photometric="minisblack", planarconfig="contig")
    else:
        np.save(tmp_path / name, wanted)
    found = read(tmp_path / name)
    assert found.pixels.dtype == np.float32
    assert np.array_equal(found.pixels, wanted.astype(np.float32))
    assert found.kind.span == (float(np.float32(wanted.min())), float(np.float32(wanted.max())))
    assert "6 channels, floats from -9 to " in found.kind.description()


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.mat", "swapped.npy"])
def test_arrays_of_rows_columns_and_channels_are_read_as_they_are(name, tmp_path):
    if name.endswith(".npz"):
        np.savez(tmp_path / name, wavelengths=np.arange(6), image=cube())
    elif name.endswith(".mat"):
        savemat(tmp_path / name, {"scene": cube()})
    else:
        np.save(tmp_path / name, cube(">u2" if name.startswith("swapped") else np.uint16))
    found = read(tmp_path / name)
    expected = cube(">u2") if name.startswith("swapped") else cube()
    assert (found.kind.bits, found.kind.is_planar) == (16, False)
    assert found.pixels.dtype == np.uint16
    assert np.array_equal(found.pixels, expected)


def test_a_large_array_is_looked_up_where_it_is(tmp_path):
    np.save(tmp_path / "a.npy", cube())
    found = read(tmp_path / "a.npy", 100)
    assert isinstance(found.pixels.base, np.memmap)
    assert np.array_equal(found.pixels, cube())
    np.save(tmp_path / "b.npy", planes(cube()))
    assert "too large to be turned" in words_of(tmp_path / "b.npy", 100, channel_axis="first")


def test_two_axes_are_grey(tmp_path):
    np.save(tmp_path / "a.npy", cube(np.uint8)[..., 0])
    assert read(tmp_path / "a.npy").kind.description() == "22 x 20 pixels, 8-bit grey"
    assert "no axis of channels: leave" in words_of(tmp_path / "a.npy", channel_axis="last")


def test_axes_that_cannot_be_told_are_asked_for(tmp_path):
    for shape in ((6, 20, 22), (20, 22, 200), (20, 20, 20), (7, 20, 7)):
        np.save(tmp_path / "a.npy", np.zeros(shape, dtype=np.uint8))
        assert f"does not say which axis has the channels: give {AXIS} last" in words_of(tmp_path / "a.npy")
        assert read(tmp_path / "a.npy", channel_axis="last").pixels.shape == shape
        first = read(tmp_path / "a.npy", channel_axis="first")
        assert (first.pixels.shape, first.kind.is_planar) == ((*shape[1:], shape[0]), True)
    np.save(tmp_path / "b.npy", planes(cube()))
    assert np.array_equal(read(tmp_path / "b.npy", channel_axis="first").pixels, cube())


def test_what_cannot_be_learnt_is_one_sentence(tmp_path, monkeypatch):
    form = {"photometric": "minisblack", "planarconfig": "contig"}
    wrong = cube(np.float32)
    wrong[3, 4, 5] = -9999
    tag = (42113, "s", 0, "-9999", True)
    tifffile.imwrite(tmp_path / "none.tif", wrong, extratags=[tag], **form)
    wrong[3, 4, 5] = np.nan
    tifffile.imwrite(tmp_path / "nan.tif", wrong, **form)
    tifffile.imwrite(tmp_path / "signed.tif", cube().astype(np.int16), **form)
    extra = ["unassalpha", "unspecified"]
    tifffile.imwrite(tmp_path / "alpha.tif", cube(channels=5), **{**form, "photometric": "rgb"}, extrasamples=extra)
    tifffile.imwrite(tmp_path / "turned.tif", cube(), extratags=[(274, 3, 1, 6, True)], **form)
    tifffile.imwrite(tmp_path / "fine.tif", cube(), **form)
    np.save(tmp_path / "nan.npy", wrong)
    np.save(tmp_path / "fine.npy", cube())
    np.save(tmp_path / "whole.npy", cube().astype(int))
    np.save(tmp_path / "four.npy", cube()[None])
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    np.savez(tmp_path / "two.npz", one=cube(), other=cube())
    Image.fromarray(cube(np.uint8, 3)).save(tmp_path / "photo.png")
    for name in ("fine.tif", "fine.npy"):
        (tmp_path / f"cut-{name}").write_bytes((tmp_path / name).read_bytes()[:-500])
    (tmp_path / "text.npy").write_text("no array")
    for name, words in (
        ("none.tif", "has no data (-9999) in 1 of its pixels, the first in row 3 and column 4"),
        ("nan.tif", "has NaN or infinity in 1 of its pixels, the first in row 3 and column 4"),
        ("nan.npy", "has NaN or infinity in 1 of its pixels, the first in row 3 and column 4"),
        ("signed.tif", "has signed 16-bit numbers: convert them"),
        ("whole.npy", "has signed 64-bit numbers: convert them"),
        ("alpha.tif", "has an opacity among its 5 channels, by the tag ExtraSamples: save it without"),
        ("turned.tif", "is turned by its orientation tag: save it upright"),
        ("four.npy", "has the shape 1 x 20 x 22 x 6, and an image has rows, columns and channels"),
        ("objects.npy", "it holds no array of numbers"),
        ("two.npz", "has the arrays one, other: call the one that is meant image"),
        ("cut-fine.tif", "no image that can be read"),
        ("cut-fine.npy", "cannot be read"),
        ("text.npy", "cannot be read"),
        ("nothing.npy", "does not exist"),
    ):
        said = words_of(tmp_path / name)
        assert words in said
        assert name in said
        assert "\n" not in said
    for name in ("fine.tif", "photo.png"):
        for most in (100, np.inf):
            assert "says itself where its channels are: leave it out" in words_of(
                tmp_path / name, most, channel_axis="last"
            )
    monkeypatch.setattr(bands_file, "MOST_CHANNELS", 5)
    assert f"would have 6 channels, of which 5 are learnt at the most: give fewer, or {AXIS}" in words_of(
        tmp_path / "fine.npy"
    )


def test_only_who_asks_for_them_gets_channels(tmp_path):
    np.save(tmp_path / "a.npy", cube())
    tifffile.imwrite(tmp_path / "a.tif", cube(), photometric="minisblack", planarconfig="contig")
    for name in ("a.npy", "a.tif"):
        with pytest.raises(InputError):
            read_image(tmp_path / name)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [2, 3, 4, 6])
@pytest.mark.parametrize("is_planar", [False, True])
def test_channels_are_written_as_the_file_had_them(dtype, channels, is_planar, tmp_path):
    wanted = cube(dtype, channels)
    for name in ("a.tif", "a.npy"):
        write_image(tmp_path / name, wanted, has_bands=True, is_planar=is_planar)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert len(tiff.pages) == 1
        assert tiff.pages[0].axes == ("SYX" if is_planar else "YXS")
        assert [int(each) for each in tiff.pages[0].extrasamples] == [0] * (channels - 1)
        assert np.array_equal(tiff.asarray(), planes(wanted) if is_planar else wanted)
    assert np.array_equal(np.load(tmp_path / "a.npy"), planes(wanted) if is_planar else wanted)
    found = read(tmp_path / "a.tif")
    assert (found.kind.is_planar, len(found.kind.bands)) == (is_planar, channels)
    assert np.array_equal(found.pixels, wanted)


def test_files_that_have_no_room_for_channels_are_refused(tmp_path):
    for name in ("a.png", "a.jpg", "a.exr"):
        for channels in (2, 4, 6):
            with pytest.raises(InputError, match=f"no room for the {channels} channels of the image: give a .tif or"):
                check_image_output(
                    tmp_path / name, bits=32 if name == "a.exr" else 8, channels=channels, has_bands=True
                )
        check_image_output(tmp_path / name, bits=32 if name == "a.exr" else 8, channels=3, has_bands=True)
