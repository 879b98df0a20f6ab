"""Image files of all kinds that are taken: each with its own numbers, or refused in a sentence."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from inr_plugins.data.signals.image_file import read_image
from inr_plugins.data.signals.image_output import write_image
from inr_plugins.errors import InputError

ORIENTATION = 0x0112


def gradient(channels: int, *, bits: int = 8, height: int = 3, width: int = 5) -> np.ndarray:
    """Numbers that are all different, and tell row, column and channel."""
    row, column, channel = np.meshgrid(range(height), range(width), range(channels), indexing="ij")
    if bits == 8:
        return (row * 60 + column * 10 + channel).astype(np.uint8)
    return (row * 20_011 + column * 1009 + channel * 101 + 7).astype(np.uint16)


@pytest.mark.parametrize("ending", [".png", ".tif"])
@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4)])
def test_eight_bits_are_read_as_they_are(mode, channels, ending, tmp_path):
    pixels = gradient(channels)
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels, mode=mode).save(tmp_path / f"a{ending}")
    found = read_image(tmp_path / f"a{ending}")
    assert np.array_equal(found.pixels, pixels)
    assert (found.bits, found.kind.has_alpha) == (8, channels in (2, 4))
    assert np.array_equal(found.values(), (pixels / 255).astype(np.float32))


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_sixteen_bits_of_colour_are_not_cut_down_to_eight(ending, tmp_path):
    for channels in (3, 4):
        pixels = gradient(channels, bits=16)
        order = [2, 1, 0, 3][:channels]
        assert cv2.imwrite(str(tmp_path / f"a{ending}"), np.ascontiguousarray(pixels[..., order]))
        found = read_image(tmp_path / f"a{ending}")
        assert np.array_equal(found.pixels, pixels)
        assert found.bits == 16
    grey = gradient(1, bits=16)
    Image.fromarray(grey[..., 0]).save(tmp_path / f"grey{ending}")
    assert np.array_equal(read_image(tmp_path / f"grey{ending}").pixels, grey)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_what_is_written_is_read_again(bits, channels, ending, tmp_path):
    pixels = gradient(channels, bits=bits)
    write_image(tmp_path / f"a{ending}", pixels)
    assert np.array_equal(read_image(tmp_path / f"a{ending}").pixels, pixels)


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """What EXIF's table says of where row 0 and column 0 are shown."""
    flipped = {1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1]}
    if orientation <= 4:
        return flipped[orientation]
    across = pixels.swapaxes(0, 1)
    return {5: across, 6: across[:, ::-1], 7: across[::-1, ::-1], 8: across[::-1]}[orientation]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["RGB.png", "L.tif", "RGB.tif", "16.png"])
def test_images_stand_upright(kind, orientation, tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    pixels, path = gradient(1 if kind == "L.tif" else 3), tmp_path / kind
    if kind == "16.png":
        # Pillow writes no 16-bit colours: its chunk of EXIF in a file of OpenCV's.
        pixels = gradient(3, bits=16)
        _, encoded = cv2.imencode(".png", np.ascontiguousarray(pixels[..., ::-1]))
        path.write_bytes(with_exif(encoded.tobytes(), exif))
    else:
        Image.fromarray(pixels[..., 0] if kind == "L.tif" else pixels).save(path, exif=exif)
    assert np.array_equal(read_image(path).pixels, turned(pixels, orientation))


def with_exif(png: bytes, exif: Image.Exif) -> bytes:
    """A PNG with a chunk of EXIF behind its header."""
    body = b"eXIf" + exif.tobytes().removeprefix(b"Exif\x00\x00")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:33] + chunk + png[33:]


def test_deep_tiffs_that_are_turned_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", gradient(3, bits=16), extratags=[(274, "H", 1, 6, True)], photometric="rgb")
    with pytest.raises(InputError, match=r"a\.tif has colours of 16 bits and EXIF orientation 6"):
        read_image(tmp_path / "a.tif")


def test_palettes_become_their_colours(tmp_path):
    colours = Image.fromarray(np.uint8([[[250, 1, 2], [3, 240, 5]]]))
    colours.quantize(2).save(tmp_path / "p.png")
    assert read_image(tmp_path / "p.png").pixels.tolist() == [[[250, 1, 2], [3, 240, 5]]]
    seen = colours.quantize(2)
    seen.save(tmp_path / "t.png", transparency=int(np.asarray(seen)[0, 1]))
    assert read_image(tmp_path / "t.png").pixels.tolist() == [[[250, 1, 2, 255], [3, 240, 5, 0]]]


def test_one_bit_and_one_pixel_are_images(tmp_path):
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "bits.png")
    assert read_image(tmp_path / "bits.png").pixels.tolist() == [[[255], [0]]]
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "one.png")
    assert read_image(tmp_path / "one.png").pixels.tolist() == [[[1, 2, 3]]]


def sgi_of_sixteen_bits() -> bytes:
    """Silicon Graphics' format, by its specification: a header of 512 bytes, then rows from below."""
    header = struct.pack(">HBBHHHHII", 474, 0, 2, 2, 4, 2, 1, 0, 65535)
    return header.ljust(512, b"\0") + np.arange(8, dtype=">u2").tobytes()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("ending", [".ppm", ".jp2"])
def test_sixteen_bits_of_other_formats_are_not_cut_down_to_eight(ending, channels, tmp_path):
    pixels = gradient(channels, bits=16, height=64, width=80)
    name = tmp_path / ("a.pgm" if channels == 1 and ending == ".ppm" else f"a{ending}")
    # JPEG 2000 loses a little.
    assert cv2.imwrite(
        str(name), np.ascontiguousarray(pixels[..., ::-1]), [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000]
    )
    found = read_image(name)
    assert (found.bits, found.pixels.shape) == (16, pixels.shape)
    assert np.abs(found.pixels.astype(int) - pixels).max() <= (0 if ending == ".ppm" else 40)


def png_by_hand(width, height, colours, rows) -> bytes:
    """A PNG of 16 bits by its specification; `rows` big-endian, each behind the number of a filter."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 16, colours, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_grey_with_an_opacity_of_sixteen_bits_is_read_and_written_as_such(tmp_path):
    pixels = gradient(2, bits=16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    (tmp_path / "a.png").write_bytes(png_by_hand(5, 3, 4, rows))
    alpha = {"photometric": "minisblack", "extrasamples": ["unassalpha"]}
    tifffile.imwrite(tmp_path / "a.tif", pixels, planarconfig="contig", **alpha)
    tifffile.imwrite(tmp_path / "planes.tif", pixels.transpose(2, 0, 1), planarconfig="separate", **alpha)
    for name in ("a.png", "a.tif", "planes.tif"):
        found = read_image(tmp_path / name)
        assert np.array_equal(found.pixels, pixels)
        assert found.kind.description() == "5 x 3 pixels, 16-bit grey with alpha"
    profile = read_profile()
    for name in ("out.png", "out.tif"):
        write_image(tmp_path / name, pixels, profile=profile)
    assert (tmp_path / "out.png").read_bytes()[24:26] == bytes([16, 4])
    # Of the values, not of the order of bytes: OpenCV makes four channels of it.
    by_opencv = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(by_opencv[..., [0, 3]], pixels)
    assert Image.open(tmp_path / "out.png").info["icc_profile"] == profile
    with tifffile.TiffFile(tmp_path / "out.tif") as tiff:
        assert np.array_equal(tiff.asarray(), pixels)
        assert [int(each) for each in tiff.pages[0].extrasamples] == [2]


def read_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def test_what_is_no_such_image_is_refused_in_a_sentence(tmp_path):
    frames = [Image.new("RGB", (4, 4), (shade, 0, 0)) for shade in (0, 200)]
    frames[0].save(tmp_path / "moves.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "pages.tif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "moves.webp", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "first.mjpeg", format="JPEG")
    Image.new("CMYK", (4, 4)).save(tmp_path / "inks.jpg")
    Image.fromarray(np.float32([[0, np.nan]])).save(tmp_path / "floats.pfm")
    Image.fromarray(np.int32([[0, 70_000]])).save(tmp_path / "ints.tif")
    whole_map = np.uint16([[0, 511, 1023]]).byteswap().tobytes()
    (tmp_path / "dim.pgm").write_bytes(b"P5 # not to 65535\n3 1\n1023\n" + whole_map)
    (tmp_path / "deep.sgi").write_bytes(sgi_of_sixteen_bits())
    (tmp_path / "text.png").write_text("no picture")
    Image.fromarray(gradient(3, height=64, width=64)).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    said = {
        "moves.gif": "has 2 frames.* learn it with ns-train diner-video",
        "moves.webp": "has 2 frames.* learn its frames with ns-train diner-video, from a folder of numbered pictures",
        "pages.tif": "has 2 frames.* from a folder",
        "first.mjpeg": "is a video by its name",
        "inks.jpg": r"inks of a printer \(CMYK\)",
        "floats.pfm": r"floating-point numbers, which are read of \.tif, \.tiff or \.exr: convert it",
        "ints.tif": "signed 32-bit numbers: convert",
        "text.png": "no image that can be read .cannot identify image file.: give a PNG, JPEG, TIFF or OpenEXR file",
        "cut.png": "no image that can be read",
        "dim.pgm": "has numbers up to 1,023: write them up to 255 or 65,535",
        "deep.sgi": "is SGI of 16-bit numbers: convert it to 8- or 16-bit grey, RGB or RGBA, in PNG or TIFF",
        "missing.png": "does not exist",
        ".": "is a folder",
    }
    for name, words in said.items():
        with pytest.raises(InputError, match=words):
            read_image(tmp_path / name)


def test_a_file_that_cannot_hold_the_image_is_refused(tmp_path):
    for name, pixels, words in (
        ("a.jpg", gradient(4), "no room for an opacity"),
        ("a.jpg", gradient(3, bits=16), "no room for 16 bits"),
        ("a.txt", gradient(3), "ending that no image is written to"),
    ):
        with pytest.raises(InputError, match=words):
            write_image(tmp_path / name, pixels)
    assert list(tmp_path.iterdir()) == []
