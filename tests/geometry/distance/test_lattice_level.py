"""Values on a lattice: what is read between vertices, and the matrices that say it, beside closed forms."""

import numpy as np
import pytest

from inr_plugins.geometry.distance.lattice_level import LatticeLevel


def trilinear(points):
    x, y, z = points.T
    return 1 + 2 * x - y + 0.5 * x * y + z * x - 3 * x * y * z


def slope(points):
    x, y, z = points.T
    return np.stack([2 + 0.5 * y + z - 3 * y * z, -1 + 0.5 * x - 3 * x * z, x - 3 * x * y], axis=-1)


def some_points(count=200, reach=2.0):
    return np.random.default_rng(0).uniform(-reach, reach, (count, 3))


def band():
    held = np.zeros((6, 6, 6), dtype=bool)
    held[1:5, 2:5, 0:4] = True
    return LatticeLevel(6, 2.0, held)


@pytest.mark.parametrize("make", [lambda: LatticeLevel(6, 2.0), band])
def test_a_trilinear_function_is_read_exactly_with_its_slope(make):
    level, points = make(), some_points()
    points = points[level.holds(points)]
    assert len(points) > 20
    level.values = trilinear(level.vertices)
    value, slopes = level.readings(points)
    assert level.read(points) == pytest.approx(trilinear(points))
    assert value @ level.values == pytest.approx(trilinear(points))
    assert np.stack([each @ level.values for each in slopes], axis=-1) == pytest.approx(slope(points))


def test_a_band_holds_its_cells_and_what_is_inside_of_it_is_free():
    level = band()
    middles = -2 + (np.argwhere(np.ones((6, 6, 6))) + 0.5) * level.edge
    assert level.holds(middles).reshape(6, 6, 6).sum() == 4 * 3 * 4
    assert len(level.ids) == 5 * 4 * 5
    # The cube's own face is no border of the band.
    assert level.free.sum() == 3 * 2 * 3
    inside = level.vertices[level.free]
    assert (np.abs(inside - level.vertices[level.free].mean(0)) <= level.edge + 1e-9).all()


@pytest.mark.parametrize("make", [lambda: LatticeLevel(5, 1.0), band])
def test_bending_is_the_hessian_of_a_quadratic_at_each_vertex_that_has_its_neighbours(make):
    level = make()
    hessian = np.array([[2.0, 0.5, -1.0], [0.5, -3.0, 0.7], [-1.0, 0.7, 1.2]])
    values = 0.5 * np.einsum("vi,ij,vj->v", level.vertices, hessian, level.vertices) + level.vertices @ [1.0, 2.0, 3.0]
    counts = [len(np.unique(level.vertices[:, axis])) for axis in range(3)]
    wanted = 0.0
    for axis in range(3):
        inner = [n - 2 if other == axis else n for other, n in enumerate(counts)]
        wanted += np.prod(inner) * hessian[axis, axis] ** 2
    for first, other in ((0, 1), (0, 2), (1, 2)):
        inner = [n - 1 if axis in (first, other) else n for axis, n in enumerate(counts)]
        wanted += np.prod(inner) * 2 * hessian[first, other] ** 2
    assert values @ level.bending() @ values / level.edge**4 == pytest.approx(wanted)


def test_a_plane_does_not_bend_and_beyond_the_cube_the_last_cell_goes_on():
    level = LatticeLevel(4, 1.0)
    level.values = level.vertices @ [1.0, -2.0, 0.5] + 3
    assert np.abs(level.bending() @ level.values).max() < 1e-12
    beyond = np.array([[1.5, 0.2, -1.2]])
    assert level.read(beyond) == pytest.approx(beyond @ [1.0, -2.0, 0.5] + 3)
    assert level.holds(beyond).all()
