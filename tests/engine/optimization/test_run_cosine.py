"""Warm-up and cosine as long as the run, against NeuS's own formula."""

import math

import pytest
from engine.learning_rates import rates

from inr_plugins.engine.optimization.adam import AdamConfig
from inr_plugins.engine.optimization.run_cosine import RunCosineConfig
from inr_plugins.engine.optimization.settle import settle_optimizers
from inr_plugins.errors import InputError


def neus(step, *, warm, end, final=0.05):
    if step < warm:
        return step / warm
    progress = (step - warm) / (end - warm)
    return (math.cos(math.pi * progress) + 1) * 0.5 * (1 - final) + final


@pytest.mark.parametrize("end", [600, 60])
def test_the_schedule_is_neuss_scaled_to_the_run(end):
    schedule = settle_optimizers(
        {"fields": {"optimizer": AdamConfig(lr=1e-3), "scheduler": RunCosineConfig()}}, ["fields"], {}, last_step=end
    )["fields"]["scheduler"]
    found, scheduler = rates(schedule, end + 5, 5e-4)
    expected = [5e-4 * neus(step, warm=end // 60, end=end) for step in range(end + 1)]
    assert found[: end + 1] == pytest.approx(expected)
    assert found[-1] == pytest.approx(2.5e-5)
    assert all(type(value) is float for value in scheduler.get_last_lr())


@pytest.mark.parametrize(
    ("settings", "name"),
    [({"max_steps": None}, "max-steps"), ({"final_fraction": 0.0}, "final"), ({"warmup_share": 1.0}, "warmup")],
)
def test_numbers_out_of_range_are_refused(settings, name):
    with pytest.raises(InputError, match=name):
        rates(RunCosineConfig(**{"max_steps": 10, **settings}), 1, 5e-4)
