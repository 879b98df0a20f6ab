"""Pieces of a mesh, faces without area or twice there, and fewer faces."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from mesh_shapes import sphere

from inr_plugins.errors import InputError
from inr_plugins.geometry.levelset.isosurface import extract_isosurface
from inr_plugins.geometry.mesh import Mesh, is_watertight, signed_volume, surface_area
from inr_plugins.geometry.repair.cleaning import (
    decimate,
    drop_degenerate_faces,
    drop_duplicate_faces,
    drop_small_components,
    face_components,
    floater_size,
    keep_largest_component,
    thin_out_quickly,
)


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
    with pytest.raises(InputError, match=r"^`max_faces` is 3"):
        decimate(mesh, max_faces=3)


def coinciding_steps(x):
    # Whole numbers: the level is met exactly at lattice points, where several edges' vertices coincide.
    return np.round(4 * (np.linalg.norm(x - [0.1, -0.05, -0.1], axis=1) - 0.55))


def areas(mesh: Mesh) -> np.ndarray:
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def edge_balance(mesh: Mesh) -> Counter:
    """Of each edge, how much more often it runs one way than the other: empty for a surface without border."""
    runs: Counter[tuple[int, int]] = Counter()
    for face in mesh.faces.tolist():
        for start, end in zip(face, face[1:] + face[:1], strict=True):
            runs[min(start, end), max(start, end)] += 1 if start < end else -1
    return Counter({edge: balance for edge, balance in runs.items() if balance})


def test_degenerate_faces_of_marching_cubes_go_without_a_crack():
    mesh = extract_isosurface(
        coinciding_steps, np.array([[-1.0, -0.8, -0.9], [1.1, 0.9, 0.7]]), resolution=24, level=0.0, inside="below"
    )
    flat = int((areas(mesh) == 0).sum())
    assert flat > 50
    cleaned, count = drop_degenerate_faces(mesh)
    assert count >= flat
    assert len(cleaned.faces) == len(mesh.faces) - count
    assert (areas(cleaned) > 0).all()
    assert not edge_balance(mesh)
    assert not edge_balance(cleaned)
    assert signed_volume(cleaned) == pytest.approx(signed_volume(mesh), rel=1e-12)
    assert drop_degenerate_faces(cleaned) == (cleaned, 0)


def test_a_collapsed_edge_joins_its_neighbours():
    # A box whose vertex 0 was split in two along an edge: the two slivers between are without area.
    box = trimesh.creation.box()
    vertices = np.vstack([box.vertices, box.vertices[0]])
    around = np.flatnonzero((box.faces == 0).any(axis=1))
    faces = np.array(box.faces)
    fan = {}  # the faces around vertex 0: from one neighbour of it to the next
    for row in around:
        corner = list(faces[row]).index(0)
        fan[faces[row, (corner + 1) % 3]] = (row, faces[row, (corner + 2) % 3])
    start = next(iter(fan))
    moved, at = [], start
    for _ in range(2):
        row, at = fan[at]
        moved.append(row)
    for row in moved:
        faces[row][faces[row] == 0] = 8
    split = Mesh(vertices=vertices, faces=np.vstack([faces, [[0, start, 8]], [[0, 8, at]]]))
    assert is_watertight(split)
    mesh, count = drop_degenerate_faces(split)
    assert count == 2
    assert is_watertight(mesh)
    assert len(mesh.vertices) == 8
    assert signed_volume(mesh) == pytest.approx(1)


def test_sheets_that_only_touch_are_not_joined():
    ball = trimesh.creation.icosphere(1)
    touching = trimesh.util.concatenate([ball, ball.copy().apply_translation([2, 0, 0])])
    split = Mesh(vertices=np.array(touching.vertices), faces=np.array(touching.faces))
    assert drop_degenerate_faces(split) == (split, 0)


def test_faces_with_a_repeated_corner_go_with_their_colours_left_in_place():
    ball = trimesh.creation.icosphere(1)
    colours = np.random.default_rng(0).random(ball.vertices.shape)
    faces = np.vstack([ball.faces, [[3, 3, 7], [5, 5, 5]]])
    mesh, count = drop_degenerate_faces(Mesh(vertices=np.array(ball.vertices), faces=faces, colours=colours))
    assert count == 2
    assert np.array_equal(mesh.faces, ball.faces)
    assert np.array_equal(mesh.colours, colours)


def test_a_flat_face_of_three_points_stays_since_its_neighbours_need_it():
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [1, 1, 0], [1, -1, 0]])
    faces = np.array([[0, 1, 3], [1, 2, 3], [0, 2, 1], [0, 4, 2]])
    sliver = Mesh(vertices=corners, faces=faces)
    assert drop_degenerate_faces(sliver) == (sliver, 0)


def test_nothing_but_degenerate_faces_is_refused():
    with pytest.raises(InputError, match="All 1 faces"):
        drop_degenerate_faces(Mesh(vertices=np.zeros((3, 3)), faces=np.array([[0, 1, 2]])))


def test_one_of_each_set_of_equal_faces_stays():
    ball = trimesh.creation.icosphere(1)
    extra = np.vstack([ball.faces[[4, 9]][:, [1, 2, 0]], ball.faces[[4]][:, [2, 1, 0]]])
    mesh, count = drop_duplicate_faces(Mesh(vertices=np.array(ball.vertices), faces=np.vstack([ball.faces, extra])))
    assert count == 3
    assert np.array_equal(mesh.faces, ball.faces)
    assert drop_duplicate_faces(mesh) == (mesh, 0)


def test_two_faces_back_to_back_on_their_own_both_go():
    ball = trimesh.creation.icosphere(1)
    vertices = np.vstack([ball.vertices, np.eye(3) + 5])
    pillow = np.array([[42, 43, 44], [43, 42, 44]])
    closed = Mesh(vertices=vertices, faces=np.vstack([ball.faces, pillow]))
    assert is_watertight(closed)
    mesh, count = drop_duplicate_faces(closed)
    assert count == 2
    assert is_watertight(mesh)
    assert len(mesh.vertices) == 42


def test_a_sheet_with_two_sides_keeps_one():
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 0.5, 0]])
    front = np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])
    mesh, count = drop_duplicate_faces(Mesh(vertices=corners, faces=np.vstack([front, front[:, ::-1]])))
    assert count == 4
    assert np.array_equal(mesh.faces, front)


def test_the_same_open_triangle_twice_keeps_one():
    mesh, count = drop_duplicate_faces(Mesh(vertices=np.eye(3), faces=np.array([[0, 1, 2], [2, 0, 1]])))
    assert count == 1
    assert np.array_equal(mesh.faces, [[0, 1, 2]])


def test_nothing_but_pairs_back_to_back_is_refused():
    with pytest.raises(InputError, match="back to back"):
        drop_duplicate_faces(Mesh(vertices=np.eye(3), faces=np.array([[0, 1, 2], [2, 1, 0]])))


@pytest.mark.parametrize("most", [500, 4000])
def test_thinning_out_for_pictures_stays_near_the_ball_and_keeps_its_colours(most):
    ball = sphere(2.0, subdivisions=5)
    ball = replace(ball, colours=0.5 + 0.25 * ball.vertices)
    thin = thin_out_quickly(ball, max_faces=most)
    assert 0.6 * most < len(thin.faces) <= most
    edge = np.sqrt(4 * np.pi * 4 / (most / 2))
    assert np.abs(np.linalg.norm(thin.vertices, axis=1) - 2).max() < edge**2 / 8
    assert surface_area(thin) == pytest.approx(16 * np.pi, rel=0.1)
    assert np.abs(thin.colours - (0.5 + 0.25 * thin.vertices)).max() < 0.02
    assert thin_out_quickly(thin, max_faces=most) is thin
