"""The surface model on a scene with a closed form: a ball of one colour before nothing, seen from all around."""

import math
import re
from contextlib import nullcontext
from dataclasses import replace

import ball_views
import pytest
import torch
from ball_views import COLOUR, model_in_a_box, rays
from gradients import unlearnt
from inr_plugins.method_configs.neus import cn_neus, cn_neus_room, cn_neus_table, finer_neus
from long_form import long_form
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import SceneBox

from inr_plugins.errors import InputError
from inr_plugins.fields import box_field
from inr_plugins.fields.protocol import ColourField, SDFField
from inr_plugins.models.neus.model import NeusModel, NeusModelConfig
from inr_plugins.models.neus.networks import BACKBONES

pytestmark = long_form

RADIUS = 0.5
SMALL = {
    "width": 32,
    "hidden_layers": 3,
    "colour_width": 32,
    "colour_layers": 2,
    "uniform_samples": 24,
    "finer_samples": 24,
    "outside_samples": 8,
    "eikonal_points": 128,
    "start_steps": 60,
    "normalization_at": "both",
}


def make(metadata=None, **changes) -> NeusModel:
    return model_in_a_box(NeusModelConfig(**{**SMALL, **changes}), metadata)


def ball_batch(count=192, spread=0.4):
    return ball_views.ball_batch(RADIUS, count, spread=spread)


def train(model, first, last, optimizer=None):
    model.begin()
    optimizer = optimizer or torch.optim.Adam(model.get_param_groups()["fields"], lr=2e-3)
    model.train()
    losses = []
    for step in range(first, last):
        model.before_step(step)
        bundle, batch = ball_batch()
        loss = sum(model.get_loss_dict(model(bundle), batch).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.after_step(step)
        losses.append(float(loss.detach()))
    return losses


@pytest.fixture(scope="module")
def trained():
    model = make(normalization="cross")
    model.run_steps = 80
    return model, train(model, 0, 80)


def test_training_finds_the_balls_distance_normals_and_colour(trained):
    model, losses = trained
    assert sum(losses[-5:]) < 0.3 * sum(losses[:5])
    model.eval()
    d = torch.nn.functional.normalize(torch.randn(100, 3), dim=-1)
    outputs = model(rays(-4 * d, d))
    # From a sphere of radius 0.75, that is 0.25 away.
    assert (outputs["depth"][:, 0] - (4 - RADIUS)).abs().mean() < 0.17
    normals = outputs["normals"] * 2 - 1
    torch.testing.assert_close(normals.norm(dim=-1), torch.ones(100))
    assert (normals * -d).sum(-1).mean() > 0.9
    assert (outputs["rgb"] - COLOUR).abs().mean() < 0.08
    widths = {name: value.shape[-1] for name, value in outputs.items()}
    assert widths == {"rgb": 3, "depth": 1, "accumulation": 1, "normals": 3}


def test_the_field_is_a_distance_with_the_ball_inside(trained):
    model = trained[0].eval()
    assert isinstance(model.field, SDFField)
    assert isinstance(model.field, ColourField)
    x = torch.nn.functional.normalize(torch.randn(200, 3), dim=-1)
    with torch.no_grad():
        assert (model.field.sdf(0.2 * x) < 0).all()
        assert (model.field.sdf(1.2 * x) > 0).all()
        assert (model.field.normal(RADIUS * x) * x).sum(-1).mean() > 0.8
        lengths = model.field.distance_and_gradient(1.5 * (2 * torch.rand(500, 3) - 1))[1].norm(dim=-1)
    assert (lengths - 1).abs().mean() < 0.4
    torch.testing.assert_close(model.surface_aabb(), torch.tensor([[-1.5] * 3, [1.5] * 3]))


@pytest.mark.parametrize("normalization", ["none", "cross"])
def test_the_picture_does_not_depend_on_how_its_rays_are_chunked(normalization, trained):
    model = make(normalization=normalization) if normalization == "none" else trained[0]
    model.begin()
    model.eval()
    torch.manual_seed(3)
    bundle, _ = ball_batch(1100, spread=1.0)
    whole = model(bundle)
    for chunk in (64, 1000, 32768):
        parts = [
            model(rays(o, d)) for o, d in zip(bundle.origins.split(chunk), bundle.directions.split(chunk), strict=True)
        ]
        for name, value in whole.items():
            torch.testing.assert_close(torch.cat([part[name] for part in parts]), value, atol=2e-3, rtol=1e-3)
    x = 3 * torch.rand(1100, 3) - 1.5
    with torch.no_grad():
        blocks = torch.cat([model.field.sdf(part) for part in x.split(77)])
        torch.testing.assert_close(blocks, model.field.sdf(x), atol=1e-5, rtol=1e-4)


def test_outputs_keep_the_shape_of_the_rays(trained):
    model = trained[0].eval()
    bundle, _ = ball_batch(24)
    shaped = RayBundle(
        origins=bundle.origins.view(4, 6, 3),
        directions=bundle.directions.view(4, 6, 3),
        pixel_area=torch.ones(4, 6, 1),
    )
    assert model(shaped)["normals"].shape == (4, 6, 3)
    torch.testing.assert_close(model(shaped)["rgb"].view(24, 3), model(bundle)["rgb"], atol=1e-4, rtol=0)


def test_leaving_faint_sections_out_costs_little_of_the_picture_and_saves_most_of_the_work(trained):
    model = trained[0].eval()
    torch.manual_seed(5)
    bundle, _ = ball_batch(300, spread=0.7)
    counts, pictures, own = [], [], model.config
    for least in (1e-3, 0.0):
        model.config = replace(own, min_weight=least, uniform_samples=64, finer_samples=64)
        pictures.append(model.render(bundle.origins, bundle.directions))
        counts.append(len(pictures[-1].gradient))
    model.config = own
    for name in ("rgb", "accumulation"):
        error = (getattr(pictures[0], name) - getattr(pictures[1], name)).abs()
        assert error.max() < 0.02
        assert error.mean() < 5e-4
    assert counts[0] < 0.6 * counts[1]


def test_a_lattice_of_distances_shows_what_all_sections_do(trained):
    """Beside every section of every ray, with the field's own distances."""
    model = trained[0].eval()
    torch.manual_seed(5)
    bundle, _ = ball_batch(300, spread=0.7)
    own, asked = model.config, []
    hook = model.field.distance_network.register_forward_hook(lambda module, inputs, out: asked.append(len(out)))
    seen = {}
    for name, changes in {"all": {"min_weight": 0.0}, "lattice": {}}.items():
        model.config = replace(own, uniform_samples=64, finer_samples=64, **changes)
        # The lattice is asked for once, and serves for many pictures.
        model.render(bundle.origins[:1], bundle.directions[:1])
        asked.clear()
        seen[name] = (model.render(bundle.origins, bundle.directions), sum(asked))
    hook.remove()
    model.config = own
    for what in ("rgb", "accumulation"):
        error = (getattr(seen["lattice"][0], what) - getattr(seen["all"][0], what)).abs()
        assert error.max() < 0.04
        assert error.mean() < 5e-4
    assert seen["lattice"][1] < 0.7 * seen["all"][1]


def test_a_part_of_the_rate_is_saved_where_a_surface_starts_from_a_run(tmp_path):
    # Runs of before it was there have none, and open as they did.
    assert "rate_share" not in make().state_dict()
    model = make(start=tmp_path)
    model.rate_share.fill_(0.25)
    assert float(model.state_dict()["rate_share"]) == 0.25
    assert model.own_rates()["fields"].lr == pytest.approx(0.25 * 5e-4)


def test_rays_that_miss_the_box_cost_nothing_and_show_what_is_behind(trained):
    model = trained[0].eval()
    d = torch.tensor([[0.0, 0.0, 1.0]]).expand(5, 3)
    origins = torch.tensor([[2.0, 0.0, -4.0]]).expand(5, 3)
    # The lattice of distances is made for the first picture.
    model(rays(origins, d))
    calls = []
    hook = model.field.distance_network.register_forward_hook(lambda module, inputs, out: calls.append(len(out)))
    outputs = model(rays(origins, d))
    hook.remove()
    assert sum(calls) == 0
    assert torch.equal(outputs["rgb"], torch.ones(5, 3))
    assert not outputs["accumulation"].any()
    assert torch.equal(outputs["normals"], torch.full((5, 3), 0.5))


@pytest.mark.parametrize("capture", ["object", "table"])
def test_a_step_under_the_trainers_own_autocast_is_sound(capture, monkeypatch):
    """As with mixed precision on CUDA: the caller's autocast is on around everything but the backward pass."""
    monkeypatch.setattr(box_field, "autocast_of", lambda *_, **__: nullcontext())
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        model = make(capture=capture, normalization="cross")
        model.begin()
        model.train()
        torch.manual_seed(7)
        bundle, batch = ball_batch(64)
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            outputs = model(bundle)
            losses = model.get_loss_dict(outputs, batch)
        sum(losses.values()).backward()
        assert all(outputs[name].dtype == torch.float32 for name in ("rgb", "accumulation", "gradient"))
        assert unlearnt(model) == {"device_indicator_param"}
        found.append(torch.stack([*losses.values()]).detach())
    torch.testing.assert_close(*found, rtol=0.1, atol=2e-3)


def test_resuming_gives_the_same_weights_as_never_stopping():
    def started(**changes):
        model = make(normalization="cross", **changes)
        return model, torch.optim.Adam(model.get_param_groups()["fields"], lr=2e-3)

    straight, optimizer = started()
    train(straight, 0, 6, optimizer)
    model, optimizer = started()
    train(model, 0, 3, optimizer)
    saved, state = model.state_dict(), torch.get_rng_state()
    resumed, other = started()
    resumed.load_state_dict(saved)
    other.load_state_dict(optimizer.state_dict())
    torch.set_rng_state(state)
    # begin() inside must not start the surface anew.
    train(resumed, 3, 6, other)
    expected = straight.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.state_dict().items())


@pytest.mark.parametrize(("steps", "rate"), [(300_000, 1.0), (5_000, 4.0), (600, 10.0)])
def test_short_runs_sharpen_faster(steps, rate):
    model = make(start_steps=0)
    model.run_steps = steps
    before = float(model.field.sharpness)
    assert before == pytest.approx(math.exp(10 * 0.3) / 1.5)
    model.begin()
    # Nothing has moved yet.
    assert float(model.field.sharpness) == pytest.approx(before)
    optimizer = torch.optim.Adam([model.field.variance], lr=1e-3)
    (-model.field.sharpness).backward()
    optimizer.step()
    # Adam's first step is as long as its rate, here in v, of which the logarithm is ten times as much.
    assert math.log(float(model.field.sharpness) / before) == pytest.approx(10 * 1e-3 * rate, rel=1e-3)
    # A run that goes on keeps its rate, however many steps are left.
    other = make(start_steps=0)
    other.load_state_dict(model.state_dict())
    other.run_steps = 10
    other.begin()
    assert float(other.field.sharpness) == float(model.field.sharpness)


def test_the_rate_of_the_sharpness_can_be_given():
    model = make(start_steps=0, sharpness_rate=2.5)
    model.begin()
    assert float(model.field.sharpness_rate) == 2.5


# -- losses ------------------------------------------------------------------------------------------------------------


def test_beside_the_object_only_the_mask_counts():
    model = make().train()
    rgb, accumulation = torch.rand(4, 3), torch.tensor([[0.9], [0.2], [0.7], [0.1]])
    gradient = torch.cat([torch.tensor([[0.0, 0.0, 3.0]]), torch.tensor([[0.0, 2.0, 0.0]]).expand(128, 3)])
    outputs = {"rgb": rgb, "accumulation": accumulation, "gradient": gradient}
    image = torch.rand(4, 3)
    mask = torch.tensor([[True], [False], [True], [False]])
    losses = model.get_loss_dict(outputs, {"image": image, "mask": mask})
    inside = [0, 2]
    assert float(losses["rgb_loss"]) == pytest.approx(float((rgb - image)[inside].abs().sum()) / 2, rel=1e-4)
    entropy = torch.nn.functional.binary_cross_entropy(accumulation, mask.float())
    assert float(losses["mask_loss"]) == pytest.approx(0.1 * float(entropy), rel=1e-5)
    assert float(losses["eikonal_loss"]) == pytest.approx(0.1 * (4 + 1) / 2)


def test_alpha_is_a_soft_mask_and_its_colours_are_straight():
    model = make().train()
    alpha = torch.tensor([[1.0], [0.25], [0.0]])
    colour = torch.rand(3, 3)
    outputs = {"rgb": colour * alpha, "accumulation": alpha}
    losses = model.get_loss_dict(outputs, {"image": torch.cat([colour, alpha], -1)})
    assert float(losses["rgb_loss"]) == pytest.approx(0.0, abs=1e-6)
    psnr = model.get_metrics_dict(outputs, {"image": torch.cat([colour, alpha], -1)})["psnr"]
    assert psnr > 60


def test_an_object_without_masks_in_its_batches_is_refused():
    model = make().train()
    with pytest.raises(InputError, match="neither masks nor alpha"):
        model.get_loss_dict({"rgb": torch.rand(2, 3), "accumulation": torch.rand(2, 1)}, {"image": torch.rand(2, 3)})


def test_a_held_out_batch_is_compared_as_it_is_shown(trained):
    """Blended with white once, and with alpha over white."""
    model = trained[0].eval()
    bundle, batch = ball_batch(200, spread=0.7)
    outputs = model(bundle)
    target = batch["image"][:, :3] * batch["image"][:, 3:] + 1 - batch["image"][:, 3:]
    expected = (outputs["rgb"] - target).abs().sum(-1).mean()
    torch.testing.assert_close(model.get_loss_dict(outputs, batch)["rgb_loss"], expected)
    error = (outputs["rgb"] - target).square().mean()
    torch.testing.assert_close(model.get_metrics_dict(outputs, batch)["psnr"], -10 * torch.log10(error.detach()))


def test_held_out_photographs_are_compared_inside_their_masks():
    model = make().eval()
    rgb, image = torch.rand(8, 8, 3), torch.rand(8, 8, 3)
    mask = torch.zeros(8, 8, 1, dtype=torch.bool)
    mask[2:6] = True
    outputs = {name: torch.rand(8, 8, 1) for name in ("accumulation", "depth")}
    outputs |= {"rgb": torch.where(mask, rgb, torch.ones(3)), "normals": torch.rand(8, 8, 3)}
    metrics, images = model.get_image_metrics_and_images(outputs, {"image": image, "mask": mask})
    expected = -10 * torch.log10(((rgb - image)[2:6].square().sum()) / (64 * 3))
    assert metrics["psnr"] == pytest.approx(float(expected), abs=1e-3)
    assert torch.equal(images["img"][0, :8], torch.ones(8, 3))


@pytest.mark.parametrize("capture", ["table", "room"])
def test_without_masks_every_pixel_counts(capture):
    model = make(capture=capture).train()
    outputs = {"rgb": torch.zeros(4, 3), "accumulation": torch.ones(4, 1)}
    batch = {"image": torch.full((4, 3), 0.5), "mask": torch.zeros(4, 1, dtype=torch.bool)}
    losses = model.get_loss_dict(outputs, batch)
    assert set(losses) == {"rgb_loss"}
    assert float(losses["rgb_loss"]) == pytest.approx(1.5)


# -- captures ----------------------------------------------------------------------------------------------------------


def test_a_table_is_seen_before_a_background_that_is_learnt():
    model = make(capture="table", normalization="cross")
    model.begin()
    model.train()
    sky, ball = torch.tensor([0.2, 0.5, 0.9]), COLOUR
    optimizer = torch.optim.Adam(model.get_param_groups()["fields"], lr=3e-3)
    for step in range(40):
        model.before_step(step)
        bundle, batch = ball_batch(128, spread=1.2)
        hit = batch["image"][:, 3:]
        losses = model.get_loss_dict(model(bundle), {"image": hit * ball + (1 - hit) * sky})
        assert "mask_loss" not in losses
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    model.eval()
    d = torch.nn.functional.normalize(torch.tensor([[0.0, 0.6, 1.0], [0.0, 0.0, 1.0]]), dim=-1)
    outputs = model(rays(torch.tensor([[0.0, 0.0, -4.0], [0.0, 0.0, -4.0]]), d))
    assert outputs["accumulation"][0] < 0.2
    assert outputs["accumulation"][1] > 0.8
    assert (outputs["rgb"][0] - sky).abs().max() < 0.25
    # The background is looked for outside the box only, also along a ray that misses it or looks away.
    asked = []
    model.background.density_network.register_forward_pre_hook(lambda module, inputs: asked.append(inputs[0]))
    away = model(rays(torch.tensor([[0.0, 0.0, -4.0]]), torch.tensor([[0.0, 0.0, -1.0]])))
    assert torch.isfinite(away["rgb"]).all()
    assert away["rgb"].max() > 0
    model(rays(torch.tensor([[0.0, 0.0, -4.0], [0.0, 0.0, -4.0], [0.2, 0.1, 1.0]]), torch.stack([*d, d[0]])))
    assert all((inverted[:, 3] <= 1 + 1e-4).all() for inverted in asked)


def test_a_room_starts_hollow_around_its_cameras_in_a_box_of_twice_the_size():
    model = make(capture="room")
    model.begin()
    model.eval()
    torch.testing.assert_close(model.surface_aabb(), torch.tensor([[-3.0] * 3, [3.0] * 3]))
    d = torch.nn.functional.normalize(torch.randn(50, 3), dim=-1)
    outputs = model(rays(torch.zeros(50, 3), d))
    assert (outputs["depth"][:, 0] - 2.7).abs().mean() < 0.25
    assert (outputs["accumulation"] > 0.8).all()
    with torch.no_grad():
        assert (model.field.sdf(0.5 * d) > 0).all()
        assert (model.field.sdf(2.95 * d) < 0).all()
    # Normals point out of the walls, to where the cameras are.
    assert ((outputs["normals"] * 2 - 1) * d).sum(-1).mean() < -0.9


def test_slopes_are_annealed_over_a_part_of_the_run_where_there_are_no_masks():
    table, masked, own = make(capture="table"), make(), make(anneal_share=0.5)
    found = []
    for model in (table, masked, own):
        model.run_steps = 600
        found.append([])
        for step in (0, 50, 100, 300, 500):
            model.before_step(step)
            found[-1].append(float(model.anneal))
    assert found[0] == pytest.approx([0, 0.5, 1, 1, 1])
    assert found[1] == [1] * 5
    assert found[2] == pytest.approx([0, 1 / 6, 1 / 3, 1, 1])


# -- set-ups -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", list(BACKBONES))
def test_every_activation_brings_its_own_set_up(activation):
    model = make(activation=activation, hidden_layers=None, skips=None, width=8)
    network = model.field.distance_network
    encoded = activation in ("relu", "softplus")
    assert network.encoding.out_dim == (39 if encoded else 3)
    assert len(network.norms) == (8 if encoded else 4)
    model.train()
    bundle, batch = ball_batch(16)
    sum(model.get_loss_dict(model(bundle), batch).values()).backward()
    assert unlearnt(model) == {"device_indicator_param"}


@pytest.mark.parametrize(("place", "sdf", "colour"), [("both", 1, 1), ("sdf", 1, 0), ("colour", 0, 1)])
def test_normalization_goes_where_it_is_wanted(place, sdf, colour):
    model = make(normalization="cross", normalization_at=place)
    for network, wanted in ((model.field.distance_network, sdf), (model.field.colour_network, colour)):
        assert all((type(norm).__name__ == "CrossNorm") == bool(wanted) for norm in network.norms)


def test_presets_differ_by_capture_activation_and_normalization():
    presets = {each.config.method_name: each.config for each in (cn_neus, cn_neus_table, cn_neus_room, finer_neus)}
    models = {name: config.pipeline.model for name, config in presets.items()}
    assert {name: (m.capture, m.normalization, m.activation) for name, m in models.items()} == {
        "cn-neus": ("object", "cross", "softplus"),
        "cn-neus-table": ("table", "cross", "softplus"),
        "cn-neus-room": ("room", "cross", "softplus"),
        "finer-neus": ("object", "none", "finer-sine"),
    }
    assert all(config.pipeline.datamanager.masks == "labels" for config in presets.values())
    assert all(set(config.optimizers) == {"fields"} for config in presets.values())


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"uniform_samples": 1}, "uniform-samples"),
        ({"finer_samples": 10}, "sampling-rounds"),
        ({"eikonal_points": 0}, "eikonal-points"),
        ({"mask_weight": -1.0}, "mask-weight"),
        ({"min_weight": 1.0}, "min-weight"),
        ({"anneal_share": 1.5}, "anneal-share"),
        ({"box_scale": 0.0}, "box-scale"),
        ({"initial_variance": 5.0}, "initial-variance"),
        ({"sharpness_rate": 0.0}, "sharpness-rate"),
        ({"far_plane": 0.01}, "far-plane"),
        ({"width": 0}, "width"),
        ({"skips": (9,)}, "skips"),
        ({"omega": 3.0}, "omega"),
        ({"activation": "finer-wavelet", "normalization": "cross"}, "normalization"),
    ],
)
def test_settings_that_cannot_be_used_are_named(settings, name):
    with pytest.raises(InputError, match=name):
        make(**settings)


def test_an_activation_too_rough_for_a_sphere_is_named_before_training():
    with pytest.raises(InputError, match="omega"):
        make(activation="sine", omega=200.0, start_steps=3).begin()


def test_a_box_without_volume_is_an_input_error():
    with pytest.raises(InputError, match="no volume"):
        NeusModelConfig(**SMALL).setup(scene_box=SceneBox(aabb=torch.zeros(2, 3)), num_train_data=1)


def test_a_surface_that_has_vanished_is_told_of_once_in_a_sentence(capsys):
    model = make()
    model.begin()
    model.run_steps = 100
    with torch.no_grad():
        model.field.head.bias[0] += 5.0
    for step in range(100):
        model.after_step(step)
    said = " ".join(capsys.readouterr().out.split())
    # At the two looks of a short run, after 5 and 30 steps.
    assert said.count("Warning after") == 2
    assert "Warning after 5 steps: The surface has vanished" in said
    assert "mask-weight" in said


@pytest.mark.parametrize(("steps", "told"), [(1000, ["300"]), (100, [])])
def test_a_surface_that_reaches_out_of_its_box_is_told_of_when_it_has_had_time(steps, told, capsys):
    model = make()
    model.begin()
    model.run_steps = steps
    with torch.no_grad():
        # A ball that goes through all six faces.
        model.field.head.bias[0] -= 0.7
    for step in (4, 29, 49, 299):
        if step < steps:
            model.after_step(step)
    said = " ".join(capsys.readouterr().out.split())
    assert re.findall(r"Warning after (\d+) steps: The surface has left the scene box", said) == told
