"""Folders of pictures for a dictionary: order, size, what cannot be read, and masks, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from inr_plugins.data.signals.picture_folder import read_pictures
from inr_plugins.data.signals.pictures import PictureDataManagerConfig, PicturesDataParserConfig
from inr_plugins.errors import InputError

RNG = np.random.default_rng(0)


def save(folder, name, shape=(8, 6), dtype=np.uint8):
    pixels = RNG.integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)
    folder.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(folder / name)
    return pixels


def test_pictures_come_by_their_numbers_and_a_single_one_is_a_folder_of_one(tmp_path):
    made = {name: save(tmp_path / "p", name) for name in ("b10.png", "b9.png", "a.png", "b9x.png")}
    found = read_pictures(tmp_path / "p")
    assert [each.name for each in found.files] == ["a.png", "b9.png", "b9x.png", "b10.png"]
    np.testing.assert_array_equal(found.pixels[..., 0], np.stack([made[each.name] for each in found.files]))
    assert (found.kind.frames, found.kind.width, found.kind.height, found.kind.channels) == (4, 6, 8, 1)
    assert found.notes == ()
    one = read_pictures(tmp_path / "p" / "a.png")
    assert one.kind.frames == 1
    np.testing.assert_array_equal(one.picture(0)[..., 0], made["a.png"])


def test_a_model_is_told_the_names_of_the_files_while_they_are_there(tmp_path):
    for name in ("b10.png", "b9.png"):
        save(tmp_path / "p", name)
    config = PicturesDataParserConfig(data=tmp_path / "p")
    parser = config.setup()
    assert parser.get_dataparser_outputs("train").metadata["names"] == ("b9.png", "b10.png")
    config.learnt, config.data = config.kind(), tmp_path / "elsewhere"
    assert config.setup().get_dataparser_outputs("train").metadata["names"] == ()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_size_is_the_middle_square_by_area_averages(tmp_path, dtype):
    tall, wide = save(tmp_path / "p", "0.png", (16, 8), dtype), save(tmp_path / "p", "1.png", (8, 12), dtype)
    found = read_pictures(tmp_path / "p", size=4)
    squares = [tall[4:12], wide[:, 2:10]]
    means = [each.reshape(4, 2, 4, 2).mean((1, 3)) for each in squares]
    assert found.pixels.dtype == dtype
    np.testing.assert_allclose(found.pixels[..., 0], np.stack(means), atol=0.51)


def test_pictures_that_cannot_be_read_are_left_out_and_named(tmp_path):
    whole = save(tmp_path / "p", "0.png")
    save(tmp_path / "p", "2.png")
    (tmp_path / "p" / "1.png").write_bytes((tmp_path / "p" / "0.png").read_bytes()[:60])
    (tmp_path / "p" / "notes.txt").write_text("none")
    found = read_pictures(tmp_path / "p")
    assert len(found.pixels) == 2
    np.testing.assert_array_equal(found.pixels[0, ..., 0], whole)
    assert found.notes == ("1 of 3 pictures cannot be read and is left out: 1.png.",)
    (tmp_path / "p" / "3.png").write_bytes(b"no picture")
    assert read_pictures(tmp_path / "p").notes == ("2 of 4 pictures cannot be read and are left out: 1.png, 3.png.",)
    (tmp_path / "q").mkdir()
    (tmp_path / "q" / "1.png").write_bytes(b"no picture")
    (tmp_path / "q" / "2.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"has no picture that can be read\. The first: .*1\.png"):
        read_pictures(tmp_path / "q")
    with pytest.raises(InputError, match=r"1\.png.* is no image that can be read"):
        read_pictures(tmp_path / "q" / "1.png")


def test_what_is_missing_is_white_in_a_mask_of_all_or_of_each(tmp_path):
    for name in ("0.png", "1.png"):
        save(tmp_path / "p", name, (8, 8))
    mask = np.zeros((8, 8), dtype=np.uint8)
    mask[2, 3] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    of_all = read_pictures(tmp_path / "p", mask=tmp_path / "mask.png")
    np.testing.assert_array_equal(of_all.missing, np.stack([mask > 0] * 2))
    # A pixel of four that one white one is in is missing.
    np.testing.assert_array_equal(
        read_pictures(tmp_path / "p", size=4, mask=tmp_path / "mask.png").missing[0],
        mask.reshape(4, 2, 4, 2).max((1, 3)) > 0,
    )
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask.T.copy()).save(tmp_path / "masks" / "1.jpg", quality=100)
    with pytest.raises(InputError, match=r"has no mask for 0\.png: give one of its name"):
        read_pictures(tmp_path / "p", mask=tmp_path / "masks")
    Image.fromarray(mask).save(tmp_path / "masks" / "0.png")
    np.testing.assert_array_equal(
        read_pictures(tmp_path / "p", mask=tmp_path / "masks").missing, np.stack([mask > 0, mask.T > 0])
    )
    Image.fromarray(mask[:6]).save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=r"mask\.png has 8 x 6 pixels, and 0\.png has 8 x 8"):
        read_pictures(tmp_path / "p", mask=tmp_path / "mask.png")
    (tmp_path / "mask.png").write_bytes(b"none")
    with pytest.raises(InputError, match=r"mask\.png is no picture that can be read"):
        read_pictures(tmp_path / "p", mask=tmp_path / "mask.png")


def test_folders_that_are_no_dictionarys_are_refused(tmp_path):
    save(tmp_path / "p", "0.png")
    save(tmp_path / "p", "1.png", (8, 7))
    with pytest.raises(InputError, match=r"1\.png has 7 x 8 pixels, and 0\.png has 6 x 8: give --pipeline.*size"):
        read_pictures(tmp_path / "p")
    assert len(read_pictures(tmp_path / "p", size=4).pixels) == 2
    save(tmp_path / "p", "2.png", (8, 6, 3))
    with pytest.raises(InputError, match=r"2\.png has .*RGB, and 0\.png has .*grey"):
        read_pictures(tmp_path / "p", size=4)
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match=r"has no pictures \(\.png"):
        read_pictures(tmp_path / "none")
    with pytest.raises(InputError, match=r"give a folder of pictures"):
        read_pictures(tmp_path / "nowhere")
    with pytest.raises(
        InputError, match=r"no folder of pictures at .*nowhere.*: give --data the folder of pictures, or"
    ):
        _ = PicturesDataParserConfig(data=tmp_path / "nowhere").setup().image


def test_pictures_that_are_enlarged_are_told_of(tmp_path):
    save(tmp_path / "p", "0.png", (8, 8))
    save(tmp_path / "p", "1.png", (4, 4))
    (tmp_path / "p" / "more").mkdir()
    option = "--pipeline.datamanager.dataparser.size"
    found = read_pictures(tmp_path / "p", size=8)
    assert found.notes[0] == f"1 of 2 pictures is smaller than {option} 8, and is enlarged."
    assert "are not looked into" in found.notes[1]
    assert read_pictures(tmp_path / "p", size=9).notes[0] == (
        f"2 of 2 pictures are smaller than {option} 9, and are enlarged."
    )
    assert read_pictures(tmp_path / "p" / "0.png", size=9).notes == (
        f"1 of 1 picture is smaller than {option} 9, and is enlarged.",
    )


@pytest.mark.parametrize(("count", "said"), [(1, "the picture"), (3, "all 3 pictures")])
def test_what_metrics_are_of_counts_the_pictures(tmp_path, count, said):
    for number in range(count):
        save(tmp_path / "p", f"{number}.png")
    manager = PictureDataManagerConfig(data=tmp_path / "p").setup(device="cpu")
    assert manager.evaluated(count, count) == said
    assert manager.evaluated(1, 3) == "1 of 3 pictures"
