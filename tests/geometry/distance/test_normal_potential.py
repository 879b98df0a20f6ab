"""Normals as the slopes of one function, against bodies whose normals are known."""

from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Float
from long_form import long_form
from scipy.spatial import cKDTree

from inr_plugins.geometry.distance.cloud_normals import oriented_normals
from inr_plugins.geometry.distance.normal_potential import NormalPotential

Array = Float[np.ndarray, "n 3"]


def unit(vectors: Array) -> Array:
    lengthened: Array = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return lengthened


def ball(count: int) -> Array:
    """Points of the unit sphere, each its own outward normal."""
    return unit(np.random.default_rng(0).normal(size=(count, 3)))


def ring(count: int) -> tuple[Array, Array]:
    """Points of a torus, evenly by area, and their outward normals."""
    rng = np.random.default_rng(1)
    around, across = rng.uniform(0, 2 * np.pi, (2, 4 * count))
    kept = np.flatnonzero(rng.uniform(0, 1.4, 4 * count) < 1 + 0.4 * np.cos(across))[:count]
    around, across = around[kept], across[kept]
    out = np.stack([np.cos(around), np.sin(around), np.zeros(count)], axis=1)
    normals = np.cos(across)[:, None] * out + np.sin(across)[:, None] * [0, 0, 1]
    return out + 0.4 * normals, normals


def potential(points: Array) -> NormalPotential:
    return NormalPotential(points, cKDTree(points).query(points, k=[11])[0][:, 0])


def test_outward_normals_are_a_gradient_and_what_turns_in_circles_is_none() -> None:
    points = ball(2000)
    spun = np.cross([0.0, 0.0, 1.0], points)
    outward, around = (potential(points).gradient_part(each, 1.0) for each in (points, spun))
    assert (unit(outward) * points).sum(1).mean() > 0.98
    assert np.linalg.norm(around, axis=1).mean() < 0.2 * np.linalg.norm(outward, axis=1).mean()


def test_the_sign_of_all_normals_together_does_not_count_and_that_of_a_part_does() -> None:
    points, normals = ring(3000)
    judge = potential(points)
    parted = np.where(points[:, :1] > 0.7, -normals, normals)
    assert judge.agreement(-normals) == pytest.approx(judge.agreement(normals), rel=1e-4)
    assert judge.agreement(parted) < 0.9 * judge.agreement(normals)


def test_a_patch_that_is_turned_over_is_found() -> None:
    points, normals = ring(3000)
    patch = np.linalg.norm(points - points[0], axis=1) < 0.25
    parted = np.where(patch[:, None], -normals, normals)
    assert 0.005 < patch.mean() < 0.1
    found = potential(points).best_signs([parted])
    assert ((found * normals).sum(1) > 0).all()


def test_the_candidate_that_is_right_is_taken() -> None:
    points, normals = ring(3000)
    halves = np.where(points[:, :1] > 0, -normals, normals)
    for candidates in ([halves, normals], [normals, halves]):
        found = potential(points).best_signs(candidates)
        assert ((found * normals).sum(1) > 0).all()


def test_normals_with_errors_of_their_own_come_near_the_truth() -> None:
    points, normals = ring(3000)
    wrong = unit(normals + 0.6 * np.random.default_rng(2).normal(size=normals.shape))
    before = (wrong * normals).sum(1)
    after = (potential(points).settled(wrong) * normals).sum(1)
    assert before.mean() < 0.8
    assert after.mean() > 0.97


def test_a_point_far_away_has_little_say() -> None:
    points, normals = ring(2000)
    points[0], normals[0] = [2.4, 0, 0], [0, 0, 1]
    judge = potential(points)
    without = np.where(np.arange(len(points))[:, None] == 0, 0.0, normals)
    assert judge.agreement(normals) == pytest.approx(judge.agreement(without), rel=0.02)


def test_points_closer_than_its_cells_are_too_many() -> None:
    assert potential(ball(5000)).is_fine
    assert not potential(ball(40_000)).is_fine


@long_form
def test_noise_as_wide_as_half_the_spacing_leaves_signs_and_directions() -> None:
    points, normals = ring(6000)
    spacing = np.sqrt(4 * np.pi**2 * 0.4 / len(points))
    noisy = points + 0.5 * spacing * np.random.default_rng(3).normal(size=points.shape)
    cosines = (oriented_normals(noisy) * normals).sum(1)
    assert (cosines < 0).mean() < 1e-3
    assert cosines.mean() > 0.97
