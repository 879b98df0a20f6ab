"""Trainings of a few steps through the real trainer and datamanager, for integration tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jaxtyping
import torch

from inr_plugins.engine.rng import seed_all
from inr_plugins.engine.runs import checkpoints
from inr_plugins.engine.trainer import InrTrainer, InrTrainerConfig


def train(config: InrTrainerConfig, steps: int, load_dir: Path | None = None, *, device: str = "cpu") -> InrTrainer:
    """Train as ns-train does, on the CPU unless told otherwise, without a viewer; `config` is changed in place."""
    config.max_num_iterations, config.load_dir = steps, load_dir
    config.vis, config.final_eval_images, config.machine.device_type = "tensorboard", 0, device
    config.set_timestamp()
    config.save_config()
    seed_all(config.machine.seed)
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    _check_shapes_now_and_then(trainer)
    trainer.train()
    return trainer


def _check_shapes_now_and_then(trainer: InrTrainer) -> None:
    """Shapes in signatures are checked in the first five steps, in every tenth, and in all that is done between steps:
    a third of the time of a small step goes into it, and one step has the shapes of another."""
    step_of, count = trainer.train_iteration, 0

    def train_iteration(step: int) -> Any:
        nonlocal count
        jaxtyping.config.update("jaxtyping_disable", count >= 5 and count % 10 != 0)
        count += 1
        try:
            return step_of(step)
        finally:
            jaxtyping.config.update("jaxtyping_disable", False)

    vars(trainer)["train_iteration"] = train_iteration


def assert_going_on_is_not_having_stopped(
    config: Callable[[str], InrTrainerConfig], stops: Sequence[int], total: int
) -> None:
    """As :func:`assert_parts_come_to_the_whole`; schedules are given the length of the whole, as of a run that was
    interrupted."""

    def whole(name: str) -> InrTrainerConfig:
        made = config(name)
        for group in made.optimizers.values():
            group["scheduler"].max_steps = total
        return made

    assert_parts_come_to_the_whole(whole, stops, total)


def assert_parts_come_to_the_whole(
    config: Callable[[str], InrTrainerConfig],
    stops: Sequence[int],
    total: int,
    at_stop: Callable[[int, InrTrainer], None] = lambda *_: None,
) -> None:
    """A run that stops after so many steps, and goes on from each stop to the next and to the end, comes, to the bit,
    to what one without a stop comes to.

    Args:
        config: makes that of a run of a name.
        at_stop: is given each stop and what has been trained until then.
    """
    straight = train(config("straight"), total)
    folder, done = None, 0
    for stop in (*stops, total):
        part = train(config(f"until {stop}"), stop - done, load_dir=folder)
        if stop < total:
            at_stop(stop, part)
        folder, done = part.checkpoint_dir, stop
    assert straight._trained_step == part._trained_step == total - 1
    assert_same_state(straight.checkpoint_dir, part.checkpoint_dir)


def assert_same_state(folder: Path, other: Path) -> None:
    """The newest checkpoints of two folders are of the same step and hold the same bits."""
    expected, actual = (checkpoints.read_newest_checkpoint(each)[0] for each in (folder, other))
    assert expected["step"] == actual["step"]
    assert expected["pipeline"].keys() == actual["pipeline"].keys()
    for name, value in expected["pipeline"].items():
        assert torch.equal(value, actual["pipeline"][name]), name
