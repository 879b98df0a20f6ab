"""Colours averaged over the cameras that see a vertex, against the average written out."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from mesh_shapes import joined, looking, sphere, wall

from inr_plugins.errors import InputError
from inr_plugins.geometry.appearance import visibility
from inr_plugins.geometry.appearance.colour import mean_over_views
from inr_plugins.geometry.appearance.visibility import seen_faces
from inr_plugins.geometry.mesh import Mesh


def outward(ball: Mesh) -> Mesh:
    return replace(ball, normals=ball.vertices / np.linalg.norm(ball.vertices, axis=1, keepdims=True))


def by_direction(points, directions):
    """A colour that depends on the direction alone, in (0, 1)."""
    return (directions + 1) / 2


def test_views_count_by_the_cosine_of_normal_and_direction():
    # A convex body: a camera sees just the points whose tangent plane it stands above.
    ball = outward(sphere(subdivisions=3))
    eyes = np.array([[4.0, 0, 0], [0, 5.0, 1.0], [3.0, 3.0, 0.5], [-1.0, 0.5, 2.0]])
    fallback = np.tile([0.25, 0.5, 0.75], (len(ball.vertices), 1))
    mean, unseen = mean_over_views(ball, looking(eyes), by_direction, fallback)

    wanted, weights = np.zeros((len(ball.vertices), 3)), np.zeros(len(ball.vertices))
    rim = np.zeros(len(ball.vertices), dtype=bool)
    for eye in eyes:
        sight = ball.vertices - eye
        sight /= np.linalg.norm(sight, axis=1, keepdims=True)
        cosine = -(sight * ball.vertices).sum(axis=1)
        wanted += np.maximum(cosine, 0)[:, None] * (sight + 1) / 2
        weights += np.maximum(cosine, 0)
        rim |= np.abs(cosine) < 0.1  # a flat triangle before the rim may hide it
    known = (weights > 0) & ~rim
    assert np.allclose(mean[known], (wanted / weights[:, None].clip(1e-9))[known], atol=1e-6)
    nowhere = (weights == 0) & ~rim
    assert np.allclose(mean[nowhere], [0.25, 0.5, 0.75])
    assert nowhere.sum() <= unseen <= nowhere.sum() + rim.sum()


def test_a_hidden_camera_does_not_count():
    # Seen from -x and +x; the wall at x = 2 stands before the second camera.
    ball, screen = sphere(subdivisions=3), wall(2.0, half=1.5)
    both = joined(ball, screen)
    sides = looking([[4.0, 0, 0], [-4.0, 0, 0]])
    fallback = np.zeros((len(both.vertices), 3))
    mean, _ = mean_over_views(both, sides, lambda points, directions: np.full_like(points, 0.5), fallback)
    front = ball.vertices[:, 0]
    assert (mean[: len(front)][front > 0.01] == 0).all()
    assert np.allclose(mean[: len(front)][front < -0.3], 0.5)


def test_colours_are_clipped_as_in_a_picture_before_they_are_averaged():
    sheet = replace(wall(0.0, cells=2), normals=np.tile([1.0, 0, 0], (9, 1)))
    views = looking([[4.0, 1.0, 0], [4.0, -1.0, 0]], focal=50.0)

    def glare(points, directions):
        return np.where(directions[:, 1:2] > 0, 5.0, 0.0) * np.ones((1, 3))

    mean, unseen = mean_over_views(sheet, views, glare, np.zeros((9, 3)))
    assert unseen == 0
    middle = np.abs(sheet.vertices).max(axis=1) == 0
    assert np.allclose(mean[middle], 0.5)
    assert mean.max() <= 1


def test_points_come_in_chunks_and_the_answer_does_not_change():
    ball, views = outward(sphere(subdivisions=2)), looking([[4.0, 0, 0], [0, 4.0, 1.0]])
    fallback = np.zeros((len(ball.vertices), 3))
    sizes = []

    def recorded(points, directions):
        sizes.append(len(points))
        return by_direction(points, directions)

    whole, _ = mean_over_views(ball, views, by_direction, fallback)
    parts, _ = mean_over_views(ball, views, recorded, fallback, chunk_points=7)
    assert max(sizes) == 7
    assert np.array_equal(whole, parts)


def test_a_colour_that_is_no_number_is_refused():
    with pytest.raises(InputError, match="NaN or infinite"):
        mean_over_views(
            sphere(subdivisions=1), looking([4.0, 0, 0]), lambda x, d: np.full_like(x, np.nan), np.zeros((42, 3))
        )


def test_vertices_are_asked_about_in_blocks_and_the_answer_does_not_change(monkeypatch):
    ball, views = outward(sphere(subdivisions=3)), looking([[4.0, 0, 0], [0, 5.0, 1.0]])
    fallback = np.zeros((len(ball.vertices), 3))
    whole = mean_over_views(ball, views, by_direction, fallback)
    monkeypatch.setattr(visibility, "_POINTS_AT_ONCE", 101)
    blocks = mean_over_views(ball, views, by_direction, fallback)
    assert np.array_equal(whole[0], blocks[0])
    assert whole[1] == blocks[1]
    seen = seen_faces(ball, views, longest_side=8, rings=0)
    monkeypatch.undo()
    assert np.array_equal(seen, seen_faces(ball, views, longest_side=8, rings=0))


def test_memory_is_a_blocks_whatever_the_cameras(monkeypatch):
    ball = outward(sphere(subdivisions=4))
    fallback = np.zeros((len(ball.vertices), 3))

    def peak(count, block):
        monkeypatch.setattr(visibility, "_POINTS_AT_ONCE", block)
        turns = np.linspace(0, 2, count)
        views = looking(np.stack([4 * np.cos(turns), 4 * np.sin(turns), turns], -1))
        tracemalloc.start()
        mean_over_views(ball, views, by_direction, fallback, chunk_points=block)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    # Per vertex of the mesh: two sums, the mean, its mask, the caster's copy; per vertex of a block, what it is asked.
    few, many = peak(2, 200), peak(20, 200)
    assert many < 1.1 * few + 20 * 200
    assert few < 0.6 * peak(2, 1 << 18)
