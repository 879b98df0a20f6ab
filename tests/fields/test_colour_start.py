"""Colours that a surface starts with are those of the density before it."""

import pytest
import torch
from long_form import long_form
from torch.nn import functional as F

from inr_plugins.fields.colour_start import colours_of, start_colours
from inr_plugins.fields.explicit_voxels import ExplicitVoxelField
from inr_plugins.fields.voxel_distance import VoxelDistanceField
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.voxels.contraction import Contraction
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice

BOX = torch.tensor([[-1.0] * 3, [1.0] * 3])


def logits_at(x):
    """Colours that change along the axes."""
    return torch.stack([2 * x[:, 0], 1 - 2 * x[:, 1], x[:, 2] - x[:, 0]], -1)


def ball():
    """A surface whose keys know nothing."""
    lattice = SparseLattice.over_box(BOX, 14**3)
    distances = (lattice.vertices().norm(dim=-1) - 0.6) / lattice.edge
    network = CoordinateNetworkConfig(width=32, hidden_layers=2)
    return VoxelDistanceField(
        *(lattice, distances, torch.zeros(lattice.shape, dtype=torch.bool)), key_width=9, network=network
    )


@long_form
def test_a_surface_has_the_colours_that_it_starts_with():
    torch.manual_seed(0)
    field = ball()
    start_colours(field, logits_at(field.lattice.vertices()), steps=300)
    x = 0.6 * F.normalize(torch.randn(500, 3), dim=-1)
    wanted = torch.sigmoid(logits_at(x))
    for towards in (F.normalize(torch.randn(500, 3), dim=-1), F.normalize(-x, dim=-1)):
        assert float((field.eval().colour(x, towards) - wanted).abs().mean()) < 0.03
    assert float((ball().eval().colour(x, towards) - wanted).abs().mean()) > 0.1


def test_places_that_stop_no_light_have_no_say_in_the_colours():
    lattice = SparseLattice.over_box(BOX, 10**3)
    vertices = lattice.vertices()
    before = vertices[:, 0] < 0
    raw = torch.where(before, 3.0, -18.0)[:, None]
    colours = torch.where(before[:, None], torch.tensor([2.0, -1.0, 0.5]), torch.tensor([-5.0, 5.0, 0.0]))
    found = colours_of(ExplicitVoxelField(lattice, raw, colours))
    # Halfway into the cells past the last vertex that stops light.
    last = vertices[before, 0].max()
    x = torch.tensor([[float(last) + 0.5 * float(lattice.edge), 0.1, 0.2]])
    assert found(x)[0].tolist() == pytest.approx([2.0, -1.0, 0.5], abs=0.01)
    # Nothing is held there: the colour of all that is.
    assert found(torch.full((1, 3), 9.0))[0].tolist() == pytest.approx([2.0, -1.0, 0.5], abs=0.01)


def test_colours_of_a_contracted_lattice_are_asked_for_in_the_normalised_frame():
    contraction = Contraction(BOX)
    lattice = SparseLattice.over_box(contraction.outer_box, 16**3)
    field = ExplicitVoxelField(lattice, 1.0, lattice.vertices(), contraction=contraction)
    x = torch.tensor([[0.2, -0.4, 0.6], [3.0, 0.0, 0.0]])
    torch.testing.assert_close(colours_of(field)(x), contraction(x), atol=1e-4, rtol=0)
