"""The grid against densities with a closed form: what it keeps, what it skips, and that nothing is lost for good."""

import copy

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation

from inr_plugins.networks.voxels.contraction import Contraction
from inr_plugins.rendering.front_to_back import render_front_to_back
from inr_plugins.rendering.grid import backend as nerfacc_grid
from inr_plugins.rendering.grid.backend import NerfaccGrid, choose_grid
from inr_plugins.rendering.grid.density import EMPTY_OPTICAL_DEPTH, SWEEP, DensityGrid
from inr_plugins.rendering.grid.march import OccupancyGrid, march

BOX = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])
CENTRE = torch.tensor([0.2, -0.1, 0.05])
RADIUS = 0.45
STEP = 0.02


def ball(x, centre=CENTRE, radius=RADIUS):
    """A solid ball of density 200, with colours that are its position."""
    return torch.where((x - centre).norm(dim=-1) < radius, 200.0, 0.0)


class BallField:
    def density_and_features(self, x):
        return ball(x), (x + 1) / 2

    def shade(self, features, directions):
        return features


def rays(count=400, seed=0):
    generator = torch.Generator().manual_seed(seed)
    origins = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1) * 3
    targets = torch.rand(count, 3, generator=generator) * 1.6 - 0.8
    return origins, torch.nn.functional.normalize(targets - origins, dim=-1)


def refreshed(density=ball, times=24, resolution=32, **settings):
    torch.manual_seed(0)
    grid = DensityGrid(BOX, resolution, **settings)
    for i in range(times):
        grid.refresh(density, spread=i < 4)
    return grid


def cell_corners(grid):
    ijk = torch.stack(torch.meshgrid(*[torch.arange(n) for n in grid.shape], indexing="ij"), -1)
    return grid.origin + grid.edge * ijk, grid.origin + grid.edge * (ijk + 1)


def test_everything_is_occupied_before_the_first_look():
    grid = DensityGrid(BOX, 16)
    assert grid.occupied.all()
    assert grid.shape == (16, 16, 16)


def test_the_ball_is_kept_and_what_is_far_from_it_is_skipped():
    grid = refreshed()
    low, high = cell_corners(grid)
    middle = (low + high) / 2
    reach = grid.edge * 3**0.5 / 2
    distance = (middle - CENTRE).norm(dim=-1)
    assert grid.occupied[distance < RADIUS - reach].all()
    assert not grid.occupied[distance > RADIUS + 3 * reach].any()
    box = grid.occupied_aabb()
    assert (box[0] <= CENTRE - RADIUS + grid.edge).all()
    assert (box[1] >= CENTRE + RADIUS - grid.edge).all()
    assert (box[1] - box[0]).max() < 2 * RADIUS + 5 * grid.edge


def test_what_has_gone_decays_after_the_warm_up_too():
    grid = DensityGrid(BOX, 8)
    grid.density.fill_(1.0)
    for _ in range(16):
        grid.refresh(lambda x: torch.zeros(len(x)))
    # Each cell was looked at once in its turn, and some more often because they were occupied.
    assert (grid.density <= 0.95 + 1e-6).all()


def test_a_point_speaks_for_its_whole_block_and_lies_anywhere_in_it():
    seen = []
    grid = DensityGrid(BOX, 8)
    for _ in range(40):
        grid.refresh(lambda x: seen.append(x) or torch.zeros(len(x)), spread=True)
    place = ((torch.cat(seen) - grid.origin) / grid.edge) % 2
    assert place.min() < 0.1
    assert place.max() > 1.9


def test_specks_do_not_count_for_the_box_on_request():
    grid = refreshed(resolution=64, times=40)
    box = grid.occupied_aabb()
    cells = grid.density.view(grid.shape)
    cells[0, 0, 0], cells[63, 62:, 63] = 1e3, 1e3
    whole = torch.stack([grid.origin, grid.origin + 64 * grid.edge])
    assert torch.allclose(grid.occupied_aabb(), whole)
    assert torch.equal(grid.occupied_aabb(least_share=1e-3), box)


def test_skipping_changes_the_picture_by_less_than_what_an_empty_cell_may_stop():
    grid = refreshed(resolution=64, times=40)
    everything = DensityGrid(BOX, 64, skip=False)
    origins, directions = rays(800)
    seen = {}
    for name, each in (("skipped", grid), ("dense", everything)):
        samples = each.march(origins, directions, step=STEP, near=0.1, far=9.0)
        seen[name] = render_front_to_back(origins, directions, samples, BallField(), step=STEP), len(samples)
    (skipped, few), (dense, many) = seen["skipped"], seen["dense"]
    assert few < 0.4 * many
    error = (skipped.rgb - dense.rgb).abs().amax(-1)
    # Only rays that graze the ball through a sliver of a cell, which a random point may miss, may differ.
    assert (error > 1e-3).float().mean() < 0.02
    assert error.mean() < 2e-3


def test_an_object_that_appears_after_warm_up_is_found_within_one_sweep():
    grid = refreshed(lambda x: torch.zeros(len(x)))
    assert not grid.occupied.any()
    thing = torch.tensor([-0.5, 0.6, -0.3])
    for _ in range(SWEEP):
        grid.refresh(lambda x: ball(x, thing, 0.3))
    low, high = cell_corners(grid)
    inside = ((low + high) / 2 - thing).norm(dim=-1) < 0.3 - grid.edge
    assert inside.sum() > 50
    assert grid.occupied[inside].all()


def test_a_sweep_looks_into_every_cell_once():
    grid = DensityGrid(BOX, 8, skip=False)
    looks = []

    def density(x):
        looks.append(x)
        return torch.zeros(len(x))

    for _ in range(SWEEP):
        grid.refresh(density)
    cell = ((torch.cat(looks) - grid.origin) / grid.edge).long()
    assert len(cell) == 512
    assert len(cell.unique(dim=0)) == 512


def test_what_has_gone_is_forgotten_at_the_published_rate():
    grid = DensityGrid(BOX, 8)
    grid.refresh(lambda x: torch.full((len(x),), 100.0), spread=True)
    for n in range(1, 4):
        grid.refresh(lambda x: torch.zeros(len(x)), spread=True)
        torch.testing.assert_close(grid.density, torch.full((512,), 100 * 0.95**n))


def test_a_cell_is_occupied_above_the_mean_or_the_published_optical_depth_whichever_is_less():
    grid = DensityGrid(BOX, 8)
    grid.density.zero_()
    grid.density[:8] = torch.tensor([1e4, 1e4, 1e4, 1e4, 0.6, 0.7, 0.4, 0.3])
    assert grid.threshold == pytest.approx(EMPTY_OPTICAL_DEPTH / grid.edge)
    assert grid.threshold == pytest.approx(0.625)
    assert grid.occupied.flatten().nonzero()[:, 0].tolist() == [0, 1, 2, 3, 5]
    grid.density[:4] = 0.9
    assert grid.threshold == pytest.approx((4 * 0.9 + 2.0) / 512)
    assert grid.occupied.sum() == 8


def test_a_thin_shell_stays_found_once_it_was_hit():
    """A shell thinner than a cell: single points often miss it, the decaying maximum does not let go."""

    def shell(x):
        return torch.where(((x - CENTRE).norm(dim=-1) - RADIUS).abs() < 0.01, 500.0, 0.0)

    grid = refreshed(shell, times=150)
    direction = torch.nn.functional.normalize(torch.randn(2000, 3, generator=torch.Generator().manual_seed(3)), dim=-1)
    assert grid.cells.is_occupied(CENTRE + RADIUS * direction).float().mean() > 0.95
    assert grid.occupied.float().mean() < 0.2


def test_boxes_that_are_no_cubes_have_cubic_cells_and_are_covered():
    box = torch.tensor([[-1.0, -0.3, 0.0], [1.0, 0.31, 0.9]])
    grid = DensityGrid(box, 20)
    assert grid.edge == pytest.approx(0.1)
    assert grid.shape == (20, 8, 10)
    assert (grid.cells.box[0] <= box[0] + 1e-6).all()
    assert (grid.cells.box[1] >= box[1] - 1e-6).all()


def test_a_saved_grid_goes_on_with_the_same_bits():
    grid = refreshed(times=6)
    other = DensityGrid(BOX, 32)
    other.load_state_dict(copy.deepcopy(grid.state_dict()))
    for each in (grid, other):
        torch.manual_seed(5)
        for _ in range(3):
            each.refresh(ball)
    assert torch.equal(grid.density, other.density)
    assert torch.equal(grid.occupied, other.occupied)


def test_the_cells_for_marching_follow_a_refresh_and_a_load():
    grid = DensityGrid(BOX, 16)
    assert grid.cells.cells.all()
    grid.refresh(ball, spread=True)
    grown = binary_dilation(grid.occupied.numpy(), np.ones((3, 3, 3)))
    assert torch.equal(grid.cells.cells, torch.from_numpy(grown).flatten())
    assert not grid.cells.cells.all()
    grid.load_state_dict(DensityGrid(BOX, 16).state_dict())
    assert grid.cells.cells.all()


def test_contracted_scenes_are_marched_behind_the_box():
    contraction = Contraction(BOX)
    grid = DensityGrid(contraction.outer_box, 32, contraction=contraction)
    samples = grid.march(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1.0]]), step=0.05, near=0.1, far=100.0)
    assert samples.distance.max() > 10
    assert len(samples) == pytest.approx(1.89 / 0.05, abs=2)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"resolution": 1}, "resolution"),
        ({"resolution": 4096}, "resolution"),
        ({"decay": 1.0}, "decay"),
        ({"empty_optical_depth": 0.0}, "empty_optical_depth"),
        ({"box": torch.zeros(2, 3)}, "no volume"),
    ],
)
def test_bad_settings_are_named(settings, name):
    with pytest.raises(ValueError, match=name):
        DensityGrid(**{"box": BOX, "resolution": 16, **settings})


# -- nerfacc -----------------------------------------------------------------------------------------------------------


class BruteForceEstimator:
    """What nerfacc documents of OccGridEstimator.sampling: steps from the near plane of each ray, kept where their
    middle lies in an occupied cell and before the far plane."""

    def __init__(self, roi_aabb, resolution, levels=1):
        self.aabb, self.resolution = roi_aabb.view(2, 3), torch.tensor(resolution)
        assert levels == 1

    def to(self, device):
        return self

    def sampling(self, rays_o, rays_d, near_plane, far_plane, t_min, t_max, render_step_size):
        begin = t_min.clamp(min=near_plane)
        end = t_max.clamp(max=far_plane)
        found = []
        for r in range(len(rays_o)):
            k = torch.arange(int(10 / render_step_size))
            left = begin[r] + k * render_step_size
            middle = left + render_step_size / 2
            x = (rays_o[r] + rays_d[r] * middle[:, None] - self.aabb[0]) / (self.aabb[1] - self.aabb[0])
            cell = (x * self.resolution).floor().long()
            inside = ((cell >= 0) & (cell < self.resolution)).all(-1) & (middle < end[r])
            cell = cell.clamp(min=0).minimum(self.resolution - 1)
            kept = inside & self.binaries[0, cell[:, 0], cell[:, 1], cell[:, 2]]
            found.append((torch.full((int(kept.sum()),), r, dtype=torch.int32), left[kept]))
        ray, left = (torch.cat(parts) for parts in zip(*found, strict=True))
        return ray, left, left + render_step_size


@pytest.fixture
def estimator(monkeypatch):
    module = type("nerfacc", (), {"OccGridEstimator": BruteForceEstimator})
    real = nerfacc_grid.importlib.import_module
    monkeypatch.setattr(
        nerfacc_grid.importlib, "import_module", lambda name: module if name == "nerfacc" else real(name)
    )


def with_nerfacc(grid):
    other = NerfaccGrid(BOX, 32).to(grid.density.device)
    other.load_state_dict(grid.state_dict())
    return other


def assert_same_samples(got, expected, grid):
    """All but those within rounding of a cell's face."""
    sure = ((expected.fraction - expected.fraction.round()).abs() > 1e-3).all(-1)
    key = {(int(r), round(float(t) * 1e3)) for r, t in zip(got.ray, got.distance, strict=True)}
    for r, t in zip(expected.ray[sure], expected.distance[sure], strict=True):
        assert any((int(r), round(float(t) * 1e3) + d) in key for d in (-1, 0, 1))
    assert abs(len(got) - len(expected)) <= int((~sure).sum())
    x = grid.origin + grid.edge * (_cells(got.flat_cell, grid.shape) + got.fraction)
    assert grid.cells.is_occupied(x).float().mean() > 0.999


def _cells(flat, shape):
    return torch.stack([flat // (shape[1] * shape[2]), flat // shape[2] % shape[1], flat % shape[2]], -1)


@pytest.mark.parametrize("near", [0.1, 2.9])
@pytest.mark.parametrize("jittered", [False, True])
def test_nerfaccs_traversal_as_documented_gives_the_same_samples(estimator, near, jittered):
    grid = refreshed()
    origins, directions = rays(40)
    jitter = torch.rand(40, generator=torch.Generator().manual_seed(1)) if jittered else None
    settings = {"step": STEP, "near": near, "far": 3.3, "jitter": jitter}
    expected = grid.march(origins, directions, **settings)
    assert len(expected) > 100
    assert_same_samples(with_nerfacc(grid).march(origins, directions, **settings), expected, grid)


def test_nerfacc_sees_a_refresh(estimator):
    grid = with_nerfacc(DensityGrid(BOX, 32))
    origins, directions = rays(10)
    before = grid.march(origins, directions, step=STEP, near=0.1, far=9.0)
    grid.refresh(ball, spread=True)
    assert len(grid.march(origins, directions, step=STEP, near=0.1, far=9.0)) < 0.6 * len(before)


def test_a_state_is_the_same_with_and_without_nerfacc(estimator):
    grid = with_nerfacc(refreshed())
    grid.march(*rays(5), step=STEP, near=0.1, far=9.0)
    assert grid.state_dict().keys() == DensityGrid(BOX, 32).state_dict().keys()


def test_the_torch_grid_is_taken_on_a_cpu_and_nerfacc_refused_there():
    assert choose_grid("auto", "cpu") is DensityGrid
    assert choose_grid("torch", "cuda") is DensityGrid
    with pytest.raises(ValueError, match="needs a CUDA device"):
        choose_grid("nerfacc", "cpu")


def test_auto_takes_nerfacc_on_cuda_only_where_it_is_built_and_works(monkeypatch):
    for built, works, expected in ((True, True, NerfaccGrid), (False, True, DensityGrid), (True, False, DensityGrid)):
        monkeypatch.setattr(nerfacc_grid, "nerfacc_is_built", lambda built=built: built)
        monkeypatch.setattr(nerfacc_grid, "nerfacc_works", lambda works=works: works)
        assert choose_grid("auto", "cuda") is expected
    with pytest.raises(ValueError, match="does not work here"):
        choose_grid("nerfacc", "cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_nerfacc_on_cuda_gives_the_torch_grids_samples_and_picture():
    if choose_grid("auto", "cuda") is DensityGrid:
        pytest.skip("nerfacc's CUDA code is not built")
    grid = refreshed().cuda()
    other = with_nerfacc(grid)
    origins, directions = (each.cuda() for each in rays(3000))
    jitter = torch.rand(3000, generator=torch.Generator().manual_seed(1)).cuda()
    marched = [each.march(origins, directions, step=STEP, near=0.1, far=9.0, jitter=jitter) for each in (grid, other)]
    assert abs(len(marched[0]) - len(marched[1])) < 0.002 * len(marched[0])
    field = BallField()
    field.density_and_features = lambda x: (ball(x, CENTRE.cuda()), (x + 1) / 2)
    pictures = [render_front_to_back(origins, directions, each, field, step=STEP).rgb for each in marched]
    assert (pictures[0] - pictures[1]).abs().mean() < 1e-3


def test_a_full_grid_marches_as_an_occupancy_grid_does():
    grid = DensityGrid(BOX, 16, skip=False)
    grid.refresh(lambda x: torch.zeros(len(x)), spread=True)
    origins, directions = rays(20)
    full = OccupancyGrid(BOX[0], 2 / 16, torch.ones(16, 16, 16, dtype=torch.bool))
    expected = march(origins, directions, full, step=STEP, near=0.1, far=9.0)
    got = grid.march(origins, directions, step=STEP, near=0.1, far=9.0)
    assert torch.equal(got.ray, expected.ray)
    torch.testing.assert_close(got.distance, expected.distance)
