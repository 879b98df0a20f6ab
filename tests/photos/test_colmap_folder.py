"""Reconstructions of COLMAP's straight in, by ones that are written by hand as its documentation says."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation
from with_pycolmap import needs_pycolmap

from inr_plugins.errors import InputError
from inr_plugins.photos.make import make_dataset
from inr_plugins.photos.options import PhotoOptions

pytestmark = needs_pycolmap
OPTIONS = PhotoOptions(colmap=True, up="-y", max_size=40)


def project(folder, names=("a.png", "b.png", "deep/c.png"), *, place="sparse/0", size=(80, 60)):
    """Three pinhole cameras around a few points; world y is down. Returns camera-to-world matrices, OpenCV's axes."""
    model = folder / place
    model.mkdir(parents=True)
    (model / "cameras.txt").write_text("1 PINHOLE 80 60 70 72 41 29\n")
    points = np.random.default_rng(0).uniform(-1, 1, (30, 3)) + np.array([0, 0, 6])
    (model / "points3D.txt").write_text(
        "".join(
            f"{n + 1} {x} {y} {z} 200 {n} 30 0.5 {' '.join(f'{k + 1} {n}' for k in range(len(names)))}\n"
            for n, (x, y, z) in enumerate(points)
        )
    )
    lines, poses = [], []
    for number, name in enumerate(names):
        world_to_camera = Rotation.from_euler("y", 4.0 * number, degrees=True)
        translation = np.array([0.3 * number, 0.0, 0.0])
        seen = world_to_camera.apply(points) + translation
        column, row = 70 * seen[:, 0] / seen[:, 2] + 41, 72 * seen[:, 1] / seen[:, 2] + 29
        x, y, z, w = world_to_camera.as_quat()
        lines.append(f"{number + 1} {w} {x} {y} {z} {' '.join(map(str, translation))} 1 {name}")
        lines.append(" ".join(f"{u} {v} {n + 1}" for n, (u, v) in enumerate(zip(column, row, strict=True))))
        pose = np.eye(4)
        pose[:3, :3] = world_to_camera.as_matrix().T
        pose[:3, 3] = -pose[:3, :3] @ translation
        poses.append(pose)
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (20 * number, 99, 50)).save(path)
    (model / "images.txt").write_text("\n".join(lines) + "\n")
    return np.array(poses), points


@pytest.mark.parametrize("place", ["sparse/0", "colmap/sparse/0", "sparse", "."])
def test_poses_are_taken_as_they_are_turned_and_scaled(tmp_path, place):
    truth, points = project(tmp_path / "project", place=place)
    made = make_dataset(tmp_path / "project", tmp_path / "out", options=OPTIONS)
    content = json.loads((tmp_path / "out" / "transforms.json").read_text())
    assert [frame["file_path"] for frame in content["frames"]] == [f"images/{n}.png" for n in ("a", "b", "deep/c")]
    # The images are half as large, without distortion to take out.
    lens = [content[key] for key in ("w", "h", "fl_x", "fl_y", "cx", "cy")]
    assert lens == pytest.approx([40, 30, 35, 36, 20.5, 14.5])
    # y down becomes z up: (x, y, z) -> (x, z, -y), at a scale by which what is seen is at distance 1.
    turn = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    distance = np.median([np.median(np.linalg.norm(points - pose[:3, 3], axis=1)) for pose in truth])
    for frame, pose in zip(content["frames"], truth, strict=True):
        found = np.array(frame["transform_matrix"])
        assert np.allclose(found[:3, 3], turn @ pose[:3, 3] / distance, atol=1e-6)
        assert np.allclose(found[:3, :3], turn @ pose[:3, :3] @ np.diag([1, -1, -1]), atol=1e-6)
    assert (made.report["registered"], made.report["photos"], made.report["points"]) == (3, 3, 30)


def test_a_known_length_between_pixels_holds_for_pictures_of_any_size(tmp_path):
    _, points = project(tmp_path / "project")
    near = points[np.argsort(points[:, 0])]
    first, last = near[0], near[-1]
    ends = [f"a.png:{70 * p[0] / p[2] + 41:.3f},{72 * p[1] / p[2] + 29:.3f}" for p in (first, last)]
    options = PhotoOptions(colmap=True, max_size=40, known_length=(*ends, 2.5))
    made = make_dataset(tmp_path / "project", tmp_path / "out", options=options)
    scale = np.linalg.norm(np.array(made.report["from_colmap"])[:3, 0])
    assert scale == pytest.approx(2.5 / np.linalg.norm(first - last), rel=1e-6)


def test_of_several_reconstructions_the_largest_is_taken_and_the_rest_is_said(tmp_path):
    project(tmp_path / "project", ("a.png", "b.png"))
    project(tmp_path / "project", ("c.png", "d.png", "e.png"), place="sparse/1")
    made = make_dataset(tmp_path / "project", tmp_path / "out", options=OPTIONS)
    assert (made.report["registered"], made.report["photos"]) == (3, 5)
    assert {each["photo"] for each in made.report["not_registered"]} == {"a.png", "b.png"}
    assert "one of 2 there that has the most photos" in made.report["notes"][1]


def test_what_is_missing_or_does_not_fit_is_named(tmp_path):
    with pytest.raises(InputError, match="gone does not exist"):
        make_dataset(tmp_path / "gone", tmp_path / "out", options=OPTIONS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds no reconstruction"):
        make_dataset(tmp_path / "empty", tmp_path / "out", options=OPTIONS)
    project(tmp_path / "other", size=(60, 60))
    with pytest.raises(InputError, match=r"a.png has 60 x 60 pixels, and its camera in the reconstruction 80 x 60"):
        make_dataset(tmp_path / "other", tmp_path / "out", options=OPTIONS)
    project(tmp_path / "project")
    (tmp_path / "project" / "images" / "b.png").unlink()
    with pytest.raises(InputError, match=r"has a picture b.png, and .*b.png cannot be read"):
        make_dataset(tmp_path / "project", tmp_path / "out", options=OPTIONS)
    assert not (tmp_path / "out").exists()


def test_pictures_that_are_turned_follow_their_camera(tmp_path):
    """COLMAP leaves pixels as they are stored; a picture whose camera has the stored shape is not turned."""
    project(tmp_path / "project", ("a.jpg", "b.jpg", "c.jpg"))
    tags = Image.Exif()
    tags[0x0112] = 6
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        Image.new("RGB", (80, 60)).save(tmp_path / "project" / "images" / name, exif=tags)
    make_dataset(tmp_path / "project", tmp_path / "out", options=OPTIONS)
    assert Image.open(tmp_path / "out" / "images" / "a.jpg").size == (40, 30)
