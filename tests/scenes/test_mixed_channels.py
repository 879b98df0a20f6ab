"""The mixes of inr-phantom: their channels, their rank, and mistakes of the command."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from inr_plugins.analysis.attribute_rank import attribute_rank
from inr_plugins.bench.scenes import find_scenes
from inr_plugins.cli import phantom
from inr_plugins.errors import InputError


def picture(path, size=(40, 30)):
    """A file of noise, and its numbers."""
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


@pytest.mark.parametrize(("colours", "more"), [(2, []), (3, ["--colours", "3"])])
def test_mixes_are_weighted_means_of_the_colours_and_of_their_rank(colours, more, tmp_path, capsys):
    own = picture(tmp_path / "photo.png")[..., :colours] / 255.0
    out = tmp_path / "mixes.tif"
    assert phantom.main(["mixes", str(out), "--picture", str(tmp_path / "photo.png"), "--seed", "3", *more]) == 0
    said = capsys.readouterr().out
    assert f"40 x 30 pixels, {colours + 4} channels, 16 bits, rank {colours}" in said
    assert f"ns-train diner-image --data {out} --pipeline.model.key-width {colours}" in said
    with tifffile.TiffFile(out) as tiff:
        assert [int(each) for each in tiff.pages[0].extrasamples] == [0] * (colours + 3)
        found = tiff.asarray() / 65535.0
    assert found.shape == (30, 40, colours + 4)
    assert np.abs(found[..., :colours] - own).max() < 1e-5
    # Each mix by least squares, without the weights that were drawn.
    flat = own.reshape(-1, colours)
    weights, *_ = np.linalg.lstsq(flat, found[..., colours:].reshape(len(flat), -1), rcond=None)
    assert np.abs(flat @ weights - found[..., colours:].reshape(len(flat), -1)).max() < 2e-5
    assert np.abs(weights.sum(0) - 1).max() < 1e-4
    assert weights.min() > 0
    for number, each in enumerate(weights.T, colours + 1):
        words = " + ".join(f"{weight:.4f} {name}" for weight, name in zip(each, "RGB", strict=False))
        told = next(line for line in said.splitlines() if line.strip().startswith(f"channel {number} "))
        values = [float(each) for each in told.split()[2::3]]
        assert values == pytest.approx(each.tolist(), abs=2e-4), words
    assert attribute_rank(found.reshape(-1, colours + 4), bits=16).rank == colours
    (scene,) = find_scenes([out])
    assert (scene.parser, scene.resolution) == ("signal-data", (40, 30))


def test_a_picture_is_brought_to_a_size_by_area_averages(tmp_path):
    own = picture(tmp_path / "photo.png") / 255.0
    options = ["--picture", str(tmp_path / "photo.png"), "--size", "20", "--mixes", "0", "--quiet"]
    assert phantom.main(["mixes", str(tmp_path / "a.tif"), *options]) == 0
    found = tifffile.imread(tmp_path / "a.tif") / 65535.0
    assert np.abs(found - own.reshape(15, 2, 20, 2, 3).mean((1, 3))[..., :2]).max() < 1e-5


def test_without_a_picture_it_is_a_planet_and_another_seed_is_another(tmp_path):
    for name, seed in (("a", "0"), ("b", "1")):
        assert phantom.main(["mixes", str(tmp_path / f"{name}.tif"), "--size", "16", "--seed", seed, "--quiet"]) == 0
    found = [tifffile.imread(tmp_path / f"{name}.tif") for name in "ab"]
    assert found[0].shape == (16, 16, 6)
    assert not np.array_equal(*found)


def test_mistakes_are_a_sentence(tmp_path, capsys):
    picture(tmp_path / "photo.png")
    Image.new("L", (4, 4)).save(tmp_path / "grey.png")
    out = str(tmp_path / "a.tif")
    for arguments, words in (
        (["planet", out, "--mixes", "3"], "--mixes is for mixes, and this is of planet: leave it out"),
        (["mixes", out, "--frames", "3"], "--frames is for videos, and mixes are a picture"),
        (["mixes", str(tmp_path / "a.png")], "does not end in .tif"),
        (["mixes", out, "--colours", "4"], "--colours must be at least 2 and at most 3"),
        (["mixes", out, "--picture", str(tmp_path / "no.png")], "--picture "),
        (["mixes", out, "--picture", str(tmp_path / "grey.png")], "has 4 x 4 pixels, 8-bit grey: give one of RGB"),
        (["mixes", out, "--picture", str(tmp_path / "photo.png"), "--size", "41"], "--size 41 is more than"),
    ):
        assert phantom.main(arguments) == 1
        assert words in capsys.readouterr().err
    assert not (tmp_path / "a.tif").exists()


def test_a_scene_that_is_no_image_is_still_refused(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0 and no more")
    with pytest.raises(InputError, match=r"a\.tif is not an image that can be read"):
        find_scenes([tmp_path / "a.tif"])
