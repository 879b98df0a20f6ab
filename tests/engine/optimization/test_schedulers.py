"""Schedules against nerfstudio's own, closed forms, and what weights_only loading accepts."""

from __future__ import annotations

import math

import pytest
import torch
from nerfstudio.engine import schedulers as stock

from inr_plugins.engine.optimization.schedulers import CosineDecayConfig, ExponentialDecayConfig
from inr_plugins.errors import InputError


def rates(config, lr: float, steps: int) -> list[float]:
    """Learning rates that an optimizer of rate `lr` uses in its first `steps` steps under the schedule `config`."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = config.setup().get_scheduler(optimizer, lr)
    used = []
    for _ in range(steps):
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return used


@pytest.mark.parametrize("ramp", ["linear", "cosine"])
@pytest.mark.parametrize("warmup", [0, 7])
def test_exponential_decay_equals_nerfstudios(ramp, warmup):
    settings = {"lr_final": 1e-4, "max_steps": 30, "warmup_steps": warmup, "lr_pre_warmup": 1e-6, "ramp": ramp}
    ours = rates(ExponentialDecayConfig(**settings), 3e-2, 40)
    theirs = rates(stock.ExponentialDecaySchedulerConfig(**settings), 3e-2, 40)
    assert ours == pytest.approx([float(rate) for rate in theirs], rel=1e-12)


def test_cosine_decay_is_half_a_wave_after_a_linear_climb():
    used = rates(CosineDecayConfig(final_fraction=0.1, max_steps=24, warmup_steps=4), 2.0, 30)
    assert used[:4] == pytest.approx([0.0, 0.5, 1.0, 1.5])
    wave = [2.0 * (0.1 + 0.9 * (1 + math.cos(math.pi * k / 20)) / 2) for k in range(21)]
    assert used[4:25] == pytest.approx(wave)
    assert used[25:] == pytest.approx([0.2] * 5)


@pytest.mark.parametrize(
    "config", [ExponentialDecayConfig(lr_final=1e-4, warmup_steps=2), CosineDecayConfig(warmup_steps=2)]
)
def test_state_loads_as_plain_data(config, tmp_path):
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1e-2)
    scheduler = config.setup().get_scheduler(optimizer, 1e-2)
    for _ in range(4):
        optimizer.step()
        scheduler.step()
    assert all(type(rate) is float for rate in scheduler.state_dict()["_last_lr"])
    torch.save({"scheduler": scheduler.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "state")
    state = torch.load(tmp_path / "state", weights_only=True)
    assert state["scheduler"]["_last_lr"] == scheduler.get_last_lr()
    assert type(state["optimizer"]["param_groups"][0]["lr"]) is float


@pytest.mark.parametrize(("lr", "final"), [(0.0, 1e-4), (1e-2, 0.0), (1e-2, -1.0)])
def test_exponential_decay_needs_positive_rates(lr, final):
    with pytest.raises(InputError, match="positive learning rates"):
        rates(ExponentialDecayConfig(lr_final=final), lr, 1)


def test_before_its_decay_a_rate_stays_the_optimizers_own_whatever_that_is():
    for lr in (0.3, 1.5):
        parameter = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([parameter], lr=lr)
        settings = ExponentialDecayConfig(lr_final=0.03, max_steps=8, warmup_steps=4, lr_pre_warmup=None)
        schedule = settings.setup().get_scheduler(optimizer, lr)
        rates = []
        for _ in range(9):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        assert rates[:5] == pytest.approx([lr] * 5)
        assert rates[6] == pytest.approx((lr * 0.03) ** 0.5)
        assert rates[8] == pytest.approx(0.03)
