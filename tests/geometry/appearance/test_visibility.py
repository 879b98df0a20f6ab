"""What cameras see of shapes whose visible part has a closed form."""

from dataclasses import replace

import numpy as np
import pytest
from mesh_shapes import joined, looking, sphere, wall

from inr_plugins.errors import InputError
from inr_plugins.geometry.appearance.visibility import drop_unseen_faces, seen_faces, visible_vertices
from inr_plugins.geometry.mesh import vertex_normals

AROUND = looking(4 * np.array([[1, 0, 0.2], [-1, 0, 0.2], [0, 1, 0.2], [0, -1, 0.2], [0.1, 0, 1], [0.1, 0, -1]]))


def test_the_inner_of_two_spheres_is_unseen_and_goes():
    both = joined(sphere(1.0), sphere(0.9))
    seen = seen_faces(both, AROUND, rings=0)
    outer = np.arange(len(both.faces)) < len(both.faces) // 2
    assert (seen == outer).all()
    mesh, dropped = drop_unseen_faces(both, AROUND)
    assert dropped == len(both.faces) // 2
    assert np.allclose(np.linalg.norm(mesh.vertices, axis=1), 1.0)


def test_one_camera_sees_a_spherical_cap():
    # From distance d, a unit sphere's point p is seen when p.e > 1 / d: the tangent cone touches there.
    ball = sphere(subdivisions=5)
    seen = seen_faces(ball, looking([4.0, 0, 0]), rings=0)
    height = ball.vertices[ball.faces].mean(axis=1)[:, 0]
    cell = 0.04  # an edge of the sphere's triangles, which are flat, so that near the rim it may go either way
    assert seen[height > 1 / 4 + cell].all()
    assert not seen[height < 1 / 4 - cell].any()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_faces_smaller_than_the_pixels_are_seen_whatever_the_unit(scale):
    ball = sphere(subdivisions=6)  # 82k faces under 40 x 40 rays
    views = looking([4.0 * scale, 0, 0], size=40, focal=40.0)
    seen = seen_faces(replace(ball, vertices=ball.vertices * scale), views, rings=0)
    height = ball.vertices[ball.faces].mean(axis=1)[:, 0]
    assert seen[height > 0.27].all()
    assert not seen[height < 0.23].any()


def test_far_from_the_origin_nothing_is_lost():
    shift = np.array([5e6, 4e5, 100.0])
    both = joined(sphere(1.0), sphere(0.9))
    views = replace(AROUND, camera_to_world=AROUND.camera_to_world + [[0, 0, 0, s] for s in shift])
    seen = seen_faces(replace(both, vertices=both.vertices + shift), views, rings=0)
    assert seen[: len(seen) // 2].mean() > 0.99
    assert not seen[len(seen) // 2 :].any()


def test_a_wall_hides_what_its_shadow_covers():
    # Seen from x = 4, the wall of half side 0.5 at x = 2 covers half side 1 at x = 0.
    near, far = wall(2.0, half=0.5), wall(0.0, half=2.0, cells=32)
    seen = seen_faces(joined(near, far), looking([4.0, 0, 0], focal=80.0), rings=0)
    assert seen[: len(near.faces)].all()
    centre = np.abs(far.vertices[far.faces].mean(axis=1)[:, 1:]).max(axis=1)
    assert (seen[len(near.faces) :] == (centre > 1)).all()


def test_a_large_face_is_seen_by_its_corner():
    # Two triangles, of which the image holds a corner of one; their centroids are far outside.
    square = wall(0.0, half=2.0, cells=1)
    assert seen_faces(square, looking([4.0, 1.5, -1.5], at=(0.0, 1.5, -1.5), focal=400.0), rings=0).tolist() == [
        True,
        False,
    ]


def test_an_open_surface_is_seen_from_behind_too():
    assert seen_faces(wall(0.0), looking([4.0, 0, 0])).all()
    assert seen_faces(wall(0.0), looking([-4.0, 0, 0])).all()


def test_principal_point_and_focal_lengths_cut_what_is_seen():
    # At x = 0, 4 away: y = 4 (u - cx) / fx to the right, z = 4 (cy - v) / fy upwards, over 0 <= u < 60, 0 <= v < 80.
    views = looking([4.0, 0, 0], width=60, height=80, fx=100.0, fy=200.0, cx=-10.0, cy=50.0)
    far = wall(0.0, half=4.0, cells=160)
    seen = seen_faces(far, views, rings=0)
    y, z = far.vertices[far.faces].mean(axis=1)[:, 1:].T
    cell = 0.05
    inside = (y > 0.4 + cell) & (y < 2.8 - cell) & (z > -0.6 + cell) & (z < 1.0 - cell)
    outside = (y < 0.4 - cell) | (y > 2.8 + cell) | (z < -0.6 - cell) | (z > 1.0 + cell)
    assert inside.sum() > 1000
    assert seen[inside].all()
    assert not seen[outside].any()


def test_nothing_behind_a_camera_is_seen():
    assert not seen_faces(sphere(), looking([4.0, 0, 0], at=(8.0, 0, 0))).any()
    with pytest.raises(InputError, match="None of the 1 cameras"):
        drop_unseen_faces(sphere(), looking([4.0, 0, 0], at=(8.0, 0, 0)))


def test_each_ring_adds_the_neighbours():
    # Only the middle of the wall is in the image: every ring widens what is kept by one cell on all sides.
    far, views = wall(0.0, cells=20), looking([4.0, 0, 0], size=4)
    kept = [seen_faces(far, views, rings=rings).nonzero()[0] for rings in range(3)]
    reach = [np.abs(far.vertices[far.faces[some]][..., 1:]).max() for some in kept]
    assert np.allclose(np.diff(reach), 0.1)


def test_a_whole_mesh_stays_the_same_object():
    ball = sphere(subdivisions=2)
    assert drop_unseen_faces(ball, AROUND) == (ball, 0)


def test_visible_vertices_with_unit_directions_from_the_camera():
    ball = sphere(subdivisions=4)
    views = looking([[4.0, 0, 0], [0.0, 3.0, 0], [0.0, 0.1, 9.0]])
    found = list(visible_vertices(ball, views))
    assert [view for view, _, _ in found] == [0, 1, 2]
    for view, seen, directions in found:
        eye = views.camera_to_world[view, :, 3]
        distance = np.linalg.norm(eye)
        height = ball.vertices @ eye / distance
        assert (
            set(np.flatnonzero(height > 1 / distance + 0.05))
            <= set(seen)
            <= set(np.flatnonzero(height > 1 / distance - 0.05))
        )
        assert np.allclose(
            eye + directions * np.linalg.norm(ball.vertices[seen] - eye, axis=1)[:, None], ball.vertices[seen]
        )


def test_only_vertices_that_look_at_the_camera_when_normals_are_given():
    sheet = wall(0.0)
    away = np.tile([-1.0, 0, 0], (len(sheet.vertices), 1))
    assert list(visible_vertices(sheet, looking([4.0, 0, 0]), normals=away)) == []
    ((_, seen, _),) = visible_vertices(sheet, looking([4.0, 0, 0]), normals=-away)
    assert len(seen) == len(sheet.vertices)
    ball = sphere()
    ((_, everything, _),) = visible_vertices(ball, looking([4.0, 0, 0]))
    ((_, facing, _),) = visible_vertices(ball, looking([4.0, 0, 0]), normals=vertex_normals(ball))
    assert len(facing) > 0.95 * len(everything)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("fx", np.array([0.0]), "fx of cameras must be finite and positive"),
        ("cy", np.array([np.nan]), "cy of cameras must be finite"),
        ("width", np.array([0]), "width"),
        ("camera_to_world", 2 * np.eye(3, 4)[None], "rotation"),
        ("camera_to_world", np.full((1, 3, 4), np.inf), "rotation"),
        ("height", np.array([3, 3]), "height"),
    ],
)
def test_cameras_that_are_none_are_refused(name, value, message):
    with pytest.raises((ValueError, TypeError), match=message):
        replace(looking([4.0, 0, 0]), **{name: value})


def test_progress_counts_the_views():
    told: list[tuple[int, int]] = []
    seen_faces(sphere(subdivisions=1), AROUND, progress=lambda done, total: told.append((done, total)))
    assert told == [(k, 6) for k in range(1, 7)]
