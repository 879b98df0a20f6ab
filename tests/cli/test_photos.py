"""The inr-photos command: what it says, and its exit status."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from photo_scene import write_photos
from with_pycolmap import needs_pycolmap

from inr_plugins.cli import photos
from inr_plugins.cli.photos import main
from inr_plugins.photos.make import MadeDataset

REPORT = {
    "registered": 48,
    "photos": 50,
    "not_registered": [{"photo": "IMG_7.jpg", "why": "matches no other photo"}],
    "points": 4898,
    "reprojection_error_pixels": 0.4213,
    "lenses": [
        {"camera": "Maker M", "photos": 48, "size": [1600, 1200], "focal_by_exif": 1300.0, "focal": 1290.6},
        {"camera": "", "photos": 2, "size": [800, 600], "focal_by_exif": None, "focal": 700.0},
    ],
    "up": {"means": "level", "tilt_degrees": 2.34},
    "units": "the median distance is 1",
    "known_length": None,
    "notes": ["One file is no picture."],
    "seconds": 20.0,
}


@pytest.fixture
def made(monkeypatch):
    seen = {}

    def make_dataset(source, output, **options):
        seen.update(options, source=source, output=output)
        return MadeDataset(Path(output), REPORT)

    monkeypatch.setattr(photos, "make_dataset", make_dataset)
    return seen


def test_what_was_found_is_said_with_the_next_command(made, capsys):
    assert main(["my photos", "data/my set", "--known-length", "a.jpg", "b.jpg:3,4", "1.5", "--max-size", "900"]) == 0
    said = capsys.readouterr().out
    assert "48 of 50 have a place; 4,898 points, 0.42 pixels off" in said
    assert "Maker M, 48 photos of 1600 x 1200: focal length 1291 pixels (EXIF: 1300)" in said
    assert "z, by the cameras, which are held level to 2.3 degrees" in said
    assert "note  IMG_7.jpg matches no other photo.\n" in said
    assert "ns-train diner --data 'data/my set'" in said
    assert "ns-train diner-surface --data 'data/my set', for a mesh" in said
    assert (made["source"], made["options"].max_size) == (Path("my photos"), 900)
    assert made["options"].known_length == ("a.jpg", "b.jpg:3,4", 1.5)


def test_quietly_it_is_the_folder_and_what_is_wrong(made, capsys):
    assert main(["photos", "out", "--quiet"]) == 0
    said = capsys.readouterr()
    assert said.out == "out\n"
    assert said.err.splitlines() == [
        "inr-photos: IMG_7.jpg matches no other photo.",
        "inr-photos: One file is no picture.",
    ]


def test_without_pycolmap_it_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    write_photos(tmp_path / "photos", [np.zeros((6, 8, 3), np.uint8)] * 3)
    assert main([str(tmp_path / "photos"), str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("inr-photos: Poses are found by pycolmap, which is not installed: install it with")
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@needs_pycolmap
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone", "out"], "gone does not exist: give a folder of photographs, or a video"),
        (["one", "out"], "There is one photograph in one"),
        (["three", "out", "--max-size", "0"], "--max-size must be at least 32"),
        (["three", "out", "--masks", "gone"], "--masks is gone, where there is no folder"),
        (["three", "out", "--masks", "one"], "one has no mask for photo_01.png"),
        (["three", "out", "--masks", "black"], "photo_00.png is black all over, which leaves nothing of photo_00.png"),
        (["three", "notes"], "notes is a file"),
        (["three", "one"], "one holds photo_00.png, which is none of inr-photos's work"),
    ],
)
def test_mistakes_are_one_sentence_and_leave_nothing(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "one", [np.zeros((6, 8, 3), np.uint8)])
    write_photos(tmp_path / "three", [np.zeros((6, 8, 3), np.uint8)] * 3)
    write_photos(tmp_path / "black", [np.zeros((6, 8), np.uint8)] * 3)
    (tmp_path / "notes").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert words in said.err
    assert (said.out, len(said.err.splitlines())) == ("", 1)
    assert sorted(tmp_path.rglob("*")) == before


@needs_pycolmap
def test_photos_that_show_nothing_in_common_are_told_what_to_photograph(tmp_path, capsys):
    generator = np.random.default_rng(0)
    blocks = [np.kron(generator.integers(0, 255, (15, 20, 3)), np.ones((8, 8, 1))).astype(np.uint8) for _ in range(3)]
    write_photos(tmp_path / "photos", blocks)
    assert main([str(tmp_path / "photos"), str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "No two of the 3 photos show the same thing" in said
    assert "walk around" in said
    assert not (tmp_path / "out" / "transforms.json").exists()
