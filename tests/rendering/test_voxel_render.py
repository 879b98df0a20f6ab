"""Samples that are not shaded, in a fog whose colour is known."""

import pytest
import torch

from inr_plugins.fields.explicit_voxels import ExplicitVoxelField
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice
from inr_plugins.rendering.grid.march import OccupancyGrid
from inr_plugins.rendering.voxel_render import MarchSettings, render_voxels

COLOUR = torch.tensor([0.8, 0.3, 0.5])


def fog() -> ExplicitVoxelField:
    """Of one colour; denser in some places than in others, and nowhere dense."""
    lattice = SparseLattice.over_box(torch.tensor([[-1.0] * 3, [1.0] * 3]), 16**3)
    torch.manual_seed(0)
    field = ExplicitVoxelField(
        lattice, torch.randn(lattice.num_rows, 1) - 2.5, torch.logit(COLOUR).expand(lattice.num_rows, 3)
    )
    return field.train()


def seen(field, *, min_weight, fills):
    torch.manual_seed(1)
    origins = torch.nn.functional.normalize(torch.randn(300, 3), dim=-1) * 3
    directions = torch.nn.functional.normalize(0.3 * torch.randn(300, 3) - origins / 3, dim=-1)
    grid = OccupancyGrid(field.lattice.origin, float(field.lattice.edge), field.lattice.occupied)
    return render_voxels(origins, directions, field, grid, MarchSettings(0.5, min_weight=min_weight, fills=fills))


@pytest.mark.parametrize("min_weight", [0.0, 0.03])
def test_the_light_of_what_is_not_shaded_takes_the_colour_of_the_rest(min_weight):
    found = seen(fog(), min_weight=min_weight, fills=True)
    shown = torch.zeros(300).index_add(0, found.samples.ray, found.weights.detach())
    whole = found.accumulation[:, 0].detach()
    lit = shown > 0.1 * whole
    assert lit.sum() > 150
    torch.testing.assert_close(found.rgb[lit].detach(), whole[lit][:, None] * COLOUR, atol=1e-5, rtol=1e-4)
    if min_weight:
        # Else there would be nothing to fill in.
        assert (shown[lit] < 0.8 * whole[lit]).float().mean() > 0.3
        black = seen(fog(), min_weight=min_weight, fills=False)
        torch.testing.assert_close(black.rgb.detach(), shown[:, None] * COLOUR, atol=1e-5, rtol=1e-4)


def test_a_sample_that_is_not_shaded_still_learns_how_dense_it_is():
    gradients = []
    for min_weight, fills in ((0.0, True), (0.03, True), (0.03, False)):
        field = fog()
        seen(field, min_weight=min_weight, fills=fills).rgb.sum().backward()
        gradients.append(field.density_table.grad[:, 0])
    every, filled, black = gradients
    # The fog has one colour: whichever samples are shaded, a ray's colour is its opacity times that. What is left are
    # the rays of which nothing is shaded.
    assert (filled - every).norm() < 0.15 * every.norm()
    assert (black - every).norm() > 0.4 * every.norm()
