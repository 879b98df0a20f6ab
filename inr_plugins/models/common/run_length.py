"""How long the run is in which a model is trained."""

from __future__ import annotations

from nerfstudio.engine.callbacks import TrainingCallbackAttributes


class KnowsRunLength:
    """A model that asks how many steps its run has, for what is due at the end of it or at a part of it."""

    run_steps: int = 1
    """Steps of the run, with those before it was picked up; this one before there is a run."""

    def note_run_length(self, attributes: TrainingCallbackAttributes) -> None:
        """Take it from what `get_training_callbacks` is given; without a trainer it stays."""
        trainer = attributes.trainer
        if trainer is not None:
            self.run_steps = trainer._start_step + trainer.config.max_num_iterations
