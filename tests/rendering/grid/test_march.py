import pytest
import torch

from inr_plugins.rendering.grid.march import OccupancyGrid, Samples, box_interval, first_rays, march

ORIGIN = torch.tensor([-1.0, -0.6, 0.2])


def grid_of(shape, share, seed=0, edge=0.05) -> OccupancyGrid:
    generator = torch.Generator().manual_seed(seed)
    return OccupancyGrid(ORIGIN, edge, torch.rand(shape, generator=generator) < share)


def rays(count, grid, seed=1):
    """Rays from all around towards points in the grid."""
    generator = torch.Generator().manual_seed(seed)
    origins = torch.randn(count, 3, generator=generator) * 2
    target = grid.box[0] + (grid.box[1] - grid.box[0]) * torch.rand(count, 3, generator=generator)
    return origins, torch.nn.functional.normalize(target - origins, dim=-1)


def brute_force(origins, directions, grid, step, near, far, jitter):
    """Every step of every ray, one by one, in float64."""
    found = []
    for r in range(len(origins)):
        o, d = origins[r].double(), directions[r].double()
        ts = torch.stack([(grid.box[0].double() - o) / d, (grid.box[1].double() - o) / d])
        enter = max(ts.amin(0).amax().item(), near)
        leave = min(ts.amax(0).amin().item(), far)
        k = 0
        while (t := enter + (k + jitter[r].item()) * step) < leave:
            u = (o + d * t - grid.origin.double()) / grid.edge
            cell = u.floor().long()
            inside = all(0 <= cell[a] < grid.shape[a] for a in range(3))
            if inside and grid.cells.reshape(grid.shape)[tuple(cell)]:
                margin = (u - u.round()).abs().min().item()
                found.append((r, t, margin))
            k += 1
    return found


@pytest.mark.parametrize(("shape", "share"), [((20, 17, 23), 0.05), ((40, 9, 33), 0.6), ((5, 4, 6), 0.5)])
@pytest.mark.parametrize("step_in_cells", [0.5, 1.0, 0.37])
def test_skipping_finds_the_same_samples_as_walking_every_step(shape, share, step_in_cells):
    grid = grid_of(shape, share)
    origins, directions = rays(40, grid)
    jitter = torch.rand(40, generator=torch.Generator().manual_seed(2))
    step = step_in_cells * grid.edge
    got = march(origins, directions, grid, step=step, near=0.1, far=6.0, jitter=jitter)
    expected = brute_force(origins, directions, grid, step, 0.1, 6.0, jitter)
    got_keys = {
        (int(r), round(float(t) / step)) for r, t in zip(got.ray, got.distance - jitter[got.ray] * step, strict=True)
    }
    assert len(expected) > 20
    # A sample within rounding of a cell's face may fall on either side of it.
    certain = {(r, round((t - jitter[r].item() * step) / step)) for r, t, margin in expected if margin > 1e-3}
    everything = {(r, round((t - jitter[r].item() * step) / step)) for r, t, _ in expected}
    missing = certain - got_keys
    surplus = len(got_keys - everything)
    assert not missing
    assert surplus <= len(everything) - len(certain) + 2


@pytest.mark.parametrize("shape", [(40, 33, 36), (9, 40, 12)])
def test_a_few_lone_cells_are_found_as_if_nothing_were_skipped(shape):
    sparse, full = grid_of(shape, 0.003), grid_of(shape, 2.0)
    origins, directions = rays(3000, full)
    everything = march(origins, directions, full, step=0.025)
    occupied = sparse.cells[everything.flat_cell].nonzero()[:, 0]
    got = march(origins, directions, sparse, step=0.025)
    assert len(occupied) > 100
    assert torch.equal(got.ray, everything.ray[occupied])
    assert torch.equal(got.flat_cell, everything.flat_cell[occupied])


def test_samples_are_sorted_and_lie_where_they_say():
    grid = grid_of((20, 20, 20), 0.3)
    origins, directions = rays(60, grid)
    samples = march(origins, directions, grid, step=0.02)
    assert (samples.ray.diff() >= 0).all()
    same = samples.ray.diff() == 0
    assert (samples.distance.diff()[same] > 0).all()
    x = origins[samples.ray] + directions[samples.ray] * samples.distance[:, None]
    cell = torch.stack([samples.flat_cell // 400, samples.flat_cell // 20 % 20, samples.flat_cell % 20], -1)
    torch.testing.assert_close(grid.origin + grid.edge * (cell + samples.fraction), x, atol=2e-5, rtol=0)
    assert grid.cells[samples.flat_cell].all()


def test_near_and_far_bound_the_samples():
    grid = grid_of((20, 20, 20), 1.0)
    origins, directions = rays(30, grid)
    samples = march(origins, directions, grid, step=0.02, near=1.5, far=2.0)
    assert samples.distance.min() >= 1.5
    assert samples.distance.max() <= 2.0 + 0.02


def test_rays_that_miss_the_box_have_no_samples():
    grid = grid_of((8, 8, 8), 1.0)
    samples = march(torch.tensor([[0.0, 0.0, 9.0]]), torch.tensor([[0.0, 0.0, 1.0]]), grid, step=0.02)
    assert len(samples) == 0


def test_box_interval_is_the_slab_test():
    box = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])
    origins = torch.tensor([[0.0, 0.0, -3.0], [0.0, 0.0, 0.0], [0.0, 5.0, -3.0]])
    enter, leave = box_interval(origins, torch.tensor([[0.0, 0.0, 1.0]]).expand(3, 3), box)
    assert enter[:2].tolist() == [2.0, -1.0]
    assert leave[:2].tolist() == [4.0, 1.0]
    assert enter[2] > leave[2]


def test_first_rays_hold_no_more_samples_than_the_limit():
    ray = torch.repeat_interleave(torch.arange(6), torch.tensor([3, 0, 4, 2, 5, 1]))
    samples = Samples(ray, torch.arange(15.0), torch.zeros(15, dtype=torch.long), torch.zeros(15, 3))
    assert [first_rays(samples, 6, limit=n)[0] for n in (1, 3, 6, 7, 8, 9, 14, 15)] == [1, 2, 2, 3, 3, 4, 5, 6]
    assert len(first_rays(samples, 6, limit=8)[1]) == 7
