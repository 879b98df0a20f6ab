"""Frames of a video: the sharpest of each stretch, against a film whose sharp frames are known."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
from PIL import Image, ImageFilter

from inr_plugins.engine.host.ffmpeg import ensure_ffmpeg
from inr_plugins.errors import InputError
from inr_plugins.photos.video import choose_frames, sharpest, write_frames

SHARP = (2, 7, 11, 13)


@pytest.fixture(scope="module")
def ffmpeg():
    return ensure_ffmpeg()


@pytest.fixture(scope="module")
def film(tmp_path_factory, ffmpeg):
    """16 frames of 64 x 48, of which four are sharp; each is brighter than the one before."""
    folder = tmp_path_factory.mktemp("film")
    noise = np.random.default_rng(0).integers(0, 120, (48, 64, 3)).astype(np.uint8)
    for number in range(16):
        frame = Image.fromarray(noise + np.uint8(8 * number))
        frame = frame if number in SHARP else frame.filter(ImageFilter.GaussianBlur(1.5))
        frame.save(folder / f"{number:02d}.png")
    path = folder / "a film: walk.mkv"
    command = [
        str(ffmpeg),
        "-v",
        "error",
        "-framerate",
        "7",
        "-i",
        str(folder / "%02d.png"),
        "-c:v",
        "ffv1",
        f"file:{path}",
    ]
    subprocess.run(command, check=True)
    return path


def test_the_sharpest_frame_of_each_stretch_is_taken(film, ffmpeg, tmp_path):
    seen = []
    chosen = choose_frames(film, 4, ffmpeg=ffmpeg, on_frame=seen.append)
    assert (chosen.frames, chosen.chosen, chosen.damage, seen[-1]) == (16, SHARP, "", 16)
    paths = [tmp_path / f"{number}.png" for number in SHARP]
    write_frames(film, chosen, paths, ffmpeg=ffmpeg, max_size=1000)
    for path, number in zip(paths, SHARP, strict=True):
        pixels = np.asarray(Image.open(path)).astype(float)
        assert pixels.shape == (48, 64, 3)
        assert pixels.mean() == pytest.approx(59.5 + 8 * number, abs=2)


def test_frames_are_made_smaller(film, ffmpeg, tmp_path):
    chosen = choose_frames(film, 1, ffmpeg=ffmpeg)
    write_frames(film, chosen, [tmp_path / "a.png"], ffmpeg=ffmpeg, max_size=32)
    assert Image.open(tmp_path / "a.png").size == (32, 24)


def test_stretches_of_one_length_share_the_frames_among_them():
    sharpness = np.array([0, 1, 0, 0, 0, 5, 0, 0, 0, 2.0])
    assert sharpest(sharpness, 2) == [1, 5]
    assert sharpest(sharpness, 100) == [1, 5, 9]
    assert sharpest(sharpness[:2], 100) == [1]


@pytest.mark.parametrize("content", [b"", b"no film at all", None])
def test_a_file_that_is_no_video_is_named(tmp_path, ffmpeg, content, film):
    path = tmp_path / "film.mkv"
    path.write_bytes(film.read_bytes()[:400] if content is None else content)
    with pytest.raises(InputError, match=r"film.mkv does not decode as a video \(.+\): give it whole"):
        choose_frames(path, 4, ffmpeg=ffmpeg)


def test_a_video_that_breaks_off_is_read_as_far_as_it_goes_and_said_to(tmp_path, ffmpeg, film):
    path = tmp_path / "short.mkv"
    path.write_bytes(film.read_bytes()[: film.stat().st_size * 3 // 4])
    chosen = choose_frames(path, 2, ffmpeg=ffmpeg)
    assert 4 < chosen.frames < 16
    assert chosen.damage
