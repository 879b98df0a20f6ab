"""Masks of photos: found by name, turned as the photo is, refused where they cannot be right."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from inr_plugins.errors import InputError
from inr_plugins.photos.masks import find_masks, masks_of_no_photo, read_mask
from inr_plugins.photos.pictures import look_into, photo_of

TURNED_BY = Image.Exif()
TURNED_BY[0x0112] = 6  # the stored pixels are to be turned by 90 degrees clockwise


def folder_of_photos(folder, *names):
    folder.mkdir()
    for name in names:
        Image.new("RGB", (8, 6)).save(folder / name)
    return look_into(folder).photos


def test_masks_are_found_with_or_without_the_photos_ending(tmp_path):
    photos = folder_of_photos(tmp_path / "photos", "a.jpg", "b.jpg", "c.png")
    masks = tmp_path / "masks"
    masks.mkdir()
    for name in ("a.png", "b.jpg.png", "c.png", "d.png"):
        Image.new("L", (8, 6), 255).save(masks / name)
    assert {name: path.name for name, path in find_masks(masks, photos).items()} == {
        "a.jpg": "a.png",
        "b.jpg": "b.jpg.png",
        "c.png": "c.png",
    }
    (masks / "e.png").write_bytes((masks / "d.png").read_bytes())
    (masks / "notes.txt").write_text("no mask")
    # The photo e.jpg is there, and cannot be read.
    assert masks_of_no_photo(masks, photos, ["e.jpg"]) == ["d.png"]
    assert masks_of_no_photo(masks, photos, []) == ["d.png", "e.png"]
    (masks / "b.jpg.png").unlink()
    with pytest.raises(InputError, match=r"no mask for b.jpg \(called b.png or b.jpg.png\)"):
        find_masks(masks, photos)


def test_two_masks_of_one_photo_are_refused(tmp_path):
    photos = folder_of_photos(tmp_path / "photos", "a.jpg")
    masks = tmp_path / "masks"
    masks.mkdir()
    for name in ("a.png", "a.jpg"):
        Image.new("L", (8, 6), 255).save(masks / name)
    with pytest.raises(InputError, match=r"two masks for one photo \(a\.jpg, a\.png\): remove one"):
        find_masks(masks, photos)


@pytest.mark.parametrize("kind", ["grey in RGB", "cut out"])
def test_a_mask_with_room_for_colours_is_read_by_what_it_shows(tmp_path, kind):
    (photo,) = folder_of_photos(tmp_path / "photos", "a.jpg")
    inside = np.zeros((6, 8), bool)
    inside[2:5, 1:4] = True
    white = np.where(inside, 255, 0).astype(np.uint8)
    # A picture whose dark thing is cut out of its light background.
    picture = np.dstack([np.where(inside, 20, 250).astype(np.uint8)] * 3 + [white])
    Image.fromarray(picture if kind == "cut out" else np.dstack([white] * 3)).save(tmp_path / "m.png")
    assert np.array_equal(read_mask(tmp_path / "m.png", photo, (8, 6)), inside)


@pytest.mark.parametrize("is_stored_shape", [False, True])
def test_a_mask_is_turned_where_it_has_the_shape_of_the_stored_pixels(tmp_path, is_stored_shape):
    Image.new("RGB", (8, 6)).save(tmp_path / "a.jpg", exif=TURNED_BY)
    photo = photo_of(tmp_path / "a.jpg")
    upright = np.zeros((8, 6), np.uint8)
    upright[:2] = 255  # the top, as a viewer shows it
    stored = np.rot90(upright) if is_stored_shape else upright
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "mask.png")
    assert np.array_equal(read_mask(tmp_path / "mask.png", photo, photo.size), upright > 0)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (Image.new("L", (8, 6), 0), "black all over, which leaves nothing of a.jpg"),
        (Image.new("L", (5, 6), 255), "5 x 6 pixels, which is not the shape of a.jpg"),
        (Image.new("L", (8, 6), 90), "not plain what is inside"),
        (Image.new("RGB", (8, 6), (200, 160, 90)), "is a picture in colours"),
        (Image.new("RGBA", (8, 6), (255, 255, 255, 0)), "black all over"),
    ],
)
def test_masks_that_cannot_be_right_are_named(tmp_path, mask, words):
    (photo,) = folder_of_photos(tmp_path / "photos", "a.jpg")
    mask.save(tmp_path / "m.png")
    with pytest.raises(InputError, match=words) as error:
        read_mask(tmp_path / "m.png", photo, (8, 6))
    assert "m.png" in str(error.value)
    (tmp_path / "m.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"m\.png cannot be read"):
        read_mask(tmp_path / "m.png", photo, (8, 6))
