"""The diner model on a scene with a closed form: a ball of one colour in front of white, seen from all around."""

import copy

import pytest
import torch
from inr_plugins.method_configs.diner import diner
from long_form import long_form
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import SceneBox
from nerfstudio.engine.optimizers import Optimizers

from inr_plugins.errors import InputError
from inr_plugins.fields.voxel_sh import VoxelSHField
from inr_plugins.models.diner.model import DinerModel, DinerModelConfig

RADIUS = 0.6
COLOUR = torch.tensor([0.8, 0.3, 0.1])
SMALL = {
    "num_voxels": 20**3,
    "key_width": 4,
    "coarse_voxels": (10**3, 14**3),
    "coarse_steps": (60, 20),
    "coarse_prune_every": 50,
    "prune_steps": (10,),
    "warm_up_steps": 20,
    "near_plane": 0.5,
}


def make(*, opaque=False, **changes) -> DinerModel:
    torch.manual_seed(0)
    box = SceneBox(aabb=torch.tensor([[-1.5] * 3, [1.5] * 3]))
    config = DinerModelConfig(**{**SMALL, **changes})
    return config.setup(scene_box=box, num_train_data=1, metadata={"opaque": opaque})


def ball_batch(count=1024, *, distance=4.0, spread=0.5, behind=lambda directions: torch.ones(len(directions), 3)):
    """Rays towards the middle from all around, and what they see: the ball, or what is behind it."""
    origins = torch.nn.functional.normalize(torch.randn(count, 3), dim=-1) * distance
    directions = torch.nn.functional.normalize(torch.randn(count, 3) * spread - origins, dim=-1)
    closest = (origins - (origins * directions).sum(-1, keepdim=True) * directions).norm(dim=-1)
    image = torch.where((closest < RADIUS)[:, None], COLOUR, behind(directions))
    return RayBundle(origins=origins, directions=directions, pixel_area=torch.ones(count, 1)), {"image": image}


def room_batch(count=1024):
    """The ball from nearby, in front of walls so far away that only the direction tells which one is seen."""
    return ball_batch(count, distance=1.4, spread=1.5, behind=lambda directions: 0.5 + 0.4 * directions.sign())


def optimizers_of(model):
    return Optimizers(copy.deepcopy(diner.config.optimizers), model.get_param_groups())


def train(model, optimizers, first, last, make_batch=ball_batch):
    model.train()
    for step in range(first, last):
        bundle, batch = make_batch()
        optimizers.zero_grad_all()
        sum(model.get_loss_dict(model(bundle), batch).values()).backward()
        optimizers.optimizer_step_all()
        optimizers.scheduler_step_all(step)
        model.after_step(optimizers, step)
    return model


STOPS, MORE = (40, 75, 110), 50
"""In each of the stages, and how many steps are taken from there."""


@pytest.fixture(scope="module")
def straight():
    """A model that is trained without a stop, and what it was and drew at and after each stop."""
    model, there, done = make(), {}, 0
    optimizers = optimizers_of(model)
    for stop in sorted([*STOPS, *(each + MORE for each in STOPS)]):
        train(model, optimizers, done, stop)
        saved = {name: o.state_dict() for name, o in optimizers.optimizers.items()}
        schedules = {name: s.state_dict() for name, s in optimizers.schedulers.items()}
        there[stop] = (*copy.deepcopy((model.state_dict(), saved, schedules)), torch.get_rng_state())
        done = stop
    return model, there


@pytest.fixture
def trained(straight) -> DinerModel:
    return straight[0]


def test_the_stages_follow_each_other_and_the_table_shrinks(trained):
    assert isinstance(trained.field, VoxelSHField)
    full = (trained.field.lattice.cells + 1).prod()
    assert trained.field.lattice.num_rows < 0.9 * full
    assert set(trained.get_param_groups()) == {"density", "keys", "network"}


def test_it_renders_the_ball(trained):
    trained.eval()
    torch.manual_seed(9)
    bundle, batch = ball_batch(4096)
    outputs = trained(bundle)
    error = (outputs["rgb"] - batch["image"]).square().mean()
    assert -10 * torch.log10(error) > 20
    assert {name: value.shape[-1] for name, value in outputs.items()} == {
        "rgb": 3,
        "depth": 1,
        "accumulation": 1,
        "normals": 3,
    }


def test_depth_and_normals_are_those_of_the_ball(trained):
    trained.eval()
    directions = torch.eye(3).repeat(2, 1)
    directions[3:] *= -1
    outputs = trained(RayBundle(origins=-4 * directions, directions=directions, pixel_area=torch.ones(6, 1)))
    assert (outputs["depth"][:, 0] - (4 - RADIUS)).abs().max() < 0.15
    normals = outputs["normals"] * 2 - 1
    assert ((normals * -directions).sum(-1) > 0.8).all()


def test_the_surface_box_holds_the_ball_and_the_density_crosses_its_level(trained):
    low, high = trained.surface_aabb()
    assert (low < -0.5).all()
    assert (high > 0.5).all()
    assert (high - low).max() < 2.4
    along = torch.linspace(0.3, 1.4, 200)[:, None] * torch.tensor([[1.0, 0.0, 0.0]])
    solid = (trained.field.density(along) > trained.surface_level()).nonzero()[:, 0]
    assert abs(along[solid.max(), 0].item() - RADIUS) < 0.12


@long_form
@pytest.mark.parametrize("stop", STOPS)
def test_resuming_at_any_stage_gives_the_same_weights_as_never_stopping(stop, straight):
    state, saved, schedules, random = straight[1][stop]
    resumed = make()
    resumed.load_state_dict(state)
    optimizers = optimizers_of(resumed)
    optimizers.load_optimizers(copy.deepcopy(saved))
    optimizers.load_schedulers(copy.deepcopy(schedules))
    torch.set_rng_state(random)
    train(resumed, optimizers, stop, stop + MORE)
    expected, actual = straight[1][stop + MORE][0], resumed.state_dict()
    assert set(expected) == set(actual)
    for name, value in expected.items():
        assert torch.equal(value, actual[name]), name


def test_a_scene_without_anything_in_it_is_an_error_that_says_so():
    model = make(coarse_steps=(3, 3))
    optimizers = optimizers_of(model)
    bundle, _ = ball_batch()
    model.train()
    for step in range(2):
        model(bundle)
        model.after_step(optimizers, step)
    with pytest.raises(InputError, match="found nothing"):
        model.after_step(optimizers, 2)


def test_a_random_background_needs_alpha_and_is_blended_at_the_loss():
    model = make(background_color="random")
    model.train()
    bundle, _ = ball_batch(64)
    outputs = model(bundle)
    losses = model.get_loss_dict(outputs, {"image": torch.cat([torch.zeros(64, 3), torch.zeros(64, 1)], -1)})
    # Nothing is dense yet, so prediction and truth are both the same random background.
    assert losses["rgb_loss"] < 1e-4


def psnr(model, bundle, batch):
    with torch.no_grad():
        error = (model.eval()(bundle)["rgb"] - batch["image"]).square().mean()
    return float(-10 * torch.log10(error))


@long_form
def test_pictures_without_alpha_are_learnt_with_what_lies_behind_the_box():
    bundle, batch = room_batch(2048)
    quality = {}
    for unbounded in ("auto", "no"):
        model = make(opaque=True, unbounded=unbounded)
        train(model, optimizers_of(model), 0, 120, lambda: room_batch(512))
        quality[unbounded] = psnr(model, bundle, batch)
        if unbounded == "auto":
            far = torch.nn.functional.normalize(torch.randn(200, 3), dim=-1) * torch.linspace(2, 200, 200)[:, None]
            assert (model.field.density(far) > 0).float().mean() > 0.2
            assert model.surface_aabb().abs().max() <= 1.5 + 1e-5
            # What was saved decides, not the images that are there now.
            other = make(opaque=False)
            other.load_state_dict(model.state_dict())
            assert torch.equal(other.eval()(bundle)["rgb"], model(bundle)["rgb"])
    assert quality["auto"] > 17
    assert quality["auto"] > quality["no"] + 3


def test_pictures_with_alpha_stay_in_the_box_unless_told_otherwise():
    assert make(opaque=False).field.contraction is None
    assert make(opaque=False, unbounded="yes").field.contraction is not None
    assert make(opaque=True, unbounded="no").field.contraction is None


@pytest.mark.parametrize(
    ("settings", "option"),
    [
        ({"coarse_steps": (10,)}, "coarse-steps"),
        ({"num_voxels": 0}, "num-voxels"),
        ({"key_width": 0}, "key-width"),
        ({"step_size": 0.0}, "step-size"),
        ({"far_plane": 0.1}, "far-plane"),
        ({"box_scale": -1.0}, "box-scale"),
    ],
)
def test_settings_out_of_range_name_their_option(settings, option):
    with pytest.raises(InputError, match=option):
        make(**settings)


def test_a_box_without_volume_is_an_input_error():
    with pytest.raises(InputError, match="box"):
        DinerModelConfig(**SMALL).setup(scene_box=SceneBox(aabb=torch.zeros(2, 3)), num_train_data=1)


def test_the_coarse_rate_is_even_in_the_first_stage_and_falls_to_a_tenth_over_the_last():
    steps, coarse = DinerModelConfig().coarse_steps, diner.config.optimizers["coarse"]
    table = torch.nn.Parameter(torch.zeros(1))
    optimizer = coarse["optimizer"].setup(params=[table])
    schedule = coarse["scheduler"].setup().get_scheduler(optimizer, coarse["optimizer"].lr)
    rates = []
    for _ in range(sum(steps) + 1):
        rates.append(optimizer.param_groups[0]["lr"] / coarse["optimizer"].lr)
        optimizer.step()
        schedule.step()
    assert rates[: steps[0] + 1] == pytest.approx([1.0] * (steps[0] + 1))
    assert rates[steps[0] + steps[1] // 2] == pytest.approx(0.1**0.5)
    assert rates[-1] == pytest.approx(0.1)
