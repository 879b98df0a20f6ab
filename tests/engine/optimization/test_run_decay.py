"""A schedule that ends with the run, whatever its length, and holds plain numbers."""

import pytest
import torch
from engine.learning_rates import rates

from inr_plugins.engine.optimization.adam import AdamConfig
from inr_plugins.engine.optimization.run_decay import RunDecayConfig
from inr_plugins.errors import InputError


def test_the_rate_falls_to_its_final_fraction_over_the_run():
    found, scheduler = rates(RunDecayConfig(final_fraction=0.1, max_steps=40), 51, 2e-3)
    assert found[0] == 2e-3
    assert found[20] == pytest.approx(2e-3 * 10**-0.5)
    assert found[40] == found[50] == pytest.approx(2e-4)
    assert all(type(value) is float for value in scheduler.get_last_lr())


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"final_fraction": None}, "final-fraction"),
        ({"max_steps": None}, "max-steps"),
        ({"max_steps": 0}, "max-steps"),
        ({"final_fraction": 0.0}, "final-fraction"),
    ],
)
def test_a_schedule_without_an_end_or_a_rate_is_refused(settings, name):
    with pytest.raises(InputError, match=name):
        rates(RunDecayConfig(**{"max_steps": 10, **settings}), 1, 2e-3)


def test_adams_moments_are_settable():
    (parameter,) = [torch.nn.Parameter(torch.zeros(1))]
    optimizer = AdamConfig(lr=1e-3, betas=(0.8, 0.95)).setup(params=[parameter])
    assert isinstance(optimizer, torch.optim.Adam)
    assert optimizer.defaults["betas"] == (0.8, 0.95)
    assert AdamConfig(lr=1e-3).setup(params=[parameter]).defaults["eps"] == 1e-15
