"""Whole captures: a turn around a made scene, as photographs of two kinds and as a video, up to a training of diner."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from photo_scene import around, errors, photograph, write_photos
from PIL import Image, ImageFilter
from with_pycolmap import needs_pycolmap

from inr_plugins.engine.host.ffmpeg import ensure_ffmpeg
from inr_plugins.photos.make import make_dataset
from inr_plugins.photos.options import PhotoOptions

pytestmark = needs_pycolmap
SIZE, FOCAL, RADIUS = (400, 300), 380.0, 4.0


def poses_of(folder):
    content = json.loads((folder / "transforms.json").read_text())
    return content, np.array([frame["transform_matrix"] for frame in content["frames"]])


def check(folder, truth, *, degrees=0.5, share=0.01):
    content, poses = poses_of(folder)
    angles, distances = errors(poses, truth)
    assert angles.max() < degrees
    assert distances.max() < share * RADIUS
    up = np.einsum("nij,j->ni", poses[:, :3, :3].swapaxes(1, 2), [0, 0, 1.0])
    true_up = np.einsum("nij,j->ni", truth[:, :3, :3].swapaxes(1, 2), [0, 0, 1.0])
    assert np.degrees(np.arccos(np.clip((up * true_up).sum(axis=1), -1, 1))).max() < 1.0
    return content


@pytest.fixture(scope="module")
def turn(tmp_path_factory):
    """24 photographs of a whole turn."""
    folder, poses = tmp_path_factory.mktemp("turn") / "photos", around(24)
    write_photos(folder, photograph(poses, size=SIZE, focal=FOCAL))
    return folder, poses


@pytest.fixture(scope="module")
def made(turn, tmp_path_factory):
    return make_dataset(turn[0], tmp_path_factory.mktemp("made") / "turn")


def test_a_whole_turn_of_photographs(turn, made):
    assert (made.report["registered"], made.report["up"]["means"]) == (24, "level")
    content = check(made.folder, turn[1])
    assert content["fl_x"] == pytest.approx(FOCAL, rel=0.01)


def test_diner_trains_on_it(made, tmp_path):
    program = Path(sysconfig.get_path("scripts")) / "ns-train"
    command = [program, "diner", "--max-num-iterations", "6", "--vis", "tensorboard", "--output-dir", tmp_path / "runs"]
    command += ["--pipeline.model.num-voxels", "30000", "--pipeline.datamanager.train-num-rays-per-batch", "512"]
    done = subprocess.run([*command, "--data", made.folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_two_cameras_each_with_a_lens_of_its_own(turn, tmp_path):
    """Every third photograph is from a camera with another focal length, which EXIF names; one is stored turned."""
    folder = tmp_path / "photos"
    folder.mkdir()
    poses = turn[1]
    others = photograph(poses[::3], size=(320, 240), focal=240.0)
    for number in range(24):
        path = folder / f"{number:02d}.jpg"
        tags = Image.Exif()
        image = Image.open(turn[0] / f"photo_{number:02d}.png")
        tags[0x0110] = "One"
        if number % 3 == 0:
            image, tags[0x0110] = Image.fromarray(others[number // 3]), "Two"
        if number == 4:
            image, tags[0x0112] = image.transpose(Image.Transpose.ROTATE_90), 6
        image.save(path, quality=95, exif=tags)
    made = make_dataset(folder, tmp_path / "out")
    assert made.report["registered"] == 24
    content = check(made.folder, poses)
    assert "fl_x" not in content
    focal = [frame["fl_x"] for frame in content["frames"]]
    assert np.allclose(focal[::3], 240, rtol=0.015)
    assert np.allclose([each for number, each in enumerate(focal) if number % 3], FOCAL, rtol=0.015)


def test_a_video_of_a_turn_whose_every_other_frame_is_blurred(tmp_path):
    poses = around(72)
    frames = tmp_path / "frames"
    frames.mkdir()
    for number, pixels in enumerate(photograph(poses, size=(320, 240), focal=300.0)):
        image = Image.fromarray(pixels)
        (image if number % 3 == 1 else image.filter(ImageFilter.GaussianBlur(2))).save(frames / f"{number:03d}.png")
    video = tmp_path / "walk.mp4"
    command = [str(ensure_ffmpeg()), "-v", "error", "-i", str(frames / "%03d.png"), "-crf", "12", "-pix_fmt", "yuv420p"]
    subprocess.run([*command, str(video)], check=True)
    made = make_dataset(video, tmp_path / "out", options=PhotoOptions(frames=24), ffmpeg=ensure_ffmpeg)
    assert made.report["registered"] == 24
    taken = [int(each["photo"].split("_")[1].split(".")[0]) for each in made.report["views"]]
    assert taken == list(range(1, 72, 3))
    check(made.folder, poses[taken])
