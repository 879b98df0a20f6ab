"""Pictures without masks: where cameras look, what none of them looks through, and a ball before a wall."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from inr_plugins.method_configs.diner_surface import diner_surface
from models.common.test_hull import MIDDLE, RADIUS, SIZE, cameras
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.scene_box import SceneBox
from torch.nn.functional import normalize

from inr_plugins.errors import InputError
from inr_plugins.models.diner_surface.carved_object import DinerSurfaceCarvedModel
from inr_plugins.models.diner_surface.carving import (
    carved_distances,
    carved_hull,
    pictures_of,
    thin_parts,
    without_cavities,
    without_flakes,
    without_small_pieces,
)
from inr_plugins.models.diner_surface.checks import check_looking, check_outside_box
from inr_plugins.models.diner_surface.limit import SurfaceLimit
from inr_plugins.models.diner_surface.looks import DepthView, depth_views, looks_at, median_distance
from inr_plugins.models.diner_surface.model import DinerSurfaceModel
from inr_plugins.models.diner_surface.surroundings import Surroundings
from inr_plugins.models.diner_surface.table import DinerSurfaceTableModel
from inr_plugins.rendering.grid.march import Samples
from inr_plugins.rendering.voxel_render import MarchSettings, Rendering

BOX = torch.tensor([[-1.0] * 3, [1.0] * 3])


def seen_ball(origins, directions):
    """What rays see of an opaque ball: one sample, where they meet it."""
    along = ((MIDDLE - origins) * directions).sum(-1)
    closest = (origins + along[:, None] * directions - MIDDLE).norm(dim=-1)
    ray = (closest < RADIUS).nonzero()[:, 0]
    distance = along[ray] - (RADIUS**2 - closest[ray] ** 2).sqrt()
    samples = Samples(ray, distance, torch.zeros_like(ray), torch.zeros(len(ray), 3))
    zero = torch.zeros(len(origins), 1)
    return Rendering(zero.expand(-1, 3), zero, zero, None, samples, torch.ones(len(ray)), torch.zeros(len(ray), 3))


def test_cameras_that_look_away_or_stand_in_the_box_are_refused():
    rig = cameras(20)
    check_looking(rig)
    names = [f"view{view}.png" for view in range(20)]
    check_outside_box(rig, names, BOX, 1.0)
    nearest = rig.camera_to_worlds[:, :, 3].abs().amax(-1)
    words = (
        rf"20 of 20 cameras, that of view{int(nearest.argmin())}\.png among them, .*box-scale below {nearest.min():.2g}"
    )
    with pytest.raises(InputError, match=words):
        check_outside_box(rig, names, 4 * BOX, 4.0)
    poses = rig.camera_to_worlds.clone()
    # The same places, from which all look away.
    poses[:, :, 0] *= -1
    poses[:, :, 2] *= -1
    with pytest.raises(InputError, match=r"do not look at one place .*cn-neus-room"):
        check_looking(Cameras(poses, fx=70.0, fy=72.0, cx=30.0, cy=30.0, width=SIZE, height=SIZE))


def test_the_box_of_a_run_is_a_cube_where_its_cameras_look():
    rig = cameras(20)
    rig.camera_to_worlds[:, :, 3] += torch.tensor([2.0, -1.0, 0.5])
    model = config(capture="table", box_scale=0.8).setup(
        scene_box=SceneBox(aabb=1.5 * BOX), num_train_data=20, metadata={"opaque": True}, device="cpu"
    )
    dataset = SimpleNamespace(cameras=rig, image_filenames=["a.png"] * 20, metadata={})
    assert model.look_at(dataset)
    low, high = model.around.box
    torch.testing.assert_close((low + high) / 2, torch.tensor([2.0, -1.0, 0.5]), atol=1e-3, rtol=0)
    # Half of the way from the cameras, which stand 3 away.
    torch.testing.assert_close(high - low, torch.full((3,), 0.8 * 3.0), atol=1e-2, rtol=0)
    assert not model.look_at(dataset)


def test_the_median_is_where_half_of_the_light_is_stopped():
    samples = Samples(
        torch.tensor([0, 0, 0, 2, 3]), torch.tensor([1.0, 2, 3, 4, 5]), torch.zeros(5).long(), torch.zeros(5, 3)
    )
    weights = torch.tensor([0.3, 0.3, 0.4, 0.4, 0.5])
    zero = torch.zeros(4, 1)
    seen = Rendering(zero.expand(-1, 3), zero, zero, None, samples, weights, torch.zeros(5, 3))
    found = median_distance(seen, 4)
    assert found.tolist() == [2.0, torch.inf, torch.inf, 5.0]


def test_what_no_camera_looks_through_is_the_ball_and_nothing_else():
    origin, edge, distances = carved_distances(cameras(40), seen_ball, BOX, 40, margin=0.02, device=torch.device("cpu"))
    axes = [origin[i] + edge * torch.arange(n) for i, n in enumerate(distances.shape)]
    truth = ((torch.cartesian_prod(*axes) - MIDDLE).norm(dim=-1) - RADIUS).view(distances.shape) / edge
    near = truth.abs() < 6
    assert float((distances - truth)[near].abs().mean()) < 0.8
    assert float((distances - truth)[near].mean().abs()) < 0.6


def test_of_a_hull_only_what_is_looked_through_goes():
    edge = 0.05
    axis = -1 + edge * torch.arange(41)
    x = torch.cartesian_prod(axis, axis, axis)
    # A larger ball, which holds the one that is seen.
    hull = ((x - MIDDLE + torch.tensor([0.0, 0.0, RADIUS / 2])).norm(dim=-1) - 1.5 * RADIUS).view(41, 41, 41) / edge
    origin, device = torch.full((3,), -1.0), torch.device("cpu")
    found = carved_hull(cameras(40), seen_ball, origin, edge, hull, margin=0.02, device=device)
    ball = ((x - MIDDLE).norm(dim=-1) - RADIUS).view(hull.shape) / edge
    truth = torch.maximum(ball, hull)
    clear = truth.abs() > 1
    assert torch.equal(found.distances[clear] < 0, truth[clear] < 0)
    assert not bool(found.hidden[clear].any())
    with pytest.raises(InputError, match="hull-steps more steps"):
        carved_hull(cameras(40), seen_nothing, origin, edge, hull, margin=0.02, device=device)


def test_what_hides_behind_the_object_is_closed_off_and_stays_out():
    """Cameras on one side, and a hull that goes on behind the ball as a cylinder of its width."""
    edge, device, origin = 0.04, torch.device("cpu"), torch.tensor([-0.6, -0.8, -1.8])
    counts = (36, 36, 66)
    x = torch.cartesian_prod(*[origin[i] + edge * torch.arange(n) for i, n in enumerate(counts)]) - MIDDLE
    ball = x.norm(dim=-1) - RADIUS
    behind = torch.where(x[:, 2] < 0, x[:, :2].norm(dim=-1) - RADIUS, ball).view(counts) / edge
    behind[:, :, 0] = 1
    rig = cameras(200)
    rig = rig[rig.camera_to_worlds[:, 2, 3] > 2.4]
    found = carved_hull(rig, seen_ball, origin, edge, behind, margin=0.05, device=device)
    deep = x[:, 2].view(counts)
    front = (ball.view(counts) < -edge) & (deep > 0)
    assert bool((found.distances[front] < 0).all())
    # The plane film, were everything down to the middle seen; the rest is what cameras see of the sides, a margin deep.
    assert not bool((found.distances < 0)[deep < -0.6 * RADIUS].any())
    shadow = (deep < -0.6 * RADIUS) & (deep > -RADIUS) & (behind < -0.5 * RADIUS / edge)
    assert bool(found.hidden[shadow].all())
    assert not bool(found.hidden[deep > 0].any())
    limit = SurfaceLimit.of_hull(origin, edge, behind, found)
    places = MIDDLE + torch.tensor([[0.0, 0.0, 0.9], [0.0, 0.0, 0.0], [0.0, 0.0, -1.0], [1.5, 0.0, 0.3]]) * RADIUS
    assert limit.allows(places).tolist() == [True, True, False, False]
    assert SurfaceLimit.of_hull(origin, edge, behind).allows(places).tolist() == [True, True, True, False]


def seen_nothing(origins, directions):
    ball = seen_ball(origins, directions)
    none = torch.zeros(0, dtype=torch.int64)
    return replace(ball, samples=ball.samples.select(none), weights=torch.zeros(0), colours=torch.zeros(0, 3))


def test_rods_and_plates_are_thin_and_blocks_are_not():
    axis = torch.arange(48.0)
    x = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1)

    def block(low, high):
        outside = torch.maximum(torch.tensor(low) - x, x - torch.tensor(high))
        return outside.clamp(min=0).norm(dim=-1) + outside.amax(-1).clamp(max=0)

    ball = (x - 12.0).norm(dim=-1) - 8
    plate, rod = block([26.0, 4, 4], [28.0, 40, 40]), block([36.0, 36, 4], [38.5, 38.5, 44])
    thin = thin_parts(torch.minimum(ball, torch.minimum(plate, rod)))
    assert torch.equal(thin & (ball > 0), (plate < 0) | (rod < 0))
    assert float((thin & (ball < 0)).sum()) < 0.01 * float((ball < 0).sum())
    # Nothing of what is thin everywhere is left out.
    assert torch.equal(thin_parts(rod), rod < 0)


def test_one_hole_in_one_picture_carves_nothing():
    rig = cameras(40)
    views = depth_views(rig, seen_ball, torch.device("cpu"))
    inside = MIDDLE[None]
    assert bool(looks_at(rig, views, inside, margin=0.02).solid().all())
    views[3] = DepthView(3, torch.full_like(views[3].distance, torch.inf))
    assert bool(looks_at(rig, views, inside, margin=0.02).solid().all())
    views[5] = DepthView(5, torch.full_like(views[5].distance, torch.inf))
    assert not bool(looks_at(rig, views, inside, margin=0.02).solid().any())
    # What no picture shows is not solid.
    assert not bool(looks_at(rig, views, torch.tensor([[0.0, 0.0, 50.0]]), margin=0.02).solid().any())


def test_what_floats_goes():
    solid = torch.zeros(20, 20, 20, dtype=torch.bool)
    solid[2:10, 2:10, 2:10] = True
    solid[15, 15, 15:18] = True
    assert int(without_small_pieces(solid).sum()) == 512
    solid[12:14, 12:14, 12:14] = True
    assert int(without_small_pieces(solid).sum()) == 520


def test_only_flakes_that_few_pictures_show_go():
    solid = torch.zeros(20, 20, 20, dtype=torch.bool)
    solid[2:10, 2:10, 2:10] = True
    whole = solid.clone()
    solid[15, 15, 15:18] = True
    # Touches the block at a corner: a rod across the lattice is one piece.
    solid[10, 10, 10] = whole[10, 10, 10] = True
    shown = torch.full(solid.shape, 30)
    assert torch.equal(without_flakes(solid, shown), solid)
    shown[10:] = 10
    assert torch.equal(without_flakes(solid, shown), whole)
    # Large ones stay.
    solid[14:16, 14:16, 14:16] = True
    assert torch.equal(without_flakes(solid, shown), solid)
    assert not bool(without_flakes(torch.zeros_like(solid), shown).any())


def test_what_is_shut_in_is_solid_and_what_is_open_is_not():
    solid = torch.ones(12, 12, 12, dtype=torch.bool)
    solid[4:6, 4:6, 4:6] = False
    assert bool(without_cavities(solid).all())
    solid[4, 4, 6:] = False
    assert torch.equal(without_cavities(solid), solid)


def test_pictures_of_a_place_are_those_in_front_of_whose_cameras_it_is():
    rig = cameras(40)
    one = rig[7:8]
    axis, eye = -one.camera_to_worlds[0, :, 2], one.camera_to_worlds[0, :, 3]
    aside = eye + 0.1 * (axis + 3 * one.camera_to_worlds[0, :, 0])
    above = eye + 0.1 * (axis + 3 * one.camera_to_worlds[0, :, 1])
    places = torch.stack([eye + 0.1 * axis, eye - 0.1 * axis, aside, above])
    assert pictures_of(one, places).tolist() == [1, 0, 0, 0]
    assert pictures_of(rig, MIDDLE[None]).tolist() == [40]


def test_each_place_has_its_own_number_of_hits():
    rig = cameras(40)
    views = depth_views(rig, seen_ball, torch.device("cpu"))
    # Just before the surface: it stops the light of some cameras, and others look past it.
    x = (MIDDLE + torch.tensor([0.0, 0.0, RADIUS + 0.03])).expand(2, 3)
    assert looks_at(rig, views, x, margin=0.05).solid(torch.tensor([0.0, 1e9])).tolist() == [True, False]


def test_surroundings_leave_the_box_and_stay_what_they_are_around_it():
    torch.manual_seed(0)
    around = Surroundings(BOX, 16)
    with torch.no_grad():
        around.field.density_table.normal_(0, 2)
        around.field.colour_table.normal_()
    x = torch.rand(4000, 3) * 8 - 4
    before = around.field.density(x).detach()
    around.leave_box()
    within = ((x > BOX[0]) & (x < BOX[1])).all(-1)
    after = around.field.density(x).detach()
    assert bool((after[within] == 0).all())
    torch.testing.assert_close(after[~within], before[~within], atol=0, rtol=0)
    # No ray has a sample in the box.
    origins = normalize(torch.randn(200, 3), dim=-1) * 3
    seen = around.see(origins, normalize(-origins + 0.3 * torch.randn(200, 3), dim=-1), MarchSettings(1.0))
    at = origins[seen.samples.ray] + seen.samples.distance[:, None] * normalize(-origins, dim=-1)[seen.samples.ray]
    assert len(at) > 100


def test_surroundings_that_are_settled_learn_colours_alone():
    around = Surroundings(BOX, 16)
    around.leave_box()
    around.settle()
    origins = normalize(torch.randn(200, 3), dim=-1) * 3
    around.see(origins, normalize(-origins + torch.randn(200, 3), dim=-1), MarchSettings(1.0)).rgb.sum().backward()
    assert around.field.density_table.grad is None
    assert around.field.colour_table.grad is not None


def config(**changes):
    settings = copy.deepcopy(diner_surface.config.pipeline.model)
    settings.lattice_sizes, settings.stage_steps, settings.smooth_share = (24, 32), (20,), (1.0, 1.0)
    settings.colour_degrees, settings.coarse_sizes, settings.coarse_steps = (0, 2), (16, 24), (30, 20)
    settings.coarse_prune_every = 15
    settings.sharpening_steps, settings.refresh_every, settings.network.width = 40, 10, 16
    for name, value in changes.items():
        setattr(settings, name, value)
    return settings


def test_settings_that_do_not_go_together_are_refused():
    config().check_options()
    with pytest.raises(InputError, match="coarse-sizes must be multiples of 4"):
        config(coarse_sizes=(16, 22)).check_options()
    with pytest.raises(InputError, match="coarse-steps need one number for each stage"):
        config(coarse_steps=(30,)).check_options()
    with pytest.raises(InputError, match="hull-steps need one number for each stage"):
        config(hull_steps=(30,)).check_options()


def test_masks_say_which_capture_it_is_unless_it_is_given():
    box = SceneBox(aabb=1.5 * BOX)
    for capture, opaque, kind in (
        ("auto", False, DinerSurfaceCarvedModel),
        ("auto", True, DinerSurfaceTableModel),
        ("object", True, DinerSurfaceCarvedModel),
        ("table", False, DinerSurfaceTableModel),
    ):
        made = config(capture=capture).setup(scene_box=box, num_train_data=1, metadata={"opaque": opaque}, device="cpu")
        assert type(made) is kind
    bare = config(hull_sizes=(), hull_steps=())
    assert type(bare.setup(scene_box=box, num_train_data=1, metadata={}, device="cpu")) is DinerSurfaceModel
