"""Holograms and objects from files, and what is said of those that cannot be."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inr_plugins.data.signals.hologram_file import read_recording
from inr_plugins.data.signals.lensless import LightDataParserConfig, held_out_of
from inr_plugins.errors import InputError

LIGHT = {"wavelength_nm": 537, "pitch_um": 3.45, "heights_mm": [0.5, 0.6, 0.7]}
STACK = {"values": "intensity", **LIGHT}
GENERATOR = np.random.default_rng(0)
COUNTS = GENERATOR.integers(1, 200, (3, 16, 20)).astype(np.uint8)


def tell(path, told):
    path.with_suffix(".json").write_text(json.dumps(told))
    return path


def folder_of(tmp_path, counts=COUNTS, told=STACK):
    folder = tmp_path / "stack"
    folder.mkdir()
    for number, each in enumerate(counts, 1):
        Image.fromarray(each).save(folder / f"raw_{number:02d}.png")
    return tell(folder, told)


def array_of(tmp_path, numbers, **more):
    np.save(tmp_path / "stack.npy", numbers)
    return tell(tmp_path / "stack.npy", {**STACK, **more})


def test_every_form_has_the_same_numbers(tmp_path):
    import scipy.io
    import tifffile

    folder = folder_of(tmp_path)
    tifffile.imwrite(tmp_path / "pages.tif", COUNTS, photometric="minisblack")
    np.save(tmp_path / "array.npy", COUNTS)
    np.savez(tmp_path / "arrays.npz", holograms=COUNTS, other=np.zeros(3))
    scipy.io.savemat(tmp_path / "matlab.mat", {"stack": np.moveaxis(COUNTS, 0, -1)})
    mean = COUNTS.mean()
    for name in ("pages.tif", "array.npy", "arrays.npz", "matlab.mat"):
        more = {"axes": "rows columns heights"} if name == "matlab.mat" else {}
        tell(tmp_path / name, {**STACK, **more})
    for path in (folder, *(tmp_path / each for each in ("pages.tif", "array.npy", "arrays.npz", "matlab.mat"))):
        found = read_recording(path)
        np.testing.assert_allclose(found.intensities, COUNTS / mean, rtol=1e-6)
        assert found.truth is None
        assert found.setup.heights_mm == (0.5, 0.6, 0.7)
        assert (found.setup.wavelength_nm, found.setup.pitch_um) == pytest.approx((537, 3.45))


def test_pictures_are_in_the_order_of_their_numbers_and_hidden_files_are_none(tmp_path):
    folder = tmp_path / "stack"
    folder.mkdir()
    for number, each in zip((2, 9, 10), COUNTS, strict=True):
        Image.fromarray(each).save(folder / f"raw_{number}.png")
    (folder / "._raw_2.png").write_bytes(b"what a Mac leaves")
    found = read_recording(tell(folder, {**STACK, "heights_mm": [0.7, 0.5, 0.6]}))
    np.testing.assert_allclose(found.intensities, COUNTS / COUNTS.mean(), rtol=1e-6)
    assert found.setup.heights_mm == (0.7, 0.5, 0.6)


def test_units_and_the_open_beam(tmp_path):
    told = {"wavelength_um": 0.537, "pitch_mm": 0.00345, "heights_um": [500, 600, 700], "open_beam": 50}
    np.save(tmp_path / "stack.npy", COUNTS)
    found = read_recording(tell(tmp_path / "stack.npy", {"values": "intensity", **told}))
    assert found.setup.heights_mm == (0.5, 0.6, 0.7)
    assert (found.setup.wavelength_nm, found.setup.pitch_um) == pytest.approx((537, 3.45))
    np.testing.assert_allclose(found.intensities, COUNTS / 50)


def test_an_object_and_holograms_of_a_known_one(tmp_path):
    size = np.tile(np.array([0, 51, 255, 102], np.uint8), (16, 5))
    turned = np.tile(np.array([[0], [255]], np.uint8), (8, 20))
    folder = folder_of(tmp_path, told={**STACK, "amplitude": "stack/size.png", "phase": "stack/turn.png"})
    Image.fromarray(size).save(folder / "size.png")
    Image.fromarray(turned).save(folder / "turn.png")
    found = read_recording(folder)
    assert found.intensities.shape == (3, 16, 20)
    np.testing.assert_allclose(np.abs(found.truth), size / 255, rtol=1e-6)
    np.testing.assert_allclose(found.truth[1::2].real, size[1::2] / -255.0, atol=1e-6)
    told = {"values": "object", "phase": "stack/turn.png", "phase_black_rad": -0.5, "phase_white_rad": 1, **LIGHT}
    Image.fromarray(size).save(tmp_path / "cells.png")
    cells = read_recording(tell(tmp_path / "cells.png", told))
    assert cells.intensities is None
    np.testing.assert_allclose(np.angle(cells.truth[:, 2]), np.where(turned[:, 2] > 0, 1, -0.5), atol=1e-6)


def changed(**more):
    return {key: value for key, value in {**STACK, **more}.items() if value is not None}


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (
            {"wavelength_nm": None, "wavelength_m": 537},
            "has the key wavelength_m, whose unit is not known: call it wave",
        ),
        (
            {"wavelength_nm": None, "wavelength_um": 537},
            r"wavelength_um 537, and 537 um is out of reason for a wavelength",
        ),
        ({"wavelength_nm": None}, "has no wavelength_nm or wavelength_um"),
        ({"wavelength_um": 0.5}, "has several of wavelength_nm or wavelength_um"),
        ({"wavelength_nm": "537"}, "which is no finite number"),
        ({"pixel_size": 3.45}, "the key pixel_size, whose unit is not known: call it pitch_um or pitch_nm or pitch_mm"),
        ({"pitch_um": 3450}, "out of reason for a pitch"),
        ({"heights_mm": [0.5, 0.6]}, "has 2 heights, and .* has 3 holograms"),
        ({"heights_mm": [0.5]}, "has 1 height, and .* has 3 holograms"),
        ({"heights_mm": 0.5}, "is no list of numbers"),
        ({"heights_mm": [0.5, 0.5, 0.5]}, "two different heights"),
        ({"heights_mm": [0.5, -0.6, 0.7]}, "a height of -0.6 mm, which is out of reason"),
        ({"heights_mm": [500, 600, 700]}, "to the side: look at the units of heights, wavelength and pitch"),
        (
            {"heights_mm": None, "heights_um": [0.5, 0.6, 0.7]},
            r"no height above 0.0007 mm, .* 0.016 pixels to the side",
        ),
        ({"pitch_um": 345}, r"goes 0.0016 pixels to the side, so that no phase is seen: look at the units"),
        ({"open_beam": 1e9}, "give the number that the light alone has"),
        ({"colour": "green"}, "the key colour, which is none of"),
        ({"values": "phase"}, 'give "intensity" or "object"'),
        ({"axes": "views bins"}, 'give "heights rows columns"'),
    ],
)
def test_metadata_that_are_refused(tmp_path, told, sentence):
    np.save(tmp_path / "stack.npy", COUNTS)
    with pytest.raises(InputError, match=sentence):
        read_recording(tell(tmp_path / "stack.npy", changed(**told)))


def test_numbers_that_are_refused(tmp_path):
    bad = COUNTS.astype(np.float64)
    bad[1, 2, 3] = math.nan
    with pytest.raises(
        InputError, match=r"NaN or infinity in 1 of its numbers, the first in hologram 1, row 2 and col"
    ):
        read_recording(array_of(tmp_path, bad))
    bad[1, 2, 3] = -5
    with pytest.raises(InputError, match=r"intensities down to -5, in 1 place, and"):
        read_recording(array_of(tmp_path, bad))
    bad[1] = 0
    with pytest.raises(InputError, match=r"a hologram without any light, number 1 \(from 0\): leave it out"):
        read_recording(array_of(tmp_path, bad))
    with pytest.raises(InputError, match=r"the same numbers in hologram 0 and 2 \(from 0\), as if one were a copy"):
        read_recording(array_of(tmp_path, COUNTS[[0, 1, 0]]))
    with pytest.raises(InputError, match=r"has holograms of nothing, the same in all of their pixels"):
        read_recording(array_of(tmp_path, np.full(COUNTS.shape, 7.0)))
    with pytest.raises(InputError, match="have heights, rows and columns"):
        read_recording(array_of(tmp_path, COUNTS[0]))
    with pytest.raises(InputError, match="of the type complex128"):
        read_recording(array_of(tmp_path, 1j * COUNTS))
    with pytest.raises(InputError, match=r"is of 20 x 8 pixels"):
        read_recording(array_of(tmp_path, COUNTS[:, :8]))
    import tifffile

    with tifffile.TiffWriter(tmp_path / "pages.tif") as tiff:
        for each in (COUNTS[0], COUNTS[1, :, :18], COUNTS[2]):
            tiff.write(each, photometric="minisblack")
    with pytest.raises(InputError, match="has pages of different sizes"):
        read_recording(tell(tmp_path / "pages.tif", STACK))
    (tmp_path / "stack.npy").write_bytes(b"no array")
    with pytest.raises(InputError, match=r"cannot be read \(it holds no array of numbers\)"):
        read_recording(tmp_path / "stack.npy")
    (tmp_path / "stack.json").unlink()
    with pytest.raises(InputError, match=r"needs .*stack.json beside it, with values, wavelength_nm"):
        read_recording(tmp_path / "stack.npy")


def test_a_point_in_the_name_of_a_folder_is_no_ending(tmp_path, monkeypatch):
    folder = folder_of(tmp_path).rename(tmp_path / "height_0.5mm")
    (tmp_path / "stack.json").rename(tmp_path / "height_0.json")
    with pytest.raises(InputError, match=r"needs \S*height_0.5mm.json beside it"):
        read_recording(folder)
    (tmp_path / "height_0.json").rename(tmp_path / "height_0.5mm.json")
    assert read_recording(folder).intensities.shape == COUNTS.shape
    monkeypatch.chdir(folder)
    assert read_recording(Path()).intensities.shape == COUNTS.shape


def test_different_exposures_are_said_and_an_instruments_are_not(tmp_path):
    # Means of the eight holograms of a real target, over that of the fifth.
    usual = np.array([1.006, 0.953, 1.006, 1.003, 1.0, 1.0, 0.996, 0.995])
    even = GENERATOR.uniform(0.5, 1.5, (8, 16, 20))
    even /= even.mean((1, 2), keepdims=True)
    heights = {"heights_mm": [0.5 + 0.05 * each for each in range(8)]}
    assert read_recording(array_of(tmp_path, even * usual[:, None, None], **heights)).notes == ()
    exposures = np.array([1, 1, 0.7, 1, 1.3, 1, 1, 1.09])
    path = array_of(tmp_path, even * exposures[:, None, None], **heights)
    (note,) = read_recording(path).notes
    assert "stack.npy have different amounts of light" in note
    assert "number 2 has 0.70, 4 has 1.30 (from 0); divide each by its exposure" in note
    # Which of two is the odd one nobody knows.
    (note,) = read_recording(array_of(tmp_path, even[:2] * [[[1]], [[0.5]]], heights_mm=[0.5, 0.6])).notes
    assert "number 0 has 1.33, 1 has 0.67 (from 0)" in note


def exposed(full, kind, *, scale=None, seed=0):
    """Light of mean 1, of which 2.5 or 1 * `scale` has the number `full`, the greatest; and where it was more."""
    light = np.random.default_rng(seed).gamma(4, 0.25, (3, 64, 80))
    counts = np.floor(light * (scale or full / 2.5))
    return np.minimum(counts, full).astype(kind), counts >= full


@pytest.mark.parametrize(
    ("full", "kind", "unit"),
    [(255, np.uint8, 1), (65535, np.uint16, 1), (4095, np.uint16, 1), (4095, np.uint16, 16), (4095, np.float32, 0.01)],
)
def test_saturated_pixels_are_at_least_so_much_and_said(full, kind, unit, tmp_path):
    counts, lost = exposed(full, np.float64)
    assert 0.002 < lost.mean() < 0.02
    found = read_recording(array_of(tmp_path, (counts * unit).astype(kind), open_beam=full / 2.5 * unit))
    wanted = np.where(lost, -2.5, counts / (full / 2.5))
    np.testing.assert_allclose(found.intensities, wanted, rtol=1e-5)
    (note,) = found.notes
    shares = 100 * lost.mean((1, 2))
    assert f"stack.npy {100 * lost.mean():.2g} % are saturated, most of them in hologram {shares.argmax()} " in note
    assert f"{shares.max():.2g} % of it: of them is learnt that there was at least that much light" in note


def test_what_is_bright_but_not_saturated_is_kept(tmp_path):
    for full, scale in ((255, 40), (4095, 10), (4095, 600)):
        counts, lost = exposed(full, np.uint16, scale=scale)
        assert not lost.any()
        found = read_recording(array_of(tmp_path, counts, open_beam=scale))
        assert found.notes == ()
        assert (found.intensities >= 0).all()
    # One pixel of 255 in 20,000, as where pictures have been stretched to their brightest one.
    counts = GENERATOR.integers(1, 200, (3, 100, 200)).astype(np.uint8)
    counts[1, 2, 3] = 255
    assert read_recording(array_of(tmp_path, counts)).notes == ()
    # Around an object there is the light alone, of one number, next to nothing above which is seen.
    counts = np.full((3, 16, 20), 100, np.uint8)
    counts[:, 4:9, 5:9] = GENERATOR.integers(1, 90, (3, 5, 4))
    assert read_recording(array_of(tmp_path, counts, open_beam=100)).notes == ()


def test_a_hologram_that_is_mostly_saturated_is_refused(tmp_path):
    counts = COUNTS.copy()
    counts[2, :, :11] = 255
    with pytest.raises(InputError, match=r"is saturated in 55 % of the pixels of hologram 2 \(from 0\): expose less"):
        read_recording(array_of(tmp_path, counts))


def test_heights_from_which_light_hardly_goes_to_the_side_are_said(tmp_path):
    # 0.537 um * 13 um / (2 * (3.45 um)²) = 0.293, and of 50 um 1.13.
    (note,) = read_recording(array_of(tmp_path, COUNTS, heights_mm=[0.011, 0.012, 0.013])).notes
    assert "goes 0.29 pixels to the side" in note
    assert read_recording(array_of(tmp_path, COUNTS, heights_mm=[0.01, 0.02, 0.05])).notes == ()
    Image.fromarray(COUNTS[0]).save(tmp_path / "cells.png")
    told = {"values": "object", **LIGHT, "pitch_um": 34.5}
    assert (
        "goes 0.16 pixels to the side" in LightDataParserConfig(data=tell(tmp_path / "cells.png", told)).read().notes[0]
    )


def test_folders_that_are_refused(tmp_path):
    folder = folder_of(tmp_path)
    (folder / "raw_02.png").unlink()
    with pytest.raises(InputError, match=r"has 2 holograms for 3 heights, and none is called raw_02.png"):
        read_recording(folder)
    Image.fromarray(COUNTS[0, :, :18]).save(folder / "raw_02.png")
    with pytest.raises(InputError, match=r"has pictures of .*18 x 16.*: give grey ones of one size"):
        read_recording(folder)
    Image.fromarray(COUNTS[0]).save(folder / "dark.png")
    with pytest.raises(InputError, match=r"no numbered holograms of one name \(raw_02.png, dark.png\)"):
        read_recording(folder)
    (folder / "dark.png").rename(folder / "raw_2.png")
    with pytest.raises(InputError, match=r"has two holograms of one number \(raw_02.png, raw_2.png\)"):
        read_recording(folder)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="has no pictures"):
        read_recording(tell(empty, STACK))


def test_objects_that_are_refused(tmp_path):
    Image.fromarray(COUNTS[0]).save(tmp_path / "cells.png")
    Image.fromarray(COUNTS[0, :, :18]).save(tmp_path / "turn.png")
    told = {"values": "object", **LIGHT}
    with pytest.raises(InputError, match=r"names a phase of 18 x 16 pixels, and the amplitude .* has 20 x 16"):
        read_recording(tell(tmp_path / "cells.png", {**told, "phase": "turn.png"}))
    with pytest.raises(InputError, match="which is of holograms"):
        read_recording(tell(tmp_path / "cells.png", {**told, "open_beam": 3}))
    for turn in ({"phase_white_rad": 200}, {"phase_black_rad": math.pi}):
        Image.fromarray(COUNTS[0]).save(tmp_path / "turn.png")
        with pytest.raises(InputError, match=r"rad: give what black and white of it are"):
            read_recording(tell(tmp_path / "cells.png", {**told, "phase": "turn.png", **turn}))
    np.save(tmp_path / "cells.npy", COUNTS[0])
    with pytest.raises(InputError, match="is said to be an object: give the picture of its amplitude"):
        read_recording(tell(tmp_path / "cells.npy", told))
    for wrong in (1.5, -0.1):
        Image.fromarray(np.full((16, 20), wrong, np.float32)).save(tmp_path / "cells.tif")
        with pytest.raises(InputError, match=rf"has numbers from {wrong} to {wrong}: give 0 \(black\) to 1 \(white\)"):
            read_recording(tell(tmp_path / "cells.tif", told))
    np.save(tmp_path / "stack.npy", COUNTS)
    Image.fromarray(COUNTS[0, :, :18]).save(tmp_path / "size.png")
    with pytest.raises(InputError, match="names an object of 18 x 16 pixels, and the holograms have 20 x 16"):
        read_recording(tell(tmp_path / "stack.npy", {**STACK, "amplitude": "size.png"}))
    Image.fromarray(np.zeros((16, 20, 3), np.uint8)).save(tmp_path / "cells.png")
    with pytest.raises(InputError, match="give a grey picture"):
        read_recording(tell(tmp_path / "cells.png", told))
    Image.fromarray(np.zeros((16, 20), np.uint8)).save(tmp_path / "cells.png")
    with pytest.raises(InputError, match="is black"):
        read_recording(tmp_path / "cells.png")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nope.png", r"^\S*cells.json names the phase \S*nope.png, which does not exist: give a grey picture.$"),
        ("words.png", r"^\S*cells.json names the phase \S*words.png, which is no image that can be read .*\.$"),
        (".", r"^\S*cells.json names the phase .*, which is a folder: give a grey picture.$"),
    ],
)
def test_what_metadata_name_is_not_said_to_be_data(name, sentence, tmp_path):
    Image.fromarray(COUNTS[0]).save(tmp_path / "cells.png")
    (tmp_path / "words.png").write_text("no picture")
    with pytest.raises(InputError, match=sentence):
        read_recording(tell(tmp_path / "cells.png", {"values": "object", "phase": name, **LIGHT}))


def test_heights_that_are_held_out():
    assert held_out_of(8, 1) == [4]
    assert held_out_of(8, 2) == [2, 6]
    assert held_out_of(3, 0) == []
    with pytest.raises(InputError, match="leaves none of 3"):
        held_out_of(3, 3)


def test_of_two_holograms_at_one_height_each_has_its_own_place(tmp_path):
    counts = GENERATOR.integers(1, 200, (4, 16, 20)).astype(np.uint8)
    path = array_of(tmp_path, counts, heights_mm=[0.5, 0.6, 0.6, 0.7])
    outputs = LightDataParserConfig(data=path).setup().get_dataparser_outputs("train")
    measured, wanted = outputs.parser.measured, counts / counts.mean()
    np.testing.assert_allclose(measured.learnt, wanted[[0, 1, 3]], rtol=1e-6)
    np.testing.assert_allclose(measured.held_out, wanted[[2]], rtol=1e-6)
    assert (measured.optics.learnt_mm, measured.optics.held_out_mm) == ((0.5, 0.6, 0.7), (0.6,))
    assert len(LightDataParserConfig(data=path, held_out_heights=0).read().imaging.optics.learnt_mm) == 4


def test_options_that_do_not_go_with_the_data(tmp_path):
    path = array_of(tmp_path, COUNTS)
    with pytest.raises(InputError, match="noise is of holograms that are made of an object"):
        LightDataParserConfig(data=path, noise=0.1).read()
    with pytest.raises(InputError, match="both-ends has no margin"):
        LightDataParserConfig(data=path, frequencies="both-ends", margin=3).read()
    assert LightDataParserConfig(data=path, frequencies="both-ends").read().imaging.optics.margin == 0
    found = LightDataParserConfig(data=path).read().imaging.optics
    assert (found.learnt_mm, found.held_out_mm) == ((0.5, 0.7), (0.6,))
    assert found.margin >= 5
    # What was read is read again when a file of it has changed.
    (tmp_path / "stack.json").write_text(json.dumps({**STACK, "heights_mm": [0.5, 0.6, 0.8]}))
    assert LightDataParserConfig(data=path).read().imaging.optics.learnt_mm == (0.5, 0.8)
