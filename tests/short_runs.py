"""Trainings of a few steps through the real trainer and datamanager, for integration tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from nerfstudio.utils import writer

from inr_plugins.engine.in_process import forget_trainings
from inr_plugins.engine.rng import seed_all
from inr_plugins.engine.runs import checkpoints
from inr_plugins.engine.trainer import InrTrainer, InrTrainerConfig


def train(config: InrTrainerConfig, steps: int, load_dir: Path | None = None, *, device: str = "cpu") -> InrTrainer:
    """Train as ns-train does, on the CPU unless told otherwise, without a viewer; `config` is changed in place.

    nerfstudio would write what each step tells to the files of all earlier runs of the process: by the fiftieth, a
    small step would take several times as long.
    """
    forget_trainings()
    config.max_num_iterations, config.load_dir = steps, load_dir
    config.vis, config.final_eval_images, config.machine.device_type = "tensorboard", 0, device
    config.set_timestamp()
    config.save_config()
    seed_all(config.machine.seed)
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    for each in writer.EVENT_WRITERS:
        if isinstance(each, writer.TensorboardWriter):
            # Made, and not written: to hand it to the thread that writes takes a tenth of a small step.
            each.tb_writer._get_file_writer().add_event = _not_written
    trainer.train()
    return trainer


def _not_written(*_: object) -> None:
    """In place of what writes an event to a file."""


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
