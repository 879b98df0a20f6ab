"""The lattice of distances against the distance of balls, which is known everywhere."""

import copy

import pytest
import torch

from inr_plugins.rendering.grid.distance import SLOPE, DistanceGrid, reach_of
from inr_plugins.rendering.neus.alpha import section_optical_depth

BOX = torch.tensor([[-1.0, -1.0, -0.6], [1.0, 1.2, 0.6]])
MIDDLES, RADII = torch.tensor([[0.3, 0.2, 0.0], [-0.5, -0.4, 0.1]]), torch.tensor([0.4, 0.2])


def balls(x):
    return ((x[:, None] - MIDDLES).norm(dim=-1) - RADII).amin(-1)


def grid_of(distance=balls, *, resolution=32, reach=0.1):
    grid = DistanceGrid(BOX, resolution)
    asked = []

    def counted(x):
        asked.append(len(x))
        return distance(x)

    grid.refresh(counted, reach)
    return grid, sum(asked)


def rays(count=400, seed=0):
    generator = torch.Generator().manual_seed(seed)
    origins = 4 * torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    at = torch.rand(count, 3, generator=generator) * 1.6 - 0.8
    directions = torch.nn.functional.normalize(at - origins, dim=-1)
    return origins, directions, torch.full((count,), 2.0), torch.full((count,), 6.0)


def test_what_it_knows_bounds_the_distance_everywhere_and_is_exact_near_the_surface():
    grid, asked = grid_of()
    x = BOX[0] + (BOX[1] - BOX[0]) * torch.rand(20_000, 3)
    truth, least = balls(x), grid.least(x)
    spread = 3**0.5 / 2 * float(grid.edge)
    assert bool((truth.abs() >= least.abs() - spread - 1e-5).all())
    clear = least.abs() > spread
    assert torch.equal(least[clear] > 0, truth[clear] > 0)
    near = truth.abs() < 0.05
    assert float((least[near] - truth[near]).abs().max()) < spread + 1e-5
    # Cells that the surface is far from are not asked for one by one.
    assert asked < 0.5 * grid.distance.numel()
    assert float((grid.distance_at(x[near]) - truth[near]).abs().max()) < 0.02


def test_no_ray_that_comes_near_the_surface_is_left_out():
    grid, _ = grid_of()
    origins, directions, near, far = rays()
    reach = 0.08
    found = grid.rays_worth_a_look(origins, directions, near, far, sections=64, reach=reach)
    t = torch.linspace(2, 6, 1500)
    distance = balls((origins[:, None] + directions[:, None] * t[:, None]).reshape(-1, 3)).view(len(origins), -1)
    hit = (distance < reach).any(-1).nonzero()[:, 0]
    assert set(hit.tolist()) <= set(found.tolist())
    assert len(hit) < len(found) < 0.95 * len(origins)


@pytest.mark.parametrize("sharpness", [20.0, 80.0, 300.0])
def test_what_is_left_out_of_a_pixel_is_below_the_tolerance(sharpness):
    """Of two thousand sections of each ray, weighed one by one with the true distances."""
    tolerance = 1e-3
    reach = float(reach_of(torch.tensor(sharpness), tolerance))
    assert float(torch.sigmoid(torch.tensor(-sharpness * reach))) == pytest.approx(tolerance, rel=1e-3)
    grid, _ = grid_of(reach=reach)
    origins, directions, near, far = rays()
    found = grid.rays_worth_a_look(origins, directions, near, far, sections=64, reach=reach)
    edges = torch.linspace(2, 6, 2001)
    at = (origins[:, None] + directions[:, None] * edges[:, None]).reshape(-1, 3)
    distance = balls(at).view(len(origins), -1)
    length = edges.diff().expand(len(origins), -1)
    slope = (distance.diff(dim=-1) / length).clamp(max=0)
    centre = (distance[:, 1:] + distance[:, :-1]) / 2
    depth = section_optical_depth(centre, slope, length, torch.tensor(sharpness))
    before = torch.cat([torch.zeros(len(origins), 1), depth.cumsum(-1)[:, :-1]], -1)
    weights = torch.exp(-before) * -torch.expm1(-depth)
    left_out = torch.ones(len(origins), dtype=torch.bool)
    left_out[found] = False
    assert bool(left_out.any())
    assert float(weights.sum(-1)[left_out].max()) < 1.01 * tolerance
    assert float(weights.sum(-1).max()) > 0.99


def test_a_ray_that_begins_inside_is_looked_at():
    grid, _ = grid_of(lambda x: x.norm(dim=-1) - 0.9, reach=0.02)
    d = torch.nn.functional.normalize(torch.randn(30, 3), dim=-1)
    start, end = torch.zeros(30), torch.full((30,), 0.5)
    assert len(grid.rays_worth_a_look(torch.zeros(30, 3), d, start, end, sections=32, reach=0.02)) == 30


def test_a_field_steeper_than_a_distance_is_bounded_up_to_the_margin():
    def steep(x):
        return 1.4 * balls(x)

    grid, _ = grid_of(steep)
    x = BOX[0] + (BOX[1] - BOX[0]) * torch.rand(20_000, 3)
    spread = SLOPE * 3**0.5 / 2 * float(grid.edge)
    assert bool((steep(x).abs() >= grid.least(x).abs() - spread - 1e-5).all())


def test_nothing_is_skipped_before_anything_is_known_or_in_another_place():
    grid = DistanceGrid(BOX, 16)
    origins, directions, near, far = rays(20)
    assert not grid.is_known
    assert len(grid.rays_worth_a_look(origins, directions, near, far, sections=8, reach=0.01)) == 20
    grid.refresh(balls, 0.1)
    assert grid.is_known
    grid.place(BOX + 5)
    assert not grid.is_known
    assert not bool(grid.distance.any())
    assert bool((grid.origin <= BOX[0] + 5 + 1e-6).all())
    assert bool((grid.origin + grid.edge * torch.tensor(grid.distance.shape) >= BOX[1] + 5 - 1e-6).all())


def test_a_state_is_taken_on_whatever_its_shape_and_an_old_one_has_none():
    grid, _ = grid_of()
    other = DistanceGrid(torch.tensor([[0.0] * 3, [1.0] * 3]), 8)
    other.load_state_dict(copy.deepcopy(grid.state_dict()))
    assert other.is_known
    x = torch.rand(50, 3)
    assert torch.equal(other.least(x), grid.least(x))
    before = copy.deepcopy(other.state_dict())
    other.load_state_dict({})
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())
