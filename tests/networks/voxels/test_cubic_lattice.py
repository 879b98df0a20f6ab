"""Cubic splines on a lattice, beside scipy's, closed forms and finite differences."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from inr_plugins.networks.voxels.cubic_lattice import CubicLattice

BOX = torch.tensor([[-1.0, -0.5, 0.0], [1.0, 0.5, 3.0]])


def wave(points):
    return np.sin(points @ [1.5, -2.0, 0.7]) + 0.3 * points[:, 2]


def laid(cells=12, function=wave):
    lattice = CubicLattice(BOX, cells)
    lattice.lay(function)
    return lattice


def inside(count=300, part=1.0, dtype=torch.float32):
    middle, half = BOX.mean(0), (BOX[1] - BOX[0]) / 2
    return middle + part * half * (
        2 * torch.rand(count, 3, generator=torch.Generator().manual_seed(0), dtype=dtype) - 1
    )


def test_it_is_the_spline_that_scipy_has():
    cells, beyond, points = 9, 8, inside()
    edge = ((BOX[1] - BOX[0]) / cells).double().numpy()
    axes = [float(low) + step * np.arange(-beyond, cells + 1 + beyond) for low, step in zip(BOX[0], edge, strict=True)]
    vertices = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    values = wave(vertices.reshape(-1, 3)).reshape(vertices.shape[:3])
    at = ((points - BOX[0]).double().numpy() / edge + beyond).T
    wanted = map_coordinates(values, at, order=3, mode="mirror")
    # Two mirrors, eight cells and four beyond the box.
    assert laid(cells)(points).numpy() == pytest.approx(wanted, abs=3e-3)
    inner = (np.abs(at - beyond - cells / 2) < cells / 2 - 3).all(0)
    assert inner.sum() > 5
    assert laid(cells)(points).numpy()[inner] == pytest.approx(wanted[inner], abs=1e-4)


def test_vertices_have_their_values_and_halving_the_edge_makes_the_error_a_tenth_or_less():
    def error(cells):
        points = inside(2000, part=0.6)
        return float((laid(cells)(points) - torch.from_numpy(wave(points.numpy()))).abs().max())

    corner = torch.stack([BOX[0], BOX[1], BOX.mean(0)])
    assert laid(12)(corner).numpy() == pytest.approx(wave(corner.numpy()), abs=1e-5)
    assert error(24) < 0.1 * error(12)


def test_slopes_are_those_of_differences_and_can_be_differentiated_again():
    lattice = laid(8).double()
    points = inside(20, part=0.9, dtype=torch.float64).requires_grad_()
    (slope,) = torch.autograd.grad(lattice(points).sum(), points, create_graph=True)
    step = 2e-3
    for axis in range(3):
        moved = torch.zeros(3, dtype=torch.float64)
        moved[axis] = step
        with torch.no_grad():
            difference = (lattice(points + moved) - lattice(points - moved)) / (2 * step)
        assert slope[:, axis].detach().numpy() == pytest.approx(difference.numpy(), abs=1e-3)
    (again,) = torch.autograd.grad(slope.square().sum(), points)
    assert again.abs().max() > 0.1


def test_beyond_the_box_is_the_nearest_place_in_it_and_shapes_are_kept():
    lattice = laid()
    beyond = torch.tensor([[[2.0, 0.1, 1.0], [-1.5, -0.9, 4.0]]])
    nearest = torch.minimum(torch.maximum(beyond, BOX[0]), BOX[1])
    assert torch.equal(lattice(beyond), lattice(nearest))
    assert lattice(beyond).shape == (1, 2)


def test_it_is_nothing_until_it_is_laid_which_a_state_remembers():
    empty = CubicLattice(BOX, 12)
    assert not bool(empty.laid)
    assert (empty(inside()) == 0).all()
    full = laid()
    empty.load_state_dict(full.state_dict())
    assert bool(empty.laid)
    assert torch.equal(empty(inside()), full(inside()))
    assert not list(full.parameters())


def test_what_cannot_be_laid_is_refused():
    with pytest.raises(ValueError, match="3 cells along each axis, got 2"):
        CubicLattice(BOX, 2)
    lattice = CubicLattice(BOX, 4)
    with pytest.raises(ValueError, match="not finite"):
        lattice.lay(lambda points: np.full(len(points), np.nan))
    assert not bool(lattice.laid)
