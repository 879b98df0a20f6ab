"""A smooth surface through points, beside the surfaces that the points were taken from and beside their discs."""

import numpy as np
import pytest
from long_form import long_form
from scipy.spatial import cKDTree

from inr_plugins.geometry.distance.cloud_distance import CloudDistance
from inr_plugins.geometry.distance.smooth_distance import SMOOTHNESS, SmoothDistance
from inr_plugins.geometry.mesh import Mesh

AXES = np.array([0.8, 0.6, 0.5])


def egg(count, *, noise=0.0, seed=0):
    """Points of an ellipsoid, its normals, the points moved by noise."""
    rng = np.random.default_rng(seed)
    on = rng.normal(size=(count, 3))
    on = AXES * on / np.linalg.norm(on, axis=1, keepdims=True)
    normals = on / AXES**2
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return on + noise * rng.normal(size=on.shape), normals


def away(points):
    """Distance of points near the ellipsoid from it, to first order."""
    value = ((points / AXES) ** 2).sum(1) - 1
    return value / np.linalg.norm(2 * points / AXES**2, axis=1)


def directed_edges(mesh: Mesh):
    first, second, third = mesh.faces.T
    return np.concatenate([np.stack(pair, 1) for pair in ((first, second), (second, third), (third, first))])


def test_few_points_give_a_closed_surface_far_nearer_to_the_truth_than_their_discs():
    points, normals = egg(400)
    smooth = SmoothDistance(points, normals)
    mesh = smooth.surface()
    # Looking outward.
    corners = mesh.vertices[mesh.faces]
    volume = np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    assert volume == pytest.approx(4 / 3 * np.pi * AXES.prod(), rel=0.02)
    edges = directed_edges(mesh)
    assert set(map(tuple, edges.tolist())) == set(map(tuple, edges[:, ::-1].tolist()))
    close = egg(2000, seed=1)[0]
    missed = np.abs(smooth(close)).mean()
    assert np.abs(away(mesh.vertices)).mean() < 0.002
    assert missed < 0.25 * np.abs(CloudDistance(points, normals)(close)).mean()


@long_form
def test_noise_is_smoothed_by_what_held_out_points_say():
    noise = 0.02
    clean, noisy = (SmoothDistance(*egg(2000, noise=each)) for each in (0.0, noise))
    assert noisy.smoothness > clean.smoothness
    assert noisy.normal_weight > clean.normal_weight
    assert np.abs(away(noisy.surface().vertices)).mean() < 0.25 * noise
    assert {clean.smoothness, noisy.smoothness} <= set(SMOOTHNESS)


def test_far_away_it_is_the_distance_and_has_its_sign():
    points, normals = egg(500)
    rng = np.random.default_rng(3)
    asked = rng.uniform(-1, 1, (500, 3))
    truth = np.where(away(asked) < 0, -1, 1) * cKDTree(egg(50_000, seed=5)[0]).query(asked)[0]
    far = np.abs(truth) > 0.2
    found = SmoothDistance(points, normals)(asked)
    assert found.dtype == np.float32
    assert np.abs(found - truth)[far].max() < 0.1
    assert (np.sign(found) == np.sign(truth))[far].all()


@long_form
def test_turned_normals_turn_the_sign():
    points, normals = egg(300)
    asked = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.45], [0.75, 0.0, 0.0]])
    assert (SmoothDistance(points, normals)(asked) < 0).all()
    assert (SmoothDistance(points, -normals)(asked) > 0).all()


@long_form
def test_the_frame_scales_with_its_reach():
    points, normals = egg(300)
    small, large = SmoothDistance(points, normals), SmoothDistance(3 * points, normals, reach=3.0)
    asked = np.random.default_rng(2).uniform(-0.9, 0.9, (200, 3))
    assert large.spacing == pytest.approx(3 * small.spacing)
    assert large(3 * asked) == pytest.approx(3 * small(asked), abs=2e-3)


def test_a_piece_that_no_point_is_near_is_left_out():
    points, normals = egg(400)
    smooth = SmoothDistance(points, normals)
    whole = smooth.surface()
    # A ball of another sheet in a corner, on the level that holds the whole cube.
    first = smooth._levels[0]
    first.values = np.minimum(first.values, np.linalg.norm(first.vertices - 0.85, axis=1) - 0.12)
    again = smooth.surface()
    assert len(again.faces) == len(whole.faces)
    assert again.vertices.max(0) == pytest.approx(whole.vertices.max(0))


def test_a_shape_may_fill_the_cube_but_for_rounding():
    points, normals = egg(300)
    points = points / np.abs(points).max() * (1 + 1e-9)
    found = SmoothDistance(points, normals)
    assert np.abs(found(points)).mean() < 5e-3
    assert len(found.surface().faces) > 1000


@pytest.mark.parametrize(
    ("count", "reach", "words"), [(9, 1.0, "needs 10 points, got 9"), (50, 0.5, "beyond the cube of half side 0.5")]
)
def test_what_has_no_surface_is_refused(count, reach, words):
    with pytest.raises(ValueError, match=words):
        SmoothDistance(*egg(count), reach=reach)
