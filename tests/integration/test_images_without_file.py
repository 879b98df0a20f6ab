"""A run of an image when the image is gone, or another one lies in its place."""

from __future__ import annotations

import io
import shutil
from functools import cache

import numpy as np
import pytest
import yaml
from integration.small_methods import small_diner_image
from PIL import Image, ImageCms
from short_runs import train

from inr_plugins.cli import analyze, signal_file
from inr_plugins.cli import eval as evaluation
from inr_plugins.data.signals.image_file import read_image
from inr_plugins.data.signals.image_output import write_image
from inr_plugins.engine.runs.run import load_run
from inr_plugins.errors import InputError

WIDTH, HEIGHT = 9, 5


@cache
def lab_profile() -> bytes:
    """A profile that is not sRGB's; the second in which it was made is in it."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of 16-bit colours in a profile of their own, whose file is gone."""
    folder = tmp_path_factory.mktemp("gone")
    pixels = np.random.default_rng(0).integers(0, 2**16, (HEIGHT, WIDTH, 3), dtype=np.uint16)
    write_image(folder / "a.png", pixels, profile=lab_profile())
    trainer = train(small_diner_image(folder / "a.png", folder / "runs"), 3)
    values = trainer.pipeline.model.field(None).detach().clamp(0, 1).double().numpy()
    (folder / "a.png").unlink()
    return trainer.base_dir, np.rint(values * 65535).astype(np.uint16).reshape(HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_it_is_read_out_in_the_bits_and_the_colours_of_its_file(ending, run, tmp_path):
    out = tmp_path / f"out.{ending}"
    assert signal_file.main([str(run[0]), str(out), "--device", "cpu", "--quiet"]) == 0
    found = read_image(out)
    assert np.array_equal(found.pixels, run[1])
    assert found.profile == lab_profile()


def test_a_moved_run_opens_for_looking_with_a_grey_picture_in_the_file_s_place(run, tmp_path, capsys):
    shutil.copytree(run[0], tmp_path / "moved")
    pipeline = load_run(tmp_path / "moved", device="cpu", test_mode="test").pipeline
    assert (pipeline.datamanager.train_dataset[0]["image"] == 0.5).all()
    assert "Only the fit can be shown: There is no image at" in " ".join(capsys.readouterr().out.split())


def test_nothing_is_compared_with_the_grey_picture(run, tmp_path, capsys):
    pipeline = load_run(run[0], device="cpu", test_mode="test").pipeline
    with pytest.raises(InputError, match=r"There is no image at .*a\.png, which is needed for this"):
        pipeline.get_average_eval_image_metrics()
    assert evaluation.main([str(run[0]), "--output", str(tmp_path / "r.json"), "--device", "cpu"]) == 1
    assert "There is no data at" in capsys.readouterr().err
    assert not (tmp_path / "r.json").exists()


def test_an_image_of_another_size_is_not_compared_with(run, tmp_path, capsys):
    Image.new("RGB", (4, 4)).save(tmp_path / "other.png")
    options = ["--output", str(tmp_path / "r.json"), "--data", str(tmp_path / "other.png"), "--device", "cpu"]
    assert evaluation.main([str(run[0]), *options]) == 1
    said = capsys.readouterr().err
    assert "4 x 4 pixels, 8-bit RGB, and the run has learnt one with 9 x 5 pixels, 16-bit RGB, Lab" in said


def test_another_image_of_the_same_size_is_not_compared_with(run, tmp_path, capsys):
    row, column, channel = np.meshgrid(range(HEIGHT), range(WIDTH), range(3), indexing="ij")
    pixels = (row * 9000 + column * 2000 + channel * 800).astype(np.uint16)
    write_image(tmp_path / "other.png", pixels)
    options = ["--data", str(tmp_path / "other.png"), "--device", "cpu"]
    for command in (
        lambda: evaluation.main([str(run[0]), "--output", str(tmp_path / "r.json"), *options]),
        lambda: analyze.main([str(run[0]), "rank", "--output", str(tmp_path / "analysis"), *options]),
    ):
        assert command() == 1
        assert (
            "has not learnt from the data that is there now: its pictures are others. Give" in capsys.readouterr().err
        )
    assert [each.name for each in tmp_path.iterdir()] == ["other.png"]
    # What needs no image does not look at it, and what shows one shows the fit alone.
    assert signal_file.main([str(run[0]), str(tmp_path / "out.png"), *options]) == 0
    opened = load_run(run[0], device="cpu", data=tmp_path / "other.png").pipeline.datamanager
    assert (opened.train_dataset[0]["image"] == 0.5).all()
    assert "Only the fit can be shown: The run" in " ".join(capsys.readouterr().out.split())


def test_a_place_without_an_image_that_was_given_is_a_mistake(run, tmp_path, capsys):
    out = tmp_path / "out.png"
    assert signal_file.main([str(run[0]), str(out), "--data", str(tmp_path / "no.png"), "--device", "cpu"]) == 1
    assert "There is no data at" in capsys.readouterr().err
    assert not out.exists()


def test_a_training_needs_the_file(run):
    with pytest.raises(InputError, match="There is no data at"):
        load_run(run[0], device="cpu", test_mode="val")


def test_training_anew_from_a_saved_configuration_takes_another_image(tmp_path):
    for name, size in (("a.png", (4, 3)), ("b.png", (6, 2))):
        Image.new("RGB", size).save(tmp_path / name)
    config = train(small_diner_image(tmp_path / "a.png", tmp_path / "runs"), 1).config
    saved = yaml.load((config.get_base_dir() / "config.yml").read_text(), Loader=yaml.Loader)
    assert (saved.pipeline.datamanager.dataparser.learnt.width, saved.pipeline.datamanager.opens_without_data()) == (
        4,
        True,
    )
    saved.pipeline.datamanager.data, saved.timestamp = tmp_path / "b.png", "anew"
    assert train(saved, 1).pipeline.model.grid.width == 6


def test_srgb_goes_without_saying(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png", icc_profile=srgb)
    kind = read_image(tmp_path / "a.png").kind
    assert (kind.colour_space, kind.icc_profile) == ("sRGB", None)
    Image.new("RGB", (2, 2)).save(tmp_path / "b.png", icc_profile=b"no profile")
    assert read_image(tmp_path / "b.png").profile is None
    buffer = io.BytesIO()
    Image.new("L", (2, 2)).save(buffer, "TIFF", icc_profile=lab_profile())
    (tmp_path / "c.tif").write_bytes(buffer.getvalue())
    assert read_image(tmp_path / "c.tif").kind.icc_profile == lab_profile()
