"""inr-analyze on runs of methods of images."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import numpy as np
import pytest
from inr_plugins.method_configs.images import cn_image
from integration.small_methods import small_diner_image, small_network_image, small_stream
from long_form import long_form
from PIL import Image
from short_runs import train

from inr_plugins.analysis.attribute_rank import attribute_rank
from inr_plugins.analysis.band_shares import band_shares
from inr_plugins.cli.analyze import main

pytestmark = long_form


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """Colours in a plane: blue is the mean of the two others."""
    path = tmp_path_factory.mktemp("an image") / "photo.png"
    red, green = np.random.default_rng(0).integers(0, 128, (2, 12, 16)) * 2
    Image.fromarray(np.stack([red, green, (red + green) // 2], -1).astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def run(photo, tmp_path_factory):
    """Of keys with two numbers."""
    config = small_diner_image(photo, tmp_path_factory.mktemp("run"))
    config.pipeline.model.key_width = 2
    return train(config, 20)


@pytest.fixture(scope="module")
def network_run(photo, tmp_path_factory):
    """Of a normalised network without keys."""
    return train(small_network_image(cn_image, photo, tmp_path_factory.mktemp("network run")), 3)


def table(path):
    """Rows of a CSV file by the names of its columns."""
    return list(csv.DictReader(path.open(encoding="utf-8")))


def analyze(run, kind, folder, *options):
    return main([str(run.base_dir), kind, "--device", "cpu", "--output", str(folder), *options])


def test_rank_is_that_of_the_file_beside_the_run(run, photo, tmp_path, capsys):
    assert analyze(run, "rank", tmp_path / "new") == 0
    said = capsys.readouterr().out
    assert "rank  2 of 3 channels\n" in said
    assert "this run  keys of 2, " in said
    assert "linear 2  the image itself\n" in said
    expected = attribute_rank(np.asarray(Image.open(photo)).reshape(-1, 3) / 255, bits=8)
    rows = table(tmp_path / "new" / "rank.csv")
    assert [float(row["psnr_of_best_affine"]) for row in rows] == pytest.approx(expected.psnr, rel=1e-4)
    assert np.asarray(Image.open(tmp_path / "new" / "rank.png")).std() > 5


def test_spectrum_is_of_image_fit_and_keys(run, photo, tmp_path):
    assert analyze(run, "spectrum", tmp_path, "--quiet") == 0
    rows = table(tmp_path / "spectrum.csv")
    assert [row["signal"] for row in rows] == ["image", "fit", "learned over keys"]
    shares = [[float(row[f"band_{i + 1}"]) for i in range(4)] for row in rows]
    assert shares[0] == pytest.approx(band_shares(np.asarray(Image.open(photo)) / 255.0), abs=1e-6)
    fit = run.pipeline.model.field(None).detach().clamp(0, 1).reshape(12, 16, 3).numpy()
    assert shares[1] == pytest.approx(band_shares(fit), abs=1e-4)
    assert abs(shares[1][0] - shares[0][0]) > 1e-3
    assert np.sum(shares, axis=1) == pytest.approx(1)
    # The image is noise, whose magnitudes are a sixteenth there; over its keys the network is smooth.
    assert shares[2][0] > 0.25 > shares[0][0]


def test_keys_are_drawn_with_a_row_for_each_corner(run, tmp_path):
    assert analyze(run, "keys", tmp_path) == 0
    rows = table(tmp_path / "keys.csv")
    assert len(rows) == 14 * 14
    assert list(rows[0]) == ["key_1", "key_2", "channel_1", "channel_2", "channel_3"]
    assert np.asarray(Image.open(tmp_path / "keys.png")).std() > 5


def test_kernel_is_of_so_many_points_at_the_start_and_now(run, network_run, photo, tmp_path):
    stream_run = train(small_stream(photo, tmp_path), 6)
    for each in (run, network_run, stream_run):
        assert analyze(each, "ntk", tmp_path / each.config.method_name, "--points", "12", "--quiet") == 0
        rows = table(tmp_path / each.config.method_name / "ntk.csv")
        assert 6 <= len(rows) <= 12
        for column in ("at_the_start", "trained"):
            values = [float(row[column]) for row in rows]
            assert values == sorted(values, reverse=True)
            assert values[0] > 0


def test_without_keys_there_are_a_spectrum_and_a_sentence(network_run, tmp_path, capsys):
    assert analyze(network_run, "spectrum", tmp_path) == 0
    assert [row["signal"] for row in table(tmp_path / "spectrum.csv")] == ["image", "fit"]
    capsys.readouterr()
    assert analyze(network_run, "keys", tmp_path) == 1
    assert "keys: this run has no keys; give a run of diner-image." in capsys.readouterr().err
    assert not (tmp_path / "keys.csv").exists()


def test_what_is_there_is_kept_and_by_default_it_lies_with_the_run(run, tmp_path, capsys):
    (tmp_path / "rank.csv").write_text("mine")
    assert analyze(run, "rank", tmp_path) == 1
    assert "rank.csv exists already; pass --overwrite or another --output" in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["rank.csv"]
    assert (tmp_path / "rank.csv").read_text() == "mine"
    assert analyze(run, "rank", tmp_path, "--overwrite") == 0
    assert (tmp_path / "rank.csv").read_text() != "mine"
    assert analyze(run, "rank", tmp_path / "rank.csv") == 1
    assert "is a file; give a folder" in capsys.readouterr().err
    assert main([str(run.base_dir), "rank", "--device", "cpu", "--quiet"]) == 0
    folder = run.base_dir / "analysis"
    assert capsys.readouterr().out == f"{folder / 'rank.png'}\n{folder / 'rank.csv'}\n"


def test_a_run_that_learns_no_image_and_numbers_out_of_range_are_refused(run, tmp_path, capsys):
    other = SimpleNamespace(pipeline=SimpleNamespace(model=object()))
    arguments = [str(run.base_dir), "rank", "--output", str(tmp_path / "new")]
    assert main(arguments, load=lambda *_, **__: other) == 1
    assert "is of a method that learns no image: give one of an -image or a -video method." in capsys.readouterr().err
    arguments[1] = "codes"
    assert main(arguments, load=lambda *_, **__: other) == 1
    assert "has no codes: give one of nid-shapes or nid-images" in capsys.readouterr().err
    assert main([*arguments, "--points", "1"]) == 1
    assert "--points must be at least 2" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("width", [1, 3, 4])
def test_keys_of_every_length_have_a_picture_or_a_sentence(width, photo, tmp_path, capsys):
    config = small_diner_image(photo, tmp_path / "runs")
    config.pipeline.model.key_width = width
    trained = train(config, 2)
    assert analyze(trained, "spectrum", tmp_path) == 0
    said = capsys.readouterr().out
    assert ("not taken: keys of 4 numbers have no mesh" in said) == (width == 4)
    assert analyze(trained, "keys", tmp_path) == (1 if width == 4 else 0)
    assert (tmp_path / "keys.png").exists() == (width < 4)
