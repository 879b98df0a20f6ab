import numpy as np
import pytest
import trimesh
from scipy.ndimage import binary_fill_holes

from inr_plugins.geometry.levelset.isosurface import mesh_level_set
from inr_plugins.geometry.levelset.lattice import Lattice
from inr_plugins.geometry.mesh import Mesh, is_watertight, select_faces, signed_volume
from inr_plugins.geometry.repair import cavities
from inr_plugins.geometry.repair.cavities import fill_cavities

AXIS = np.linspace(-1, 1, 41)
POINTS = np.stack(np.meshgrid(AXIS, AXIS, AXIS, indexing="ij"), axis=-1)
LATTICE = Lattice.for_box(np.array([[-1.0] * 3, [1.0] * 3]), resolution=41)


def ball(centre, radius):
    return (radius - np.linalg.norm(POINTS - np.array(centre), axis=-1)).astype(np.float32)


def meshed(values):
    return mesh_level_set(values, LATTICE, level=0.0)


def by_triangles(mesh):
    """Corners of the triangles, in an order that does not depend on how vertices and faces are numbered."""
    corners, number = np.unique(mesh.vertices[mesh.faces].round(9).reshape(-1, 3), axis=0, return_inverse=True)
    triangles = number.reshape(-1, 3)
    turned = (triangles.argmin(axis=1)[:, None] + np.arange(3)) % 3
    return corners[np.unique(np.take_along_axis(triangles, turned, axis=1), axis=0)]


def test_a_closed_shell_becomes_solid_and_its_outside_stays():
    shell = np.minimum(ball([0, 0, 0], 0.8), -ball([0, 0, 0], 0.5))
    filled, count = fill_cavities(meshed(shell))
    assert count == 1
    np.testing.assert_array_equal(by_triangles(filled), by_triangles(meshed(ball([0, 0, 0], 0.8))))


def test_what_floats_in_a_cavity_goes_with_it_and_what_stands_beside_stays():
    shell = np.minimum(ball([-0.3, 0, 0], 0.65), -ball([-0.3, 0, 0], 0.5))
    inner = np.maximum(shell, ball([-0.3, 0.1, 0], 0.2))
    filled, count = fill_cavities(meshed(np.maximum(inner, ball([0.7, 0, 0], 0.2))))
    assert count == 1
    expected = meshed(np.maximum(ball([-0.3, 0, 0], 0.65), ball([0.7, 0, 0], 0.2)))
    np.testing.assert_array_equal(by_triangles(filled), by_triangles(expected))


def test_what_stands_in_the_hole_of_a_hollow_ring_stays():
    # Inside the cavity's box, but not in the cavity.
    from_circle = np.hypot(np.hypot(POINTS[..., 0], POINTS[..., 1]) - 0.65, POINTS[..., 2])
    in_the_hole = ball([0, 0, 0], 0.15)
    hollow = np.minimum(0.3 - from_circle, from_circle - 0.2).astype(np.float32)
    solid = (0.3 - from_circle).astype(np.float32)
    filled, count = fill_cavities(meshed(np.maximum(hollow, in_the_hole)))
    assert count == 1
    np.testing.assert_array_equal(by_triangles(filled), by_triangles(meshed(np.maximum(solid, in_the_hole))))


def test_a_second_cavity_in_what_floats_in_the_first_counts_too():
    def shell(outer, inner):
        return np.minimum(ball([0, 0, 0], outer), -ball([0, 0, 0], inner))

    filled, count = fill_cavities(meshed(np.maximum(shell(0.9, 0.7), shell(0.5, 0.3))))
    assert count == 2
    np.testing.assert_array_equal(by_triangles(filled), by_triangles(meshed(ball([0, 0, 0], 0.9))))


def test_agrees_with_filling_the_samples():
    rng = np.random.default_rng(0)
    coarse = np.kron(rng.normal(size=(10, 10, 10)) + 0.8, np.ones((3, 3, 3))).astype(np.float32)
    values = np.pad(coarse, 3, constant_values=-1)
    lattice = Lattice.for_box(np.array([[0.0] * 3, [1.0] * 3]), resolution=len(values))
    holes = binary_fill_holes(values > 0) & ~(values > 0)
    assert holes.sum() > 100
    mesh, count = fill_cavities(mesh_level_set(values, lattice, level=0.0))
    expected = mesh_level_set(np.where(holes, np.float32(1), values), lattice, level=0.0)
    assert count > 1
    assert signed_volume(mesh) == pytest.approx(signed_volume(expected), rel=0.02)
    assert is_watertight(mesh)


def test_a_shell_with_a_hole_and_one_cut_open_are_left_as_they_are():
    values = np.minimum(ball([0, 0, 0], 0.8), -ball([0, 0, 0], 0.5))
    values[20, 20, 20:] = -1
    mesh = meshed(values)
    assert fill_cavities(mesh) == (mesh, 0)
    hollow = trimesh.creation.icosphere(radius=0.5)
    # Inside out, but not closed: nobody can say what it encloses.
    open_wall = Mesh(vertices=np.array(hollow.vertices), faces=np.array(hollow.faces)[:-1, ::-1].astype(np.int64))
    assert fill_cavities(open_wall) == (open_wall, 0)


def test_the_faces_of_a_sponge_are_gone_through_once_and_not_for_each_cavity(monkeypatch):
    selected = []
    monkeypatch.setattr(cavities, "select_faces", lambda *args: selected.append(args) or select_faces(*args))
    bubble = trimesh.creation.icosphere(subdivisions=1, radius=0.02)
    block = trimesh.creation.box(extents=(2, 2, 2))
    axis = np.linspace(-0.9, 0.9, 6)
    middles = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    parts = [(block.vertices, block.faces)]
    parts += [(bubble.vertices + middle, bubble.faces[:, ::-1]) for middle in middles]
    parts += [(bubble.vertices / 2 + middle, bubble.faces) for middle in middles]
    start = np.cumsum([0, *(len(vertices) for vertices, _ in parts)])
    sponge = Mesh(
        np.concatenate([vertices for vertices, _ in parts]),
        np.concatenate([faces + first for (_, faces), first in zip(parts, start, strict=False)]).astype(np.int64),
    )
    filled, count = fill_cavities(sponge)
    assert (count, len(filled.faces), len(selected)) == (216, 12, 1)
