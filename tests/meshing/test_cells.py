"""Cells that a model knows bounds of: no box that a level set passes through is left out, most others are."""

import numpy as np
import pytest
import torch

from inr_plugins.fields.explicit_voxels import ExplicitVoxelField
from inr_plugins.fields.protocol import CellBounds
from inr_plugins.geometry.frames import Similarity
from inr_plugins.meshing.cells import Crossings, is_held
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice


def turn(angle=0.4, scale=1.7):
    c, s = np.cos(angle), np.sin(angle)
    rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, 0.6, -0.8], [0, 0.8, 0.6]])
    return Similarity(rotation, scale, np.array([0.3, -0.2, 0.1]))


def random_bounds(seed=0):
    generator = torch.Generator().manual_seed(seed)
    least = torch.rand(9, 8, 7, generator=generator) * (torch.rand(9, 8, 7, generator=generator) > 0.5)
    largest = least + torch.rand(9, 8, 7, generator=generator) * (least > 0)
    origin = torch.tensor([-0.9, -0.8, -0.7])
    return CellBounds(origin, 0.2, least, largest, torch.stack([origin, origin + 0.2 * torch.tensor([9, 8, 7])]))


def brute_force(bounds, low, high, level):
    """Each box against each cell it touches, and against the emptiness around the lattice."""
    origin, shape = bounds.origin.numpy().astype(float), np.array(bounds.least.shape)
    found = []
    for a, b in zip((low - origin) / bounds.edge, (high - origin) / bounds.edge, strict=True):
        first, last = np.maximum(np.floor(a), 0).astype(int), np.minimum(np.ceil(b), shape).astype(int)
        cells = tuple(slice(i, max(i, j)) for i, j in zip(first, last, strict=True))
        least, largest = bounds.least[cells], bounds.largest[cells]
        outside = (a < 0).any() or (b > shape).any()
        above = bool((largest > level).any()) or (outside and level < 0)
        below = bool((least <= level).any()) or (outside and level >= 0)
        found.append(above and below)
    return np.array(found)


@pytest.mark.parametrize("level", [0.0, 0.3, 0.8, 5.0])
def test_boxes_are_kept_just_where_their_cells_lie_on_both_sides(level):
    bounds = random_bounds()
    rng = np.random.default_rng(1)
    low = rng.uniform(-1.3, 1.0, (3000, 3))
    high = low + rng.uniform(0.0, 0.5, (3000, 3))
    # Away from cell faces, where rounding decides.
    ends = np.concatenate([low, high]) - bounds.origin.numpy()
    apart = (np.abs(ends / bounds.edge - np.round(ends / bounds.edge)) > 0.01).all(axis=1)
    keep = apart[:3000] & apart[3000:]
    assert keep.sum() > 1000
    crossings = Crossings(bounds, Similarity.identity(), level=level)
    expected = brute_force(bounds, low[keep], high[keep], level)
    np.testing.assert_array_equal(crossings(low[keep], high[keep]), expected)
    assert level in (0.0, 5.0) or 0.1 < expected.mean() < 0.9


def test_a_box_that_only_touches_a_cell_counts_with_it():
    least = torch.zeros(4, 4, 4)
    largest = torch.zeros(4, 4, 4)
    largest[2, 2, 2] = 1.0
    bounds = CellBounds(torch.zeros(3), 1.0, least, largest, torch.tensor([[0.0] * 3, [4.0] * 3]))
    crossings = Crossings(bounds, Similarity.identity(), level=0.5)
    low = np.array([[1.0, 1, 1], [3.0, 3, 3], [0.5, 0.5, 0.5]])
    assert crossings(low, low + np.array([[1.0], [0.5], [0.9]])).tolist() == [True, True, False]


def test_in_a_turned_frame_no_box_with_a_crossing_is_left_out():
    bounds, move = random_bounds(2), turn()
    rng = np.random.default_rng(3)
    low = rng.uniform(-0.8, 0.6, (400, 3))
    high = low + 0.15
    crossings = Crossings(bounds, move, level=0.4)(low, high)
    for k in np.flatnonzero(~crossings):
        x = torch.tensor(move.points(low[k] + rng.random((200, 3)) * 0.15), dtype=torch.float32)
        index = ((x - bounds.origin) / bounds.edge).floor().long()
        inside = ((index >= 0) & (index < torch.tensor(bounds.least.shape))).all(-1)
        cell = tuple(index[inside].T)
        touched_above = bool((bounds.largest[cell] > 0.4).any())
        touched_below = bool((bounds.least[cell] <= 0.4).any()) or not bool(inside.all())
        assert not (touched_above and touched_below)
    assert 0.1 < crossings.mean() < 1.0


def test_points_are_held_in_cells_that_hold_something():
    bounds = random_bounds(4)
    x = torch.tensor(np.random.default_rng(5).uniform(-1.2, 1.2, (2000, 3)), dtype=torch.float32)
    held = is_held(bounds, x)
    for point, found in zip(x, held, strict=True):
        index = ((point - bounds.origin) / bounds.edge).floor().long().tolist()
        inside = all(0 <= i < n for i, n in zip(index, bounds.least.shape, strict=True))
        assert bool(found) == (inside and bool(bounds.largest[tuple(index)] > 0))
    assert 0.1 < held.float().mean() < 0.9


def test_bounds_of_a_voxel_field_hold_everywhere_in_each_cell():
    torch.manual_seed(0)
    occupied = torch.rand(6, 5, 4) > 0.6
    field = ExplicitVoxelField(SparseLattice(torch.tensor([-0.6, -0.5, -0.4]), 0.2, occupied), 0.0)
    with torch.no_grad():
        field.density_table.normal_(0, 3)
    bounds = field.cell_bounds()
    x = torch.rand(20000, 3) * torch.tensor([1.2, 1.0, 0.8]) + bounds.origin
    density = field.density(x).detach()
    index = ((x - bounds.origin) / bounds.edge).floor().long()
    cell = tuple(torch.minimum(index, torch.tensor(occupied.shape) - 1).T)
    # Points on a face between two cells may be counted with either.
    fraction = (x - bounds.origin) / bounds.edge - index
    clear = ((fraction > 1e-3) & (fraction < 1 - 1e-3)).all(-1)
    assert (density[clear] >= bounds.least[cell][clear]).all()
    assert (density[clear] <= bounds.largest[cell][clear]).all()
    assert torch.equal(bounds.largest > 0, occupied)
    # Tight: some point of some cell comes near each bound.
    corner = field.density(field.lattice.vertices() * (1 - 1e-6)).detach()
    assert corner.max() == pytest.approx(float(bounds.largest.max()), rel=0.05)
