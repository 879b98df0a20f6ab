"""Trainings one after the other in one process, for commands that make many short ones."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from inr_plugins.engine.offline_lpips import without_lpips_weights
from inr_plugins.engine.rng import seed_all
from inr_plugins.engine.trainer import InrTrainer, InrTrainerConfig


def train_here(config: InrTrainerConfig) -> InrTrainer:
    """Train as ns-train does, without a viewer, and return the trainer with what it has learnt.

    Args:
        config: of the run, whose folder is made; changed in place.

    Raises:
        InputError: what ns-train refuses.
        SystemExit: it was stopped, after a checkpoint (`InrTrainer.train`).
    """
    forget_trainings()
    config.vis = "tensorboard"
    config.set_experiment_name()
    config.set_timestamp()
    config.save_config()
    seed_all(config.machine.seed)
    with without_lpips_weights():
        trainer: InrTrainer = config.setup(local_rank=0, world_size=1)
        trainer.setup()
        trainer.train()
    return trainer


def forget_trainings() -> None:
    """Close what nerfstudio keeps of earlier trainings of this process, to which later ones would write as well."""
    from nerfstudio.utils import profiler, writer

    for each in writer.EVENT_WRITERS:
        log: Any = getattr(each, "tb_writer", None)
        with suppress(OSError):
            if log is not None:
                log.close()
    for table in (writer.EVENT_WRITERS, writer.EVENT_STORAGE, writer.GLOBAL_BUFFER, profiler.PROFILER):
        table.clear()
