import pytest
import torch

from inr_plugins.networks.voxels.contraction import Contraction
from inr_plugins.rendering.grid.contracted import bend, march_contracted
from inr_plugins.rendering.grid.march import OccupancyGrid, box_interval

BOX = torch.tensor([[-1.0, -0.8, -0.5], [1.0, 0.8, 0.7]])
CONTRACTION = Contraction(BOX)
EDGE = 0.05
FAR = 1000.0


def rays(count=60, spread=1.0, seed=3):
    generator = torch.Generator().manual_seed(seed)
    origins = torch.randn(count, 3, generator=generator) * spread
    return origins, torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)


def grid(share=2.0):
    low, high = CONTRACTION.outer_box
    shape = [int(n) for n in ((high - low) / EDGE).ceil()]
    return OccupancyGrid(low, EDGE, torch.rand(shape, generator=torch.Generator().manual_seed(0)) < share)


def march(origins, directions, where, **settings):
    settings = {"step": 0.02, "near": 0.1, "far": FAR} | settings
    return march_contracted(origins, directions, CONTRACTION, BOX, where, **settings)


def positions(samples, where):
    _, ny, nz = where.shape
    cell = samples.flat_cell
    ijk = torch.stack([cell // (ny * nz), cell // nz % ny, cell % nz], -1)
    return where.origin + where.edge * (ijk + samples.fraction)


@pytest.mark.parametrize("spread", [0.2, 1.0, 3.0])
def test_samples_lie_on_the_contracted_ray_where_their_distance_says(spread):
    where = grid()
    origins, directions = rays(spread=spread)
    samples = march(origins, directions, where)
    straight = origins[samples.ray] + directions[samples.ray] * samples.distance[:, None]
    error = (positions(samples, where) - CONTRACTION(straight)).norm(dim=-1)
    inside = ((straight > BOX[0]) & (straight < BOX[1])).all(-1)
    assert inside.sum() > 50
    assert error[inside].max() < 1e-5
    # Outside, straight pieces stand for curves, and distance is linear on each of them.
    assert error.median() < 0.002
    assert error.quantile(0.95) < 0.03
    assert error.max() < 0.15


@pytest.mark.parametrize("spread", [0.2, 1.0, 3.0])
def test_samples_cover_the_contracted_length_of_the_ray(spread):
    origins, directions = rays(spread=spread)
    samples = march(origins, directions, grid(), jitter=torch.rand(60, generator=torch.Generator().manual_seed(1)))
    covered = torch.bincount(samples.ray, minlength=60) * 0.02
    t = 0.1 * (FAR / 0.1) ** torch.linspace(0, 1, 20_000, dtype=torch.float64)
    path = CONTRACTION.double()(origins.double()[:, None] + directions.double()[:, None] * t[:, None])
    CONTRACTION.float()
    length = path.diff(dim=1).norm(dim=-1).sum(-1).float()
    assert (covered - length).abs().max() < 0.05 * length.max()
    assert (covered - length).abs().mean() < 0.025


def test_samples_are_sorted_and_keep_to_near_and_far():
    origins, directions = rays()
    samples = march(origins, directions, grid(), near=0.4, far=7.0)
    same_ray = samples.ray[1:] == samples.ray[:-1]
    assert (samples.ray.diff() >= 0).all()
    assert (samples.distance.diff()[same_ray] > 0).all()
    assert samples.distance.min() >= 0.4
    assert 6.0 < samples.distance.max() <= 7.0


def test_steps_are_even_across_pieces_of_one_ray():
    origins, directions = rays(spread=0.3)
    where = grid()
    samples = march(origins, directions, where)
    gap = positions(samples, where).diff(dim=0).norm(dim=-1)[samples.ray[1:] == samples.ray[:-1]]
    # Shorter by what a corner between two pieces cuts off; never longer.
    assert gap.max() < 0.02 * 1.001
    assert gap.quantile(0.02) > 0.02 * 0.9


def test_unoccupied_cells_give_no_samples_and_occupied_ones_the_same_as_in_a_full_grid():
    origins, directions = rays(count=300)
    full, sparse = grid(), grid(0.002)
    everything = march(origins, directions, full)
    wanted = sparse.cells[everything.flat_cell].nonzero()[:, 0]
    got = march(origins, directions, sparse)
    assert len(wanted) > 50
    assert torch.equal(got.flat_cell, everything.flat_cell[wanted])
    assert torch.equal(got.ray, everything.ray[wanted])


def test_rays_that_miss_the_box_are_bent_around_it():
    origins = torch.tensor([[5.0, 5.0, 5.0]])
    directions = torch.tensor([[1.0, 0.0, 0.0]])
    knots = bend(origins, directions, CONTRACTION, BOX, near=0.1, far=FAR).knots
    assert (knots.diff(dim=-1) >= 0).all()
    assert box_interval(origins, directions, BOX)[0] > box_interval(origins, directions, BOX)[1]
    assert knots[0, 0] == pytest.approx(0.1)
    assert knots[0, -1] == pytest.approx(FAR, rel=1e-3)
