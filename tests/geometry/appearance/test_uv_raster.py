"""Texels and the triangles they show, against a search over finely sampled triangles."""

import numpy as np
import pytest

from inr_plugins.geometry.appearance.uv_raster import nearest_in_triangle, rasterise


def barycentric_lattice(steps=200):
    i, j = np.meshgrid(np.arange(steps + 1), np.arange(steps + 1), indexing="ij")
    i, j = i[i + j <= steps], j[i + j <= steps]
    return np.stack([i, j, steps - i - j], axis=1) / steps


TRIANGLES = np.array(
    [
        [[0.0, 0], [3, 0], [0, 2]],
        [[1.0, 1], [1, 3], [4, 2]],  # the other way round
        [[0.0, 0], [5, 0.1], [2, 0.0]],  # a sliver
        [[0.0, 0], [2, 2], [1, 1]],  # a line
        [[1.5, 0.5], [1.5, 0.5], [1.5, 0.5]],  # a point
    ]
)


@pytest.mark.parametrize("triangle", TRIANGLES)
def test_nearest_point_of_a_triangle(triangle):
    points = np.random.default_rng(0).uniform(-3, 6, (60, 2))
    weights, squared = nearest_in_triangle(points, np.tile(triangle, (60, 1, 1)))
    assert np.allclose(weights.sum(axis=1), 1)
    assert (weights >= -1e-12).all()
    assert np.allclose(np.linalg.norm(points - weights @ triangle, axis=1), np.sqrt(squared), atol=1e-9)
    search = np.linalg.norm(points[:, None] - barycentric_lattice() @ triangle, axis=2).min(axis=1)
    assert (np.sqrt(squared) <= search + 1e-12).all()
    assert np.abs(np.sqrt(squared) - search).max() < 0.03


def test_every_texel_shows_the_nearest_triangle():
    rng = np.random.default_rng(4)
    uv, faces = rng.uniform(-2, 22, (30, 2)), np.arange(30).reshape(-1, 3)
    face, weights = rasterise(uv, faces, width=21, height=17)
    column, row = np.meshgrid(np.arange(21) + 0.5, np.arange(17) + 0.5)
    centres = np.stack([column.ravel(), row.ravel()], axis=1)
    distances = np.stack(
        [np.sqrt(nearest_in_triangle(centres, np.tile(uv[corners], (len(centres), 1, 1)))[1]) for corners in faces]
    )
    nearest = distances.min(axis=0)
    shown = face.ravel()
    assert ((shown >= 0) == (nearest < 1.5)).all()
    assert (shown == np.where(nearest < 1.5, distances.argmin(axis=0), -1)).all()
    inside = nearest == 0
    assert inside.sum() > 50
    at = np.einsum("nk,nkd->nd", weights.reshape(-1, 3), uv[faces[shown]])
    assert np.allclose(at[inside], centres[inside], atol=1e-5)


def test_a_triangle_between_the_centres_colours_what_a_lookup_in_it_reads():
    tiny = np.array([[4.6, 6.6], [4.8, 6.7], [4.7, 6.9]])
    face, _ = rasterise(tiny, np.array([[0, 1, 2]]), width=10, height=10)
    assert (face[6:8, 4:6] == 0).all()
    assert (face >= 0).sum() <= 12


def test_batches_change_nothing(monkeypatch):
    rng = np.random.default_rng(5)
    uv, faces = rng.uniform(0, 20, (60, 2)), np.arange(60).reshape(-1, 3)
    whole = rasterise(uv, faces, width=20, height=20)
    monkeypatch.setattr("inr_plugins.geometry.appearance.uv_raster._PAIRS_AT_ONCE", 13)
    parts = rasterise(uv, faces, width=20, height=20)
    assert all(np.array_equal(a, b) for a, b in zip(whole, parts, strict=True))
