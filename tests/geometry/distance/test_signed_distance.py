"""Signed distances to meshes, whole and broken, beside closed forms and brute force."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import trimesh
from mesh_shapes import joined, sphere, wall

from inr_plugins.errors import InputError
from inr_plugins.geometry.distance.signed_distance import MeshDistance, Sign
from inr_plugins.geometry.distance.winding import cover_bound, solid_angle_share
from inr_plugins.geometry.mesh import Mesh, select_faces
from inr_plugins.geometry.repair.cones import closing_cones

SIGNED = [sign for sign in get_args(Sign) if sign != "unsigned"]


def cloud(count, *, reach=1.3, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-reach, reach, (count, 3))


def box_mesh(sides=(1.0, 2.0, 1.5)) -> Mesh:
    box = trimesh.creation.box(extents=sides)
    return Mesh(np.array(box.vertices), np.array(box.faces))


def box_distance(points, sides=(1.0, 2.0, 1.5)) -> np.ndarray:
    over = np.abs(points) - np.array(sides) / 2
    return np.linalg.norm(np.maximum(over, 0), axis=1) + np.minimum(over.max(axis=1), 0)


def torus_mesh(*, cells=96) -> Mesh:
    """Radii 0.8 and 0.3, around z."""
    angle = 2 * np.pi * np.arange(cells) / cells
    long, short = np.meshgrid(angle, angle, indexing="ij")
    ring = 0.8 + 0.3 * np.cos(short)
    vertices = np.stack([ring * np.cos(long), ring * np.sin(long), 0.3 * np.sin(short)], axis=-1).reshape(-1, 3)
    number = np.arange(cells * cells).reshape(cells, cells)
    a, b = number, np.roll(number, -1, axis=0)
    c, d = np.roll(b, -1, axis=1), np.roll(a, -1, axis=1)
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    return Mesh(vertices, faces)


def excess_winding(points, mesh) -> np.ndarray:
    """Winding number by the spherical excess of each face (l'Huilier), face by face."""
    total = np.zeros(len(points))
    for face in mesh.vertices[mesh.faces]:
        a, b, c = (corner - points for corner in face)
        volume = np.einsum("ni,ni->n", a, np.cross(b, c))
        a, b, c = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (a, b, c))
        arcs = [2 * np.arcsin(np.linalg.norm(p - q, axis=1) / 2) for p, q in ((a, b), (b, c), (c, a))]
        half = sum(arcs) / 2
        product = np.tan(half / 2) * np.prod([np.tan((half - arc) / 2) for arc in arcs], axis=0)
        total += np.sign(volume) * 4 * np.arctan(np.sqrt(np.maximum(product, 0)))
    return total / (4 * np.pi)


@pytest.mark.parametrize("sign", SIGNED)
def test_a_box_has_its_exact_distance(sign):
    points = cloud(4000)
    found = MeshDistance(box_mesh(), sign)(points)
    assert found.dtype == np.float32
    assert np.abs(found - box_distance(points)).max() < 1e-6


@pytest.mark.parametrize("sign", SIGNED)
def test_a_torus_has_its_distance_up_to_the_facets(sign):
    points = cloud(4000)
    truth = np.hypot(np.hypot(points[:, 0], points[:, 1]) - 0.8, points[:, 2]) - 0.3
    # Facets lie inside the tube by up to 1.1 * (pi / 96)^2 / 2.
    assert np.abs(MeshDistance(torus_mesh(), sign)(points) - truth).max() < 1e-3


def test_unsigned_distances_are_the_same_without_a_sign():
    points = cloud(2000)
    assert np.abs(MeshDistance(box_mesh(), "unsigned")(points) - np.abs(box_distance(points))).max() < 1e-6


@pytest.mark.parametrize("sign", SIGNED)
@pytest.mark.parametrize("height", [0.02, 3.0])
def test_sharp_edges_and_corners_have_the_right_side(sign, height):
    # A flat and a pointed tetrahedron: the normal of just any face at their corners is often wrong.
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0.3, 0.9, 0], [0.4, 0.3, height]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
    rng = np.random.default_rng(0)
    corner = vertices[rng.integers(4, size=6000)]
    points = np.concatenate([corner + rng.normal(scale=0.3, size=(6000, 3)), cloud(2000)])
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    heights = np.einsum("nfi,fi->nf", points[:, None] - a, normals / np.linalg.norm(normals, axis=1, keepdims=True))
    clear = np.abs(heights).min(axis=1) > 1e-5
    outside = MeshDistance(Mesh(vertices, faces), sign)(points) > 0
    assert (outside == (heights > 0).any(axis=1))[clear].all()


def test_closest_points_and_normals_of_a_box():
    points = cloud(2000)
    found, normals = MeshDistance(box_mesh())(points), MeshDistance(box_mesh()).closest(points)[1]
    nearest, _ = MeshDistance(box_mesh()).closest(points)
    assert np.allclose(np.linalg.norm(points - nearest, axis=1), np.abs(found), atol=1e-6)
    assert np.allclose(np.abs(box_distance(nearest)), 0, atol=1e-6)
    assert np.allclose(box_distance(nearest + 0.01 * normals), 0.01, atol=1e-6)


def test_frames_far_from_the_origin_lose_nothing():
    shift = np.array([4e5, -2e6, 700.0])
    points = cloud(1000)
    mesh = replace(box_mesh(), vertices=box_mesh().vertices + shift)
    assert np.abs(MeshDistance(mesh)(points + shift) - box_distance(points)).max() < 2e-6
    assert np.abs(MeshDistance(mesh).closest(points + shift)[0] - shift).max() < 1.01


@pytest.fixture(scope="module")
def holed() -> Mesh:
    """A unit ball without its cap above z = 0.85."""
    ball = sphere(subdivisions=3)
    return select_faces(ball, ball.vertices[ball.faces].mean(axis=1)[:, 2] < 0.85)


def test_a_ball_with_a_hole_has_an_inside_by_winding_number_and_not_by_parity(holed):
    points = cloud(4000, reach=1.1)
    points = points[(np.abs(np.linalg.norm(points, axis=1) - 1) > 0.02) & (points[:, 2] < 0.5)]
    inside = np.linalg.norm(points, axis=1) < 1
    by_winding = MeshDistance(holed)
    assert by_winding.open_edges > 0
    assert ((by_winding(points) < 0) == inside).all()
    assert ((MeshDistance(holed, "parity")(points) < 0) != inside).any()


def test_the_film_over_a_hole_is_where_the_winding_number_is_one_half(holed):
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.normal((0, 0, 0.85), 0.25, (1500, 3)), cloud(300)])
    winding = excess_winding(points, holed)
    clear = np.abs(winding - 0.5) > 1e-4
    assert ((MeshDistance(holed)(points) < 0) == (winding > 0.5))[clear].all()


def test_a_broken_mesh_is_measured_as_the_whole_one(holed):
    ball = sphere(subdivisions=3)
    rng = np.random.default_rng(2)
    broken = np.where(rng.random(len(ball.faces))[:, None] < 0.2, ball.faces[:, ::-1], ball.faces)
    broken = np.concatenate([broken[3:], broken[50:90], broken[200:230, ::-1]])
    found = MeshDistance(replace(ball, faces=broken))
    assert found.solid.turned > 0
    points = cloud(3000)
    # Where one of the three faces is nearest, the distance is that to the rim of their hole.
    gone = ball.vertices[ball.faces[:3]].mean(axis=(0, 1))
    far = points @ gone < 0.8 * np.linalg.norm(points, axis=1)
    assert np.allclose(found(points)[far], MeshDistance(ball)(points)[far], atol=1e-6)


def test_a_mesh_that_is_inside_out_is_turned():
    box = box_mesh()
    points = cloud(1000)
    for sign in ("winding", "normals"):
        found = MeshDistance(replace(box, faces=box.faces[:, ::-1]), sign)
        assert found.solid.inside_out == 1
        assert np.abs(found(points) - box_distance(points)).max() < 1e-6


def test_where_two_solids_overlap_is_inside_both():
    one, other = sphere(0.7, subdivisions=3, centre=(-0.3, 0, 0)), sphere(0.7, subdivisions=3, centre=(0.3, 0.05, 0))
    points = cloud(4000)
    away = [np.linalg.norm(points - centre, axis=1) - 0.7 for centre in ([-0.3, 0, 0], [0.3, 0.05, 0])]
    clear = np.minimum(np.abs(away[0]), np.abs(away[1])) > 0.02
    inside = np.minimum(*away) < 0
    assert ((MeshDistance(joined(one, other))(points) < 0) == inside)[clear].all()
    both = np.maximum(*away) < -0.02
    assert (MeshDistance(joined(one, other), "parity")(points[both]) > 0).all()


def test_a_fin_on_a_solid_encloses_nothing():
    box = box_mesh()
    fin = Mesh(np.concatenate([box.vertices, [[0.9, 0.2, 1.2]]]), np.concatenate([box.faces, [[*box.faces[0, :2], 8]]]))
    points = cloud(4000)
    clear = np.abs(box_distance(points)) > 1e-3
    assert ((MeshDistance(fin)(points) < 0) == (box_distance(points) < 0))[clear].all()


def test_a_sheet_has_two_sides_by_its_normals():
    points = cloud(1000, reach=0.9)
    sheet = wall(0.0)
    side = MeshDistance(sheet, "normals")(points)
    # The sheet lies in x = 0, its faces look to +x or -x, all alike.
    facing = np.sign(np.cross(*np.diff(sheet.vertices[sheet.faces[0]], axis=0))[0])
    assert np.abs(side - facing * points[:, 0]).max() < 1e-6


def test_solid_angles_are_those_of_the_spherical_excess():
    ball = sphere(subdivisions=1)
    points = cloud(300)
    found = solid_angle_share(points, ball.vertices[ball.faces], np.ones(len(ball.faces)))
    assert np.allclose(found, excess_winding(points, ball), atol=1e-9)


def test_cones_cover_no_more_than_their_bound(holed):
    cones = closing_cones(holed)
    points = cloud(2000, reach=3.0)
    share = np.abs(solid_angle_share(points, cones.corners, cones.weight))
    assert (share <= cover_bound(points, cones) + 1e-12).all()
    assert np.isfinite(cover_bound(points, cones)).mean() > 0.9


def test_what_cannot_be_measured_is_refused():
    rng = np.random.default_rng(0)
    soup = Mesh(rng.random((21_000, 3)), np.arange(21_000).reshape(-1, 3))
    with pytest.raises(InputError, match="21000 open edges"):
        MeshDistance(soup)
    assert len(MeshDistance(soup, "unsigned")(cloud(10))) == 10
    line = Mesh(np.array([[0, 0, 0], [1, 0, 0], [2.0, 0, 0]]), np.array([[0, 1, 2]]))
    with pytest.raises(InputError, match="area"):
        MeshDistance(line)
