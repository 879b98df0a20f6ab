"""Clouds as shapes: double, stray and unoriented points, beside the ball that they were taken from."""

import re
from pathlib import Path

import numpy as np
import pytest

from inr_plugins.data.shapes.files import Shape, ShapeSettings, read_shapes
from inr_plugins.data.shapes.sampling import SampleCounts
from inr_plugins.errors import InputError

CENTRE, RADIUS = np.array([7.0, 0, 0]), 3.0
RNG = np.random.default_rng(4)


def ball(count=2000):
    normals = np.random.default_rng(0).normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return RADIUS * normals + CENTRE, normals


def read(path: Path, points, normals=None, **settings) -> Shape:
    np.save(path, points if normals is None else np.hstack([points, normals]))
    (shape,) = read_shapes(path, ShapeSettings(**settings)).shapes
    return shape


def targets_of_the_ball(shape: Shape) -> None:
    """The signed distances that are fitted are those to the ball, in the box that it fills."""
    samples = shape.source.sample(SampleCounts(near=300, uniform=1500), np.random.default_rng(0), fresh=True)
    truth = np.linalg.norm(samples.points, axis=1) - 0.9
    assert shape.to_normalised.scale * RADIUS == pytest.approx(0.9, rel=0.01)
    assert np.abs(samples.sdf - truth).max() < 0.03


def test_normals_that_look_both_ways_give_the_same_targets(tmp_path):
    points, normals = ball()
    normals *= np.where(RNG.random(2000) < 0.5, -1, 1)[:, None]
    shape = read(tmp_path / "c.npy", points, normals)
    targets_of_the_ball(shape)
    assert "look opposite ways" in shape.description
    as_given = read(tmp_path / "c.npy", points, normals, cloud_normals="given")
    back = np.einsum("ij,ij->i", as_given.surface.normals, normals)
    assert (np.abs(back) > 0.999).all()
    assert (back > 0).all() or (back < 0).all()


@pytest.mark.parametrize("jitter", [0.0, 1e-6])
def test_points_that_are_there_twenty_times_give_the_same_targets(tmp_path, jitter):
    points, _ = ball()
    points = RNG.permutation(np.repeat(points, 20, axis=0))
    shape = read(tmp_path / "c.npy", points + RNG.uniform(-jitter, jitter, points.shape))
    assert len(shape.surface.points) == 2000
    targets_of_the_ball(shape)
    assert "38,000 " in shape.description
    assert "dropped" in shape.description


def test_the_first_of_double_points_keeps_its_normal(tmp_path):
    points, normals = ball()
    shape = read(tmp_path / "c.npy", np.concatenate([points, points]), np.concatenate([normals, -normals]))
    assert np.array_equal(shape.surface.normals, normals / np.linalg.norm(normals, axis=1, keepdims=True))


def test_stray_points_decide_nothing(tmp_path):
    points, normals = ball()
    far = np.concatenate([points, CENTRE + np.array([[80.0, 0, 0], [0, -900, 0], [1e7, 0, 1e7]])])
    for given in (None, np.concatenate([normals, np.eye(3)])):
        shape = read(tmp_path / "c.npy", far, given)
        targets_of_the_ball(shape)
        assert "3 points dropped that lie far from all others" in shape.description
        assert "dataparser.cloud-strays keep" in shape.description
    kept = read(tmp_path / "c.npy", far[:-1], cloud_strays="keep")
    assert len(kept.surface.points) == 2002
    assert kept.to_normalised.scale == pytest.approx(1.8 / (900 + np.ptp(points[:, 1]) / 2), rel=0.01)


def test_what_may_be_a_sparse_part_is_kept_and_said(tmp_path):
    points, _ = ball()
    sparse = CENTRE + 60 * np.random.default_rng(1).normal(size=(400, 3))
    shape = read(tmp_path / "c.npy", np.concatenate([points, sparse]))
    assert len(shape.surface.points) == 2400
    assert "points kept that lie far from all others" in shape.description


def test_estimated_normals_work_whatever_the_file_has(tmp_path):
    points, normals = ball()
    for given in (0 * normals, normals * np.nan, RNG.normal(size=normals.shape), 1e9 * normals, points):
        targets_of_the_ball(read(tmp_path / "c.npy", points, given, cloud_normals="estimated"))
    with pytest.raises(InputError, match=r"c.npy may be normals.*dataparser.cloud-normals estimated"):
        read(tmp_path / "c.npy", points, RNG.normal(size=normals.shape))


def test_an_open_scan_is_said_to_be_one(tmp_path):
    points, normals = ball()
    front = points[:, 1] < 0
    shape = read(tmp_path / "c.npy", points[front], normals[front])
    assert "open" in shape.description
    assert "--trim-to-points" in shape.description
    assert "open" not in read(tmp_path / "c.npy", points, normals).description


def test_what_is_read_and_left_out_is_told(tmp_path):
    points, _ = ball()
    points[5] = np.nan
    (tmp_path / "c.csv").write_text("X,Y,Z,I\n" + "".join(f"{x},{y},{z},7\n" for x, y, z in points))
    (shape,) = read_shapes(tmp_path / "c.csv", ShapeSettings()).shapes
    targets_of_the_ball(shape)
    assert "ignored I, 1 of 2,000 points dropped that are NaN or infinite, normals estimated" in shape.description


def test_estimated_normals_look_to_the_scanner(tmp_path):
    points, normals = ball()
    scanner = CENTRE + np.array([0.0, -50.0, 0.0])
    seen = points[:, 1] < -0.3
    shape = read(tmp_path / "c.npy", points[seen], scanner=tuple(scanner))
    found = shape.surface.normals
    assert ((scanner - points[seen]) * found).sum(1).min() >= 0
    outward = normals[seen] / np.linalg.norm(normals[seen], axis=1, keepdims=True)
    assert (found * outward).sum(1).min() > 0.9
    assert "normals estimated, turned to the scanner" in shape.description
    # From within they look the other way, which no rule of outermost points would find.
    inside = read(tmp_path / "c.npy", points[seen], scanner=tuple(CENTRE))
    assert (inside.surface.normals * outward).sum(1).max() < -0.9


def test_given_normals_that_look_away_from_the_scanner_are_told_of(tmp_path):
    points, normals = ball()
    scanner = tuple(CENTRE + np.array([0.0, -50.0, 0.0]))
    told = read(tmp_path / "c.npy", points, normals, scanner=scanner).description
    assert re.search(r"[45]\d% of the normals look away from the scanner", told)
    front = points[:, 1] < -0.3
    assert "scanner" not in read(tmp_path / "c.npy", points[front], normals[front], scanner=scanner).description


def test_a_scanner_that_is_nowhere_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"dataparser\.scanner must be three finite numbers, got nan 0\.0 1\.0"):
        read(tmp_path / "c.npy", *ball(), scanner=(float("nan"), 0.0, 1.0))
