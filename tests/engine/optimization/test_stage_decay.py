"""A rate that begins anew with each stage."""

from __future__ import annotations

import pytest
import torch

from inr_plugins.engine.optimization.adam import AdamConfig
from inr_plugins.engine.optimization.settle import OwnRate, settle_optimizers
from inr_plugins.engine.optimization.stage_decay import StageDecay, StageDecayConfig
from inr_plugins.errors import InputError


def test_the_rate_falls_in_each_stage_and_begins_anew():
    factor = StageDecay(StageDecayConfig(final_fraction=0.01, stage_starts=(0, 10, 30), max_steps=40)).factor()
    at = {0: 1, 5: 0.1, 9: 0.01**0.9, 10: 1, 20: 0.1, 30: 1, 35: 0.1, 40: 0.01, 99: 0.01}
    assert {step: pytest.approx(factor(step)) for step in at} == at


def test_stages_are_the_model_s_unless_they_are_given():
    given = {"fields": {"optimizer": AdamConfig(), "scheduler": StageDecayConfig()}}
    own = {"fields": OwnRate(2e-3, stage_starts=lambda end: (0, end // 2))}
    settled = settle_optimizers(given, ["fields"], own, last_step=100)["fields"]
    assert (settled["scheduler"].stage_starts, settled["scheduler"].max_steps) == ((0, 50), 100)
    assert settled["optimizer"].lr == 2e-3
    given["fields"]["scheduler"] = StageDecayConfig(stage_starts=(0, 7), max_steps=9)
    settled = settle_optimizers(given, ["fields"], own, last_step=100)["fields"]
    assert (settled["scheduler"].stage_starts, settled["scheduler"].max_steps) == ((0, 7), 9)


def test_without_stages_it_says_what_is_missing():
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    with pytest.raises(InputError, match="stage-starts must be given"):
        StageDecay(StageDecayConfig(max_steps=3)).get_scheduler(optimizer, 1.0)
