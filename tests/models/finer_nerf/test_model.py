"""The finer-nerf model on a scene with a closed form: a ball of one colour before nothing, seen from all around."""

import copy

import ball_views
import pytest
import torch
from ball_views import model_in_a_box
from inr_plugins.method_configs.finer_nerf import finer_gauss_nerf, finer_nerf, finer_wavelet_nerf
from long_form import long_form
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import SceneBox
from nerfstudio.model_components import renderers

from inr_plugins.errors import InputError
from inr_plugins.models.common.nerf_backbones import BACKBONES
from inr_plugins.models.finer_nerf.model import FinerNerfModel, FinerNerfModelConfig

RADIUS = 0.6
SMALL = {
    "width": 32,
    "hidden_layers": 2,
    "omega": 10.0,
    "samples_per_diagonal": 64,
    "grid_resolution": 16,
    "grid_refresh_every": 4,
    "grid_warm_up_steps": 20,
    "near_plane": 0.5,
}


def make(metadata=None, **changes) -> FinerNerfModel:
    return model_in_a_box(FinerNerfModelConfig(**{**SMALL, **changes}), metadata)


def ball_batch(count=512):
    return ball_views.ball_batch(RADIUS, count)


def optimizer_of(model):
    (params,) = model.get_param_groups().values()
    return torch.optim.Adam(params, lr=2e-3, betas=(0.9, 0.99), eps=1e-15)


def train(model, optimizer, first, last):
    model.train()
    losses = []
    for step in range(first, last):
        bundle, batch = ball_batch()
        optimizer.zero_grad()
        loss = model.get_loss_dict(model(bundle), batch)["rgb_loss"]
        loss.backward()
        optimizer.step()
        model.after_step(step)
        losses.append(float(loss.detach()))
    return losses


@pytest.fixture(scope="module")
def trained():
    model = make()
    return model, train(model, optimizer_of(model), 0, 300)


def test_training_lowers_the_loss_and_beats_an_image_of_one_colour(trained):
    model, losses = trained
    assert sum(losses[-5:]) < 0.3 * sum(losses[:5])
    model.eval()
    torch.manual_seed(9)
    bundle, batch = ball_batch(2048)
    target = batch["image"][:, :3] + 1 - batch["image"][:, 3:]
    error = (model(bundle)["rgb"] - target).square().mean()
    constant = (target - target.mean(0)).square().mean()
    assert error < 0.25 * constant


def test_space_around_the_ball_is_skipped(trained):
    model, _ = trained
    low, high = model.surface_aabb()
    assert (low < -0.4).all()
    assert (high > 0.4).all()
    assert model.grid.occupied.float().mean() < 0.5


def test_depth_and_normals_are_those_of_the_ball(trained):
    model = trained[0].eval()
    directions = torch.eye(3).repeat(2, 1)
    directions[3:] *= -1
    outputs = model(RayBundle(origins=-4 * directions, directions=directions, pixel_area=torch.ones(6, 1)))
    assert (outputs["depth"][:, 0] - (4 - RADIUS)).abs().max() < 0.4
    normals = outputs["normals"] * 2 - 1
    torch.testing.assert_close(normals.norm(dim=-1), torch.ones(6))
    assert {name: value.shape[-1] for name, value in outputs.items()} == {
        "rgb": 3,
        "depth": 1,
        "accumulation": 1,
        "normals": 3,
    }


def test_outputs_keep_the_shape_of_the_rays(trained):
    model = trained[0].eval()
    bundle, _ = ball_batch(24)
    shaped = RayBundle(
        origins=bundle.origins.view(4, 6, 3),
        directions=bundle.directions.view(4, 6, 3),
        pixel_area=torch.ones(4, 6, 1),
    )
    torch.testing.assert_close(model(shaped)["rgb"].view(24, 3), model(bundle)["rgb"])


@long_form
def test_skipping_renders_what_dense_sampling_learnt():
    """Of weights that were learnt without skipping: those learnt with it are not asked about the space skipped."""
    dense = make(skip_empty=False)
    train(dense, optimizer_of(dense), 0, 60)
    model = make().eval()
    model.load_state_dict(dense.eval().state_dict())
    for _ in range(24):
        model.grid.refresh(model.field.density_of_contracted)
    bundle, _ = ball_batch(1000)
    skipped, everything = model(bundle), dense(bundle)
    # Cells count as empty below a density that stops a seventh of the light, and fog is not quite gone after 60 steps.
    assert (skipped["rgb"] - everything["rgb"]).abs().mean() < 0.06
    few = model.render(bundle.origins, bundle.directions).evaluated
    many = dense.render(bundle.origins, bundle.directions).evaluated
    assert few < 0.5 * many


@long_form
def test_resuming_gives_the_same_weights_as_never_stopping():
    torch.manual_seed(5)
    straight = make()
    optimizer = optimizer_of(straight)
    train(straight, optimizer, 0, 22)
    state, saved = copy.deepcopy(straight.state_dict()), copy.deepcopy(optimizer.state_dict())
    random = torch.get_rng_state()
    train(straight, optimizer, 22, 34)
    resumed = make()
    resumed.load_state_dict(state)
    optimizer = optimizer_of(resumed)
    optimizer.load_state_dict(saved)
    torch.set_rng_state(random)
    train(resumed, optimizer, 22, 34)
    actual = resumed.state_dict()
    for name, value in straight.state_dict().items():
        assert torch.equal(value, actual[name]), name


def test_evaluation_sees_the_mean_of_the_weights_and_training_does_not():
    model, plain = make(average_decay=0.5), make(average_decay=0.0)
    optimizer, states = optimizer_of(model), []
    for step in range(3):
        train(model, optimizer, step, step + 1)
        states.append(copy.deepcopy(model.trained_field.state_dict()))
    mean = {name: states[0][name] / 4 + states[1][name] / 4 + states[2][name] / 2 for name in states[0]}
    plain.trained_field.load_state_dict(mean)
    plain.grid.load_state_dict(model.grid.state_dict())
    plain.load_state_dict({**plain.state_dict(), "doublings_left": model.doublings_left})
    bundle, _ = ball_batch(64)
    expected, seen = plain.eval()(bundle)["rgb"], model.eval()(bundle)["rgb"]
    torch.testing.assert_close(seen, expected)
    assert model.field is not model.trained_field
    assert model.train().field is model.trained_field
    plain.trained_field.load_state_dict(states[-1])
    assert not torch.allclose(plain(bundle)["rgb"], expected, atol=1e-4)


@pytest.mark.parametrize(("saved", "wanted"), [(0.0, 0.5), (0.5, 0.0)])
def test_a_run_may_go_on_with_or_without_the_mean_it_was_saved_with(saved, wanted):
    first, second = make(average_decay=saved), make(average_decay=wanted)
    train(first, optimizer_of(first), 0, 2)
    second.load_state_dict(first.state_dict())
    weights, seen = first.trained_field.state_dict(), second.eval().field.state_dict()
    assert all(torch.equal(value, seen[name]) for name, value in weights.items())


# -- backgrounds -------------------------------------------------------------------------------------------------------


def empty_model(**changes):
    """A model that sees nothing anywhere."""
    model = make(**changes).train()
    model.grid.density.zero_()
    return model


def loss_of(model, image, **batch):
    bundle, _ = ball_batch(len(image))
    return float(model.get_loss_dict(model(bundle), {"image": image, **batch})["rgb_loss"].detach())


@pytest.mark.parametrize("background", ["auto", "random", "white", "black"])
def test_nothing_over_any_background_is_what_a_clear_pixel_is(background):
    assert loss_of(empty_model(background_color=background), torch.zeros(256, 4)) == 0


def test_a_random_background_lets_no_opaque_pixel_be_explained_by_nothing():
    """The mean square of (u - 1), u uniform in [0, 1], is a third."""
    assert loss_of(empty_model(), torch.ones(4000, 4)) == pytest.approx(1 / 3, abs=0.02)


def test_images_that_were_composited_by_the_dataparser_are_over_white():
    assert loss_of(empty_model(), torch.ones(256, 3)) == 0


def test_photographs_and_pixels_inside_masks_are_opaque():
    photo = empty_model(metadata={"opaque": True}, unbounded="no")
    assert loss_of(photo, torch.ones(4000, 3)) == pytest.approx(1 / 3, abs=0.02)
    masked = loss_of(empty_model(), torch.ones(4000, 3), mask=torch.ones(4000, 1, dtype=torch.bool))
    assert masked == pytest.approx(1 / 3, abs=0.02)


def test_evaluation_is_over_white_unless_a_command_says_otherwise(monkeypatch):
    model = empty_model().eval()
    bundle, _ = ball_batch(5)
    assert (model(bundle)["rgb"] == 1).all()
    monkeypatch.setattr(renderers, "BACKGROUND_COLOR_OVERRIDE", torch.tensor([0.0, 0.5, 0.0]))
    assert (model(bundle)["rgb"] == torch.tensor([0.0, 0.5, 0.0])).all()


def test_evaluation_compares_with_the_image_over_the_same_background(trained):
    model = trained[0].eval()
    bundle, batch = ball_batch(512)
    outputs = model(bundle)
    target = batch["image"][:, :3] + 1 - batch["image"][:, 3:]
    error = (outputs["rgb"] - target).square().mean()
    torch.testing.assert_close(model.get_loss_dict(outputs, batch)["rgb_loss"], error)
    torch.testing.assert_close(model.get_metrics_dict(outputs, batch)["psnr"], -10 * torch.log10(error))


# -- how much a step may cost ------------------------------------------------------------------------------------------


def test_a_step_takes_the_rays_that_fit():
    model = make(max_train_samples=2000).train()
    bundle, batch = ball_batch(512)
    outputs = model(bundle)
    rays = len(outputs["rgb"])
    assert 20 < rays < 200
    loss = model.get_loss_dict(outputs, batch)["rgb_loss"]
    assert torch.isfinite(loss)
    assert torch.isfinite(model.get_metrics_dict(outputs, batch)["psnr"])
    assert len(model.eval()(bundle)["rgb"]) == 512


@pytest.mark.parametrize("normalization", ["batch", "cross"])
def test_a_normalization_that_couples_rows_gets_a_step_whole(normalization):
    model = make(normalization=normalization, activation="relu", omega=None).train()
    calls = []
    model.field.density_network.register_forward_hook(lambda *_: calls.append(1))
    model(ball_batch(64)[0])
    assert len(calls) == 1


# -- set-ups -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", list(BACKBONES))
def test_every_activation_brings_its_own_set_up(activation):
    model = make(activation=activation, omega=None)
    encoded = activation in ("relu", "softplus")
    assert model.field.density_network.encoding.out_dim == (63 if encoded else 3)
    assert set(model.get_param_groups()) == set(finer_nerf.config.optimizers) == {"fields"}
    assert model.own_rates()["fields"].lr == BACKBONES[activation].lr
    model.train()
    bundle, batch = ball_batch(16)
    model.get_loss_dict(model(bundle), batch)["rgb_loss"].backward()
    assert all(torch.isfinite(p.grad).all() for p in model.field.parameters())


def test_presets_differ_in_their_activation():
    presets = [each.config for each in (finer_nerf, finer_gauss_nerf, finer_wavelet_nerf)]
    assert [config.method_name for config in presets] == ["finer-nerf", "finer-gauss-nerf", "finer-wavelet-nerf"]
    activations = [config.pipeline.model.activation for config in presets]
    assert activations == ["finer-sine", "finer-gauss", "finer-wavelet"]


def test_the_published_bias_of_each_finer_form_is_taken_and_can_be_changed():
    def first_bias(**changes):
        return make(width=1000, omega=None, **changes).field.density_network.layers[0].bias.detach().abs().max()

    assert first_bias(activation="finer-sine") == pytest.approx(3**-0.5, rel=0.01)
    assert first_bias(activation="finer-gauss") == pytest.approx(3**-0.5, rel=0.01)
    assert first_bias(activation="finer-wavelet") == pytest.approx(1.0, rel=0.01)
    assert first_bias(activation="finer-wavelet", first_bias=0.1) == pytest.approx(0.1, rel=0.01)


def test_photographs_without_masks_are_unbounded_unless_told_otherwise():
    assert make(metadata={"opaque": True}).field.contraction is not None
    assert make(metadata={"opaque": True}, unbounded="no").field.contraction is None
    assert make().field.contraction is None
    model = make(unbounded="yes").eval()
    outputs = model(ball_batch(20)[0])
    assert torch.isfinite(outputs["rgb"]).all()
    assert outputs["depth"].max() > 4
    low, high = model.surface_aabb()
    assert torch.equal(torch.stack([low, high]), torch.tensor([[-1.5] * 3, [1.5] * 3]))


def test_a_detached_scale_trains_and_gives_no_normals():
    model = make(detach_scale=True).eval()
    assert set(model(ball_batch(5)[0])) == {"rgb", "depth", "accumulation"}


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"samples_per_diagonal": 4}, "samples-per-diagonal"),
        ({"max_train_samples": 0}, "max-train-samples"),
        ({"grid_refresh_every": 0}, "grid-refresh-every"),
        ({"grid_resolution": 1}, "resolution"),
        ({"min_transmittance": 1.0}, "min-transmittance"),
        ({"average_decay": 1.0}, "average-decay"),
        ({"far_plane": 0.1}, "far-plane"),
        ({"box_scale": 0.0}, "box-scale"),
        ({"width": 0}, "width"),
        ({"hidden_layers": 0}, "hidden-layers"),
        ({"omega": -1.0}, "omega"),
        ({"scale": 1.0}, "scale"),
        ({"octaves": 5}, "octaves"),
        ({"grid": "nerfacc"}, "nerfacc"),
        ({"activation": "finer-wavelet", "normalization": "batch"}, "normalization"),
    ],
)
def test_settings_that_cannot_be_used_are_named(settings, name):
    with pytest.raises(InputError, match=name):
        make(**settings)


def test_a_box_without_volume_is_an_input_error():
    for unbounded in ("yes", "no"):
        config = FinerNerfModelConfig(**SMALL, unbounded=unbounded)
        with pytest.raises(InputError, match="no volume"):
            config.setup(scene_box=SceneBox(aabb=torch.zeros(2, 3)), num_train_data=1)


def test_samples_become_denser_and_the_grid_is_refreshed_when_the_settings_say():
    model = make(double_samples_at=(3, 5), grid_refresh_every=2, grid_warm_up_steps=4)
    finest, lengths, refreshed = model.finest_step, [model.step_length], []
    model.grid.refresh = lambda density, *, spread: refreshed.append((done, spread))
    for done in range(1, 7):
        model.after_step(done - 1)
        lengths.append(model.step_length)
    assert lengths == pytest.approx([finest * n for n in (4, 4, 4, 2, 2, 1, 1)])
    assert refreshed == [(2, True), (4, True), (6, False)]


def test_a_mesh_is_looked_for_only_in_cells_that_are_marched():
    model = make()
    model.grid.density.fill_(0.0)
    model.grid.density.view(model.grid.shape)[1, 1, 1] = 1e6
    cells = model.surface_cells()
    marched = model.grid.cells.cells.view(model.grid.shape)
    assert 0 < int(marched.sum()) < marched.numel()
    assert torch.equal(cells.largest > 0, marched)
    assert not cells.least.any()
