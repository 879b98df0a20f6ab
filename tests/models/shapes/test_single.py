"""finer-sdf and cn-occupancy on a ball: they learn it, with the losses and the set-ups that are theirs."""

import numpy as np
import pytest
import torch
from inr_plugins.method_configs.shapes import cn_occupancy, finer_sdf
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import SceneBox
from torch.nn.functional import normalize

from inr_plugins.engine.optimization.settle import settle_optimizers
from inr_plugins.errors import InputError
from inr_plugins.fields.protocol import OccupancyField, SDFField
from inr_plugins.models.shapes.backbones import BACKBONES
from inr_plugins.models.shapes.cn_occupancy import CnOccupancyModelConfig
from inr_plugins.models.shapes.finer_sdf import FinerSdfModelConfig
from inr_plugins.shape_points import ShapePoints

RADIUS = 0.6


def make(config=FinerSdfModelConfig, names=("ball",), **changes):
    torch.manual_seed(0)
    box = SceneBox(aabb=torch.tensor([[-1.0] * 3, [1.0] * 3]))
    small = config(**{"width": 32, "hidden_layers": 2, **changes})
    return small.setup(scene_box=box, num_train_data=1, metadata={"shapes": names}, device="cpu")


def ball_batch(count=480):
    """A third of the points on the ball, close to it, and anywhere."""
    third = count // 3
    n = normalize(torch.randn(2 * third, 3), dim=-1)
    close = n[third:] * (RADIUS + 0.02 * torch.randn(third, 1))
    points = torch.cat([RADIUS * n[:third], close, 2 * torch.rand(third, 3) - 1])
    kind = torch.arange(3).repeat_interleave(third)
    sdf = torch.where(kind == 0, 0.0, points.norm(dim=-1) - RADIUS)
    on = (kind == 0)[None]
    batch = {
        "sdf": sdf[None],
        "near": (kind == 1)[None],
        "on": on,
        "normal": torch.where(on[..., None], normalize(points, dim=-1)[None], 0.0),
        "occupancy": (sdf < 0).float()[None],
    }
    return ShapePoints(points[None], torch.zeros(1, dtype=torch.long)), batch


def train(model, steps, lr):
    model.train()
    (params,) = model.get_param_groups().values()
    optimizer = torch.optim.Adam(params, lr=lr)
    for _ in range(steps):
        points, batch = ball_batch()
        outputs = model(points)
        model.get_metrics_dict(outputs, batch)
        loss = sum(model.get_loss_dict(outputs, batch).values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
    return model.eval()


@pytest.mark.parametrize(
    ("config", "settings", "steps", "lr"),
    [
        (FinerSdfModelConfig, {"omega": 10.0}, 100, 2e-3),
        (FinerSdfModelConfig, {"eikonal_weight": 0.1, "normal_weight": 0.1, "omega": 10.0}, 80, 2e-3),
        (CnOccupancyModelConfig, {"octaves": 3}, 80, 1e-2),
    ],
    ids=["finer-sdf", "finer-sdf with gradients", "cn-occupancy"],
)
def test_a_ball_is_learnt_and_seen(config, settings, steps, lr):
    model = train(make(config, **settings), steps, lr)
    points, batch = ball_batch(3000)
    with torch.no_grad():
        metrics = model.get_metrics_dict(model(points), batch)
    assert metrics["iou"] > 0.8
    if config is FinerSdfModelConfig:
        assert metrics["near_error"] < 20
    d = normalize(torch.randn(60, 3), dim=-1)
    outputs = model(RayBundle(origins=-3 * d, directions=d, pixel_area=torch.ones(60, 1)))
    assert outputs["accumulation"].mean() > 0.95
    assert (outputs["depth"][:, 0] - (3 - RADIUS)).abs().median() < 0.05
    normals = outputs["normals"] * 2 - 1
    assert (normals * -d).sum(-1).median() > 0.9


def test_the_answer_is_a_distance_or_an_occupancy():
    assert isinstance(make().field, SDFField)
    assert isinstance(make(CnOccupancyModelConfig).field, OccupancyField)
    model = make()
    assert model.field_of(0) is model.field


def test_the_loss_is_the_authors_in_a_cube_of_half_the_size():
    """5,000 times the means of squared errors halved, a hundredth of them where points are coarse."""
    model = make().train()
    points, batch = ball_batch(90)
    outputs = model(points)
    error = ((outputs["value"] - batch["sdf"]) / 2).square()[0]
    # Thirds of the batch: on the surface, close to it, anywhere.
    expected = 5000 * (error[:60].mean() + 0.01 * error[60:].mean())
    losses = model.get_loss_dict(outputs, batch)
    assert set(losses) == {"sdf_loss"}
    torch.testing.assert_close(losses["sdf_loss"], expected)
    heavier = make(coarse_weight=1.0).train()
    torch.testing.assert_close(
        heavier.get_loss_dict(outputs, batch)["sdf_loss"], 5000 * (error[:60].mean() + error[60:].mean())
    )


def test_losses_of_gradients_are_there_when_wanted_and_in_training_only():
    model = make(eikonal_weight=0.5, normal_weight=2.0).train()
    points, batch = ball_batch(90)
    outputs = model(points)
    losses = model.get_loss_dict(outputs, batch)
    length = outputs["gradient"].norm(dim=-1)
    torch.testing.assert_close(losses["eikonal_loss"], 0.5 * (length - 1).square().mean(), atol=1e-5, rtol=1e-4)
    cosine = (outputs["gradient"] * batch["normal"]).sum(-1) / length
    torch.testing.assert_close(losses["normal_loss"], 2 * (1 - cosine)[batch["on"]].mean(), atol=1e-5, rtol=1e-4)
    held_out = model.eval()(points)
    assert set(held_out) == {"value"}
    assert set(model.get_loss_dict(held_out, batch)) == {"sdf_loss"}


def test_occupancy_is_compared_by_cross_entropy_off_the_surface():
    model = make(CnOccupancyModelConfig, normalization="none").train()
    points, batch = ball_batch(90)
    outputs = model(points)
    p = torch.sigmoid(outputs["value"].double())[~batch["on"]]
    truth = batch["occupancy"].double()[~batch["on"]]
    expected = -(truth * p.log() + (1 - truth) * (1 - p).log()).mean()
    torch.testing.assert_close(model.get_loss_dict(outputs, batch)["entropy_loss"].double(), expected)


@pytest.mark.parametrize("activation", list(BACKBONES))
def test_every_activation_has_a_rate_of_its_own(activation):
    model, wanted = make(activation=activation), finer_sdf.config.optimizers
    settled = settle_optimizers(wanted, model.get_param_groups(), model.own_rates(), last_step=100)["fields"]
    lr = settled["optimizer"].lr
    assert lr == BACKBONES[activation].lr
    assert lr * settled["scheduler"].final_fraction == pytest.approx(1e-4)
    assert settled["optimizer"].max_norm == 1


@pytest.mark.parametrize(
    ("settings", "rate"),
    [
        ({"normalization": "cross"}, 1e-2),
        ({"normalization": "batch", "activation": "sine"}, 1e-2),
        ({"normalization": "none"}, 1e-2),
        ({"normalization": "none", "activation": "sine"}, 1e-3),
    ],
)
def test_an_occupancy_has_the_learning_rate_of_its_kind(settings, rate):
    model, wanted = make(CnOccupancyModelConfig, **settings), cn_occupancy.config.optimizers
    settled = settle_optimizers(wanted, model.get_param_groups(), model.own_rates(), last_step=100)["fields"]
    assert (settled["optimizer"].lr, settled["scheduler"].final_fraction) == (rate, 0.1)


def test_presets_are_the_papers_networks():
    distance, occupancy = finer_sdf.config.pipeline.model, cn_occupancy.config.pipeline.model
    assert (distance.activation, distance.hidden_layers, distance.width) == ("finer-sine", 3, 256)
    assert (occupancy.activation, occupancy.hidden_layers, occupancy.width) == ("relu", 2, 256)
    assert (distance.normalization, occupancy.normalization) == ("none", "cross")
    # Seven octaves for occupancies, which are the paper's; six for distances, which are not.
    assert make(activation="relu").field.network.encoding.out_dim == 39
    assert make(CnOccupancyModelConfig, encoding="fourier").field.network.encoding.out_dim != 45
    network = make(CnOccupancyModelConfig).field.network
    assert network.encoding.out_dim == 45
    assert all(type(norm).__name__ == "CrossNorm" for norm in network.norms)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"coarse_weight": -1.0}, "coarse-weight"),
        ({"eikonal_weight": -0.1}, "eikonal-weight"),
        ({"normal_weight": float("nan")}, "normal-weight"),
        ({"trace_slope": 0.5}, "trace-slope"),
        ({"lattice_cells": 2}, "lattice-cells"),
        ({"average_decay": 1.0}, "average-decay"),
        ({"width": 0}, "width"),
        ({"activation": "relu", "omega": 3.0}, "omega"),
        ({"octaves": 3}, "octaves"),
        ({"activation": "finer-wavelet", "normalization": "cross"}, "normalization"),
        ({"names": ("a", "b", "c", "d")}, r"holds 4 \(a, b, c, ...\).*nid-shapes"),
    ],
)
def test_what_cannot_be_used_is_named(settings, name):
    with pytest.raises(InputError, match=name):
        make(**settings)


class Ball:
    """A datamanager of the ball."""

    def __init__(self, signed=True):
        self.signed, self.asked = signed, 0

    def shape_distance(self, number):
        self.asked += 1
        return (lambda points: np.linalg.norm(points, axis=1).astype(np.float32) - RADIUS) if self.signed else None


def test_a_run_begins_at_a_coarse_lattice_of_the_distance(capsys):
    model, source = make(omega=10.0), Ball()
    model.begin(source)
    assert "lattice of 32^3 cells" in capsys.readouterr().out
    points, batch = ball_batch(900)
    near = (points.points[0].norm(dim=-1) > 0.3)[None]
    found = model.train()(points)["value"]
    assert (found - batch["sdf"])[near].abs().max() < 2e-3
    # And the network learns from there on.
    assert found.requires_grad
    untrained = {name: each.clone() for name, each in model.trained_field.network.named_parameters()}
    train(model, 3, 1e-3)
    assert all(not torch.equal(untrained[name], now) for name, now in model.trained_field.network.named_parameters())


def test_a_lattice_is_laid_once_and_only_of_distances_with_a_sign(capsys):
    first = make()
    first.begin(Ball())
    again, source = make(), Ball()
    again.load_state_dict(first.state_dict())
    again.begin(source)
    points = ball_batch(90)[0]
    torch.testing.assert_close(again.eval()(points)["value"], first.eval()(points)["value"])
    capsys.readouterr()
    again.begin(source)
    assert capsys.readouterr().out == ""
    unsigned = make()
    unsigned.begin(Ball(signed=False))
    assert "unsigned, so there is no lattice" in capsys.readouterr().out
    assert not bool(unsigned.trained_field.lattice.laid)
    assert unsigned.trained_field.network.head.weight.abs().max() > 0
    alone = make(lattice_cells=0)
    alone.begin(Ball())
    assert alone.trained_field.lattice is None
    assert capsys.readouterr().out == ""


def test_evaluation_has_the_mean_of_the_weights_over_steps():
    model, decay = make(average_decay=0.8, lattice_cells=0), 0.8
    weight = model.trained_field.network.head.weight
    assert model.eval().field is model.trained_field
    wanted = None
    for step in range(4):
        with torch.no_grad():
            weight.add_(torch.randn_like(weight))
        model.after_step(step)
        wanted = weight.clone() if wanted is None else decay * wanted + (1 - decay) * weight
    torch.testing.assert_close(model.eval().field.network.head.weight, wanted)
    assert model.train().field.network.head.weight is weight
    assert len(model.get_param_groups()["fields"]) == len(list(model.trained_field.parameters()))


@pytest.mark.parametrize(
    ("settings", "decay"),
    [({}, 0.95), ({"normalization": "layer"}, 0.95), ({"normalization": "batch"}, 0.0), ({"average_decay": 0.5}, 0.5)],
)
def test_weights_are_averaged_where_no_statistics_belong_to_those_of_a_step(settings, decay):
    assert make(**settings).average_decay() == decay


@pytest.mark.parametrize("config", [FinerSdfModelConfig, CnOccupancyModelConfig])
def test_runs_from_before_weights_were_averaged_open(config):
    model = make(config)
    old = {
        name.replace("trained_field.", "field."): each
        for name, each in model.state_dict().items()
        if not name.startswith("average.") and ".lattice." not in name
    }
    fresh = make(config, **({"lattice_cells": 0} if config is FinerSdfModelConfig else {}))
    fresh.load_state_dict(old)
    for name, each in fresh.trained_field.network.state_dict().items():
        torch.testing.assert_close(each, model.trained_field.network.state_dict()[name])
