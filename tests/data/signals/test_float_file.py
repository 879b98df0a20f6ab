"""Image files of floating-point numbers, written by tifffile and OpenCV without a line of the package."""

from __future__ import annotations

import os
import struct

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from inr_plugins.cli import compress
from inr_plugins.data.signals.image_file import kind_of, read_image
from inr_plugins.data.signals.image_output import check_image_output, write_image
from inr_plugins.data.signals.video import read_video
from inr_plugins.errors import InputError

LOW, HIGH = -1.5, 40.0


def shades(channels=3, height=6, width=5) -> np.ndarray:
    """Different numbers from LOW to HIGH, float32."""
    count = height * width * channels
    return np.linspace(LOW, HIGH, count, dtype=np.float32).reshape(height, width, channels)


def test_nearly_nothing_is_nothing_and_refused_where_there_is_no_more(tmp_path):
    tifffile.imwrite(tmp_path / "small.tif", np.float64([[1e-41, 1e-300]]))
    with pytest.raises(InputError, match="has numbers that are too small for 32 bits: give them another unit"):
        read_image(tmp_path / "small.tif")
    # A processor in a training counts these as 0, as a reader before it has to.
    tifffile.imwrite(tmp_path / "some.tif", np.float32([[1e-41, 1e-3]]))
    assert read_image(tmp_path / "some.tif").pixels.ravel().tolist() == [0.0, float(np.float32(1e-3))]
    tifffile.imwrite(tmp_path / "none.tif", np.float32([[0.0, 0.0]]))
    assert read_image(tmp_path / "none.tif").pixels.ravel().tolist() == [0.0, 0.0]


def put_exr(path, pixels, form=cv2.IMWRITE_EXR_TYPE_FLOAT):
    os.environ["OPENCV_IO_ENABLE_OPENEXR"] = "1"
    assert cv2.imwrite(str(path), np.ascontiguousarray(pixels[..., ::-1]), [cv2.IMWRITE_EXR_TYPE, form])


def test_numbers_of_all_widths_are_read_as_they_are(tmp_path):
    grey, colour = shades(1), shades()
    tifffile.imwrite(tmp_path / "grey.tif", grey[..., 0])
    tifffile.imwrite(tmp_path / "colour.tif", colour, photometric="rgb", compression="zlib")
    tifffile.imwrite(tmp_path / "half.tiff", colour.astype(np.float16), photometric="rgb")
    tifffile.imwrite(tmp_path / "double.tif", grey[..., 0].astype(np.float64))
    planes = np.ascontiguousarray(np.moveaxis(colour, -1, 0))
    tifffile.imwrite(tmp_path / "planes.tif", planes, photometric="rgb", planarconfig="separate")
    # Codecs that tifffile does not have by itself.
    assert cv2.imwrite(str(tmp_path / "lzw.tif"), colour[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    predicted = {"compression": "tiff_adobe_deflate", "tiffinfo": {317: 3}}
    Image.fromarray(grey[..., 0]).save(tmp_path / "predicted.tif", **predicted)
    put_exr(tmp_path / "colour.exr", colour)
    put_exr(tmp_path / "grey.exr", grey)
    for name, wanted in (
        ("grey.tif", grey),
        ("colour.tif", colour),
        ("half.tiff", colour.astype(np.float16).astype(np.float32)),
        ("double.tif", grey),
        ("planes.tif", colour),
        ("lzw.tif", colour),
        ("predicted.tif", grey),
        ("colour.exr", colour),
        ("grey.exr", grey),
    ):
        found = read_image(tmp_path / name)
        assert found.pixels.dtype == np.float32
        assert np.array_equal(found.pixels, wanted), name
        kind = kind_of(tmp_path / name)
        assert (kind.bits, kind.span) == (32, (float(wanted.min()), float(wanted.max())))
        values = found.values()
        assert values.dtype == np.float32
        assert np.abs(values - (wanted - wanted.min()) / (wanted.max() - wanted.min())).max() < 1e-6
    assert kind.description() == "5 x 6 pixels, 32-bit grey of floating-point numbers, -1.5 to 40"


def test_one_colour_has_a_range(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((3, 4), 7.0, dtype=np.float32))
    found = read_image(tmp_path / "a.tif")
    assert found.kind.span == (7, 8)
    assert (found.values() == 0).all()


@pytest.mark.parametrize("ending", [".tif", ".exr"])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_written_is_read_again(channels, ending, tmp_path):
    write_image(tmp_path / f"a{ending}", shades(channels))
    assert np.array_equal(read_image(tmp_path / f"a{ending}").pixels, shades(channels))
    assert [each.name for each in tmp_path.iterdir()] == [f"a{ending}"]


def exr_header(*channels: str) -> bytes:
    """The beginning of an OpenEXR file, by its specification: two attributes, of which the second has the channels."""
    described = b"".join(each.encode() + b"\0" + struct.pack("<iB3xii", 2, 0, 1, 1) for each in channels) + b"\0"
    attributes = ((b"capDate", b"string", b"a day"), (b"channels", b"chlist", described))
    packed = (name + b"\0" + kind + b"\0" + struct.pack("<i", len(each)) + each for name, kind, each in attributes)
    return struct.pack("<ii", 20000630, 2) + b"".join(packed) + b"\0"


def test_channels_beside_colours_are_not_left_out_of_an_exr(tmp_path):
    path = tmp_path / "a.exr"
    path.write_bytes(exr_header("B", "G", "NIR", "R"))
    with pytest.raises(
        InputError, match=r"a\.exr has the channels B, G, NIR, R: save grey or RGB alone, or all of them as"
    ):
        read_image(path)
    for channels in (("B", "G", "R"), ("A", "B", "G", "R"), ("Y",)):
        path.write_bytes(exr_header(*channels))
        # What is missing is all of the pixels.
        with pytest.raises(InputError, match="it does not decode"):
            read_image(path)
    path.write_bytes(exr_header("B", "G", "R")[:30])
    with pytest.raises(InputError, match="it does not decode"):
        read_image(path)


def test_what_cannot_be_learnt_is_refused_in_a_sentence(tmp_path, capsys):
    wrong = shades()
    wrong[4, 2, 1] = np.nan
    tifffile.imwrite(tmp_path / "nan.tif", wrong, photometric="rgb")
    wrong[4, 2, 1], wrong[5, 0] = 0, np.inf
    put_exr(tmp_path / "inf.exr", wrong)
    tifffile.imwrite(tmp_path / "huge.tif", np.array([[0, 1e300]]))
    tifffile.imwrite(tmp_path / "alpha.tif", shades(4), photometric="rgb", extrasamples=["unassalpha"])
    tifffile.imwrite(tmp_path / "pages.tif", np.moveaxis(shades(4), -1, 0), photometric="minisblack")
    tifffile.imwrite(tmp_path / "turned.tif", shades(), photometric="rgb", extratags=[(274, 3, 1, 6, True)])
    tifffile.imwrite(tmp_path / "fine.tif", shades(), photometric="rgb", compression="zlib")
    put_exr(tmp_path / "fine.exr", shades(height=40, width=40))
    for name in ("fine.tif", "fine.exr"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / f"cut-{name}").write_bytes(whole[: len(whole) // 2])
    for name, words in (
        ("nan.tif", r"has NaN or infinity in 1 of its pixels, the first in row 4 and column 2 \(from 0\): put numbers"),
        ("inf.exr", "has NaN or infinity in 1 of its pixels, the first in row 5 and column 0"),
        ("huge.tif", "numbers that are too large for 32 bits in 1 of its pixels, the first in row 0 and column 1"),
        ("alpha.tif", "an opacity of floating-point numbers: save it as grey or RGB alone"),
        ("pages.tif", "has 4 pages: give one image"),
        ("turned.tif", "turned by its orientation tag: save it upright"),
        ("cut-fine.tif", "no image that can be read"),
        ("cut-fine.exr", "no image that can be read"),
    ):
        with pytest.raises(InputError, match=words):
            read_image(tmp_path / name)
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(2):
        tifffile.imwrite(folder / f"f{number}.tif", shades(), photometric="rgb")
    with pytest.raises(InputError, match="frames of floating-point numbers: convert them to 8 or 16 bits"):
        read_video(folder)
    # Before anything is learnt.
    assert compress.main([str(tmp_path / "fine.tif"), str(tmp_path / "a.inr")]) == 1
    assert "this image has floating-point numbers: convert it first" in capsys.readouterr().err
    assert not (tmp_path / "a.inr").exists()


def test_files_without_room_for_floats_are_refused_and_those_of_floats_for_others(tmp_path):
    for name in ("a.png", "a.jpg"):
        with pytest.raises(InputError, match=r"no room for the floating-point numbers of the image: give a \.tif or"):
            check_image_output(tmp_path / name, bits=32, channels=3)
    with pytest.raises(InputError, match="would be of floating-point numbers, which the image has not"):
        check_image_output(tmp_path / "a.exr", bits=8, channels=3)
    check_image_output(tmp_path / "a.exr", bits=None, channels=3)
