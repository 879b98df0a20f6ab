"""How many steps the run of a model has, as callbacks are told."""

from __future__ import annotations

from types import SimpleNamespace

from nerfstudio.engine.callbacks import TrainingCallbackAttributes

from inr_plugins.models.common.run_length import KnowsRunLength


def test_steps_before_a_run_was_picked_up_count_and_without_a_trainer_nothing_changes():
    model = KnowsRunLength()
    assert model.run_steps == 1
    trainer = SimpleNamespace(_start_step=30, config=SimpleNamespace(max_num_iterations=12))
    model.note_run_length(TrainingCallbackAttributes(optimizers=None, grad_scaler=None, pipeline=None, trainer=trainer))
    assert model.run_steps == 42
    model.note_run_length(TrainingCallbackAttributes(optimizers=None, grad_scaler=None, pipeline=None, trainer=None))
    assert model.run_steps == 42
