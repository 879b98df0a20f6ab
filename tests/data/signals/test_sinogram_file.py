"""Measured sinograms: what is read, and what is refused; the truth is that of ellipses in closed form."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from ellipses import mass, sinogram, write_sinogram

from inr_plugins.data.signals.image_output import write_array
from inr_plugins.data.signals.sinogram_checks import mirrored, noise_of
from inr_plugins.data.signals.sinogram_file import chosen_views, is_sinogram, read_sinogram
from inr_plugins.data.signals.tomography import SliceDataParserConfig
from inr_plugins.errors import InputError

BINS, VIEWS = 61, 24
ANGLES = np.arange(VIEWS) * 180 / VIEWS


def views(offset: float = 0.0, angles: np.ndarray = ANGLES) -> np.ndarray:
    return sinogram(angles, bins=BINS, pitch_mm=0.5, centre_offset_bins=offset)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"turn_deg": None, "angles_deg": ANGLES.tolist()},
        {"turn_deg": None, "first_angle_deg": 0, "last_angle_deg": 172.5},
        {"pitch_mm": None, "pitch_um": 500},
        {"values": "line_integrals", "centre_offset_mm": 0.0, "notes": {"any": "thing"}},
    ],
)
def test_all_ways_to_say_it_are_the_same(told, tmp_path):
    found = read_sinogram(write_sinogram(tmp_path / "a.npy", views(), **told))
    np.testing.assert_array_equal(found.views, views())
    np.testing.assert_allclose(found.angles_deg, ANGLES)
    assert (found.pitch_mm, found.shift, found.slices, found.notes) == (0.5, 0.0, 1, ())


def test_other_files_and_axes(tmp_path):
    stack = np.stack([0.5 * views(), views(), 2 * views()])
    path = write_sinogram(tmp_path / "a.npy", np.moveaxis(stack, 0, 1), axes="views slices bins")
    np.testing.assert_array_equal(read_sinogram(path).views, views())
    np.testing.assert_array_equal(read_sinogram(path, wanted=2).views, 2 * views())
    with pytest.raises(InputError, match=r"has 3 slices, from 0 on, and .*slice 3 is none"):
        read_sinogram(path, wanted=3)
    write_sinogram(tmp_path / "b.npy", stack, axes="slices views bins")
    np.savez(tmp_path / "b.npz", sinogram=stack, other=np.zeros(3))
    tifffile.imwrite(tmp_path / "b.tif", stack.astype(np.float32), photometric="minisblack")
    assert len(tifffile.TiffFile(tmp_path / "b.tif").pages) == 3
    for ending in (".npy", ".npz", ".tif"):
        assert is_sinogram(tmp_path / f"b{ending}")
        np.testing.assert_allclose(read_sinogram(tmp_path / f"b{ending}").views, views(), rtol=1e-6)
    turned = write_sinogram(tmp_path / "c.npy", views().T, axes="bins views", turn_deg=None, angles_deg=ANGLES.tolist())
    np.testing.assert_array_equal(read_sinogram(turned).views, views())
    tifffile.imwrite(tmp_path / "c.tif", views().T.astype(np.float32))
    np.testing.assert_allclose(read_sinogram(tmp_path / "c.tif").views, views(), rtol=1e-6)


def test_a_stack_is_all_of_the_slices(tmp_path):
    stack = np.stack([0 * views(), 0.5 * views(), views(), 2 * views()])
    told = {"axes": "bins slices views", "slice_mm": 1.25}
    found = read_sinogram(write_sinogram(tmp_path / "a.npy", np.moveaxis(stack, 2, 0), **told), stack=True)
    np.testing.assert_array_equal(found.views, stack)
    assert (found.slices, found.slice, found.slice_mm, found.notes) == (4, None, 1.25, ())
    for told, wanted in (({"slice_um": 1250}, 1.25), ({}, 0.5)):
        path = write_sinogram(tmp_path / "b.npy", stack, axes="slices views bins", **told)
        assert read_sinogram(path, stack=True).slice_mm == wanted
    assert read_sinogram(path, wanted=1).slice == 1


def test_what_is_doubted_of_a_stack_is_its_heaviest_slice(tmp_path):
    stack = np.stack([views(0.6), 2 * views(3.0), views(0.6)])
    found = read_sinogram(write_sinogram(tmp_path / "a.npy", stack, axes="slices views bins"), stack=True)
    alone = read_sinogram(write_sinogram(tmp_path / "b.npy", 2 * views(3.0)))
    assert found.notes == alone.notes != ()


STACK = np.stack([views()] * 3)


@pytest.mark.parametrize(
    ("values", "told", "words"),
    [
        (views(), {"axes": None}, "has one slice, which is no stack: leave out"),
        (views()[None], {}, "has one slice, which is no stack: leave out"),
        (STACK, {"slice_mm": 1, "slice_um": 1000}, "has slice_mm and slice_um, one distance twice"),
        (STACK, {"slice_mm": 1000}, "slices 1000 mm apart are out of reason"),
        (STACK, {"slice_mm": 0}, "slices 0 mm apart are out of reason"),
        (STACK, {"slice_pitch": 1}, "has the key slice_pitch, whose unit is not known: call it slice_mm or slice_um"),
        (np.where(np.arange(3)[:, None, None] == 1, np.nan, STACK), {}, "the first in slice 1, view 0 and bin 0"),
        (np.where(np.arange(3)[:, None, None] == 2, STACK + 1, STACK), {}, "slice 2 of it, is cut off"),
        (0 * STACK, {}, "has nothing above 0"),
    ],
)
def test_bad_stacks_are_refused_in_a_sentence(values, told, words, tmp_path):
    path = write_sinogram(tmp_path / "a.npy", values, **{"axes": "slices views bins", **told})
    with pytest.raises(InputError, match=words):
        read_sinogram(path, stack=True)


@pytest.mark.parametrize("key", ["pitch_mm", "slice_um"])
def test_a_length_that_is_null_is_refused(key, tmp_path):
    path = write_sinogram(tmp_path / "a.npy", STACK, axes="slices views bins")
    told = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**told, key: None}))
    with pytest.raises(InputError, match=f"has {key} null: give a number"):
        read_sinogram(path, stack=True)


def test_transmission_becomes_line_integrals(tmp_path):
    path = write_sinogram(tmp_path / "a.npy", np.exp(-views()), values="transmission")
    np.testing.assert_allclose(read_sinogram(path).views, views(), atol=1e-12)


def test_an_offset_axis_is_where_it_is_said_to_be_or_doubted(tmp_path):
    said = read_sinogram(write_sinogram(tmp_path / "a.npy", views(3.5), centre_offset_bins=3.5))
    assert (said.shift, said.notes) == (-3.5, ())
    (note,) = read_sinogram(write_sinogram(tmp_path / "b.npy", views(3.5))).notes
    assert '"centre_offset_bins": 3.50 would' in note
    aside = sinogram(ANGLES, bins=BINS, pitch_mm=0.5, body=[(5.0, 2.0, 4.0, 3.0, 0.0, 0.02)])
    shuffled = aside[np.random.default_rng(0).permutation(VIEWS)]
    (note,) = read_sinogram(write_sinogram(tmp_path / "c.npy", shuffled)).notes
    assert "do not move as those of one slice" in note


def test_noise_does_not_make_a_good_sinogram_doubtful(tmp_path):
    clean = views()
    noisy = clean + np.random.default_rng(1).normal(0, 0.05 * np.sqrt((clean**2).mean()), clean.shape)
    found = read_sinogram(write_sinogram(tmp_path / "a.npy", noisy))
    assert found.notes == ()
    assert noise_of(noisy) == pytest.approx(0.05 * np.sqrt((clean**2).mean()), rel=0.3)


def test_a_view_from_behind_is_mirrored():
    angles = np.array([20.0, 200.0])
    front, behind = sinogram(angles, bins=BINS, pitch_mm=0.5, centre_offset_bins=2.0)
    np.testing.assert_allclose(mirrored(front, shift=-2.0), behind, atol=1e-9)


def both_ends(turn: float) -> np.ndarray:
    return np.linspace(0, turn, VIEWS)


BAD = {
    "no json": (views(), None, "needs .*a.json beside it, with the geometry, pitch_mm, the angles_deg"),
    "no unit": (
        views(),
        {"pitch_mm": None, "pitch": 0.5},
        "the key pitch, whose unit is not known: call it pitch_mm or",
    ),
    "radians": (views(), {"turn_deg": None, "angles_rad": [0]}, "the key angles_rad, whose unit is not known"),
    "a slip": (views(), {"pitch_mm": None, "Pitch_mm": 1}, "whose unit is not known: call it pitch_mm"),
    "unknown": (views(), {"detector": 3}, "has the key detector, which is none of"),
    "no pitch": (views(), {"pitch_mm": None}, "must have pitch_mm"),
    "absurd pitch": (views(), {"pitch_mm": 537}, "bins of 537 mm are out of reason"),
    "no number": (views(), {"pitch_mm": "0.5"}, 'pitch_mm "0.5", which is no finite number'),
    "fan": (views(), {"geometry": "fan beam"}, 'the geometry "fan beam", and fan and cone beams are not read'),
    "fan by key": (views(), {"source_to_axis_mm": 500}, "the key source_to_axis_mm, and fan and cone"),
    "no geometry": (views(), {"geometry": None}, 'has no geometry: give "parallel"'),
    "no values": (views(), {"values": "counts"}, 'the values "counts": give "line integrals" or "transmission"'),
    "few angles": (
        views(),
        {"turn_deg": None, "angles_deg": ANGLES[1:].tolist()},
        "has 23 angles_deg, and the array has 24 views of 61 bins",
    ),
    "turned": (views().T, {"turn_deg": None, "angles_deg": ANGLES.tolist()}, 'Then say "axes": "bins views"'),
    "angles twice": (views(), {"angles_deg": ANGLES.tolist()}, "must have one of angles_deg"),
    "in radians": (views(), {"turn_deg": 3.14159}, "angles over 3.011 degrees, .*: give degrees, not radians"),
    "one axis": (views()[0], {}, "belongs to an array of 1 axis, and a sinogram has views and bins: give two axes"),
    "no axes": (np.stack([views()] * 2), {}, 'has no axes, and the array has 3: give "axes": "slices views bins"'),
    "offset": (views(), {"centre_offset_bins": 30}, "axis of rotation 30 bins from the middle of 61"),
    "nan": (np.where(np.arange(61) == 7, np.nan, views()), {}, "NaN or infinity in 24 .* view 0 and bin 7"),
    "complex": (views() + 1j, {}, "numbers of the type complex128"),
    "cut off": (views()[:, 22:-16], {}, "is cut off: at the ends of the detector .* of 24 views"),
    "background": (views() + 0.1, {}, "is cut off: .*with what no object attenuates at 0"),
    "sums": (views() * np.linspace(0.7, 1.3, 24)[:, None], {}, "views whose sums go from .*divide by the open beam"),
    "empty": (np.zeros((24, 61)), {}, "has nothing above 0"),
    "counts": (np.exp(-views()) * 1000, {"values": "transmission"}, "up to 1000 and is said to be transmission"),
    "dead": (np.exp(-views()) * (np.arange(61) != 9), {"values": "transmission"}, "24 values of 0 or less"),
    "doubled end": (views(0, both_ends(180)), {"turn_deg": None, "angles_deg": both_ends(180).tolist()}, "twice, its"),
    "doubled turn": (views(0, both_ends(360)), {"turn_deg": None, "angles_deg": both_ends(360).tolist()}, "twice, its"),
    "overflow": (views() * 1e38, {}, "which 10 lets next to nothing through: give -log of the transmitted share"),
    "one view": (views()[:1], {}, "belongs to 1 view"),
    "two views": (views()[[0, 12]], {}, "has views from fewer than 3 directions, by which no slice is known"),
    "two directions": (
        views()[[0, 12] * 12],
        {"turn_deg": None, "angles_deg": [0, 90, 180, 270] * 6},
        "has views from fewer than 3 directions",
    ),
    "wrong ends": (views(), {"turn_deg": None, "angles_deg": both_ends(180).tolist()}, 'give "turn_deg": 180 if'),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_sinograms_are_refused_in_a_sentence(name, tmp_path):
    values, told, words = BAD[name]
    path = write_sinogram(tmp_path / "a.npy", values, **(told or {}))
    if told is None:
        path.with_suffix(".json").unlink()
    with pytest.raises(InputError, match=words):
        read_sinogram(path)


def test_broken_files_are_refused(tmp_path):
    path = write_sinogram(tmp_path / "a.npy", views())
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r"cannot be read \(it is cut short\): give another file"):
        read_sinogram(path)
    np.savez(tmp_path / "a.npz")
    (tmp_path / "a.npz").rename(path.with_suffix(".npz"))
    with pytest.raises(InputError, match="has the arrays none: call the measurements sinogram"):
        read_sinogram(path.with_suffix(".npz"))
    for make in (lambda: path.write_text("no array"), lambda: np.save(path, np.array([{}]), allow_pickle=True)):
        make()
        # NumPy would have one run what is in the file.
        with pytest.raises(InputError, match=r"cannot be read \(it holds no array of numbers\): give another file"):
            read_sinogram(path)
    path.with_suffix(".json").write_text("{")
    with pytest.raises(InputError, match="is no JSON"):
        read_sinogram(path)
    path.with_suffix(".json").write_text(json.dumps([1]))
    with pytest.raises(InputError, match="no JSON object"):
        read_sinogram(path)


def test_views_are_chosen_evenly():
    learnt, held_out = chosen_views(100, learnt=None, held_out=None)
    assert held_out.tolist() == [6, 18, 31, 43, 56, 68, 81, 93]
    assert sorted([*learnt.tolist(), *held_out.tolist()]) == list(range(100))
    learnt, held_out = chosen_views(100, learnt=10, held_out=2)
    assert held_out.tolist() == [25, 75]
    assert np.ptp(np.diff(learnt.tolist())) <= 2
    assert not set(learnt.tolist()) & set(held_out.tolist())
    with pytest.raises(InputError, match=r"views 95 and .*held-out-views 8 are more than the 100 views"):
        chosen_views(100, learnt=95, held_out=8)
    with pytest.raises(InputError, match=r"held-out-views 1 are more than the 1 view of"):
        chosen_views(1, learnt=None, held_out=None)


def test_a_slice_is_in_1_over_mm(tmp_path):
    path = write_sinogram(tmp_path / "a.npy", views(2.0), centre_offset_bins=2.0)
    found = SliceDataParserConfig(data=path, held_out_views=2, pixel_mm=0.25).read()
    side = 2 * 61 + 2 * 2 * 2
    assert found.pixels.shape == (side, side, 1)
    middle = (side - 1) / 2
    y, x = ((middle - np.arange(side)) * 0.25)[:, None], ((np.arange(side) - middle) * 0.25)[None]
    for place, wanted in (((5, -1), 0.02), ((-3, 1), 0.05), ((-10, -10), 0.0)):
        disc = (x - place[0]) ** 2 + (y - place[1]) ** 2 < 1.5**2
        assert float(found.pixels[disc].mean()) == pytest.approx(wanted, rel=0.05, abs=1e-3)
    assert float(found.pixels.max()) <= found.kind.high < 1.2 * float(found.pixels.max())
    geometry = found.measured.geometry
    assert (len(geometry.learnt_deg), geometry.held_out_deg) == (22, (45.0, 135.0))
    for part, angles in (
        (found.measured.learnt, geometry.learnt_deg),
        (found.measured.held_out, geometry.held_out_deg),
    ):
        rows = [int(np.flatnonzero(np.isclose(ANGLES, each)).item()) for each in angles]
        torch.testing.assert_close(part * found.kind.high, torch.from_numpy(views(2.0)[rows]).float())
    # What is learnt from are integrals of what is 1 where `high` is attenuated.
    torch.testing.assert_close(
        found.measured.learnt.sum(1) * 0.5 * found.kind.high, torch.full((22,), mass()), rtol=0.01, atol=0
    )


@pytest.mark.parametrize(
    ("array", "words"),
    [
        ((views() * 1000).astype(np.int16), "values up to 461, .* divided by what they were multiplied by for whole"),
        (views() * 1e4, r"values up to 4614.9, .*which 10 lets next to nothing through: give -log of the"),
    ],
)
def test_line_integrals_times_something_are_refused(array: np.ndarray, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        read_sinogram(write_sinogram(tmp_path / "a.npy", array))


def test_line_integrals_of_pixels_of_1_are_taken_with_a_note(tmp_path: Path) -> None:
    (note,) = read_sinogram(write_sinogram(tmp_path / "a.npy", 80 * views())).notes
    assert note.startswith(f"The line integrals go up to {80 * views().max():.4g}, and -log of a transmitted share")
    assert read_sinogram(write_sinogram(tmp_path / "b.npy", 15 / views().max() * views())).notes == ()
    few = np.round(40 / views().max() * views()).astype(np.uint8)
    assert len(read_sinogram(write_sinogram(tmp_path / "c.npy", few)).notes) == 1


def test_what_an_array_that_was_written_has_beside_it_makes_no_sinogram_of_an_image(tmp_path: Path) -> None:
    write_array(tmp_path / "a.npy", np.ones((12, 12), dtype=np.float32), unit="1/mm", spacing_mm=(1.0, 1.0))
    tifffile.imwrite(tmp_path / "a.tif", np.arange(144, dtype=np.uint8).reshape(12, 12))
    assert not is_sinogram(tmp_path / "a.tif")
    assert SliceDataParserConfig(data=tmp_path / "a.tif").read().pixels.shape == (12, 12, 1)
    (tmp_path / "a.json").write_text('{"geometry": "parallel"}')
    assert is_sinogram(tmp_path / "a.tif")


def test_nifti_is_refused_with_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.nii\.gz is NIfTI, and a slice is read from DICOM .*, a grey image, or"):
        SliceDataParserConfig(data=tmp_path / "a.nii.gz").read()


def test_a_side_that_is_given_is_that_of_the_slice(tmp_path: Path) -> None:
    path = write_sinogram(tmp_path / "a.npy", views(2.0), centre_offset_bins=2.0)
    whole, part = (SliceDataParserConfig(data=path, side_mm=each).read() for each in (None, 22.0))
    assert (whole.pixels.shape, part.pixels.shape) == ((65, 65, 1), (44, 44, 1))
    # Half a pixel between the middles of 65 and of 44.
    cut = whole.pixels[10:55, 10:55, 0]
    between = (cut[1:, 1:] + cut[:-1, 1:] + cut[1:, :-1] + cut[:-1, :-1]) / 4
    assert np.corrcoef(between.ravel(), part.pixels[..., 0].ravel())[0, 1] > 0.98


@pytest.mark.parametrize(
    ("side", "words"),
    [
        (10.0, r"side-mm 10 leaves \d+ % of what the views of .*a\.npy have outside of the slice: give the side"),
        (40.0, r"side-mm 40 is more than the 30\.5 mm that the detector can see: leave it out"),
    ],
)
def test_a_side_that_holds_no_slice_is_refused(side: float, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        SliceDataParserConfig(data=write_sinogram(tmp_path / "a.npy", views()), side_mm=side).read()


def test_a_side_is_of_a_sinogram(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "b.tif", np.arange(144, dtype=np.uint8).reshape(12, 12))
    with pytest.raises(InputError, match=r"side-mm is of a sinogram, and --data .*b\.tif is a slice"):
        SliceDataParserConfig(data=tmp_path / "b.tif", side_mm=9).read()
