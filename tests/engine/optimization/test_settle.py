"""What a configuration leaves open is the model's, or the run's."""

import pytest
from nerfstudio.engine.optimizers import AdamOptimizerConfig

from inr_plugins.engine.optimization.adam import AdamConfig
from inr_plugins.engine.optimization.run_decay import RunDecayConfig
from inr_plugins.engine.optimization.schedulers import ExponentialDecayConfig
from inr_plugins.engine.optimization.settle import OwnRate, settle_optimizers
from inr_plugins.errors import InputError


def test_only_schedules_without_an_end_of_their_own_are_settled():
    fixed, other = RunDecayConfig(max_steps=7), ExponentialDecayConfig(lr_final=1e-4)
    wanted = {
        "a": {"optimizer": AdamOptimizerConfig(), "scheduler": RunDecayConfig()},
        "b": {"optimizer": AdamOptimizerConfig(), "scheduler": fixed},
        "c": {"optimizer": AdamOptimizerConfig(), "scheduler": other},
        "d": {"optimizer": AdamOptimizerConfig(), "scheduler": None},
    }
    settled = settle_optimizers(wanted, "ab", {}, last_step=1000)
    assert settled["a"]["scheduler"] == RunDecayConfig(max_steps=1000)
    assert wanted["a"]["scheduler"].max_steps is None
    assert [settled[name]["scheduler"] for name in "bcd"] == [fixed, other, None]


def test_a_rate_that_is_left_open_is_the_models_and_one_that_is_given_stays():
    own = {"fields": OwnRate(3e-3, 0.25)}

    def settled(**given):
        wanted = {
            "fields": {"optimizer": AdamConfig(max_norm=1.0, **given), "scheduler": RunDecayConfig(final_fraction=None)}
        }
        group = settle_optimizers(wanted, ["fields"], own, last_step=10)["fields"]
        assert wanted["fields"]["optimizer"].lr == given.get("lr")
        return group["optimizer"], group["scheduler"].final_fraction

    assert settled() == (AdamConfig(lr=3e-3, max_norm=1.0), 0.25)
    assert settled(lr=1.0) == (AdamConfig(lr=1.0, max_norm=1.0), 0.25)


def test_a_group_without_an_optimizer_or_a_rate_is_refused():
    with pytest.raises(InputError, match=r"moves fields, and .* optimizers of finer-sine, relu.*another version"):
        settle_optimizers({"finer-sine": {}, "relu": {}}, ["fields"], {}, last_step=10)
    with pytest.raises(InputError, match=r"--optimizers\.code\.optimizer\.lr must be a number"):
        settle_optimizers({"code": {"optimizer": AdamConfig()}}, ["code"], {}, last_step=10)
