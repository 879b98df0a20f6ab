"""mip-NeRF's schedule against the formula of its code, at the length of any run."""

import math

import pytest
from engine.learning_rates import rates

from inr_plugins.engine.optimization.adam import AdamConfig
from inr_plugins.engine.optimization.delayed_decay import DelayedDecayConfig
from inr_plugins.engine.optimization.settle import settle_optimizers
from inr_plugins.errors import InputError


def rate(step, *, steps, delay, first=5e-4, last=5e-6, part=0.01):
    """math.learning_rate_decay of mip-NeRF's code."""
    held_back = part + (1 - part) * math.sin(0.5 * math.pi * min(max(step / delay, 0), 1))
    t = min(max(step / steps, 0), 1)
    return held_back * math.exp(math.log(first) * (1 - t) + math.log(last) * t)


def test_the_rate_is_mip_nerfs_stretched_to_the_run():
    (group,) = settle_optimizers(
        {"fields": {"optimizer": AdamConfig(lr=1e-3), "scheduler": DelayedDecayConfig()}},
        ["fields"],
        {},
        last_step=4000,
    ).values()
    found, scheduler = rates(group["scheduler"], 4010, 5e-4)
    assert found == pytest.approx([rate(step, steps=4000, delay=10) for step in range(4010)])
    assert found[0] == pytest.approx(5e-6)
    assert all(type(value) is float for value in scheduler.get_last_lr())


def test_without_a_delay_the_first_step_has_the_whole_rate():
    assert rates(DelayedDecayConfig(max_steps=100, delay_share=0.0), 1, 5e-4)[0] == [5e-4]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"delay_share": 1.0}, "delay-share"),
        ({"delay_factor": 0.0}, "delay-factor"),
        ({"final_fraction": 2.0}, "final-fraction"),
        ({"max_steps": None}, "max-steps"),
    ],
)
def test_numbers_out_of_range_are_named(settings, name):
    with pytest.raises(InputError, match=name):
        rates(DelayedDecayConfig(**{"max_steps": 10, **settings}), 1, 5e-4)
