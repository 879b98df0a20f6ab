"""What is done otherwise on an accelerator, so that the host need not wait for it: the same as on a CPU."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from long_form import long_form
from pretend_cuda import PretendCuda, label
from torch.nn.functional import normalize

from inr_plugins.engine.optimization.row_adam import RowAdam
from inr_plugins.fields.explicit_voxels import ExplicitVoxelField
from inr_plugins.fields.voxel_sh import VoxelSHField
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice, interpolate
from inr_plugins.rendering.grid import march as marching
from inr_plugins.rendering.grid.march import OccupancyGrid, box_interval, first_rays, march
from inr_plugins.rendering.packed import packed_weights, sums_before
from inr_plugins.rendering.tracing.sphere_tracing import trace_distance
from inr_plugins.rendering.voxel_render import MarchSettings, render_voxels

SETTINGS = MarchSettings(step=0.5, min_weight=1e-3)


def drawn(seed=0):
    return torch.Generator().manual_seed(seed)


def some_rays(count, seed=1):
    origins = normalize(torch.randn(count, 3, generator=drawn(seed)), dim=-1) * 3
    return origins, normalize(torch.randn(count, 3, generator=drawn(seed + 1)) * 0.4 - origins, dim=-1)


def lattice():
    full = SparseLattice.over_box(torch.tensor([[-1.0] * 3, [1.0] * 3]), 20**3)
    return SparseLattice(full.origin, float(full.edge), torch.rand(full.shape, generator=drawn()) < 0.3)


def on_cuda(*tensors):
    return [each.to("cuda") for each in tensors]


def packed(counts):
    return torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))


def test_weights_and_their_gradients_are_those_of_a_cpu():
    ray = packed([3, 0, 40, 1, 0, 500])
    depths = torch.rand(len(ray), generator=drawn()) ** 4
    depths[[1, 50]] = math.inf
    wanted = torch.randn(2, len(ray), generator=drawn(1))

    def weights(depths, ray, wanted):
        depths = depths.clone().requires_grad_()
        found = packed_weights(depths, ray, 6)
        (found[0] * wanted[0] + found[1] * wanted[1]).sum().backward()
        return *found, depths.grad

    truth = weights(depths, ray, wanted)
    with PretendCuda() as pretended:
        found = weights(*on_cuda(depths, ray, wanted))
        assert not pretended.waits
    for a, b in zip(found, truth, strict=True):
        torch.testing.assert_close(a.detach().cpu(), b.detach(), atol=2e-7, rtol=2e-6)


def test_a_second_derivative_goes_through_them():
    ray, depths = packed([4, 3]), torch.rand(7, generator=drawn(), dtype=torch.float64)

    def weight(depths):
        with PretendCuda():
            return packed_weights(depths.to("cuda"), ray.to("cuda"), 2)[0]

    assert torch.autograd.gradgradcheck(weight, depths.requires_grad_(), atol=1e-6)


def test_no_neighbour_changes_a_bit_of_a_ray():
    ray = packed([100, 7, 3000])
    depths = torch.rand(len(ray), generator=drawn())
    with PretendCuda():
        alone = packed_weights(*on_cuda(depths[100:107], torch.zeros(7, dtype=torch.long)), 1)
        for neighbours in (0.0, 1e-9, 1e3, math.inf):
            around = torch.full_like(depths, neighbours)
            around[100:107] = depths[100:107]
            among = packed_weights(*on_cuda(around, ray), 3)
            assert all(torch.equal(a, b[100:107]) for a, b in zip(alone, among, strict=True))


@pytest.mark.parametrize("few_steps", [0, 1 << 20])
@pytest.mark.parametrize("far", [math.inf, 3.1])
def test_the_same_samples_are_found(few_steps, far, monkeypatch):
    monkeypatch.setattr(marching, "_FEW_STEPS", few_steps)
    grid = OccupancyGrid(torch.tensor([-1.0, -0.6, -0.9]), 0.05, torch.rand(40, 20, 33, generator=drawn()) < 0.05)
    origins, directions = some_rays(200)
    # Some that miss, and one that lies in a face.
    directions[:20] = -directions[:20]
    origins[20], directions[20] = torch.tensor([-3.0, -0.6, 0.0]), torch.tensor([1.0, 0.0, 0.0])
    jitter = torch.rand(200, generator=drawn(5))
    how = {"step": 0.02, "near": 0.1, "far": far}
    truth = march(origins, directions, grid, jitter=jitter, **how)
    with PretendCuda() as pretended:
        rays = on_cuda(origins, directions, jitter)
        there = OccupancyGrid(grid.origin.to("cuda"), grid.edge, grid.cells.view(grid.shape).to("cuda"))
        pretended.waits.clear()
        found = march(rays[0], rays[1], there, jitter=rays[2], **how)
        assert len(pretended.waits) == (1 if few_steps else 2)
    assert len(found) > 300
    for name in ("ray", "distance", "flat_cell", "fraction"):
        assert label(getattr(found, name)) == "cuda"
        torch.testing.assert_close(getattr(found, name).cpu(), getattr(truth, name))


def test_first_rays_are_told_in_one_look():
    origins, directions = some_rays(50)
    grid = OccupancyGrid(torch.full((3,), -1.0), 0.125, torch.ones(16, 16, 16, dtype=torch.bool))
    samples = march(origins, directions, grid, step=0.05)
    for limit in (1, 100, len(samples) - 1, len(samples)):
        rays, kept = first_rays(samples, 50, limit=limit)
        counts = torch.bincount(samples.ray, minlength=50).cumsum(0)
        expected = 50 if limit >= len(samples) else max(1, int((counts <= limit).sum()))
        assert (rays, len(kept)) == (expected, int(counts[expected - 1]))
        assert torch.equal(kept.distance, samples.distance[: len(kept)])


def rendered(field, origins, directions, jitter):
    """Pictures of a voxel field, and the gradients of its parameters."""
    grid = OccupancyGrid(field.lattice.origin, float(field.lattice.edge), field.lattice.occupied)
    seen = render_voxels(origins, directions, field, grid, SETTINGS, jitter=jitter)
    (seen.rgb.square().sum() + seen.accumulation.sum()).backward()
    gradients = [p.grad.to_dense() if p.grad.is_sparse else p.grad for p in field.parameters()]
    return [each.detach().cpu() for each in (seen.rgb, seen.accumulation, seen.depth, *gradients)]


@pytest.mark.parametrize("kind", ["explicit", "keys"])
def test_voxels_look_the_same_and_learn_the_same(kind):
    torch.manual_seed(0)
    field = ExplicitVoxelField(lattice(), 0.0)
    if kind == "keys":
        field = VoxelSHField(lattice(), 0.0, key_width=6, network=CoordinateNetworkConfig(width=16))
    with torch.no_grad():
        for name, each in field.named_parameters():
            if "network" not in name:
                each.uniform_(-3, 3, generator=drawn(4))
    field.train()
    given = (*some_rays(64), torch.rand(64, generator=drawn(7)))
    there = copy.deepcopy(field)
    truth = rendered(field, *given)
    with PretendCuda() as pretended:
        there, given = there.to("cuda"), on_cuda(*given)
        pretended.waits.clear()
        found = rendered(there, *given)
    # A grid is made of the lattice, and results are looked at; in between samples and then shaded ones are counted.
    assert sum("nonzero" in line for line in pretended.waits) == 2, pretended.waits
    assert sum("/rendering/" in line and "/tests/" not in line for line in pretended.waits) == 3, pretended.waits
    for a, b in zip(found, truth, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


def test_rows_of_tables_are_added_up_the_same():
    rows = torch.randint(0, 30, (200, 8), generator=drawn(), dtype=torch.int32)
    weights, table = torch.rand(200, 8, generator=drawn(1)), torch.randn(40, 5, generator=drawn(2))
    found = []
    for device in ("cpu", "cuda"):
        with PretendCuda():
            held = table.to(device).requires_grad_()
            interpolate(held, rows.to(device), weights.to(device)).sin().sum().backward()
            found.append(held.grad.cpu())
    torch.testing.assert_close(found[1], found[0])


def test_rows_that_a_step_did_not_touch_stay_with_their_moments():
    start, gradients = torch.randn(8, 3, generator=drawn()), torch.randn(5, 8, 3, generator=drawn(1))
    gradients[torch.rand(5, 8, generator=drawn(2)) < 0.5] = 0.0
    tables = []
    for device in ("cpu", "cuda"):
        with PretendCuda() as pretended:
            table = torch.nn.Parameter(start.clone().to(device))
            optimizer = RowAdam([table], lr=0.1)
            given = gradients.to(device)
            pretended.waits.clear()
            for gradient in given:
                table.grad = gradient.clone()
                optimizer.step()
            assert device == "cpu" or not pretended.waits
            moments = optimizer.state[table]
            tables.append([table.detach().cpu(), moments["exp_avg"].cpu(), moments["exp_avg_sq"].cpu()])
    for a, b in zip(*tables, strict=True):
        torch.testing.assert_close(a, b)


def test_sums_before_stay_exact_where_they_are_taken_as_units():
    """The largest sums of one ray, whose running sum over the batch overflows."""
    ray = packed([60_000, 60_000, 10])
    depths = torch.full((len(ray),), 127.9)
    with PretendCuda():
        _, light = packed_weights(*on_cuda(depths, ray), 3)
    assert light[0] == light[60_000] == light[120_000] == 1.0
    assert torch.equal(light[120_001:].cpu(), torch.exp(-sums_before(depths.double(), ray, 3)).float()[120_001:])
    assert float(light[1]) == float(torch.exp(-depths[:1].double()).float())


def torus(x):
    return torch.stack([x[:, :2].norm(dim=-1) - 0.55, x[:, 2]], -1).norm(dim=-1) - 0.2


@pytest.mark.parametrize(
    ("shape", "with_box"), [pytest.param(torus, True, marks=long_form), (lambda x: 0.7 * torus(x), False)]
)
def test_rays_meet_a_surface_where_they_do_on_a_cpu(shape, with_box):
    origins, directions = some_rays(1500)
    box = torch.tensor([[-1.0] * 3, [1.0] * 3])
    enter, leave = box_interval(origins, directions, box)
    truth = trace_distance(shape, origins, directions, enter, leave, box=box if with_box else None)
    with PretendCuda() as pretended:
        there = on_cuda(origins, directions, enter, leave, box)
        pretended.waits.clear()
        found = trace_distance(shape, *there[:4], box=there[4] if with_box else None)
        steps = int(found.steps.max())
    assert truth.hit.any()
    assert not truth.hit.all()
    assert torch.equal(found.hit.cpu(), truth.hit)
    met = truth.hit
    torch.testing.assert_close(found.distance.cpu()[met], truth.distance[met], atol=1e-5, rtol=0)
    at = origins[met] + directions[met] * found.distance.cpu()[met][:, None]
    # Rays that graze it count within the shortest step.
    assert torus(at).abs().max() < 5.1e-4
    # Two looks after every eighth step, beside those at the beginning and at the end.
    assert len(pretended.waits) <= 2 * math.ceil(steps / 8) + 30, pretended.waits
