"""The planet of inr-phantom: one function of the place, whatever its size and tiles, and mistakes of the command."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from inr_plugins.cli import phantom
from inr_plugins.scenes.planet import planet, write_planet


def middles(size):
    return np.meshgrid(*[((2 * np.arange(size) + 1 - size) / size).astype(np.float32)] * 2)


@pytest.mark.parametrize("size", [1, 40, 300])
def test_tiles_are_parts_of_one_picture(size, tmp_path):
    write_planet(tmp_path / "a.tif", size, seed=2)
    found = tifffile.imread(tmp_path / "a.tif")
    octaves = {1: 3, 40: 3, 300: 5}[size]
    # Products of a few numbers may be rounded otherwise in rows of another length.
    difference = np.abs(found.astype(int) - planet(*middles(size), octaves=octaves, seed=2))
    assert found.shape == (size, size, 3)
    assert np.mean(difference > 1) < 1e-3


def test_it_is_a_ball_before_stars_with_detail_down_to_the_pixel():
    picture = planet(*middles(256), octaves=5).astype(float)
    # A corner is sky, and the side that is lit is brighter than the other.
    assert np.mean(picture[:10, :10] <= 4) > 0.9
    assert picture[80:120, 60:100].mean() > 2 * picture[200:220, 190:210].mean()
    inside = picture[100:156, 100:156, 1]
    more = planet(*middles(256), octaves=6).astype(float)[100:156, 100:156, 1]
    assert np.abs(np.diff(inside)).mean() > 1
    assert 0.5 < np.abs(inside - more).mean() < 30
    assert not np.array_equal(planet(*middles(32), octaves=3), planet(*middles(32), octaves=3, seed=1))


def test_the_command_writes_it_and_says_what_is_wrong(tmp_path, capsys):
    assert phantom.main(["planet", str(tmp_path / "a.tif"), "--size", "64", "--quiet"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'a.tif'}\n"
    assert tifffile.imread(tmp_path / "a.tif").shape == (64, 64, 3)
    for name, options, words in (
        ("a.tif", (), "exists: give another name, or --overwrite"),
        ("a.png", (), "does not end in .tif"),
        ("b.tif", ("--size", "0"), "--size must be at least 1"),
    ):
        assert phantom.main(["planet", str(tmp_path / name), *options]) == 1
        assert words in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["a.tif"]
