"""Similarities between frames: against 4x4 matrices, and the geometry they must keep."""

import numpy as np
import pytest

from inr_plugins.errors import InputError
from inr_plugins.geometry.frames import Similarity


def random_similarity(seed: int, *, mirror: bool = False) -> Similarity:
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    if (np.linalg.det(rotation) < 0) != mirror:
        rotation[:, 0] *= -1
    return Similarity(rotation=rotation, scale=float(rng.uniform(0.2, 3)), offset=rng.standard_normal(3))


def homogeneous(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return (np.hstack([points, np.ones((len(points), 1))]) @ matrix.T)[:, :3]


def test_dataparser_formula():
    transform = np.hstack([random_similarity(0).rotation, [[1.0], [-2.0], [0.5]]])
    x = np.random.default_rng(1).standard_normal((20, 3))
    expected = np.stack([0.3 * (transform[:, :3] @ p + transform[:, 3]) for p in x])
    got = Similarity.from_dataparser(transform, 0.3)
    assert np.allclose(got.points(x), expected, atol=1e-12)
    assert np.allclose(homogeneous(got.matrix, x), expected, atol=1e-12)


@pytest.mark.parametrize("mirror", [False, True])
def test_inverse_and_composition(mirror):
    first, second = random_similarity(2, mirror=mirror), random_similarity(3)
    x = np.random.default_rng(4).standard_normal((20, 3))
    assert np.allclose(first.inverse().points(first.points(x)), x, atol=1e-12)
    assert np.allclose(second.after(first).points(x), second.points(first.points(x)), atol=1e-12)
    assert np.allclose(second.after(first).matrix, second.matrix @ first.matrix, atol=1e-12)
    assert first.mirrors is mirror


def test_directions_are_differences_of_points_without_their_length():
    similarity = random_similarity(5, mirror=True)
    rng = np.random.default_rng(6)
    start, d = rng.standard_normal((20, 3)), rng.standard_normal((20, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    moved = similarity.points(start + d) - similarity.points(start)
    assert np.allclose(similarity.directions(d), moved / similarity.scale, atol=1e-12)


def test_bounding_box_holds_the_image_tightly():
    similarity = random_similarity(7)
    box = np.array([[-1.0, 0.0, 2.0], [1.0, 0.5, 5.0]])
    rng = np.random.default_rng(8)
    inside = similarity.points(rng.uniform(box[0], box[1], (200_000, 3)))
    low, high = similarity.bounding_box(box)
    assert (inside >= low).all()
    assert (inside <= high).all()
    assert np.abs(inside.min(axis=0) - low).max() < 0.1
    assert np.abs(inside.max(axis=0) - high).max() < 0.1


def test_float32_rotation_is_made_orthonormal():
    exact = random_similarity(9)
    rounded = Similarity.from_dataparser(np.hstack([exact.rotation, np.zeros((3, 1))]).astype(np.float32), 0.7)
    assert np.abs(rounded.rotation.T @ rounded.rotation - np.eye(3)).max() < 1e-14
    assert np.allclose(rounded.rotation, exact.rotation, atol=1e-6)
    assert rounded.scale == pytest.approx(0.7, rel=1e-6)


@pytest.mark.parametrize(
    ("transform", "scale"),
    [
        (np.hstack([np.diag([1.0, 1.0, 2.0]), np.zeros((3, 1))]), 1.0),
        (np.zeros((3, 4)), 1.0),
        (np.full((3, 4), np.nan), 1.0),
        (np.eye(4)[:3], 0.0),
        (np.eye(4)[:3], float("nan")),
    ],
)
def test_what_is_no_similarity_is_refused(transform, scale):
    with pytest.raises(InputError):
        Similarity.from_dataparser(transform, scale)
