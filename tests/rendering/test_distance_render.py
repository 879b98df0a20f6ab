"""Opacity of sections against NeuS's formula, and a plane and a ball against their closed forms."""

import pytest
import torch

from inr_plugins.fields.voxel_distance import VoxelDistanceField
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice
from inr_plugins.rendering.distance_render import render_distances, section_depth
from inr_plugins.rendering.grid.march import OccupancyGrid
from inr_plugins.rendering.voxel_render import MarchSettings


def field_of(distance, cells=32):
    """A field that holds a function's values (normalised units) in all cells of the box from -1 to 1."""
    torch.manual_seed(0)
    lattice = SparseLattice.over_box(torch.tensor([[-1.0] * 3, [1.0] * 3]), cells**3)
    values = distance(lattice.vertices()) / lattice.edge
    solid = torch.zeros(lattice.shape, dtype=torch.bool)
    return VoxelDistanceField(lattice, values, solid, key_width=4, network=CoordinateNetworkConfig(width=16)).eval()


def rendered(field, origins, directions, sharpness, **more):
    lattice = field.lattice
    grid = OccupancyGrid(lattice.origin, float(lattice.edge), lattice.occupied)
    settings = MarchSettings(0.7, min_weight=0.0)
    return render_distances(origins, directions, field.reading(), grid, settings, sharpness, **more)


@pytest.mark.parametrize("sharpness", [0.5, 4.0, 60.0])
def test_opacity_of_a_section_is_equation_13_of_neus(sharpness):
    begin, end = torch.linspace(-1, 1, 21, dtype=torch.float64), torch.linspace(0.9, -1.1, 21, dtype=torch.float64)
    s_begin, s_end = torch.sigmoid(sharpness * begin), torch.sigmoid(sharpness * end)
    truth = ((s_begin - s_end) / s_begin).clamp(min=0)
    torch.testing.assert_close(-torch.expm1(-section_depth(begin, end, sharpness)), truth)


def test_before_a_plane_light_falls_as_the_logistic_function_of_the_ends():
    field = field_of(lambda x: x[:, 2])
    origins = torch.tensor([[0.1, 0.2, 3.0], [0.1, 0.2, -3.0]])
    directions = torch.tensor([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]])
    seen = rendered(field, origins, directions, 0.2, with_normals=True)
    # Samples stand in the middles of steps of 0.7 cells, 45 of which fit into 32 cells.
    first, last = 16 - 0.35, 16 - 0.7 * 45.5
    truth = 1 - torch.sigmoid(torch.tensor(0.2 * last)) / torch.sigmoid(torch.tensor(0.2 * first))
    assert float(seen.accumulation[0]) == pytest.approx(float(truth), abs=1e-4)
    # From behind, where the distance rises, nothing is stopped.
    assert float(seen.accumulation[1]) == 0
    torch.testing.assert_close(seen.normals[0], torch.tensor([0.0, 0.0, 1.0]), atol=1e-3, rtol=0)


def test_a_sharp_ball_is_seen_where_it_is():
    field = field_of(lambda x: x.norm(dim=-1) - 0.6)
    torch.manual_seed(1)
    origins = torch.nn.functional.normalize(torch.randn(200, 3), dim=-1) * 3
    directions = torch.nn.functional.normalize(0.5 * torch.rand(200, 3) - origins, dim=-1)
    along = -(origins * directions).sum(-1)
    closest = (origins.square().sum(-1) - along.square()).sqrt()
    seen = rendered(field, origins, directions, 30.0, jitter=torch.rand(200), with_normals=True)
    sure = (closest - 0.6).abs() > 0.05
    torch.testing.assert_close(seen.accumulation[sure, 0] > 0.5, (closest < 0.6)[sure])
    hit = closest < 0.5
    depth = along - (0.36 - closest.square()).clamp(min=0).sqrt()
    # Smoothing makes a ball of 10 cells smaller by a few hundredths of one.
    assert float((seen.depth[hit, 0] - depth[hit]).abs().max()) < 0.02
    normal = (origins + directions * depth[:, None])[hit] / 0.6
    assert float((seen.normals[hit] * normal).sum(-1).min()) > 0.99


def test_distances_learn_from_what_is_seen():
    field = field_of(lambda x: x.norm(dim=-1) - 0.6).train()
    seen = rendered(field, torch.tensor([[0.0, 0.0, 3.0]]), torch.tensor([[0.0, 0.0, -1.0]]), 1.0)
    seen.rgb.sum().backward()
    assert float(field.distances.grad.abs().sum()) > 0
    assert float(field.keys.grad.abs().sum()) > 0
