"""A group rebuilt on some rows of a table goes on as if it had only ever had those rows: Adam treats rows apart."""

from __future__ import annotations

import pytest
import torch
from nerfstudio.engine.optimizers import AdamOptimizerConfig, Optimizers
from torch.nn import Parameter

from inr_plugins.engine.optimization.optimizers import drop_param_group, rebuild_param_group
from inr_plugins.engine.optimization.schedulers import ExponentialDecayConfig

TARGET = torch.linspace(-1, 1, 18).view(6, 3)
START = torch.arange(18.0).view(6, 3) / 7


@pytest.fixture(autouse=True)
def _log_nowhere(monkeypatch):
    monkeypatch.setattr("nerfstudio.engine.optimizers.writer.put_scalar", lambda **_: None)


def make(params: dict[str, list[Parameter]]) -> Optimizers:
    config = {
        name: {
            "optimizer": AdamOptimizerConfig(lr=0.1),
            "scheduler": ExponentialDecayConfig(lr_final=1e-3, max_steps=20),
        }
        for name in ("table", "other")
    }
    return Optimizers(config, params)


def train(optimizers: Optimizers, table: Parameter, target: torch.Tensor, steps: int, *, rest=()) -> None:
    for step in range(steps):
        optimizers.zero_grad_all()
        loss = ((table - target) ** 2).sum() + sum((param**2).sum() for param in rest)
        loss.backward()
        optimizers.optimizer_step_all()
        optimizers.scheduler_step_all(step)


def test_kept_rows_move_as_if_nothing_had_happened():
    whole = Parameter(START.clone())
    reference = make({"table": [whole]})
    train(reference, whole, TARGET, 12)

    table = Parameter(START.clone())
    optimizers = make({"table": [table]})
    train(optimizers, table, TARGET, 5)
    rows = torch.tensor([4, 1, 2])
    cut = Parameter(table.detach()[rows].clone())
    rebuild_param_group(optimizers, "table", [cut], carry_state_index={0: rows})
    train(optimizers, cut, TARGET[rows], 7)

    torch.testing.assert_close(cut, whole[rows], rtol=0, atol=0)
    assert optimizers.schedulers["table"].last_epoch == 12
    assert optimizers.optimizers["table"].param_groups[0]["lr"] == reference.optimizers["table"].param_groups[0]["lr"]


def test_fresh_rows_and_fresh_parameters_start_without_state():
    table, kept = Parameter(START.clone()), Parameter(torch.ones(2))
    optimizers = make({"table": [table, kept]})
    train(optimizers, table, TARGET, 3, rest=[kept])
    old = optimizers.optimizers["table"].state
    new = Parameter(torch.zeros(3, 3))
    rebuild_param_group(optimizers, "table", [new, kept], carry_state_index={0: torch.tensor([-1, 5, -1])})
    state = optimizers.optimizers["table"].state
    assert state[new]["exp_avg"][[0, 2]].eq(0).all()
    assert torch.equal(state[new]["exp_avg"][1], old[table]["exp_avg"][5])
    assert state[new]["step"] == 3
    assert torch.equal(state[kept]["exp_avg_sq"], old[kept]["exp_avg_sq"])

    fresh = Parameter(torch.zeros(4))
    rebuild_param_group(optimizers, "table", [fresh], keep_schedule=False)
    assert fresh not in optimizers.optimizers["table"].state
    assert optimizers.optimizers["table"].param_groups[0]["lr"] == pytest.approx(0.1)
    assert optimizers.schedulers["table"].last_epoch == 0


def test_the_schedule_drives_the_new_optimizer():
    table = Parameter(START.clone())
    optimizers = make({"table": [table]})
    train(optimizers, table, TARGET, 5)
    rebuild_param_group(optimizers, "table", [table])
    before = optimizers.optimizers["table"].param_groups[0]["lr"]
    train(optimizers, table, TARGET, 1)
    ratio = (1e-3 / 0.1) ** (1 / 20)
    assert optimizers.optimizers["table"].param_groups[0]["lr"] == pytest.approx(before * ratio)


def test_groups_are_added_and_dropped():
    table, other = Parameter(START.clone()), Parameter(torch.ones(2))
    optimizers = make({"table": [table]})
    train(optimizers, table, TARGET, 2)
    rebuild_param_group(optimizers, "other", [other])
    drop_param_group(optimizers, "table")
    drop_param_group(optimizers, "table")
    before = table.detach().clone()
    train(optimizers, table, TARGET, 2, rest=[other])
    assert torch.equal(table, before)
    assert (other < 1).all()
    with pytest.raises(KeyError):
        rebuild_param_group(optimizers, "unknown", [table])


def test_what_does_not_fit_is_refused_and_changes_nothing():
    table = Parameter(START.clone())
    optimizers = make({"table": [table]})
    train(optimizers, table, TARGET, 1)
    before = optimizers.optimizers["table"]
    with pytest.raises(ValueError, match="cannot take rows"):
        rebuild_param_group(optimizers, "table", [Parameter(torch.zeros(4, 3))], carry_state_index={0: torch.arange(3)})
    with pytest.raises(ValueError, match="would be empty"):
        rebuild_param_group(optimizers, "table", [])
    assert optimizers.optimizers["table"] is before
