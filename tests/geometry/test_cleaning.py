"""Pieces of a mesh, and fewer faces."""

import numpy as np
import pytest
import trimesh

from inr_plugins.errors import InputError
from inr_plugins.geometry.cleaning import (
    decimate,
    drop_small_components,
    face_components,
    floater_size,
    keep_largest_component,
)
from inr_plugins.geometry.mesh import Mesh, is_watertight, signed_volume


def scene() -> Mesh:
    """A large sphere (1280 faces), a middling one (320), and three boxes (12 each), their faces shuffled."""
    parts = [trimesh.creation.icosphere(3), trimesh.creation.icosphere(2).apply_translation([4, 0, 0])]
    parts += [trimesh.creation.box().apply_translation([0, 3.0 * k, 5]) for k in range(3)]
    joined = trimesh.util.concatenate(parts)
    order = np.random.default_rng(0).permutation(len(joined.faces))
    return Mesh(vertices=np.array(joined.vertices), faces=np.array(joined.faces)[order])


def test_components_are_counted():
    assert sorted(np.bincount(face_components(scene()))) == [12, 12, 12, 320, 1280]


def test_small_pieces_go_and_large_ones_stay_as_they_were():
    mesh, dropped = drop_small_components(scene(), min_faces=13)
    assert dropped == 3
    assert len(mesh.faces) == 1600
    assert is_watertight(mesh)
    assert mesh.vertices[:, 2].max() == pytest.approx(1.0)
    kept, none = drop_small_components(scene(), min_faces=12)
    assert none == 0
    assert len(kept.faces) == 1636


def test_largest_piece():
    mesh, dropped = keep_largest_component(scene())
    assert dropped == 4
    assert len(mesh.faces) == 1280
    assert np.allclose(np.linalg.norm(mesh.vertices, axis=1), 1)
    assert keep_largest_component(mesh) == (mesh, 0)


def test_removing_everything_is_refused():
    with pytest.raises(InputError, match="1280 faces"):
        drop_small_components(scene(), min_faces=1281)


def test_floaters_are_measured_against_the_largest_piece():
    assert floater_size(scene(), share=0.01) == 13
    assert floater_size(scene(), share=1e-9) == 1
    assert floater_size(scene(), share=1.0) == 1280


def test_decimation_reaches_its_target_and_keeps_the_shape():
    ball = trimesh.creation.icosphere(4)
    mesh = Mesh(vertices=np.array(ball.vertices), faces=np.array(ball.faces))
    thin = decimate(mesh, max_faces=500)
    assert 400 < len(thin.faces) <= 500
    assert is_watertight(thin)
    assert signed_volume(thin) == pytest.approx(signed_volume(mesh), rel=0.04)
    assert decimate(mesh, max_faces=len(mesh.faces)) is mesh
    with pytest.raises(InputError, match="--max-faces"):
        decimate(mesh, max_faces=3)
