"""Meshes whose faces were turned over, doubled or cut away, and come back as surfaces."""

from dataclasses import replace

import numpy as np
import pytest
from mesh_shapes import joined, sphere, wall

from inr_plugins.errors import InputError
from inr_plugins.geometry.mesh import Mesh, is_watertight, select_faces, signed_volume
from inr_plugins.geometry.repair.cones import closing_cones
from inr_plugins.geometry.repair.orientation import oriented_outward


def turned_over(mesh: Mesh, which) -> Mesh:
    return replace(mesh, faces=np.where(which[:, None], mesh.faces[:, ::-1], mesh.faces))


def test_a_good_mesh_stays_as_it_is():
    ball = sphere(subdivisions=2)
    oriented = oriented_outward(ball)
    assert np.array_equal(oriented.mesh.vertices[oriented.mesh.faces], ball.vertices[ball.faces])
    assert (oriented.turned, oriented.inside_out, len(oriented.cones.corners)) == (0, 0, 0)


@pytest.mark.parametrize("share", [0.1, 0.4, 0.8])
def test_faces_that_look_inward_are_turned_to_their_neighbours(share):
    ball = joined(sphere(subdivisions=3), sphere(0.5, subdivisions=2, centre=(3, 0, 0)))
    wrong = np.random.default_rng(0).random(len(ball.faces)) < share
    wrong[[0, 1280]] = share < 0.5  # the first face of each is no example
    oriented = oriented_outward(turned_over(ball, wrong))
    assert is_watertight(oriented.mesh)
    assert signed_volume(oriented.mesh) == pytest.approx(signed_volume(ball))
    assert oriented.turned == (wrong.sum() if share < 0.5 else (~wrong).sum())
    assert oriented.inside_out == (2 if share > 0.5 else 0)


def test_the_wall_of_a_cavity_goes_on_looking_into_it():
    inner = sphere(0.5, subdivisions=2)
    hollow = joined(sphere(subdivisions=3), turned_over(inner, np.ones(len(inner.faces), dtype=bool)))
    oriented = oriented_outward(hollow)
    assert oriented.turned == 0
    assert signed_volume(oriented.mesh) == pytest.approx(signed_volume(sphere(subdivisions=3)) - signed_volume(inner))
    assert oriented_outward(turned_over(hollow, np.ones(len(hollow.faces), dtype=bool))).inside_out == 2


def test_loose_triangles_and_twofold_faces_become_one_surface():
    ball = sphere(subdivisions=2)
    soup = Mesh(ball.vertices[ball.faces].reshape(-1, 3), np.arange(ball.faces.size).reshape(-1, 3))
    soup = replace(soup, faces=np.concatenate([soup.faces, soup.faces[:40], np.roll(soup.faces[40:60], 1, axis=1)]))
    oriented = oriented_outward(soup)
    assert is_watertight(oriented.mesh)
    assert len(oriented.mesh.vertices) == len(ball.vertices)


def test_a_moebius_strip_cannot_be_oriented_and_stays():
    count = 12
    angle = 2 * np.pi * np.arange(count) / count
    across = np.stack([np.cos(angle / 2) * np.cos(angle), np.cos(angle / 2) * np.sin(angle), np.sin(angle / 2)], axis=1)
    middle = 3 * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    left, right = np.arange(count), np.arange(count) + count
    after_left, after_right = np.roll(left, -1), np.roll(right, -1)
    after_left[-1], after_right[-1] = count, 0
    faces = np.concatenate([np.stack([left, after_left, right], 1), np.stack([after_left, after_right, right], 1)])
    strip = Mesh(np.concatenate([middle - across, middle + across]), faces)
    assert oriented_outward(strip).turned == 0


def test_a_flat_sheet_is_not_turned():
    for facing in (wall(0.3), turned_over(wall(0.3), np.ones(512, dtype=bool))):
        oriented = oriented_outward(facing)
        assert not oriented.inside_out
        assert np.array_equal(oriented.mesh.vertices[oriented.mesh.faces], facing.vertices[facing.faces])


def test_faces_back_to_back_are_no_surface():
    with pytest.raises(InputError, match="back to back"):
        oriented_outward(Mesh(np.eye(3), np.array([[0, 1, 2], [2, 1, 0]])))


def test_cones_close_every_hole():
    ball = sphere(subdivisions=3)
    centre = ball.vertices[ball.faces].mean(axis=1)
    open_ball = select_faces(ball, (centre[:, 2] < 0.8) & (centre[:, 0] > -0.9))
    cones = closing_cones(open_ball)
    assert len(cones.tip) == 2
    # Mesh and cones as one: every directed edge meets its opposite.
    corners = np.concatenate([open_ball.vertices[open_ball.faces], cones.corners]).round(9)
    _, number = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    closed = Mesh(corners.reshape(-1, 3), np.arange(3 * len(corners)).reshape(-1, 3))
    closed = replace(closed, vertices=np.unique(corners.reshape(-1, 3), axis=0), faces=number.reshape(-1, 3))
    assert is_watertight(closed)
    # A flat lid would take a little more off; the cones stand almost flat.
    assert signed_volume(closed) == pytest.approx(signed_volume(ball), rel=0.12)


def test_an_edge_of_three_faces_is_closed_too():
    # Two faces that agree at an edge, and a fin on it.
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1.0]])
    mesh = Mesh(vertices, np.array([[0, 1, 2], [1, 0, 3], [0, 1, 4]]))
    cones = closing_cones(mesh)
    net = {}
    for triangle, weight in [(vertices[face], 1) for face in mesh.faces] + list(
        zip(cones.corners, cones.weight, strict=True)
    ):
        for start, end in zip(triangle, np.roll(triangle, -1, axis=0), strict=True):
            a, b = tuple(start), tuple(end)
            net[min(a, b), max(a, b)] = net.get((min(a, b), max(a, b)), 0) + (weight if a < b else -weight)
    assert all(value == 0 for value in net.values())
