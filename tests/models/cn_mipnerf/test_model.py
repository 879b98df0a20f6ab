"""The cn-mipnerf model on a scene with a closed form: a ball of one colour before nothing, seen from all around."""

import copy

import ball_views
import pytest
import torch
from ball_views import model_in_a_box
from inr_plugins.method_configs.cn_mipnerf import cn_mipnerf
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import SceneBox

from inr_plugins.engine.optimization.delayed_decay import DelayedDecayConfig
from inr_plugins.errors import InputError
from inr_plugins.models.cn_mipnerf.model import CnMipNerfModel, CnMipNerfModelConfig

RADIUS = 0.6
# Thick cones, whose fine detail is blurred: a short training has nothing else to say about it.
PIXEL = 2e-3
SMALL = {"width": 24, "hidden_layers": 2, "num_coarse_samples": 16, "num_fine_samples": 16}
NORMALIZATIONS = ["none", "batch", "layer", "global", "cross"]


def make(metadata=None, seed=0, **changes) -> CnMipNerfModel:
    return model_in_a_box(CnMipNerfModelConfig(**{**SMALL, **changes}), metadata, seed)


def ball_batch(count=128):
    return ball_views.ball_batch(RADIUS, count, pixel=PIXEL)


def optimizer_of(model):
    (params,) = model.get_param_groups().values()
    return torch.optim.Adam(params, lr=5e-3)


def train(model, optimizer, steps, count=128):
    model.train()
    losses = []
    for _ in range(steps):
        bundle, batch = ball_batch(count)
        optimizer.zero_grad()
        parts = model.get_loss_dict(model(bundle), batch)
        sum(parts.values()).backward()
        optimizer.step()
        losses.append(float(parts["rgb_loss"].detach()))
    return losses


@pytest.fixture(scope="module")
def trained():
    """The rate falls at the end, for running statistics to catch up with the weights."""
    model = make()
    optimizer = optimizer_of(model)
    losses = train(model, optimizer, 60)
    optimizer.param_groups[0]["lr"] /= 10
    return model, losses + train(model, optimizer, 15)


def test_training_lowers_the_loss_and_beats_an_image_of_one_colour(trained):
    model, losses = trained
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    assert not torch.equal(model.field.log_footprint, make().field.log_footprint)
    model.eval()
    torch.manual_seed(9)
    bundle, batch = ball_batch(500)
    target = batch["image"][:, :3] + 1 - batch["image"][:, 3:]
    error = (model(bundle)["rgb"] - target).square().mean()
    assert error < 0.25 * (target - target.mean(0)).square().mean()


def test_depth_and_normals_are_those_of_the_ball(trained):
    """Roughly, for after 75 steps there is fog before the ball and noise in its gradient."""
    model = trained[0].eval()
    torch.manual_seed(9)
    bundle, batch = ball_batch(300)
    outputs = model(bundle)
    seen = (batch["image"][:, 3] > 0) & (outputs["accumulation"][:, 0] > 0.5)
    at = (bundle.origins + bundle.directions * outputs["depth"])[seen]
    assert 0.3 < at.norm(dim=-1).mean() < RADIUS + 0.1
    normals = outputs["normals"][seen] * 2 - 1
    torch.testing.assert_close(normals.norm(dim=-1), torch.ones(len(normals)))
    outwards = torch.nn.functional.normalize(at, dim=-1)
    assert (normals * outwards).sum(-1).mean() > 0.15
    assert (outputs["normals"][outputs["accumulation"][:, 0] < 0.4] == 0.5).all()
    names = {name: value.shape[-1] for name, value in outputs.items()}
    assert names == {"rgb": 3, "depth": 1, "accumulation": 1, "normals": 3}


def test_outputs_keep_the_shape_of_the_rays(trained):
    model = trained[0].eval()
    bundle, _ = ball_batch(24)
    shaped = RayBundle(
        origins=bundle.origins.view(4, 6, 3),
        directions=bundle.directions.view(4, 6, 3),
        pixel_area=bundle.pixel_area.view(4, 6, 1),
    )
    torch.testing.assert_close(model(shaped)["rgb"].view(24, 3), model(bundle)["rgb"])


def image_rays(size=36):
    """A camera's rays, (size, size); a third of them miss the box."""
    at = (torch.arange(size) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(at, at, indexing="ij")
    directions = torch.nn.functional.normalize(torch.stack([0.75 * x, 0.75 * y, -torch.ones_like(x)], -1), dim=-1)
    origins = torch.tensor([0.0, 0.0, 4.0]).expand_as(directions)
    return RayBundle(origins=origins, directions=directions, pixel_area=torch.full((size, size, 1), 1e-3))


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_an_image_is_the_same_from_chunks_of_any_size(normalization):
    model = make(normalization=normalization)
    train(model, optimizer_of(model), 12, count=32)
    model.eval()
    images = []
    for size in (64, 1000, 32_768):
        model.config.eval_num_rays_per_chunk = size
        images.append(model.get_outputs_for_camera_ray_bundle(image_rays()))
    assert images[0]["rgb"].std() > 1e-2
    for other in images[1:]:
        for name in ("rgb", "depth", "accumulation"):
            torch.testing.assert_close(other[name], images[0][name], atol=2e-4, rtol=0)


def test_each_pass_of_a_step_uses_and_records_its_own_statistics():
    model = make(normalization="batch", precision="float32").train()
    inputs = []
    norm = model.field.trunk.norms[0]
    norm.register_forward_pre_hook(lambda module, args: inputs.append(args[0].detach()))
    model(ball_batch(64)[0])
    assert len(inputs) == 2
    for level, batch in enumerate(inputs):
        torch.testing.assert_close(norm.statistics.mean[level], batch.mean(0), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(norm.statistics.variance[level], batch.var(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("normalization", ["none", "cross"])
def test_the_gradient_of_the_loss_agrees_with_finite_differences(normalization, monkeypatch):
    """In double precision, and with the sections of both passes held: resampling has no gradient, by design."""
    model = make(normalization=normalization, activation="softplus", width=6, precision="float32").double().train()
    bundle, batch = ball_batch(6)
    for name in ("origins", "directions", "pixel_area"):
        setattr(bundle, name, getattr(bundle, name).double())
    edges = torch.linspace(2.5, 5.5, 17, dtype=torch.float64)
    for name in ("even_edges", "resampled_edges"):
        monkeypatch.setattr(
            f"inr_plugins.rendering.mip.two_levels.{name}", lambda a, *_, **__: edges.expand(len(a), len(edges))
        )
    monkeypatch.setattr(torch, "rand_like", lambda x: torch.full_like(x, 0.3))

    def loss():
        return sum(model.get_loss_dict(model(bundle), {"image": batch["image"].double()}).values())

    loss().backward()
    for weight in (model.field.trunk.layers[0].weight, model.field.view_network.layers[0].weight):
        expected = float(weight.grad[2, 1])
        step, values = 1e-6, []
        for sign in (1, -1):
            with torch.no_grad():
                weight[2, 1] += sign * step
                values.append(float(loss()))
                weight[2, 1] -= sign * step
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(expected, rel=1e-4, abs=1e-9)
        assert expected != 0


def test_the_coarse_passs_error_counts_a_tenth_and_both_are_over_one_background():
    model = make().train()
    image, fine, coarse = torch.rand(50, 4), torch.rand(50, 3), torch.rand(50, 3)
    opacity = torch.rand(50, 1)
    outputs = {"rgb": fine, "accumulation": opacity, "rgb_coarse": coarse, "accumulation_coarse": 0.5 * opacity}
    torch.manual_seed(0)
    parts = model.get_loss_dict(outputs, {"image": image})
    torch.manual_seed(0)
    behind = torch.rand(50, 3)
    target = image[:, :3] * image[:, 3:] + behind * (1 - image[:, 3:])
    expected = (fine + behind * (1 - opacity) - target).square().mean()
    torch.testing.assert_close(parts["rgb_loss"], expected)
    expected = (coarse + behind * (1 - 0.5 * opacity) - target).square().mean()
    torch.testing.assert_close(parts["rgb_loss_coarse"], 0.1 * expected)


def test_evaluation_compares_with_the_image_over_the_same_background(trained):
    model = trained[0].eval()
    bundle, batch = ball_batch(100)
    outputs = model(bundle)
    target = batch["image"][:, :3] + 1 - batch["image"][:, 3:]
    error = (outputs["rgb"] - target).square().mean()
    torch.testing.assert_close(model.get_loss_dict(outputs, batch)["rgb_loss"], error)
    torch.testing.assert_close(model.get_metrics_dict(outputs, batch)["psnr"], -10 * torch.log10(error))
    miss = RayBundle(
        origins=torch.tensor([[0.0, 0.0, 9.0]]), directions=torch.tensor([[0.0, 0.0, 1.0]]), pixel_area=torch.ones(1, 1)
    )
    assert (model(miss)["rgb"] == 1).all()


def test_a_batch_that_misses_the_box_is_a_step_without_a_gradient():
    model = make(background_color="white").train()
    bundle, _ = ball_batch(8)
    bundle.directions = -bundle.directions
    parts = model.get_loss_dict(model(bundle), {"image": torch.zeros(8, 4)})
    sum(parts.values()).backward()
    assert float(parts["rgb_loss"].detach()) == 0
    assert all(p.grad is None or not p.grad.any() for p in model.field.parameters())


def test_bounded_scenes_are_sampled_in_the_box_and_photographs_between_the_planes():
    origins, directions = torch.tensor([[0.0, 0.0, 4.0]] * 2), torch.tensor([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]])
    near, far = make().interval(origins, directions)
    assert (float(near[0]), float(far[0])) == (2.5, 5.5)
    assert near[1] > far[1]
    near, far = make(near_plane=3.0, far_plane=5.0).interval(origins, directions)
    assert (float(near[0]), float(far[0])) == (3.0, 5.0)
    photo = make(metadata={"opaque": True}).eval()
    near, far = photo.interval(origins, directions)
    assert near.tolist() == pytest.approx([0.05, 0.05])
    assert far.tolist() == pytest.approx([2 * 27**0.5] * 2)
    assert not photo.field.bounded
    seen = photo(RayBundle(origins=origins, directions=directions, pixel_area=torch.full((2, 1), PIXEL)))
    assert (seen["accumulation"] > 0).all()
    assert make(metadata={"opaque": True}, far_plane=7.0).interval(origins, directions)[1].tolist() == [7.0, 7.0]
    assert make(metadata={"opaque": True}, unbounded="no").field.bounded


def test_resuming_gives_the_same_weights_as_never_stopping():
    torch.manual_seed(5)
    straight = make()
    optimizer = optimizer_of(straight)
    train(straight, optimizer, 4, count=32)
    state, saved = copy.deepcopy(straight.state_dict()), copy.deepcopy(optimizer.state_dict())
    random = torch.get_rng_state()
    train(straight, optimizer, 4, count=32)
    resumed = make(seed=8)
    resumed.load_state_dict(state)
    optimizer = optimizer_of(resumed)
    optimizer.load_state_dict(saved)
    torch.set_rng_state(random)
    train(resumed, optimizer, 4, count=32)
    actual = resumed.state_dict()
    for name, value in straight.state_dict().items():
        assert torch.equal(value, actual[name]), name


def test_every_activation_trains():
    for activation in ("softplus", "sine", "gauss", "finer-sine", "finer-gauss"):
        model = make(activation=activation)
        assert torch.isfinite(torch.tensor(train(model, optimizer_of(model), 2, count=8))).all()


def test_relu_starts_as_in_the_paper_and_other_activations_in_their_own_way():
    assert not make().field.trunk.layers[0].bias.any()
    assert make(activation="softplus").field.trunk.layers[0].bias.any()


def test_the_preset_is_mip_nerf_with_cross_normalization():
    config = cn_mipnerf.config
    model, group = config.pipeline.model, config.optimizers["fields"]
    assert config.method_name == "cn-mipnerf"
    assert (model.activation, model.normalization, model.width, model.hidden_layers) == ("relu", "cross", 256, 8)
    assert (model.num_coarse_samples, model.num_fine_samples, model.coarse_loss_weight) == (128, 128, 0.1)
    assert group["optimizer"].lr == 5e-4
    assert isinstance(group["scheduler"], DelayedDecayConfig)
    assert config.pipeline.datamanager.dataparser.alpha_color is None
    assert set(make().get_param_groups()) == set(config.optimizers)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"num_coarse_samples": 1}, "num-coarse-samples"),
        ({"num_fine_samples": 0}, "num-fine-samples"),
        ({"coarse_loss_weight": -0.1}, "coarse-loss-weight"),
        ({"near_plane": -1.0}, "near-plane"),
        ({"near_plane": float("nan")}, "near-plane"),
        ({"far_plane": 0.01}, "far-plane"),
        ({"min_transmittance": 1.0}, "min-transmittance"),
        ({"eval_num_rays_per_chunk": 0}, "eval-num-rays-per-chunk"),
        ({"width": 0}, "width"),
        ({"hidden_layers": 0}, "hidden-layers"),
        ({"activation": "wavelet"}, "normalization"),
    ],
)
def test_settings_that_cannot_be_used_are_named(settings, name):
    with pytest.raises(InputError, match=name):
        make(**settings)


def test_a_box_without_volume_is_an_input_error():
    with pytest.raises(InputError, match="no volume"):
        CnMipNerfModelConfig(**SMALL).setup(scene_box=SceneBox(aabb=torch.zeros(2, 3)), num_train_data=1)
