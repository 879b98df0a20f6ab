"""Smoothing and differences on a lattice against scipy, numpy and the closed form of a plane."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from inr_plugins.networks.voxels import stencils as module
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice
from inr_plugins.networks.voxels.stencils import SIGMA, LatticeStencils


def whole(*shape):
    return SparseLattice(torch.zeros(3), 1.0, torch.ones(shape, dtype=torch.bool))


def scattered(seed=0, shape=(7, 6, 8)):
    torch.manual_seed(seed)
    return SparseLattice(torch.zeros(3), 1.0, torch.rand(shape) < 0.3)


@pytest.fixture(params=[7, 1 << 16])
def part(request, monkeypatch):
    """Rows that are summed at once: fewer than there are, and more."""
    monkeypatch.setattr(module, "_PART", request.param)


def test_inside_a_whole_lattice_smoothing_is_scipys_gaussian():
    torch.manual_seed(0)
    values = torch.randn(9, 10, 11)
    found = LatticeStencils(whole(8, 9, 10)).smoothed(values.reshape(-1)).view(9, 10, 11)
    truth = gaussian_filter(values.double().numpy(), SIGMA, radius=2)
    inner = (slice(2, -2),) * 3
    # What is nearer to the border than two cells has neighbours that are missing.
    np.testing.assert_allclose(found.numpy()[2:-2, 4:-4, 4:-4], truth[2:-2, 4:-4, 4:-4], atol=2e-6)
    assert np.abs(found.numpy() - truth)[inner].max() < 1


def test_a_plane_passes_unharmed_however_ragged_the_lattice_is(part):
    lattice = scattered()
    slope = torch.tensor([0.3, -0.7, 0.5])
    plane = lattice.vertices() @ slope + 2
    stencils = LatticeStencils(lattice)
    torch.testing.assert_close(stencils.smoothed(plane), plane, atol=1e-5, rtol=0)
    torch.testing.assert_close(stencils.gradient(plane), slope.expand(len(plane), 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(stencils.second_differences(plane), torch.zeros(len(plane), 3), atol=1e-5, rtol=0)


def test_differences_are_numpys():
    torch.manual_seed(1)
    values = torch.randn(5, 6, 7)
    stencils = LatticeStencils(whole(4, 5, 6))
    truth = np.stack(np.gradient(values.numpy()), -1)
    np.testing.assert_allclose(stencils.gradient(values.reshape(-1)).view(5, 6, 7, 3).numpy(), truth, atol=1e-6)
    second = stencils.second_differences(values.reshape(-1)).view(5, 6, 7, 3)
    np.testing.assert_allclose(second[1:-1, :, :, 0].numpy(), np.diff(values.numpy(), n=2, axis=0), atol=1e-5)


def test_gradients_are_the_transposes(part):
    lattice = scattered(3, (4, 3, 4))
    # Fewer cells than for the other tests, as there is a column for each row; more rows than a small part.
    assert 40 < lattice.num_rows < 100
    stencils = LatticeStencils(lattice)
    for operator in (stencils.smoothed, stencils.gradient, stencils.second_differences):
        matrix = torch.stack([operator(row) for row in torch.eye(lattice.num_rows)], -1)
        v = torch.randn(lattice.num_rows, requires_grad=True)
        out = operator(v)
        cotangent = torch.randn_like(out)
        out.backward(cotangent)
        wanted = torch.tensordot(cotangent, matrix, dims=(list(range(out.ndim)), list(range(out.ndim))))
        torch.testing.assert_close(v.grad, wanted, atol=1e-5, rtol=1e-5)
