"""Meshes cut along a line, beside areas of closed form, and reaches of clouds, beside brute force."""

from dataclasses import replace

import numpy as np
import pytest
from mesh_shapes import sphere

from inr_plugins.geometry.mesh import is_watertight, signed_volume, surface_area, vertex_normals
from inr_plugins.geometry.repair.trimming import CloudReach, cut_where_above


@pytest.mark.parametrize("height", [-0.9, -0.31, 0.05, 0.5])
def test_a_ball_cut_at_a_height_has_the_area_of_its_cap(height):
    ball = sphere(subdivisions=5)
    cap = cut_where_above(ball, ball.vertices[:, 2], height)
    assert surface_area(cap) == pytest.approx(2 * np.pi * (1 + height), rel=0.002)
    assert cap.vertices[:, 2].max() <= height + 1e-12
    # Faces look outward still, and fit together: the two halves are a ball again.
    rest = cut_where_above(ball, -ball.vertices[:, 2], -height)
    assert surface_area(cap) + surface_area(rest) == pytest.approx(surface_area(ball))
    assert signed_volume(ball) == pytest.approx(_from_origin(cap) + _from_origin(rest))
    border = np.isclose(cap.vertices[:, 2], height, atol=1e-12).sum()
    edges = np.sort(cap.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    _, times = np.unique(edges, axis=0, return_counts=True)
    assert (times == 1).sum() == border
    assert times.max() == 2


def _from_origin(mesh) -> float:
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def test_colours_and_normals_run_along_the_cut_edges():
    ball = sphere(subdivisions=4)
    ball = replace(ball, colours=(ball.vertices + 1) / 2, normals=vertex_normals(ball))
    cap = cut_where_above(ball, ball.vertices[:, 0], 0.2)
    assert np.allclose(cap.colours, (cap.vertices + 1) / 2)
    assert np.allclose(np.linalg.norm(cap.normals, axis=1), 1)
    assert (np.einsum("ij,ij->i", cap.normals, cap.vertices) > 0.99).all()


def test_all_or_nothing_may_stay():
    ball = sphere(subdivisions=2)
    whole = cut_where_above(ball, np.zeros(len(ball.vertices)), 1.0)
    assert is_watertight(whole)
    assert surface_area(whole) == surface_area(ball)
    assert len(cut_where_above(ball, np.full(len(ball.vertices), np.inf), 1.0).faces) == 0
    some = np.where(ball.vertices[:, 2] > 0, np.inf, 0.0)
    assert np.isfinite(cut_where_above(ball, some, 1.0).vertices).all()


def test_distances_and_the_usual_reach_of_a_cloud():
    rng = np.random.default_rng(0)
    points = np.c_[rng.random((2000, 2)), np.zeros(2000)]
    at = rng.uniform(-1, 2, (100, 3))
    reach = CloudReach(points)
    truth = np.linalg.norm(at[:, None] - points, axis=2).min(axis=1)
    found = reach.distance(at, most=0.5)
    assert np.allclose(found[truth < 0.5], truth[truth < 0.5])
    assert np.isinf(found[truth > 0.5]).all()
    # No place of the square is out of reach, and the reach is a small part of it.
    grid = np.stack(np.meshgrid(*2 * [np.linspace(0, 1, 200)], [0.0]), -1).reshape(-1, 3)
    assert reach.distance(grid, most=1.0).max() < reach.usual < 0.12
    assert CloudReach(1e3 * points).usual == pytest.approx(1e3 * reach.usual)
