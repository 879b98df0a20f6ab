"""Polygons against areas by the shoelace formula and against points known to lie inside or outside."""

import numpy as np
import pytest

from inr_plugins.geometry.io.formats.polygons import strip_triangles, triangulate


def shoelace(flat):
    x, y = flat.T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


def areas(points, triangles):
    """Signed areas in the plane of the first two coordinates."""
    a, b, c = (points[triangles[:, k], :2] for k in range(3))
    first, second = b - a, c - a
    return (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]) / 2


def cut(flat):
    """One polygon of the plane, checked to be covered exactly: no triangle turned, and all together its area."""
    points = np.column_stack([flat, np.zeros(len(flat))])
    triangles, owner = triangulate(points, np.arange(len(flat)), np.array([len(flat)]))
    assert len(triangles) == len(flat) - 2
    assert not owner.any()
    found = areas(points, triangles) * np.sign(shoelace(flat))
    assert found.min() >= -1e-12
    assert found.sum() == pytest.approx(abs(shoelace(flat)))
    # Every side of the polygon is the side of just one triangle, so that neighbours fit.
    sides = {tuple(sorted(pair)) for t in triangles.tolist() for pair in zip(t, t[1:] + t[:1], strict=True)}
    assert all(tuple(sorted((k, (k + 1) % len(flat)))) in sides for k in range(len(flat)))
    return triangles


U = np.array([[2, 1], [1, 1], [1, 2], [0, 2], [0, 0], [3, 0], [3, 2], [2, 2]], dtype=float)


@pytest.mark.parametrize("first", range(8))
@pytest.mark.parametrize("step", [1, -1])
def test_a_concave_polygon_from_any_corner_and_either_way(first, step):
    cut(np.roll(U, first, axis=0)[::step])


@pytest.mark.parametrize("first", range(4))
def test_a_quadrilateral_with_a_dent_is_cut_through_the_dent(first):
    dart = np.roll(np.array([[0.0, 0], [2, 0], [0.5, 0.5], [0, 2]]), first, axis=0)
    triangles = cut(dart)
    dent = (2 + first) % 4
    assert all(dent in triangle for triangle in triangles.tolist())


@pytest.mark.parametrize("seed", range(5))
def test_spiky_stars(seed):
    generator = np.random.default_rng(seed)
    angle = np.sort(generator.uniform(0, 2 * np.pi, 41))
    cut(np.column_stack([np.cos(angle), np.sin(angle)]) * generator.uniform(0.05, 1, (41, 1)))


def test_a_spiral_which_no_corner_sees_whole():
    turn = np.linspace(0, 5 * np.pi, 60)
    curve = np.column_stack([np.cos(turn), np.sin(turn)])
    cut(np.concatenate([curve * (1 + turn)[:, None], (curve * (1.8 + turn)[:, None])[::-1]]))


def test_corners_on_straight_sides_are_kept():
    comb = [[0, 0], [1, 0], [2, 0], [3, 0], [3, 2], [2, 2], [2, 1], [1.5, 1], [1, 1], [1, 2], [0, 2], [0, 1]]
    cut(np.array(comb, dtype=float))


def test_a_hole_bridged_to_its_outline():
    # A square ring as exporters write it: the outline, a bridge in, the hole the other way round, the bridge back.
    ring = [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0], [1, 1], [1, 3], [3, 3], [3, 1], [1, 1]]
    flat = np.array(ring, dtype=float)
    points = np.column_stack([flat, np.zeros(10)])
    triangles, _ = triangulate(points, np.arange(10), np.array([10]))
    found = areas(points, triangles)
    assert found.min() >= 0
    assert found.sum() == pytest.approx(16 - 4)
    middles = points[triangles[found > 0], :2].mean(axis=1)
    assert (np.abs(middles - 2).max(axis=1) >= 1).all()


def test_convex_polygons_are_fans_and_keep_their_order():
    around = 2 * np.pi * np.arange(5) / 5
    points = np.column_stack([np.cos(around), np.sin(around), np.zeros(5)])
    corners = np.array([0, 1, 2, 0, 1, 2, 3, 4, 1, 2, 3, 4, 3, 4])
    triangles, owner = triangulate(points, corners, np.array([3, 5, 4, 2]))
    assert corners[triangles].tolist() == [[0, 1, 2], [0, 1, 2], [0, 2, 3], [0, 3, 4], [1, 2, 3], [1, 3, 4]]
    assert owner.tolist() == [0, 1, 1, 1, 2, 2]


def test_a_tilted_and_slightly_bent_polygon():
    from scipy.spatial.transform import Rotation

    points = np.column_stack([U, 1e-3 * np.sin(np.arange(8))]) @ Rotation.random(random_state=1).as_matrix().T
    triangles, _ = triangulate(points, np.arange(8), np.array([8]))
    a, b, c = (points[triangles[:, k]] for k in range(3))
    assert np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2 == pytest.approx(5, rel=1e-4)


def test_strips_turn_every_second_triangle_and_begin_anew():
    strip = np.array([0, 1, 2, 3, -1, 4, 5, 6, 7, 7, 8])
    assert strip_triangles(strip).tolist() == [[0, 1, 2], [2, 1, 3], [4, 5, 6], [6, 5, 7]]
    assert strip_triangles(np.array([1, 2])).tolist() == []
