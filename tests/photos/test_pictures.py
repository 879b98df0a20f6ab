"""What is read of a folder of photographs: which, in what order, how turned, and by what camera."""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import pytest
from PIL import Image

from inr_plugins.errors import InputError
from inr_plugins.photos import heif
from inr_plugins.photos.lenses import lens_groups
from inr_plugins.photos.pictures import look_into, photo_of, pixels_of

CORNERS = np.zeros((6, 9, 3), np.uint8)
"""Nine wide, six high; the top left corner is red, the top right one green."""
CORNERS[:3, :3, 0] = CORNERS[:3, -3:, 1] = 255
STORED = {
    1: CORNERS,
    2: CORNERS[:, ::-1],
    3: CORNERS[::-1, ::-1],
    4: CORNERS[::-1],
    5: CORNERS.swapaxes(0, 1),
    6: CORNERS.swapaxes(0, 1)[::-1],
    7: CORNERS[::-1, ::-1].swapaxes(0, 1),
    8: CORNERS.swapaxes(0, 1)[:, ::-1],
}
"""How a camera stores what is upright as `CORNERS`, by the orientation that it writes (EXIF 2.32, section 4.6.4)."""


def exif(orientation=None, *, make=None, model=None, **inner):
    found = Image.Exif()
    for tag, value in ((0x0112, orientation), (0x010F, make), (0x0110, model)):
        if value is not None:
            found[tag] = value
    tags = {"length": 0x920A, "film": 0xA405, "resolution": 0xA20E, "unit": 0xA210, "across": 0xA002, "lens": 0xA434}
    for name, value in inner.items():
        found.get_ifd(0x8769)[tags[name]] = value
    return found


@pytest.mark.parametrize("ending", ["png", "tif", "jpg"])
@pytest.mark.parametrize("orientation", STORED)
def test_pixels_are_turned_as_viewers_turn_them(tmp_path, orientation, ending):
    path = tmp_path / f"a.{ending}"
    options = {"quality": 100, "subsampling": 0} if ending == "jpg" else {}
    Image.fromarray(np.ascontiguousarray(STORED[orientation])).save(path, exif=exif(orientation), **options)
    photo = photo_of(path)
    assert photo.size == (9, 6)
    assert np.abs(pixels_of(photo, 100).astype(int) - CORNERS).max() < (60 if ending == "jpg" else 1)


def test_large_pictures_are_made_smaller_and_small_ones_stay(tmp_path):
    Image.new("RGB", (900, 600), (10, 200, 30)).save(tmp_path / "a.jpg", exif=exif(6))
    photo = photo_of(tmp_path / "a.jpg")
    assert pixels_of(photo, 90).shape == (90, 60, 3)
    assert pixels_of(photo, 5000).shape == (900, 600, 3)


def test_pictures_of_every_mode_are_three_channels_or_four(tmp_path):
    grey = np.linspace(0, 255, 48).reshape(6, 8).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    Image.fromarray(grey).convert("CMYK").save(tmp_path / "print.jpg", quality=100)
    Image.fromarray(np.dstack([grey] * 3 + [np.full_like(grey, 255)])).save(tmp_path / "opaque.png")
    Image.fromarray(np.dstack([grey] * 3 + [grey])).save(tmp_path / "clear.png")
    for name in ("grey", "deep", "opaque"):
        assert np.array_equal(pixels_of(photo_of(tmp_path / f"{name}.png"), 10), np.dstack([grey] * 3)), name
    assert np.abs(pixels_of(photo_of(tmp_path / "print.jpg"), 10).astype(int) - grey[..., None]).max() < 4
    clear = pixels_of(photo_of(tmp_path / "clear.png"), 10)
    assert np.array_equal(clear[..., 3], grey)


def test_a_folder_is_read_in_the_order_of_numbers_and_what_is_no_picture_is_named(tmp_path):
    for name in ("IMG_10.png", "IMG_9.png", "img_2.PNG", "IMG_1.jpg"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "IMG_3.jpg").write_bytes(b"no picture")
    (tmp_path / ".hidden.png").write_bytes(b"")
    found = look_into(tmp_path)
    assert [photo.name for photo in found.photos] == ["IMG_1.jpg", "img_2.PNG", "IMG_9.png", "IMG_10.png"]
    assert found.others == ("notes.txt",)
    assert list(found.unreadable) == ["IMG_3.jpg"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "holds no pictures"),
        ({"a.dng": b"x", "b.dng": b"x"}, r"DNG files \(a.dng is one\).*export them as JPEG"),
        ({"walk.mp4": b"x"}, "but a video: give .*walk.mp4 itself"),
        ({"inner/a.png": b"x"}, "its folder inner does: give .*inner"),
        ({"a.png": b"x"}, "No picture in .* can be read, a.png for instance cannot be read"),
    ],
)
def test_a_folder_without_pictures_says_what_it_holds_instead(tmp_path, files, words):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        look_into(tmp_path)


@pytest.mark.parametrize("orientation", STORED)
def test_heic_of_a_telephone_is_read_upright(tmp_path, orientation):
    if importlib.util.find_spec("pillow_heif") is None:
        pytest.skip("pillow-heif, of the extra photos, is not installed")
    import pillow_heif

    # Telephones store the sensor's pixels, and how to turn them both in the container and in EXIF.
    large = np.ascontiguousarray(STORED[orientation]).repeat(16, 0).repeat(16, 1)
    file = pillow_heif.from_pillow(Image.fromarray(large))
    file.save(tmp_path / "IMG_0001.HEIC", quality=100, exif=exif(orientation, film=26).tobytes(), chroma=444)
    (photo,) = look_into(tmp_path).photos
    assert photo.size == (144, 96)
    assert photo.lens.focal == pytest.approx(26 / np.hypot(36, 24))
    assert photo.is_lossy
    seen = pixels_of(photo, 1000).reshape(6, 16, 9, 16, 3)[:, 8, :, 8].astype(int)
    assert np.abs(seen - CORNERS).max() < 60


def test_heic_without_its_reader_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(heif, "_can_read", lambda: False)
    for name in ("a.jpg", "b.heic"):
        Image.new("RGB", (4, 4)).save(tmp_path / name, format="JPEG")
    with pytest.raises(InputError, match=r"b\.heic is a HEIC file.*pip install pillow-heif.*export as JPEG"):
        look_into(tmp_path)


def test_a_place_without_a_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="gone does not exist: give a folder of photographs"):
        look_into(tmp_path / "gone")


@pytest.mark.parametrize(
    ("entries", "focal"),
    [
        ({"film": 50}, 50 / math.hypot(36, 24)),
        # 4 mm before 200 pixels a millimetre: 800 pixels of a diagonal of 500.
        ({"length": 4.0, "resolution": 200.0, "unit": 4}, 800 / 500),
        ({"length": 4.0, "resolution": 5080.0, "unit": 2}, 800 / 500),
        # The picture has since been made a third as large.
        ({"length": 4.0, "resolution": 600.0, "unit": 4, "across": 1200}, 800 / 500),
        ({"length": 4.0}, None),
        ({"film": 0}, None),
        ({"film": 60000}, None),
    ],
)
def test_the_focal_length_is_that_of_exif(tmp_path, entries, focal):
    Image.new("RGB", (400, 300)).save(tmp_path / "a.jpg", exif=exif(make="Maker", model="Model 3", **entries))
    lens = photo_of(tmp_path / "a.jpg").lens
    assert lens.camera == "Maker Model 3"
    assert lens.focal == (None if focal is None else pytest.approx(focal, rel=1e-3))


def test_photos_have_a_lens_in_common_by_camera_focal_length_and_size(tmp_path):
    kinds = {
        "a": ((80, 60), exif(model="One", length=4.0, film=26)),
        "b": ((80, 60), exif(model="One", length=4.0, film=26)),
        "c": ((80, 60), exif(model="One", length=9.0, film=60)),
        "d": ((60, 80), exif(model="One", length=4.0, film=26)),
        "e": ((80, 60), exif(model="Two", length=4.0)),
    }
    for name, (size, tags) in kinds.items():
        Image.new("RGB", size).save(tmp_path / f"{name}.jpg", exif=tags)
    photos = look_into(tmp_path).photos
    assert [each.numbers for each in lens_groups(photos, "auto", 40)] == [(0, 1), (2,), (3,), (4,)]
    assert [each.numbers for each in lens_groups(photos, "one", 40)] == [(0, 1, 2, 4), (3,)]
    assert [each.numbers for each in lens_groups(photos, "each", 40)] == [(0,), (1,), (2,), (3,), (4,)]
    first, *_, last = lens_groups(photos, "auto", 40)
    assert (first.size, last.params) == ((40, 30), "")
    assert [float(each) for each in first.params.split(",")] == pytest.approx([26 / 43.2666 * 50, 20, 15, 0], rel=1e-3)
