"""Sinograms at angles over another turn than theirs: scikit-image is the truth, whose axis is half a bin off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ellipses import write_sinogram
from skimage.transform import radon

from inr_plugins.data.signals.sinogram_checks import noise_of
from inr_plugins.data.signals.sinogram_file import read_sinogram
from inr_plugins.errors import InputError

SIDE = 48
Y, X = np.mgrid[:SIDE, :SIDE] - SIDE // 2


def ellipse(x: float, y: float, a: float, b: float, turn: float = 0.0) -> np.ndarray:
    c, s = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    return (((X - x) * c + (Y - y) * s) / a) ** 2 + ((-(X - x) * s + (Y - y) * c) / b) ** 2 < 1.0


SLICES = {
    "body": ellipse(-2, 0, 12, 18) + ellipse(-7, -10, 3, 3) - 0.6 * ellipse(5, 5, 3, 5),
    "disc": ellipse(0, 0, 15, 15),
    "ellipse": ellipse(0, 0, 18, 9, 20),
    "square": (abs(X) < 12) & (abs(Y) < 12),
    "box aside": (abs(X - 5) < 9) & (abs(Y + 4) < 5),
    "dot": ellipse(14, 0, 4, 4),
}


def views(name: str, angles: np.ndarray, noise: float = 0.0) -> np.ndarray:
    found = radon(SLICES[name].astype(float) * 0.02, angles, circle=True).T
    return found + np.random.default_rng(0).normal(0, noise * np.sqrt((found**2).mean()), found.shape)


def notes(path: Path, array: np.ndarray, **told: object) -> tuple[str, ...]:
    return read_sinogram(write_sinogram(path / "a.npy", array, pitch_mm=1, **told)).notes


def spread(count: int, turn: float) -> np.ndarray:
    return np.arange(count) * turn / count


@pytest.mark.parametrize("noise", [0, 0.01, 0.05])
@pytest.mark.parametrize("count", [16, 45, 90])
@pytest.mark.parametrize("turn", [180, 360])
def test_nothing_is_said_of_views_at_their_angles(turn: int, count: int, noise: float, tmp_path: Path) -> None:
    for name in SLICES:
        assert notes(tmp_path, views(name, spread(count, turn), noise), turn_deg=turn) == ()
    golden = (np.arange(count) * 222.4922) % 360
    assert notes(tmp_path, views("body", golden, noise), turn_deg=None, angles_deg=golden.tolist()) == ()


@pytest.mark.parametrize(("turn", "count"), [(180, 16), (180, 61), (360, 61), (360, 121)])
def test_the_first_view_again_at_the_end_of_a_turn_is_refused(turn: int, count: int, tmp_path: Path) -> None:
    both = views("body", np.linspace(0, turn, count))
    mirrored = ", mirrored, twice" if turn == 180 else " twice"
    with pytest.raises(
        InputError, match=f'first view{mirrored}, as its last one.*last row, and give "turn_deg": {turn}'
    ):
        notes(tmp_path, both, turn_deg=turn)
    assert notes(tmp_path, both[:-1], turn_deg=turn) == ()


def test_the_first_view_again_is_seen_through_noise_that_is_less_than_a_step(tmp_path: Path) -> None:
    both = views("box aside", np.linspace(0, 360, 25), 0.02)
    assert np.square(both[1] - both[0]).mean() > 10 * noise_of(both) ** 2
    with pytest.raises(InputError, match="has the first view twice"):
        notes(tmp_path, both, turn_deg=360)


def test_views_half_a_step_from_a_plane_of_symmetry_are_doubted_at_most(tmp_path: Path) -> None:
    halves = spread(30, 180) + 3
    (note,) = notes(tmp_path, views("square", halves), turn_deg=180, first_angle_deg=3)
    assert note.startswith("The last view is like the first view, mirrored,: if it was taken 180 degrees on")


@pytest.mark.parametrize("noise", [0, 0.05])
@pytest.mark.parametrize("name", ["body", "box aside", "dot"])
@pytest.mark.parametrize("count", [16, 45, 120])
def test_half_a_turn_and_a_whole_one_are_not_taken_for_each_other(
    count: int, name: str, noise: float, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r'angles over 180 .* are over 360: .*give "turn_deg": 360'):
        notes(tmp_path, views(name, spread(count, 360), noise), turn_deg=180)
    with pytest.raises(InputError, match=r'angles over 360 .* are over 180: .*give "turn_deg": 180'):
        notes(tmp_path, views(name, spread(count, 180), noise), turn_deg=360)


def test_views_from_behind_that_are_no_mirror_images_are_said(tmp_path: Path) -> None:
    angles = spread(60, 360)
    moved = np.concatenate([views("body", angles[:30]), views("ellipse", angles[30:])])
    moved *= moved.sum(1).mean() / moved.sum(1, keepdims=True)
    (note,) = notes(tmp_path, moved, turn_deg=360)
    assert note.startswith("Views 180 degrees apart are no mirror images")


def test_an_axis_aside_is_no_other_turn(tmp_path: Path) -> None:
    aside = np.roll(views("body", spread(60, 360)), 3, axis=1)
    (note,) = notes(tmp_path, aside, turn_deg=360)
    assert '"centre_offset_bins": 3.50 would' in note


def test_golden_angles_that_end_near_half_a_turn_are_no_half_turn(tmp_path: Path) -> None:
    golden = (np.arange(361) * 222.492) % 360
    assert abs(golden[-1] - 180) < 3
    assert notes(tmp_path, views("box aside", golden), turn_deg=None, angles_deg=golden.tolist()) == ()
