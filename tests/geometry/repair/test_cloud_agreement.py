"""Normals that are not those of the surface are found out, and right ones are left alone, beside known normals."""

import numpy as np
import pytest
import trimesh

from inr_plugins.geometry.distance.cloud_normals import contradictions, neighbourhoods
from inr_plugins.geometry.mesh import Mesh
from inr_plugins.geometry.repair.cloud_agreement import settled_normals
from inr_plugins.geometry.surface_sampler import SurfaceSampler

RNG = np.random.default_rng(7)


def drawn(mesh, count):
    return SurfaceSampler(Mesh(np.array(mesh.vertices), np.array(mesh.faces))).sample(count, np.random.default_rng(1))


def ball(count=2000):
    normals = np.random.default_rng(0).normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return 40 * normals + [1e3, 0, 0], normals


def box():
    return drawn(trimesh.creation.box((1.0, 0.7, 0.5)), 4000)


def plate():
    """Half as thick as its points are far apart."""
    return drawn(trimesh.creation.box((1.0, 1.0, 0.005)), 8000)


def noisy():
    points, normals = ball()
    return points + RNG.normal(scale=1.5, size=points.shape), normals


def agreeing(found, truth):
    return (np.einsum("ij,ij->i", found, truth) > 0).mean()


@pytest.mark.parametrize("shape", [ball, box, plate, noisy])
def test_right_normals_are_kept_as_they_are(shape):
    points, truth = shape()
    found = settled_normals(points, truth)
    assert np.array_equal(found.normals, truth)
    assert found.notes == ()


@pytest.mark.parametrize("shape", [ball, box, noisy])
def test_normals_that_all_look_inward_are_turned(shape):
    points, truth = shape()
    found = settled_normals(points, -truth)
    assert np.array_equal(found.normals, truth)
    assert found.notes == ("normals looked inward, turned",)


@pytest.mark.parametrize("shape", [ball, box])
@pytest.mark.parametrize("which", ["a half at random", "a patch", "a few"])
def test_normals_that_contradict_their_neighbours_are_turned(shape, which):
    points, truth = shape()
    flip = {"a half at random": 0.5, "a few": 0.03}.get(which, 0)
    wrong = RNG.random(len(points)) < flip if flip else points[:, 1] > np.quantile(points[:, 1], 0.8) - 1e-9
    found = settled_normals(points, np.where(wrong[:, None], -truth, truth))
    assert agreeing(found.normals, truth) > 0.998
    # Turned and not estimated: the directions are those of the file, to the last bit.
    assert np.array_equal(np.abs(found.normals), np.abs(truth))
    (note,) = found.notes
    assert "look opposite ways" in note
    assert note.endswith("turned")


def test_normals_of_another_surface_are_estimated_anew():
    points, truth = box()
    found = settled_normals(points, truth[:, [1, 2, 0]])
    assert agreeing(found.normals, truth) > 0.998
    assert found.notes == ("the file's normals do not stand across the surface, estimated instead",)
    at_random = RNG.normal(size=truth.shape)
    found = settled_normals(points, at_random / np.linalg.norm(at_random, axis=1, keepdims=True))
    assert agreeing(found.normals, truth) > 0.998


def test_contradictions_are_the_pairs_that_a_flip_makes():
    points, truth = ball()
    near = neighbourhoods(points)
    assert contradictions(points, truth, near) == 0
    flipped = truth.copy()
    flipped[10] *= -1
    pairs = (near[:, 1:] == 10).sum() + near.shape[1] - 1
    assert contradictions(points, flipped, near) == pytest.approx(pairs / near[:, 1:].size)
