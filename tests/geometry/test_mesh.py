"""Measures and moves of meshes, against trimesh on the same arrays and against closed forms."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from inr_plugins.geometry.frames import Similarity
from inr_plugins.geometry.mesh import (
    Mesh,
    from_open3d,
    is_watertight,
    select_faces,
    signed_volume,
    surface_area,
    to_open3d,
    transform_mesh,
    vertex_normals,
)


def mesh_of(source: trimesh.Trimesh) -> Mesh:
    return Mesh(vertices=np.array(source.vertices), faces=np.array(source.faces))


@pytest.fixture
def knot() -> Mesh:
    """A torus pulled out of shape, far from the origin."""
    source = trimesh.creation.torus(major_radius=1.0, minor_radius=0.3, major_sections=24, minor_sections=12)
    vertices = source.vertices * [1.0, 2.0, 0.7] + 0.1 * np.sin(5 * source.vertices[:, ::-1]) + [100.0, -50.0, 3.0]
    return Mesh(vertices=vertices, faces=np.array(source.faces))


def test_area_volume_and_normals_agree_with_trimesh(knot):
    judged = trimesh.Trimesh(knot.vertices, knot.faces, process=False)
    assert surface_area(knot) == pytest.approx(judged.area)
    assert signed_volume(knot) == pytest.approx(judged.volume)
    expected = np.zeros_like(knot.vertices)
    for face, normal, area in zip(judged.faces, judged.face_normals, judged.area_faces, strict=True):
        expected[face] += normal * area
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.allclose(vertex_normals(knot), expected, atol=1e-9)


def test_volume_far_from_the_origin_keeps_its_digits():
    box = mesh_of(trimesh.creation.box(extents=[0.1, 0.2, 0.3]))
    far = replace(box, vertices=box.vertices + 1e6)
    assert signed_volume(far) == pytest.approx(0.006, rel=1e-6)


@pytest.mark.parametrize("mirror", [False, True])
def test_moved_mesh_keeps_looking_outward(knot, mirror):
    rotation, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))
    if (np.linalg.det(rotation) < 0) != mirror:
        rotation[:, 0] *= -1
    similarity = Similarity(rotation, 0.4, np.array([1.0, 2.0, 3.0]))
    moved = transform_mesh(replace(knot, normals=vertex_normals(knot)), similarity)
    assert signed_volume(knot) > 0
    assert signed_volume(moved) == pytest.approx(0.4**3 * signed_volume(knot))
    assert surface_area(moved) == pytest.approx(0.4**2 * surface_area(knot))
    assert moved.normals is not None
    assert np.allclose(moved.normals, vertex_normals(moved), atol=1e-9)


def test_watertight_finds_holes_flips_and_doubled_faces(knot):
    assert is_watertight(knot)
    assert not is_watertight(replace(knot, faces=knot.faces[1:]))
    flipped = knot.faces.copy()
    flipped[7] = flipped[7, ::-1]
    assert not is_watertight(replace(knot, faces=flipped))
    assert not is_watertight(replace(knot, faces=np.concatenate([knot.faces, knot.faces])))
    assert not is_watertight(replace(knot, faces=knot.faces[:0]))


def test_selected_faces_keep_their_corners_and_attributes(knot):
    full = replace(knot, normals=vertex_normals(knot), colours=np.random.default_rng(1).random(knot.vertices.shape))
    keep = knot.vertices[knot.faces, 0].mean(axis=1) > knot.vertices[:, 0].mean()
    part = select_faces(full, keep)
    for name in ("vertices", "normals", "colours"):
        assert np.array_equal(getattr(part, name)[part.faces], getattr(full, name)[full.faces[keep]])
    assert len(part.vertices) == len(np.unique(full.faces[keep])) < len(full.vertices)


def test_open3d_and_back(knot):
    full = replace(knot, normals=vertex_normals(knot), colours=np.random.default_rng(2).random(knot.vertices.shape))
    theirs = to_open3d(full)
    assert theirs.is_watertight()
    assert theirs.get_volume() == pytest.approx(signed_volume(knot), rel=1e-6)
    back = from_open3d(theirs)
    for name in ("vertices", "faces", "normals", "colours"):
        assert np.array_equal(getattr(back, name), getattr(full, name))
