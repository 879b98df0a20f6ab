"""A made cell, and the command that writes it."""

from __future__ import annotations

import json

import numpy as np

from inr_plugins.cli import phantom
from inr_plugins.data.signals.intensity_file import IndexVolume, read_diffraction
from inr_plugins.scenes.cell import MEDIUM, Cell


def test_a_cell_is_in_water_and_holds_a_nucleus_and_granules():
    found = Cell(48, seed=2).index()
    assert found.shape == (20, 48, 48)
    assert found.min() == np.float32(MEDIUM)
    # Nothing at the edges; an ellipsoid of those radii, of which the rest is inside.
    assert all((np.take(found, [0, -1], axis) == np.float32(MEDIUM)).all() for axis in range(3))
    share = np.pi / 6 * 0.7 * 0.62 * 0.7
    assert abs((found > 1.345).mean() / share - 1) < 0.05
    assert 0.03 < (found > 1.37).mean() / share < 0.3
    assert 1.38 < found.max() <= np.float32(1.40)
    assert not np.array_equal(found, Cell(48, seed=3).index())
    assert np.array_equal(found, Cell(48, seed=2).index())


def test_the_command_writes_what_diner_tomography_reads(tmp_path, capsys):
    out = tmp_path / "cell.npy"
    assert phantom.main(["cell", str(out), "--size", "24", "--seed", "1", "--quiet"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(out), str(tmp_path / "cell.json")]
    read = read_diffraction(out)
    assert isinstance(read, IndexVolume)
    np.testing.assert_array_equal(read.index.astype(np.float32), Cell(24, seed=1).index())
    assert json.loads((tmp_path / "cell.json").read_text())["na"] == 0.65
    for options, words in (
        ([], "cell.npy exists: give another name, or --overwrite"),
        (["--frames", "3"], "a cell has slices by its size"),
        (["--size", "2000"], "is out of reason"),
    ):
        assert phantom.main(["cell", str(out), *options]) == 1
        assert words in capsys.readouterr().err
