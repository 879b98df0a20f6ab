"""Solids of several parts: turned part by part, and without the faces that lie in other parts."""

from dataclasses import replace

import manifold3d
import numpy as np
import pytest
from mesh_shapes import joined, sphere, wall

from inr_plugins.geometry.distance.signed_distance import MeshDistance
from inr_plugins.geometry.frames import Similarity
from inr_plugins.geometry.mesh import Mesh, signed_volume, surface_area
from inr_plugins.geometry.repair import solid as solid_module
from inr_plugins.geometry.repair.sheets import closed_share
from inr_plugins.geometry.repair.solid import solid_of


def reversed_faces(mesh: Mesh) -> Mesh:
    return replace(mesh, faces=mesh.faces[:, ::-1])


def box(low, high, *, cells=1) -> Mesh:
    """A box of closed sides, each of `cells`^2 squares, whose corners are shared."""
    grid = np.stack(np.meshgrid(np.arange(cells), np.arange(cells), indexing="ij"), -1).reshape(-1, 2)
    quad = (grid[:, None] + np.array([[0, 0], [1, 0], [1, 1], [0, 1]])) / cells
    triangles = np.concatenate([quad[:, [0, 1, 2]], quad[:, [0, 2, 3]]])
    sides = []
    for axis in range(3):
        for end in (0.0, 1.0):
            u, v = (axis + 1) % 3, (axis + 2) % 3
            corners = np.empty((*triangles.shape[:2], 3))
            corners[..., axis], corners[..., u], corners[..., v] = end, triangles[..., 0], triangles[..., 1]
            sides.append(corners if end else corners[:, ::-1])
    corners = np.concatenate(sides).reshape(-1, 3)
    places, number = np.unique(corners.round(12), axis=0, return_inverse=True)
    low, high = np.array(low, dtype=float), np.array(high, dtype=float)
    return Mesh(low + places * (high - low), number.reshape(-1, 3))


def united(*meshes: Mesh) -> manifold3d.Manifold:
    """The exact union by another library."""
    each = [
        manifold3d.Manifold(manifold3d.Mesh64(np.ascontiguousarray(m.vertices), np.ascontiguousarray(m.faces)))
        for m in meshes
    ]
    return manifold3d.Manifold.batch_boolean(each, manifold3d.OpType.Add)


def union_mesh(*meshes: Mesh) -> Mesh:
    found = united(*meshes).to_mesh64()
    return Mesh(np.array(found.vert_properties), np.array(found.tri_verts, dtype=np.int64))


BALLS = [sphere(0.7, subdivisions=3, centre=centre) for centre in ((-0.6, 0, 0), (0, 0.15, 0.1), (0.6, 0.3, 0))]


def test_parts_beside_each_other_are_turned_one_by_one():
    parts = [box((i, j, 0), (i + 0.5, j + 0.5, 0.3 + 0.1 * i)) for i in range(4) for j in range(3)]
    wrong = [1, 4, 6, 9, 11]
    found = solid_of(joined(*(reversed_faces(part) if i in wrong else part for i, part in enumerate(parts))))
    assert (found.parts, found.inside_out, found.nested, found.inner_share) == (12, 5, 0, 0.0)
    assert signed_volume(found.mesh) == pytest.approx(sum(signed_volume(part) for part in parts))
    assert found.surface is found.mesh


@pytest.mark.parametrize("whole_file_inside_out", [False, True])
def test_a_wall_that_looks_inward_is_that_of_a_cavity(whole_file_inside_out):
    outer, inner, core = (sphere(radius, subdivisions=3) for radius in (1.0, 0.6, 0.3))
    hollow = joined(outer, reversed_faces(inner), core)
    found = solid_of(reversed_faces(hollow) if whole_file_inside_out else hollow)
    assert found.inside_out == (3 if whole_file_inside_out else 0)
    volume = signed_volume(outer) - signed_volume(inner) + signed_volume(core)
    assert signed_volume(found.mesh) == pytest.approx(volume)
    assert (found.nested, found.inner_share) == (0, 0.0)


def test_a_part_that_is_inside_out_in_a_cavity_is_turned():
    outer, inner, core = (sphere(radius, subdivisions=2) for radius in (1.0, 0.6, 0.3))
    found = solid_of(joined(outer, reversed_faces(inner), reversed_faces(core)))
    assert found.inside_out == 1
    assert signed_volume(found.mesh) == pytest.approx(signed_volume(outer) - signed_volume(inner) + signed_volume(core))


def test_a_part_that_looks_outward_within_another_is_solid_and_no_surface():
    outer, inner = sphere(1.0, subdivisions=3), sphere(0.6, subdivisions=3)
    found = solid_of(joined(outer, inner))
    assert (found.nested, found.inside_out) == (1, 0)
    assert surface_area(found.surface) == pytest.approx(surface_area(outer))
    distance = MeshDistance(found)
    assert distance(np.zeros((1, 3)))[0] == pytest.approx(-1, abs=0.01)


def test_a_part_inside_out_that_cuts_another_is_no_cavity():
    found = solid_of(joined(BALLS[0], reversed_faces(BALLS[1])))
    assert found.inside_out == 1
    assert surface_area(found.surface) == pytest.approx(united(*BALLS[:2]).surface_area(), rel=1e-6)


@pytest.mark.parametrize(
    "parts",
    [
        BALLS,
        [box((0, 0, 0), (1, 1, 1), cells=3), box((0.5, 0.25, 0.31), (1.5, 0.75, 0.77))],
        # In one plane: bottoms that lie in each other.
        [box((0, 0, 0), (1, 1, 1), cells=3), box((0.5, 0.21, 0), (1.5, 0.77, 0.5), cells=2)],
        # Touching: walls that are each other's, part of each other's, and the same triangles.
        [box((0, 0, 0), (1, 1, 1), cells=2), box((1, 0.3, 0.2), (2, 0.6, 0.7), cells=3)],
        [box((0, 0, 0), (1, 1, 1), cells=2), box((1, 0, 0), (2, 1, 1), cells=2)],
        [box((0, 0, 0), (1, 1, 1), cells=2), box((1, 0, 0), (2, 1, 1), cells=3)],
        # A copy, and one beside in an edge.
        [box((0, 0, 0), (1, 1, 1), cells=2), box((0, 0, 0), (1, 1, 1), cells=2), box((1, 1, 0), (2, 2, 1), cells=2)],
    ],
    ids=["balls", "cut", "one-plane", "touching-part", "touching-same", "touching-other", "copy-and-edge"],
)
def test_the_surface_is_that_of_the_union(parts):
    found = solid_of(joined(*parts))
    truth = union_mesh(*parts)
    assert surface_area(found.surface) == pytest.approx(united(*parts).surface_area(), rel=1e-6)
    assert found.open_edges == 0
    points = np.random.default_rng(0).uniform(*(truth.bounds + np.array([[-0.2], [0.2]])), (4000, 3))
    expected = MeshDistance(truth)(points)
    assert np.abs(MeshDistance(found)(points) - expected).max() < 1e-5


def test_welded_solids_that_touch_are_turned_one_by_one():
    parts = [box((i, 0, 0), (i + 1, 1, 1 + 0.5 * i), cells=1) for i in range(3)]
    parts[1] = reversed_faces(parts[1])
    corners = np.concatenate([part.vertices[part.faces] for part in parts])
    soup = Mesh(corners.reshape(-1, 3), np.arange(corners.size // 3).reshape(-1, 3))
    found = solid_of(soup)
    assert (found.parts, found.inside_out) == (3, 1)
    # The walls between them, of 1 and 1.5, are twice in the parts.
    areas = [2 + 4 * (1 + 0.5 * i) for i in range(3)]
    assert surface_area(found.surface) == pytest.approx(sum(areas) - 2 * (1 + 1.5))


def test_a_hundred_balls_are_united_like_the_other_library_does():
    rng = np.random.default_rng(0)
    parts = [sphere(0.25, subdivisions=1, centre=centre) for centre in rng.uniform(-1, 1, (100, 3))]
    turned = [reversed_faces(part) if rng.random() < 0.3 else part for part in parts]
    found = solid_of(joined(*turned))
    # Where four planes come together in rounding's reach, a sliver may be counted or not.
    assert surface_area(found.surface) == pytest.approx(united(*parts).surface_area(), rel=1e-5)
    assert found.inner_share > 0.3


def test_where_faces_cut_each_other_too_often_they_go_as_a_whole(monkeypatch):
    monkeypatch.setattr(solid_module, "_MOST_SEGMENTS", 10)
    found = solid_of(joined(*BALLS))
    assert found.crowded
    exact = united(*BALLS).surface_area()
    assert exact * 0.98 < surface_area(found.surface) < exact * 1.1


def test_a_sheet_within_a_solid_is_no_surface_and_one_beside_it_is():
    ball, sheet = sphere(1.0, subdivisions=3), wall(0.0, half=0.4, cells=3)
    beside = replace(sheet, vertices=sheet.vertices + np.array([3, 0, 0]))
    found = solid_of(joined(ball, sheet, beside))
    assert surface_area(found.surface) == pytest.approx(surface_area(ball) + surface_area(beside))
    crossing = wall(0.5, half=2.0, cells=3)
    found = solid_of(joined(ball, crossing))
    disc = surface_area(crossing) - (surface_area(found.surface) - surface_area(ball))
    assert disc == pytest.approx(np.pi * 0.75, rel=0.03)


def test_a_solid_can_be_moved_and_mirrored():
    solid = solid_of(joined(*BALLS, wall(3.0)))
    mirror = Similarity(np.diag([1.0, -1.0, 1.0]), 2.0, np.array([1.0, 2.0, 3.0]))
    moved, again = solid.moved(mirror), solid_of(solid.moved(mirror).mesh)
    assert surface_area(moved.surface) == pytest.approx(surface_area(again.surface))
    points = np.random.default_rng(0).uniform(-3, 3, (1000, 3))
    assert np.allclose(MeshDistance(moved)(mirror.points(points)), 2 * MeshDistance(solid)(points), atol=1e-5)


def test_how_far_an_open_mesh_closes():
    ball = sphere(subdivisions=4)
    height = ball.vertices[ball.faces].mean(axis=1)[:, 2]
    assert closed_share(solid_of(ball)) == 1.0
    half = replace(ball, faces=ball.faces[height < 0])
    # From the rim of half a ball to its pole the share rises from 3/4 to 1/2 + 1/sqrt(8).
    assert 0.75 < closed_share(solid_of(half)) < 0.5 + 1 / np.sqrt(8)
    assert closed_share(solid_of(wall(0.0))) == pytest.approx(0.5, abs=1e-3)
    shallow = replace(ball, faces=ball.faces[height > 0.9])
    assert closed_share(solid_of(shallow)) < 0.65
    # Loose squares that look like a box are one.
    patches = box((0, 0, 0), (1, 1, 1), cells=2)
    loose = patches.vertices[patches.faces] * (1 - 1e-4) + 1e-4 * patches.vertices[patches.faces].mean(axis=1)[:, None]
    assert closed_share(solid_of(Mesh(loose.reshape(-1, 3), np.arange(loose.size // 3).reshape(-1, 3)))) > 0.99
