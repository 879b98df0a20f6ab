import numpy as np
import pytest
import torch
from scipy.interpolate import RegularGridInterpolator

from inr_plugins.networks.voxels.sparse_lattice import (
    SparseLattice,
    dilate,
    interpolate,
    pack_bits,
    trilinear_weights,
    unpack_bits,
)

BOX = torch.tensor([[-1.0, 0.5, 2.0], [1.0, 1.5, 2.5]])


def half_empty() -> SparseLattice:
    full = SparseLattice.over_box(BOX, 500)
    occupied = full.occupied.clone()
    occupied[full.shape[0] // 2 :] = False
    return SparseLattice(full.origin, float(full.edge), occupied)


def test_a_lattice_covers_its_box_with_about_as_many_cubes_as_asked():
    lattice = SparseLattice.over_box(BOX, 5000)
    low, high = lattice.aabb
    assert (low <= BOX[0] + 1e-6).all()
    assert (high >= BOX[1] - 1e-6).all()
    assert np.prod(lattice.shape) == pytest.approx(5000, rel=0.2)
    assert torch.allclose((low + high) / 2, BOX.mean(0), atol=1e-6)


@pytest.mark.parametrize("box", [[[0, 0, 0], [1, 0, 1]], [[0, 0, 0], [1, float("nan"), 1]], [[1, 1, 1], [0, 0, 0]]])
def test_a_box_without_volume_is_refused(box):
    with pytest.raises(ValueError, match="no volume"):
        SparseLattice.over_box(torch.tensor(box, dtype=torch.float32), 100)


def test_reading_agrees_with_scipys_trilinear_interpolation():
    lattice = SparseLattice.over_box(BOX, 700)
    table = torch.randn(lattice.num_rows, 2)
    axes = [lattice.origin[a].item() + lattice.edge.item() * np.arange(n + 1) for a, n in enumerate(lattice.shape)]
    grid = table.reshape(*[n + 1 for n in lattice.shape], 2).numpy()
    x = lattice.aabb[0] + (lattice.aabb[1] - lattice.aabb[0]) * (0.001 + 0.998 * torch.rand(400, 3))
    expected = RegularGridInterpolator(axes, grid)(x.numpy())
    np.testing.assert_allclose(lattice.read(table, x), expected, atol=2e-5)


def test_unoccupied_cells_and_points_outside_read_as_empty():
    lattice = half_empty()
    table = torch.ones(lattice.num_rows, 1)
    x = torch.tensor([[-0.9, 1.0, 2.2], [0.9, 1.0, 2.2], [5.0, 1.0, 2.2], [float("nan"), 1.0, 2.2]])
    assert lattice.read(table, x, empty=-7.0)[:, 0].tolist() == [1.0, -7.0, -7.0, -7.0]


def test_points_outside_a_full_lattice_read_as_empty_on_every_side():
    lattice = SparseLattice.over_box(BOX, 500)
    low, high = lattice.aabb
    middle = (low + high) / 2
    x = torch.cat([middle + torch.diag(high - low), middle - torch.diag(high - low), middle[None]])
    read = lattice.read(torch.ones(lattice.num_rows, 1), x, empty=-7.0)[:, 0]
    assert read.tolist() == [-7.0] * 6 + [1.0]


def test_rows_exist_for_exactly_the_vertices_of_occupied_cells():
    lattice = half_empty()
    nx, ny, nz = lattice.shape
    assert lattice.num_rows == (nx // 2 + 1) * (ny + 1) * (nz + 1)
    seen = torch.unique(lattice.corner_rows)
    assert torch.equal(seen.long(), torch.arange(lattice.num_rows))
    first_cell = lattice.vertices()[lattice.corner_rows[0].long()]
    assert torch.allclose(first_cell.amax(0) - first_cell.amin(0), lattice.edge.expand(3), atol=1e-6)


def test_a_saved_lattice_comes_back_whole():
    lattice = half_empty()
    state = {"a.b." + k: v for k, v in lattice.state_dict().items()}
    again = SparseLattice.from_state(state, "a.b.", torch.device("cpu"))
    assert torch.equal(again.occupied, lattice.occupied)
    assert torch.equal(again.corner_rows, lattice.corner_rows)
    assert set(lattice.state_dict()) == {"origin", "edge", "cells", "packed"}


@pytest.mark.parametrize("name", ["origin", "cells"])
def test_a_saved_lattice_of_another_shape_is_refused(name):
    state = half_empty().state_dict()
    state[name] = state[name][None]
    with pytest.raises(ValueError, match=f"{name} of a lattice is three numbers"):
        SparseLattice.from_state(state, "", torch.device("cpu"))


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 7), (8, 8, 8)])
def test_packed_bits_unpack_to_the_same_mask(shape):
    mask = torch.rand(shape) > 0.5
    assert torch.equal(unpack_bits(pack_bits(mask), shape), mask)
    assert len(pack_bits(mask)) == -(-np.prod(shape) // 8)


def test_rows_are_matched_by_vertex_between_lattices_of_one_box():
    small, full = half_empty(), SparseLattice.over_box(BOX, 500)
    rows = small.rows_in(full)
    assert torch.allclose(full.vertices()[rows], small.vertices())
    assert (full.rows_in(small) < 0).sum() == full.num_rows - small.num_rows
    with pytest.raises(ValueError, match="same box"):
        small.rows_in(SparseLattice.over_box(BOX, 600))


def test_refining_keeps_what_is_occupied_and_one_cell_around_it():
    lattice = half_empty()
    finer = lattice.refined(BOX, 6000, lattice.occupied)
    middles = finer.origin + finer.edge * (finer.occupied.nonzero() + 0.5)
    edge_of_old = lattice.origin[0] + lattice.edge * (lattice.shape[0] // 2)
    assert middles[:, 0].max() <= edge_of_old + 1.01 * finer.edge
    assert middles[:, 0].max() > edge_of_old - 0.5 * finer.edge
    x = lattice.aabb[0] + (torch.rand(300, 3)) * (lattice.occupied_aabb()[1] - lattice.aabb[0])
    inside = ((x > BOX[0]) & (x < BOX[1])).all(-1)
    assert (finer.locate(x[inside])[0] >= 0).all()


def test_dilation_grows_a_cell_to_its_26_neighbours():
    mask = torch.zeros(5, 5, 5, dtype=torch.bool)
    mask[2, 2, 2] = True
    assert dilate(mask).sum() == 27


@pytest.mark.parametrize("width", [1, 5])
def test_interpolation_and_its_gradient_agree_with_plain_indexing(width):
    table = torch.randn(40, width, dtype=torch.float64, requires_grad=True)
    rows = torch.randint(0, 40, (30, 8), dtype=torch.int32)
    weights = torch.rand(30, 8, dtype=torch.float64)
    plain = (table[rows.long()] * weights[..., None]).sum(1)
    torch.testing.assert_close(interpolate(table, rows, weights), plain)
    assert torch.autograd.gradcheck(lambda t: interpolate(t, rows, weights), (table,))


def test_interpolation_of_no_points_has_no_gradient_but_a_table():
    table = torch.randn(4, 3, requires_grad=True)
    out = interpolate(table, torch.zeros(0, 8, dtype=torch.int32), torch.zeros(0, 8))
    assert out.shape == (0, 3)
    out.sum().backward()
    assert torch.equal(table.grad, torch.zeros(4, 3))


def test_trilinear_weights_sum_to_one_and_pick_corners():
    fraction = torch.rand(50, 3)
    assert torch.allclose(trilinear_weights(fraction).sum(1), torch.ones(50))
    assert trilinear_weights(torch.tensor([[1.0, 0.0, 1.0]]))[0].tolist() == [0, 0, 0, 0, 0, 1, 0, 0]
