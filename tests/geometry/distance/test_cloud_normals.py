"""Normals found from points alone, beside those of the surfaces that the points were taken from."""

import numpy as np
import pytest
import trimesh
from long_form import long_form

from inr_plugins.errors import InputError
from inr_plugins.geometry.distance.cloud_normals import oriented_normals, oriented_outward
from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.surface_sampler import SurfaceSampler


def sphere(count, seed=0):
    points = np.random.default_rng(seed).normal(size=(count, 3))
    normals = points / np.linalg.norm(points, axis=1, keepdims=True)
    return 0.7 * normals + [1.0, 2.0, -3.0], normals


def torus(count, seed=0):
    long, short = 2 * np.pi * np.random.default_rng(seed).random((2, count))
    out = np.stack([np.cos(long), np.sin(long), 0 * long], axis=1)
    normals = np.cos(short)[:, None] * out + np.sin(short)[:, None] * [0, 0, 1]
    return out + 0.3 * normals, normals


def bent_box(count, seed=0):
    """A long box of 3 x 0.6 x 0.4, bent to a half ring: x becomes the angle around the y axis, at radius 1."""
    box = trimesh.creation.box(extents=(3.0, 0.6, 0.4))
    mesh = Mesh(np.array(box.vertices), np.array(box.faces))
    straight, normals = SurfaceSampler(mesh).sample(count, np.random.default_rng(seed))
    angle, radius = straight[:, 0], 1 + straight[:, 2]
    points = np.stack([radius * np.sin(angle), straight[:, 1], radius * np.cos(angle)], axis=1)
    along = np.stack([np.cos(angle), 0 * angle, -np.sin(angle)], axis=1)
    up = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], axis=1)
    return points, normals[:, :1] * along + normals[:, 1:2] * [0, 1, 0] + normals[:, 2:] * up


@pytest.mark.parametrize(("shape", "count"), [(sphere, 1000), (torus, 4000), (bent_box, 6000)])
def test_normals_look_outward_all_over(shape, count):
    points, truth = shape(count)
    found = oriented_normals(points)
    assert np.allclose(np.linalg.norm(found, axis=1), 1)
    cosine = np.einsum("ij,ij->i", found, truth)
    assert (cosine > 0).mean() > 0.99
    assert np.median(cosine) > 0.99


def test_the_two_sides_of_a_thin_plate_are_told_apart():
    # 0.04 thick, with points about 0.02 apart, so that neighbours lie on both sides.
    plate = trimesh.creation.box(extents=(1.0, 1.0, 0.04))
    mesh = Mesh(np.array(plate.vertices), np.array(plate.faces))
    points, truth = SurfaceSampler(mesh).sample(8000, np.random.default_rng(0))
    assert (np.einsum("ij,ij->i", oriented_normals(points), truth) > 0).mean() > 0.99


def test_separate_parts_look_outward_each():
    one, one_normals = sphere(1500)
    other, other_normals = sphere(1500, seed=1)
    found = oriented_normals(np.concatenate([one, other + np.array([5.0, 0, 0])]))
    assert (np.einsum("ij,ij->i", found, np.concatenate([one_normals, other_normals])) > 0).all()


def test_the_same_points_give_the_same_normals():
    points, _ = torus(1500)
    assert np.array_equal(oriented_normals(points), oriented_normals(points))


def test_normals_that_all_look_inward_are_turned():
    points, normals = bent_box(2000)
    same, turned = oriented_outward(points, normals)
    assert not turned
    assert np.array_equal(same, normals)
    fixed, turned = oriented_outward(points, -normals)
    assert turned
    assert np.array_equal(fixed, normals)


def test_too_few_points_are_refused():
    with pytest.raises(InputError, match="3 points"):
        oriented_normals(np.eye(3))
    with pytest.raises(ValueError, match="neighbours"):
        oriented_normals(sphere(50)[0], neighbours=2)


@long_form
@pytest.mark.parametrize("seed", [0, 1])
def test_noise_as_large_as_the_distance_between_points_leaves_the_signs_right(seed):
    rng = np.random.default_rng(seed)
    around, across = rng.uniform(0, 2 * np.pi, (2, 6000))
    outward = np.stack([np.cos(around) * np.cos(across), np.sin(around) * np.cos(across), np.sin(across)], axis=1)
    points = np.stack([np.cos(around), np.sin(around), np.zeros(6000)], axis=1) + 0.5 * outward
    # Points of the ring are 0.05 apart.
    found = oriented_normals(points + 0.03 * rng.normal(size=points.shape))
    right = ((found * outward).sum(axis=1) > 0).mean()
    assert right > 0.97


def test_wrong_normals_at_all_ends_do_not_turn_the_others():
    points, normals = sphere(3000)
    long = points * [6.0, 1.0, 1.0]
    normals = normals / [6.0, 1.0, 1.0]
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    ends = np.abs(long[:, 0] - long[:, 0].mean()) > 3.7
    assert 0.05 < ends.mean() < 0.2
    wrong = np.where(ends[:, None], -normals, normals)
    found, turned = oriented_outward(long, wrong)
    assert not turned
    assert np.array_equal(found, wrong)
    found, turned = oriented_outward(long, -wrong)
    assert turned
    assert np.array_equal(found, wrong)


def test_the_side_of_an_open_sheet_is_told_by_its_outermost_points():
    points, normals = sphere(3000)
    middle = points.mean(axis=0)
    sheet = (points[:, 0] > middle[0]) & (np.abs(points[:, 1] - middle[1]) < 0.1)
    for sign in (1, -1):
        found, turned = oriented_outward(points[sheet], sign * normals[sheet])
        assert turned == (sign < 0)
        assert np.array_equal(found, normals[sheet])
