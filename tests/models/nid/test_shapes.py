"""The dictionary of shapes on balls of several radii."""

import pytest
import torch
from ball_batches import BallBatches
from inr_plugins.method_configs.nid import nid_shapes
from long_form import long_form
from nerfstudio.data.scene_box import SceneBox

from inr_plugins.engine.optimization.row_adam import RowAdam
from inr_plugins.errors import InputError
from inr_plugins.fields.protocol import SDFField
from inr_plugins.models.nid.checks import say_how_learnt
from inr_plugins.models.nid.points import draw_clouds
from inr_plugins.models.nid.shapes import NidShapesModelConfig
from inr_plugins.networks.dictionary.gates import TableGate

RADII = (0.4, 0.5, 0.6, 0.7)
COMMON_ERROR = 0.15
"""Least error, for the worst of them, of a shape that is the same for all."""
SMALL = {
    "experts": 24,
    "active": 8,
    "expert_width": 4,
    "trunk_width": 24,
    "trunk_layers": 2,
    "omega": 5.0,
    "gate_points": 16,
    "warmup_steps": 20,
}


def make(shapes=4, **changes):
    torch.manual_seed(0)
    box = SceneBox(aabb=torch.tensor([[-1.0] * 3, [1.0] * 3]))
    metadata = {"shapes": tuple(f"ball {i}" for i in range(shapes)), "file_unit": 0.5}
    config = NidShapesModelConfig(**{**SMALL, **changes})
    return config.setup(scene_box=box, num_train_data=1, metadata=metadata, device="cpu")


RATES = {"encoder": 1e-3}


def optimizers(model, rate=2e-2):
    kinds = {"trunk": torch.optim.Adam, "encoder": torch.optim.Adam}
    groups = model.get_param_groups().items()
    return [kinds.get(name, RowAdam)(group, lr=RATES.get(name, rate)) for name, group in groups]


def train(model, source, steps, rate=2e-2):
    """As a run of so many steps, in which learning rates fall to a thirtieth."""
    movers = optimizers(model, rate)
    schedules = [torch.optim.lr_scheduler.ExponentialLR(mover, 0.03 ** (1 / steps)) for mover in movers]
    model.train()
    for step in range(steps):
        model.before_step(step)
        points, batch = source.next_train(step)
        outputs = model(points)
        losses = model.get_loss_dict(outputs, batch, model.get_metrics_dict(outputs, batch))
        for mover in movers:
            mover.zero_grad()
        sum(losses.values()).backward()
        for mover, schedule in zip(movers, schedules, strict=True):
            mover.step()
            schedule.step()


def errors(model):
    """Mean error of each ball's distance around it, at points of no batch."""
    generator = torch.Generator().manual_seed(5)
    x = torch.nn.functional.normalize(torch.randn(300, 3, generator=generator), dim=-1)
    scale = 0.5 + torch.rand(300, generator=generator)
    found = []
    with torch.no_grad():
        for number, radius in enumerate(RADII):
            sdf = model.eval().field_of(number).sdf(radius * scale[:, None] * x)
            found.append(float((sdf - radius * (scale - 1)).abs().mean()))
    return found


@pytest.fixture(scope="module")
def trained():
    model = make()
    train(model, BallBatches(RADII, per_step=2, points=200), 140)
    return model


def test_training_learns_every_shape(trained):
    assert max(errors(trained)) < 0.6 * COMMON_ERROR


def test_each_shape_is_a_field_of_its_own_and_the_shown_one_answers(trained):
    assert isinstance(trained.field, SDFField)
    at = torch.tensor([[0.55, 0.0, 0.0]])
    with torch.no_grad():
        inside = [bool(trained.field_of(number).sdf(at) < 0) for number in (0, 3)]
        trained.show(3)
        shown = trained.field.sdf(at)
        trained.show(0)
    assert inside == [False, True]
    assert float(shown) < 0


def test_codes_have_as_many_entries_as_are_active_and_are_of_length_one(trained):
    assert ((trained.codes != 0).sum(1) == SMALL["active"]).all()
    torch.testing.assert_close(trained.codes.norm(dim=-1), torch.ones(4))


def test_a_step_of_the_warm_up_hears_all_experts_at_fewer_points():
    model, (points, batch) = make(), BallBatches(RADII, points=300).next_train(0)
    model.before_step(SMALL["warmup_steps"] - 1)
    outputs = model.train()(points)
    assert outputs["value"].shape == (4, 300 * 8 // 24)
    losses = model.get_loss_dict(outputs, batch)
    assert losses.keys() == {"distance_loss", "balance_loss", "sparsity_loss"}
    # The truth that it is compared with is that of the points that were kept.
    truth = {**batch, "sdf": torch.full_like(batch["sdf"], 9.0)}
    truth["sdf"][:, outputs["kept"]] = batch["sdf"][:, outputs["kept"]]
    assert torch.equal(model.get_loss_dict(outputs, truth)["distance_loss"], losses["distance_loss"])
    sum(losses.values()).backward()
    assert (model.gate.codes.grad.to_dense() != 0).all()
    assert (model.dictionary.bank.last_bias.grad != 0).all()


def test_after_the_warm_up_all_points_are_heard_and_held_out_batches_always_are():
    model, (points, _) = make(), BallBatches(RADII, points=300).next_train(0)
    assert model.eval()(points)["value"].shape == (4, 300)
    model.before_step(SMALL["warmup_steps"])
    assert model.train()(points)["value"].shape == (4, 300)


def test_after_the_warm_up_a_step_moves_only_the_experts_and_the_codes_of_its_shapes():
    model = make(balance_weight=0.0, load_weight=0.0, warmup_steps=0)
    source = BallBatches(RADII, per_step=1, points=100)
    points, _ = source.next_train(0)
    before = [table.detach().clone() for table in (*model.dictionary.bank.parameters(), model.gate.codes)]
    with torch.no_grad():
        used = (model.eval()(points)["code"][0] != 0).nonzero()[:, 0]
    train(model, source, 1)
    after = [*model.dictionary.bank.parameters(), model.gate.codes]
    moved = [(old != new).flatten(1).any(-1).nonzero()[:, 0] for old, new in zip(before, after, strict=True)]
    assert all(torch.equal(each, used) for each in moved[:-1])
    assert torch.equal(moved[-1], points.shape)


def test_balance_is_judged_over_all_shapes_with_the_codes_they_had_last():
    model = make(active=2, experts=4, warmup_steps=0, balance_weight=1.0, load_weight=1.0)
    model.codes.copy_(torch.tensor([[0.6, 0.8, 0, 0], [0, 0, 0.6, 0.8], [0.6, 0.8, 0, 0], [0, 0, 0, 1.0]]))
    model.gate.codes.data = torch.tensor([[30.0, 40, 1e-3, 0], [0, 1, 5, 5], [5, 5, 1, 0], [0, 0, -80, 60]])
    points, batch = BallBatches(RADII, per_step=1, points=8).next_train(0)
    points.shape[0] = 3
    losses = model.get_loss_dict(model.train()(points), batch)
    use = torch.tensor([1.2, 1.6, 0.6 + 0.8, 0.8 + 0.6])
    assert float(losses["balance_loss"].detach()) == pytest.approx(
        float(use.var(correction=0) / use.mean() ** 2), rel=1e-4
    )
    count = torch.tensor([2.0, 2.0, 2.0, 2.0])
    assert float(losses["load_loss"].detach()) == pytest.approx(float(count.var(correction=0)), abs=1e-3)
    losses["balance_loss"].backward()
    grad = model.gate.codes.grad.to_dense()
    assert (grad[3, 2:] != 0).all()
    assert (grad[:3] == 0).all()


@pytest.mark.parametrize("loss", ["l1", "l2"])
def test_the_loss_of_distances_is_the_papers_or_its_codes(loss):
    model = make(loss=loss, warmup_steps=0).eval()
    points, batch = BallBatches(RADII, points=100).next_train(0)
    outputs = model(points)
    error, on = (outputs["value"] - batch["sdf"]).detach(), batch["on"]
    expected = error[on].abs().mean() + error[~on].abs().mean() if loss == "l1" else error.square().mean()
    assert model.get_loss_dict(outputs, batch).keys() == {"distance_loss"}
    torch.testing.assert_close(model.get_loss_dict(outputs, batch)["distance_loss"], expected)


@long_form
def test_the_encoder_of_points_learns_and_gives_codes_without_a_table():
    model = make(gate="points", warmup_steps=50)
    source = BallBatches(RADII, points=100)
    model.clouds.copy_(draw_clouds(source, shapes=4, points=16))
    assert set(model.get_param_groups()) == {"trunk", "experts", "encoder"}
    train(model, source, 100, rate=1e-2)
    assert max(errors(model)) < 0.8 * COMMON_ERROR


def test_patches_have_codes_of_their_own():
    model = make(patches=2, warmup_steps=1)
    assert isinstance(model.gate, TableGate)
    assert model.gate.codes.shape == (4 * 8, 24)
    train(model, BallBatches(RADII, per_step=2, points=200), 60)
    assert max(errors(model)) < 0.7 * COMMON_ERROR
    assert model.codes.any(-1).all()


def test_loading_goes_on_in_the_phase_that_was_saved_and_refuses_other_shapes_and_sizes():
    model = make()
    model.before_step(SMALL["warmup_steps"])
    other = make()
    assert not other.is_sparse
    other.load_state_dict(model.state_dict())
    assert other.is_sparse
    with pytest.raises(InputError, match=r"4 codes of 24 experts, the run has 3 of 24"):
        make(shapes=3).load_state_dict(model.state_dict())
    with pytest.raises(InputError, match=r"does not fit.*omega 5\.0, not 7\.0"):
        make(omega=7.0).load_state_dict(model.state_dict())


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"experts": 1}, "experts must be at least 2"),
        ({"active": 25}, "active must be at most"),
        ({"patches": 0}, "patches"),
        ({"warmup_steps": -1}, "warmup-steps"),
        ({"activation": "wavelet", "omega": None}, "complex"),
        ({"activation": "relu"}, "omega"),
    ],
)
def test_settings_that_cannot_be_used_are_named(changes, word):
    with pytest.raises(InputError, match=word):
        make(**changes)


def test_a_dictionary_too_large_for_its_shapes_and_a_run_too_short_are_told(capsys):
    say_how_learnt(NidShapesModelConfig(), shapes=60, steps=5000)
    assert capsys.readouterr().out == ""
    say_how_learnt(NidShapesModelConfig(experts=4096), shapes=60, steps=100)
    told = " ".join(capsys.readouterr().out.split())
    assert "about 3.8 of 60 shapes" in told
    assert "within its warm-up" in told


def test_every_group_of_parameters_has_an_optimizer():
    assert all(
        set(make(gate=gate).get_param_groups()) <= set(nid_shapes.config.optimizers) for gate in ("table", "points")
    )
