"""Signed distances on a lattice against those of a ball, and their moves."""

import torch

from inr_plugins.fields.distance_band import HALF_WIDTH, follow_surface, grown, near_cells, refine
from inr_plugins.fields.moved_level import at_level
from inr_plugins.fields.protocol import ColourField, SDFField
from inr_plugins.fields.voxel_distance import VoxelDistanceField
from inr_plugins.networks.coordinate_network import CoordinateNetworkConfig
from inr_plugins.networks.voxels.sparse_lattice import SparseLattice
from inr_plugins.rendering.distance_render import render_distances
from inr_plugins.rendering.grid.march import OccupancyGrid
from inr_plugins.rendering.voxel_render import MarchSettings

RADIUS = 0.6


def ball(x):
    return x.norm(dim=-1) - RADIUS


def ball_field(cells=40):
    """A band around a ball's surface, in the box from -1 to 1."""
    torch.manual_seed(0)
    box = torch.tensor([[-1.0] * 3, [1.0] * 3])
    whole = SparseLattice.over_box(box, cells**3)
    distances = ball(whole.vertices()) / whole.edge
    band = SparseLattice(whole.origin, float(whole.edge), grown(near_cells(whole, distances), HALF_WIDTH))
    middles = whole.origin + whole.edge * (torch.cartesian_prod(*[torch.arange(n) for n in whole.shape]) + 0.5)
    solid = (ball(middles) < 0).view(whole.shape)
    network = CoordinateNetworkConfig(width=16)
    field = VoxelDistanceField(band, distances[band.rows_in(whole)], solid, key_width=4, network=network)
    return field.eval()


def test_it_answers_the_protocol():
    assert isinstance(ball_field(16), SDFField)
    assert isinstance(ball_field(16), ColourField)


def test_distance_is_the_balls_in_the_band_and_a_lower_bound_of_the_right_sign_elsewhere():
    field = ball_field()
    x = torch.rand(20000, 3) * 2.4 - 1.2
    found, truth = field.sdf(x).detach(), ball(x)
    cell, _ = field.lattice.locate(x)
    in_band = cell >= 0
    assert 0.1 < float(in_band.float().mean()) < 0.9
    # Smoothing and interpolation each move a ball of 12 cells by up to a twelfth of a cell.
    torch.testing.assert_close(found[in_band], truth[in_band], atol=0.16 * float(field.lattice.edge), rtol=0)
    assert bool((found[~in_band].sign() == truth[~in_band].sign()).all())
    assert bool((found[~in_band].abs() <= truth[~in_band].abs()).all())


def test_the_gradient_of_the_distance_is_that_of_finite_differences():
    field = ball_field()
    x = torch.nn.functional.normalize(torch.randn(500, 3), dim=-1) * (RADIUS + 0.05 * torch.randn(500, 1))
    u = (x - field.lattice.origin) / field.lattice.edge
    # Well within a cell, where the trilinear function has a gradient.
    x = (field.lattice.origin + field.lattice.edge * (u.floor() + 0.2 + 0.6 * (u - u.floor()))).requires_grad_()
    (gradient,) = torch.autograd.grad(field.sdf(x).sum(), x)
    for axis in range(3):
        step = 0.1 * float(field.lattice.edge) * torch.eye(3)[axis]
        ahead, behind = field.sdf(x + step).detach(), field.sdf(x - step).detach()
        torch.testing.assert_close(gradient[:, axis], (ahead - behind) / (2 * step.norm()), atol=2e-3, rtol=0)
    assert (
        float(
            (torch.nn.functional.normalize(gradient, dim=-1) * torch.nn.functional.normalize(x, dim=-1)).sum(-1).min()
        )
        > 0.99
    )


def test_a_point_has_one_value_whatever_else_is_asked():
    field = ball_field()
    x = torch.rand(1000, 3) * 2 - 1
    d = torch.nn.functional.normalize(torch.randn(1000, 3), dim=-1)
    torch.testing.assert_close(torch.cat([field.sdf(x[:3]), field.sdf(x[3:])]), field.sdf(x), atol=0, rtol=0)
    torch.testing.assert_close(field.colour(x[100:101], d[100:101]), field.colour(x, d)[100:101], atol=1e-6, rtol=0)


def test_colours_of_degree_0_are_the_same_from_everywhere_and_of_degree_2_are_not():
    field = ball_field(16)
    with torch.no_grad():
        for weight in field.network.parameters():
            weight.normal_()
    x = torch.nn.functional.normalize(torch.randn(100, 3), dim=-1) * RADIUS
    up, down = (torch.tensor([0.0, 0.0, sign]).expand_as(x) for sign in (1.0, -1.0))
    assert float((field.colour(x, up) - field.colour(x, down)).abs().mean()) > 0.05
    field.degree = 0
    assert torch.equal(field.colour(x, up), field.colour(x, down))
    assert float(field.colour(x, up).std(0).min()) > 0.05


def test_the_band_follows_a_surface_that_moved_with_distances_that_go_on():
    field = ball_field()
    edge = float(field.lattice.edge)
    before = field.lattice.occupied
    with torch.no_grad():
        field.distances -= 2.0  # The ball grows by two cells.
    rows = follow_surface(field)
    assert not torch.equal(field.lattice.occupied, before)
    assert bool((rows < 0).any())
    truth = (field.lattice.vertices().norm(dim=-1) - RADIUS) / edge - 2
    # From the next corner, at most the diagonal of a cell away, ring by ring.
    assert float((field.distances.detach() - truth)[rows >= 0].abs().max()) < 1e-4
    assert float((field.distances.detach() - truth)[rows < 0].abs().max()) < 1.0
    x = torch.rand(20000, 3) * 2 - 1
    assert bool(
        (field.sdf(x).sign() == (x.norm(dim=-1) - RADIUS - 2 * edge).sign())[
            (x.norm(dim=-1) - RADIUS - 2 * edge).abs() > 0.1 * edge
        ].all()
    )


def test_a_surface_that_is_gone_changes_nothing():
    field = ball_field(16)
    with torch.no_grad():
        field.distances += 100
    lattice = field.lattice
    assert follow_surface(field) is None
    assert not refine(field, 32)
    assert field.lattice is lattice


def test_a_surface_that_only_one_vertex_is_near_is_gone_on_a_lattice_without_it():
    field = ball_field(16)
    row = len(field.distances) // 2
    with torch.no_grad():
        field.distances.fill_(4.0)
        field.distances[row] = -4.0
        dent = 4.0 - float(field.reading().distance[row])
        # What is read at the vertex falls in proportion.
        field.distances[row] = 4.0 - 8.0 * (4.0 - 0.95) / dent
    assert float(field.reading().distance.min()) > 0.94
    assert bool(near_cells(field.lattice, field.reading().distance).any())
    assert not refine(field, 24)


def test_on_a_finer_lattice_the_ball_is_the_same():
    field = ball_field(24)
    cells = field.lattice.shape
    assert refine(field, 48)
    assert max(field.lattice.shape) > 1.5 * max(cells)
    x = torch.nn.functional.normalize(torch.randn(3000, 3), dim=-1) * (RADIUS + 0.02 * torch.randn(3000, 1))
    assert float((field.sdf(x).detach() - ball(x)).abs().max()) < 0.02
    y = torch.rand(5000, 3) * 1.4 - 0.7
    far = ball(y).abs() > 0.03
    assert bool((field.sdf(y).detach().sign() == ball(y).sign())[far].all())


def test_bounds_hold_everywhere_in_each_cell_and_leave_only_the_surface_open():
    field = ball_field(24)
    with torch.no_grad():
        # A band that is a distance no more, and steep.
        field.distances += 0.5 * torch.randn(len(field.distances))
    bounds, lattice = field.cell_bounds(), field.lattice
    x = lattice.origin + lattice.edge * (lattice.cells * torch.rand(40000, 3))
    u = (x - lattice.origin) / lattice.edge
    clear = ((u - u.floor() > 1e-3) & (u - u.floor() < 1 - 1e-3)).all(-1)
    cell, value = tuple(u[clear].long().T), field.sdf(x[clear]).detach()
    assert bool((value >= bounds.least[cell]).all())
    assert bool((value <= bounds.largest[cell]).all())
    crossed = (bounds.least <= 0) & (bounds.largest >= 0)
    assert bool((crossed & ~lattice.occupied).any()) is False
    assert 0.1 < float(crossed.float().sum() / lattice.occupied.float().sum()) < 0.7


def test_solid_beyond_the_bands_box_is_left_open_because_a_mesh_is_closed_there():
    whole = SparseLattice.over_box(torch.tensor([[-1.0] * 3, [1.0] * 3]), 16**3)
    # A solid half space whose band reaches up to the middle of x only.
    distances = whole.vertices()[:, 2] / whole.edge
    near = near_cells(whole, distances)
    near[8:] = False
    band = SparseLattice(whole.origin, float(whole.edge), near)
    solid = torch.zeros(whole.shape, dtype=torch.bool)
    solid[:, :, :8] = True
    field = VoxelDistanceField(
        band, distances[band.rows_in(whole)], solid, key_width=2, network=CoordinateNetworkConfig(width=4)
    )
    bounds = field.eval().cell_bounds()
    assert bool((bounds.largest[8:, :, :7] == torch.inf).all())
    assert bool((bounds.least[:, :, 9:] > 0).all())


def test_another_level_is_drawn_and_asked_alike_and_the_field_stays():
    field = ball_field()
    level = 0.8 * field.level_reach
    moved = at_level(field, level)
    # Frames are made of readings, pieces of mesh and slices of distances.
    grid = OccupancyGrid(field.lattice.origin, float(field.lattice.edge), field.lattice.occupied)
    origins = torch.tensor([[3.0, 0.0, 0.0]])
    depths = []
    for each in (field, moved):
        seen = render_distances(origins, -origins / 3, each.reading(), grid, MarchSettings(0.2), 60.0)
        depths.append(float(seen.depth))
        assert abs(float(each.sdf(origins / 3 * (3 - depths[-1])))) < 0.1 * float(field.lattice.edge)
    assert abs(depths[0] - depths[1] - level) < 0.1 * level
    assert abs(depths[0] - (3 - RADIUS)) < 0.2 * float(field.lattice.edge)
